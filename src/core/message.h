/* A message as exchanges route it and queues keep it: an envelope that the core understands, properties that
 * only the protocol it came by does, and a body that nobody looks into. */
#ifndef COLOBUS_CORE_MESSAGE_H
#define COLOBUS_CORE_MESSAGE_H

#include "base/arena.h"
#include "base/span.h"

struct field;        /* core/fields.h */
struct record;       /* core/records.h */
struct record_draft; /* core/record_build.h */

enum message_flags {
    MESSAGE_PERSISTENT = 1, /* to be on the disk before anyone sees it, if its queue is durable */
};

/* Whose encoding the properties are in: index of message_formats[]. */
enum message_format_id { MESSAGE_FORMAT_NONE, MESSAGE_FORMAT_AMQP, MESSAGE_FORMAT_REDIS, MESSAGE_FORMATS };

/* A view: all spans are borrowed. exchange and key are at most 255 bytes, the rest below 1 GiB. */
struct message {
    struct span exchange, key; /* where it was published last */
    struct span props;         /* opaque, in its format's encoding */
    struct span body;
    int64_t ttl_ms;     /* asked for by the publisher; -1: none */
    int64_t expires_ms; /* wall clock; 0: never. Set by the queue it is in */
    int64_t due_ms;     /* wall clock before which it is not delivered; 0: at once */
    uint8_t priority, flags, format;
};

enum death_reason { DEATH_REJECTED, DEATH_EXPIRED, DEATH_MAXLEN, DEATH_DELIVERY_LIMIT };
const char *death_reason_name(enum death_reason r); /* "rejected", "expired", "maxlen", "delivery_limit" */

/* Why and where a message leaves a queue that dead-letters it. */
struct death {
    struct span queue;
    enum death_reason reason;
    int64_t time_ms; /* wall clock, now */
    int64_t retries; /* -1: the queue has no x-max-retries; else how often it was retried before */
    struct span routing_key_override; /* null: it keeps its keys */
};

/* What the core must be able to do with properties that it does not understand: each protocol whose messages
 * can be in queues fills one in, see message_formats[]. */
struct message_format {
    const char *name;
    /* The message's headers as a table (fields.h), for exchanges that route by them. Null span: none. */
    struct span (*headers)(const struct message *m);
    /* Properties of the message that is published when this one dies, in the arena: with x-death and its
     * kin, without expiration. NULL: they stay as they are. */
    struct span (*dead)(const struct message *m, const struct death *d, struct arena *a);
    /* Of what dead() made: would putting it into this queue close a cycle in which it was never rejected?
     * NULL: never. */
    bool (*cycles)(const struct message *m, struct span queue);
    /* Further keys it was published with, beside `key`: calls fn for each (AMQP's CC). NULL: none. */
    void (*more_keys)(const struct message *m, void (*fn)(void *arg, struct span key), void *arg);
    /* A property by RabbitMQ's name (correlation_id, message_id, timestamp), for exchanges that hash by it.
     * False: it is not set. NULL: nobody has any. */
    bool (*property)(const struct message *m, struct span name, struct field *ret);
    /* The headers of the record that it becomes in a topic, in the arena. NULL: none. */
    void (*record)(const struct message *m, struct arena *a, struct record_draft *ret);
    /* The message that a topic's record becomes, in the arena and the record: format, props, body, priority;
     * exchange and key only of what came from an exchange. `enters` queues: then what decides about it there
     * (deaths) is not believed, and ttl_ms is set. NULL: it cannot. */
    void (*of_record)(const struct record *r, bool enters, struct arena *a, struct message *ret);
};

/* Set by the program before the broker starts; NULL: nobody knows this format. */
extern const struct message_format *message_formats[MESSAGE_FORMATS];

/* ---- as a record: how queues keep it, in memory and on the disk; see message.c ------------------------- */

size_t message_record_bytes(const struct message *m);
/* Writes message_record_bytes() bytes. `queued_ms`: wall clock. */
void message_write(uint8_t *at, const struct message *m, int64_t queued_ms);
/* The message in a record; *ret_len (may be NULL) how long the record is. ERR_CORRUPT. */
int message_read(struct span record, struct message *ret, int64_t *ret_queued_ms, size_t *ret_len);

#endif
