/* Messages as records of topics, and records as messages; README.md has the table, field by field. */
#ifndef COLOBUS_PROTO_AMQP_RECORD_H
#define COLOBUS_PROTO_AMQP_RECORD_H

#include "core/message.h"
#include "core/record_build.h"
#include "core/records.h"

#define AMQP_RECORD_PROPERTIES  "amqp.properties"
#define AMQP_RECORD_EXCHANGE    "amqp.exchange"
#define AMQP_RECORD_ROUTING_KEY "amqp.routing-key"
#define AMQP_FILTER_VALUE       "x-stream-filter-value"

/* As in struct message_format. */
void amqp_message_record(const struct message *m, struct arena *a, struct record_draft *ret);
void amqp_message_of_record(const struct record *r, bool enters, struct arena *a, struct message *ret);
bool amqp_message_property(const struct message *m, struct span name, struct field *ret);
/* The record's header of that name; false: there is none. */
bool amqp_record_header(const struct record *r, const char *name, struct span *ret_value);

#endif
