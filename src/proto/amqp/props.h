/* Basic properties: what stands in a content header behind the body size, flags and values (AMQP
 * 0-9-1, 2.3.5.2 and 4.2.6.1). Messages keep them verbatim; this reads them, and makes others from them. */
#ifndef COLOBUS_PROTO_AMQP_PROPS_H
#define COLOBUS_PROTO_AMQP_PROPS_H

#include "base/arena.h"
#include "core/fields.h"
#include "core/message.h"

enum amqp_props_flags {
    AMQP_CONTENT_TYPE = 1 << 15,
    AMQP_CONTENT_ENCODING = 1 << 14,
    AMQP_HEADERS = 1 << 13,
    AMQP_DELIVERY_MODE = 1 << 12,
    AMQP_PRIORITY = 1 << 11,
    AMQP_CORRELATION_ID = 1 << 10,
    AMQP_REPLY_TO = 1 << 9,
    AMQP_EXPIRATION = 1 << 8,
    AMQP_MESSAGE_ID = 1 << 7,
    AMQP_TIMESTAMP = 1 << 6,
    AMQP_TYPE = 1 << 5,
    AMQP_USER_ID = 1 << 4,
    AMQP_APP_ID = 1 << 3,
    AMQP_CLUSTER_ID = 1 << 2,
};

/* Spans are borrowed; null if the flag is not set. */
struct amqp_props {
    uint16_t flags;
    uint8_t delivery_mode, priority;
    uint64_t timestamp;  /* seconds */
    struct span headers; /* a table (core/fields.h) */
    struct span content_type, content_encoding, correlation_id, reply_to, expiration, message_id, type,
        user_id, app_id, cluster_id;
};

/* ERR_INVALID: not well-formed, or more than the 14 of class basic. `ret->headers` has passed fields_check().
 */
int amqp_props_decode(struct span bytes, struct amqp_props *ret);
/* In the arena. */
struct span amqp_props_encode(const struct amqp_props *p, struct arena *a);

/* The same properties with one header set (or put in place of the first of that name): all other bytes as
 * they were. `bytes` must be well-formed. */
struct span amqp_props_with_header(struct span bytes, const char *name, const struct field *value,
                                   struct arena *a);

/* Has it a header BCC, which no consumer may see? If so *ret holds the properties, decoded. */
bool amqp_props_has_bcc(struct span bytes, struct amqp_props *ret);
struct span amqp_props_without_bcc(const struct amqp_props *p, struct arena *a);

/* Whole fields, as they are on the wire, onto the end of a table. */
void amqp_headers_put_raw(struct fields_writer *w, struct span bytes);
void amqp_headers_copy(struct fields_writer *w, struct span headers, bool (*leave_out)(struct span name));

/* MESSAGE_FORMAT_AMQP: struct message.props are these bytes. */
extern const struct message_format amqp_message_format;

#endif
