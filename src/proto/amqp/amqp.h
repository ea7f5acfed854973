/* The AMQP 0-9-1 front end as the rest of the program sees it. */
#ifndef COLOBUS_PROTO_AMQP_AMQP_H
#define COLOBUS_PROTO_AMQP_AMQP_H

#include "proto/proto.h"

extern const struct proto amqp_proto;
/* message_formats[MESSAGE_FORMAT_AMQP]: to be set before the broker starts. */
extern const struct message_format amqp_message_format;

#endif
