/* Virtual hosts and what they hold: exchanges, queues and bindings, by name. Every shard has a replica,
 * changed in the order of the metadata log; what is not durable takes the same way, but is not written.
 *
 * Look-ups are authorised here. What they return is valid until the end of the turn; `space_generation()`
 * changes whenever any of it does, so that routes can be cached. */
#ifndef COLOBUS_CORE_SPACE_H
#define COLOBUS_CORE_SPACE_H

#include "base/ptrset.h"
#include "core/exchange.h"
#include "core/op.h"

enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM, QUEUE_STREAM };

enum queue_overflow { OVERFLOW_DROP_HEAD, OVERFLOW_REJECT, OVERFLOW_REJECT_DEAD_LETTER };

enum retry_type { RETRY_REJECTED, RETRY_ALL, RETRY_RETURNED }; /* which of reject and requeue is delayed */

/* What arguments, policy and operator policy together make of a queue. -1: not set. Spans are the
 * queue_info's. */
struct queue_config {
    int64_t ttl_ms, expires_ms, max_length, max_bytes;
    enum queue_overflow overflow;
    struct span dead_letter_exchange, dead_letter_key; /* null: none; key null: each message's own */
    uint8_t max_priority;                              /* 0: no priorities */
    bool single_active;
    int64_t delivery_limit;
    int64_t max_retries; /* x-max-retries */
    enum retry_type retry_type;
    int64_t retry_min_ms,
        retry_max_ms; /* retry_min_ms -1: no delays (unless max_retries is set: 1 s to 5 min) */
    int64_t consumer_timeout_ms;
};

/* A queue as metadata; `id` is that of its logs, too (see queue_log_id()). */
struct queue_info {
    struct dest dest; /* dest.name is the queue's name */
    uint64_t id;
    struct vspace *space;
    struct space_owner *owner; /* the connection it is exclusive to */
    uint16_t shard;            /* where it lives */
    uint8_t type;              /* enum queue_type */
    bool durable, exclusive, auto_delete;
    struct span args;                  /* as declared; a checked table */
    const struct queue_config *config; /* never NULL; shared by all that set nothing */
    struct span policy;                /* name of the policy in force; null: none */
    /* QUEUE_STREAM: it has no logs and no messages of its own, `shard` is that of the partition behind it,
     * which topic_of_stream() finds by the name. It lives and dies with the topic. */
    struct queue *live; /* on its own shard only: core/queue_impl.h */
    /* Not NULL: it is the hidden queue of an EXCHANGE_DELAYED, in which messages wait for their time. It has
     * the exchange's name, but queue_find() and the default exchange don't know it; only its id leads here.
     * It lives and dies with the exchange. */
    struct exchange *delays;
    struct list link; /* the table's */
};

/* A virtual host on one shard. conn->actor.vhost of who is in it is &space->vhost; it lives until nobody
 * refers to it (space_ref(), space_unref(), this shard only). */
struct vspace {
    struct vhost vhost;
    struct shard *shard;
    struct map exchanges;              /* struct exchange by name, "" included */
    struct ptrset queues;              /* struct queue_info by name */
    struct subject_space *subjects[2]; /* of core/subject.h, by plane; NULL: nobody ever subscribed */
    struct map topics;                 /* struct space_topic by name: those that something is bound to */
    struct route_space route_space;
    struct span args; /* op_vhost_put.args */
    unsigned refs;
    bool gone; /* deleted: connections in it are being closed */
};

/* A topic as a destination of bindings; dest.name is the topic's. */
struct space_topic {
    struct dest dest;
    struct vspace *space;
};

/* NULL: there is none of that name. Not authorised: whoever opens a connection to it is asked for that. */
struct vspace *space_find(struct shard *s, struct span name);
struct vspace *space_find_id(struct shard *s, uint32_t id);
/* All of them, sorted by name: an arena array. Not authorised. */
struct vspace **space_list(struct shard *s, struct arena *a, size_t *ret_count);
/* The space of an actor. */
struct vspace *space_of(struct shard *s, const struct actor *actor);
void space_ref(struct vspace *v);
void space_unref(struct vspace *v);
uint64_t space_generation(const struct shard *s);

/* ERR_NOT_FOUND, ERR_DENIED; of queues ERR_LOCKED_OUT: exclusive to another connection. `conn`: who asks. */
int exchange_find(struct shard *s, const struct actor *actor, enum auth_action action, struct span name,
                  struct exchange **ret_exchange);
int queue_find(struct shard *s, const struct actor *actor, struct handle conn, enum auth_action action,
               struct span name, struct queue_info **ret_queue);
/* For the core's own shards: by id, on any shard's replica. NULL: gone. */
struct queue_info *queue_info_by_id(const struct shard *s, uint64_t id);
/* All of every virtual host, as map_next() does it. */
struct queue_info *queue_info_next(const struct shard *s, size_t *cursor);
/* The one of this name, not authorised. NULL: there is none. */
struct queue_info *space_queue(const struct vspace *v, struct span name);
/* Sorted by name, those that the actor may describe: arena arrays. */
struct queue_info **queue_list(struct shard *s, const struct actor *actor, struct arena *a,
                               size_t *ret_count);
struct exchange **exchange_list(struct shard *s, const struct actor *actor, struct arena *a,
                                size_t *ret_count);

/* ---- changes: decided on shard 0, complete when every shard has applied them (durable ones when they are)
 * ------- */

/* What all of them begin with. Spans of the input must live until complete(). err and *why: ERR_DENIED,
 * ERR_NOT_FOUND, ERR_INEQUIVALENT, ERR_ARGUMENT, ERR_LOCKED_OUT, ERR_IN_USE, ERR_NOT_EMPTY, ERR_RESERVED,
 * ERR_LIMIT. `why` is a sentence for the client, in RabbitMQ's words where it has some, without the leading
 * code: "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'".
 * NULL: none. */
struct op_entity {
    struct op op;
    const char *why; /* in the arena */
    struct arena arena;
};
void op_entity_free(struct op_entity *o);

struct op_exchange_declare {
    struct op_entity e;
    struct span name, type;
    bool durable, auto_delete, internal;
    bool passive;     /* only: does it exist? */
    struct span args; /* checked */
};
void op_exchange_declare_submit(struct op_exchange_declare *d);

/* A name that does not exist is no error (RabbitMQ). */
struct op_exchange_delete {
    struct op_entity e;
    struct span name;
    bool if_unused;
};
void op_exchange_delete_submit(struct op_exchange_delete *d);

/* Binds or unbinds; both succeed if it was so before. */
struct op_bind {
    struct op_entity e;
    struct span source; /* an exchange */
    enum dest_kind kind;
    struct span dest; /* a queue, exchange or topic */
    struct span key, args;
    bool unbind;
};
void op_bind_submit(struct op_bind *b);

struct op_queue_declare {
    struct op_entity e;
    struct span name; /* empty: one is made */
    bool durable, exclusive, auto_delete;
    bool passive;
    struct span args;
    /* out */
    struct span ret_name; /* in the arena */
    uint64_t ret_ready;
    uint32_t ret_consumers;
    bool ret_created;
    struct op_queue_stat *stat;    /* the core's, like the rest */
    struct op_topic_create *topic; /* a stream's, that did not exist */
    bool topic_made;
};
void op_queue_declare_submit(struct op_queue_declare *d);

/* A name that does not exist is no error. */
struct op_queue_delete {
    struct op_entity e;
    struct span name;
    bool if_unused, if_empty;
    uint64_t ret_ready;         /* messages that went with it */
    struct op_queue_stat *stat; /* the core's */
    bool counted;               /* the same */
};
void op_queue_delete_submit(struct op_queue_delete *d);

/* A connection has gone: its exclusive queues go. On the connection's shard; nobody waits for it. */
void space_conn_gone(struct shard *s, struct handle conn);

/* ---- virtual hosts ------------------------------------------------------------------------------------- */

/* Makes one, or gives the one of that name other args. Its name: 1 to 255 bytes. */
struct op_vhost_put {
    struct op_entity e;
    struct span name, args; /* args: a checked table, e.g. description and tags; kept, not looked into */
    bool ret_created;
};
void op_vhost_put_submit(struct op_vhost_put *v);

/* With all that is in it; its connections are closed. ERR_NOT_FOUND; ERR_RESERVED: "/". */
struct op_vhost_delete {
    struct op_entity e;
    struct span name;
};
void op_vhost_delete_submit(struct op_vhost_delete *v);

/* ---- policies (core/policy.c) -------------------------------------------------------------------------- */

/* Implemented by the policies: which ones a new queue or exchange is under. Called when it was put into the
 * table and before it begins to live; they call the setters below, or nothing. */
void policy_of_queue(struct shard *s, struct queue_info *q);
void policy_of_exchange(struct shard *s, struct exchange *x);
/* What its args, a policy's definition and an operator policy's make of q->config: numbers are the smallest
 * of them, of the rest args win over the policy. Definitions are tables with keys as policies have them
 * ("message-ttl"), null: none; they and the name must live as long as they are in force. */
void queue_config_compute(struct queue_info *q, struct span policy, struct span operator_policy);
/* The same, and tells the queue, if it lives here already. */
void queue_set_policy(struct shard *s, struct queue_info *q, struct span name, struct span policy,
                      struct span operator_policy);
/* Of an exchange only "alternate-exchange" counts, where its args have none. */
void exchange_set_policy(struct shard *s, struct exchange *x, struct span policy);

/* ---- between the tables and the queues that live on a shard (core/queue*.c implements these) ------------
 */

/* Applied on the queue's own shard: it begins to live, or ends (its messages with it; consumers are told). */
void queue_created(struct shard *s, struct queue_info *q);
void queue_deleted(struct shard *s, struct queue_info *q);
/* Its config has changed (a policy). */
void queue_config_changed(struct shard *s, struct queue_info *q);
/* At the start of the broker, before loops run, after metadata were replayed: recovers its logs. */
int queue_recover(struct shard *s, struct queue_info *q);

/* Called by queues, on their shard: delete it if it still is what it was (auto-delete: the last consumer has
 * gone; expires: it was not used). */
void space_queue_expire(struct shard *s, uint64_t queue_id);

/* Logs of a queue: one for each level of priority, so ids [id, id + max_priority]. Ids are given out so that
 * all of them live on the queue's shard: id is a multiple of QUEUE_LOG_STRIDE plus its slot, level n is id +
 * n * QUEUE_LOG_STRIDE. */
enum { QUEUE_LOG_STRIDE = STORE_LOG_SLOTS };
/* Queues that are not durable have ids above this, given out anew by each run of the broker. */
#define QUEUE_VOLATILE_IDS (1ull << 55)
static inline uint64_t queue_log_id(uint64_t id, unsigned level)
{
    return id + (uint64_t)level * QUEUE_LOG_STRIDE;
}

#endif
