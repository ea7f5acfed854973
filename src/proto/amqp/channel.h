/* What channels do: publishing, consuming, declaring. Between the files of the method classes.
 *
 *   channel.c        life of a channel, dispatch, waiting for operations, errors in RabbitMQ's words
 *   exchange.c, queue.c                   declare, bind, delete, purge
 *   basic_publish.c, confirm.c            publishing: checks, confirms; the rest is core/publisher.h
 *   basic_consume.c, basic_get.c, qos.c   consumers, what they are delivered, limits
 *   timeout.c        deliveries that nobody settles
 *   stream.c         consumers of streams
 *   settle.c         ack, nack, reject, recover; runs for shards; when they are durable
 *   blocked.c        publishes while there is an alarm
 *   tx.c             transactions
 *   reply_to.c       direct reply-to
 *
 * A channel handles its methods one after another: while one waits for an operation, the frames behind it
 * stay unread (amqp_channel_wait()), so replies leave in the order of the requests, and nothing runs that an
 * exception should have kept from running. Publishes and settlements wait for nothing: they are gathered, and
 * leave as one run for each shard when the input is done, or before any other operation of the connection. */
#ifndef COLOBUS_PROTO_AMQP_CHANNEL_H
#define COLOBUS_PROTO_AMQP_CHANNEL_H

#include "base/list.h"
#include "base/map.h"
#include "core/alarm.h"
#include "core/publisher.h"
#include "core/queue.h"
#include "proto/amqp/amqp_impl.h"
#include "proto/amqp/confirms.h"
#include "proto/amqp/limiter.h"
#include "proto/amqp/unacked.h"

enum {
    AMQP_MAX_SHARDS = 64,          /* the limit of the setting `shards` */
    AMQP_RUN_ITEMS = 4096,         /* settlements of one run */
    AMQP_WINDOW_BYTES = 256 << 10, /* on their way to one consumer, queues included */
    AMQP_OUT_BUSY = 256 << 10,     /* unread output of a client that gets no new window */
    AMQP_MAX_GETTERS = 16,         /* queues that a channel remembers to have polled */
    AMQP_TX_MAX_BYTES = 128 << 20, /* of messages in one transaction */
    AMQP_HELD_BYTES = 1 << 20,     /* publishes of a blocked connection that are taken from its input */
};

/* Who consumes, or gets (basic.get has one for each queue it asks; nobody sees it). Freed when it is over, no
 * operation names it, and all it delivered is settled. */
enum amqp_consumer_phase {
    AMQP_CONSUMER_STARTING, /* op_consume is on its way */
    AMQP_CONSUMER_LIVE,
    AMQP_CONSUMER_ENDED, /* cancelled: gets nothing more, what it leased is open */
    AMQP_CONSUMER_GONE,  /* the queue is: its leases, too */
};
struct amqp_consumer {
    uint64_t id;             /* in amqp_conn_channels.consumers */
    struct list link;        /* in amqp_channel_state.consumers */
    struct amqp_channel *ch; /* NULL: closed */
    struct span tag;         /* owned; null: a getter */
    enum amqp_consumer_phase phase;
    bool no_ack, exclusive, get;
    uint64_t queue_id;
    unsigned shard;
    struct handle handle;       /* the core's, unless STARTING */
    struct amqp_stream *stream; /* stream.c's: it reads a topic, and has no handle; NULL: it doesn't */
    uint32_t prefetch;          /* its own limit; 0: none */
    uint64_t timeout_ms;        /* a delivery that is not settled after so long ends the channel; 0: never */
    uint32_t unacked;           /* of its deliveries in `unacked` and in transactions */
    struct limited limited;
    size_t owed;           /* bytes delivered and not given back to its window */
    struct list owed_link; /* in amqp_conn_channels.owed, if the client is slow */
    /* The settlement being gathered for it: amqp_conn_channels.settles[shard].items[item], if `run` is that
     * run's number. */
    uint64_t run;
    uint32_t item;
};

struct amqp_tx;

struct amqp_channel_state {
    struct amqp_channel *ch;
    uint64_t generation; /* unique within the connection */
    bool confirming, transactional;
    struct list telling; /* in amqp_conn_channels.telling: there may be confirms to tell */
    struct confirms confirms;
    /* The exchange published to last, valid while space_generation() is this. */
    uint64_t exchange_generation;
    const void *exchange_rules;
    struct exchange *exchange;
    uint8_t exchange_name[AMQP_SHORTSTR_MAX], exchange_name_len;
    /* Consuming. */
    uint64_t next_tag; /* of the next delivery */
    uint16_t prefetch; /* of consumers declared from now on; 0: no limit */
    struct limiter limiter;
    struct unacked unacked;
    struct list consumers; /* all, getters too */
    struct map by_tag;     /* those that a cancel can name */
    unsigned getters;
    struct span last_queue; /* owned; null: none was declared */
    struct span reply_tag;  /* consumer tag of direct reply-to; owned; null: none */
    uint64_t reply_key;     /* what a reply must know */
    struct amqp_tx *tx;
    unsigned held; /* publishes in amqp_conn_channels.held */
};

/* Of one connection, shared by its channels. */
struct amqp_conn_channels {
    struct amqp_conn *ac;
    uint64_t next_generation, next_consumer;
    struct map consumers; /* by id */
    struct list telling;  /* channels that have confirms to tell */
    struct list owed;     /* consumers whose window waits for the client to read */
    struct list hungry;   /* struct amqp_stream: of consumers that may have room for deliveries again */
    struct publisher publisher;
    struct op_settle *settles[AMQP_MAX_SHARDS];
    uint64_t settle_runs[AMQP_MAX_SHARDS]; /* number of settles[shard] */
    uint64_t next_run;
    uint64_t settling; /* shards with something gathered, a bit each */
    uint64_t unsynced; /* shards that were sent settlements and not asked yet whether they are durable */
    struct alarm_listener alarm;
    struct list held; /* publishes that wait for the end of an alarm */
    size_t held_bytes;
    struct shard_timer timeout; /* set while deliveries are not settled */
    uint64_t published;         /* in this input */
};

/* ---- channel.c ----------------------------------------------------------------------------------------- */

static inline struct shard *amqp_shard(const struct amqp_channel *ch)
{
    return ch->ac->conn->shard;
}
/* An operation that the channel waits for: its frames stay unread until amqp_op_over(). `size` is that of a
 * struct that begins with the operation. */
void *amqp_op_new(struct amqp_channel *ch, size_t size, void (*complete)(struct conn *c, struct op *op),
                  bool nowait);
/* First thing in complete(): gives back credit and lets frames be read. NULL: the channel or its connection
 * is gone, clean up. */
struct amqp_channel *amqp_op_over(struct conn *c, const struct op *op, bool *ret_nowait);
/* A channel by number and generation; NULL: it has gone. */
struct amqp_channel *amqp_channel_at(struct amqp_conn *ac, unsigned number, uint64_t generation);
/* Submits all that was gathered: before an operation that must see it. */
void amqp_flush(struct amqp_conn_channels *cc);
/* Reply with no arguments. */
void amqp_reply(struct amqp_channel *ch, uint32_t method);
/* The exception that `err` of the core is; `why` NULL: the error's text. */
void amqp_core_exception(struct amqp_channel *ch, uint32_t method, int err, const char *why);
/* The same for a look-up of a resource by name ("queue", "exchange"; `action`: what it was to be used for).
 */
void amqp_lookup_exception(struct amqp_channel *ch, uint32_t method, int err, const char *kind,
                           struct span name, enum auth_action action);
/* The queue that a method means, "" being the one declared last. False: there was an exception. */
bool amqp_queue_name(struct amqp_channel *ch, uint32_t method, struct span *name);
bool amqp_queue_lookup(struct amqp_channel *ch, uint32_t method, struct span name, enum auth_action action,
                       struct queue_info **ret_queue);
struct span amqp_keep(struct op_entity *e, struct span s); /* a copy that lives as long as the operation */
struct span amqp_span_dup(struct span s);                  /* on the heap; null stays null */
void amqp_span_free(struct span *s);

/* ---- the methods, one function each -------------------------------------------------------------------- */

void amqp_exchange_declare(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_exchange_delete(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_exchange_bind(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_exchange_unbind(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_queue_declare(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_queue_bind(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_queue_unbind(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_queue_purge(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_queue_delete(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_qos(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_consume(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_cancel(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_get(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_ack(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_nack(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_reject(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_basic_recover(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_confirm_select(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_tx_select(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_tx_commit(struct amqp_channel *ch, const struct amqp_method *m);
void amqp_tx_rollback(struct amqp_channel *ch, const struct amqp_method *m);

/* ---- publishing ---------------------------------------------------------------------------------------- */

/* Says "not routed": basic.return 312. */
void amqp_return(struct amqp_channel *ch, struct span exchange, struct span key, struct span props,
                 struct span body, struct chunk *chunk);
/* Tags of publish_items: a channel and the number of the publish on it; 0: nobody asks. */
uint64_t amqp_publish_tag(const struct amqp_channel *ch, uint64_t seq);

/* blocked.c: publishes while there is an alarm. */
void amqp_blocked_init(struct amqp_conn_channels *cc);
void amqp_blocked_fini(struct amqp_conn_channels *cc);
/* True: it is kept until the alarm is over. */
bool amqp_hold_publish(struct amqp_channel *ch, const struct amqp_basic_publish *in,
                       const struct amqp_content *c);
bool amqp_may_overtake(uint32_t method);

/* confirm.c */
void amqp_confirm_later(struct amqp_channel *ch); /* something may be told at the end of the input */
void amqp_confirm_tell_all(struct amqp_conn_channels *cc);
/* The part `tag` of a publish is back. */
void amqp_confirm_part(struct amqp_conn *ac, uint64_t tag, int err);
extern const struct publisher_ops amqp_publisher_ops;

/* ---- consuming ----------------------------------------------------------------------------------------- */

struct amqp_consumer *amqp_consumer_new(struct amqp_channel *ch, struct span tag, const struct queue_info *q);
/* Deliveries for it, in complete() of struct delivery_run. */
void amqp_deliver(struct conn *c, struct op *run);
/* One delivery of it left the tables. Ends the consumer if that was the last and it is over. */
void amqp_consumer_settled(struct amqp_consumer *k);
/* Ends it with its leases, for the channel is closing. */
void amqp_consumer_release(struct amqp_consumer *k);
/* Ends a getter that holds nothing. */
void amqp_getter_drop(struct amqp_consumer *k);
void amqp_release_handle(struct shard *s, unsigned shard, struct handle h);
/* The queue is gone: the client is told, if it can hear of it. */
void amqp_consumer_gone(struct amqp_consumer *k);
/* stream.c: basic.consume of a queue of type stream; deliveries, as far as there is room; the same at the end
 * of the input; the end. */
void amqp_stream_consume(struct amqp_channel *ch, const struct amqp_basic_consume *in, struct span tag,
                         const struct queue_info *q);
void amqp_stream_pump(struct amqp_consumer *k);
void amqp_stream_hungry(struct amqp_consumer *k);
void amqp_streams_feed(struct amqp_conn_channels *cc);
void amqp_stream_free(struct amqp_consumer *k);
/* Credit for those that wait for it. */
void amqp_limiter_pump(struct amqp_channel *ch);
/* A running consumer delivers against credit from now on, or no longer. */
void amqp_consumer_limit(struct amqp_consumer *k, bool on);
/* Properties to show of a delivery: with x-delivery-count if the queue counts. */
struct span amqp_delivery_props(const struct delivery *d, struct arena *a);

/* timeout.c: a delivery that must be settled. */
void amqp_unacked_begin(struct amqp_channel *ch, struct amqp_consumer *k, uint64_t tag, uint64_t lease);

/* settle.c */
void amqp_settle_add(struct amqp_conn_channels *cc, struct amqp_consumer *k, uint64_t lease,
                     enum outcome outcome);
void amqp_flush_settles(struct amqp_conn_channels *cc);
/* True if something that was settled is not known to be durable: then the channel waits until it is, and the
 * method in hand must be looked at again after that (its frame stays unread). */
bool amqp_sync_settles(struct amqp_channel *ch);

/* tx.c */
/* Keeps a publish until the commit. False: there was an exception. */
bool amqp_tx_publish(struct amqp_channel *ch, const struct message *m, const struct routed *to,
                     bool mandatory, struct chunk *chunk);
/* Publishes, as in a channel without transactions; parts are tagged if `tag` is not 0. */
void amqp_publish_routed(struct amqp_channel *ch, const struct message *m, const struct routed *to,
                         bool mandatory, struct chunk *chunk, uint64_t tag);
/* How many parts of it come back. */
unsigned amqp_publish_parts_of(const struct message *m, const struct routed *to);
void amqp_tx_settle(struct amqp_channel *ch, const struct unacked_entry *e, enum outcome outcome);
void amqp_tx_part(struct amqp_channel *ch, int err); /* an item of a commit is back */
void amqp_tx_free(struct amqp_channel *ch);

/* reply_to.c */
enum { AMQP_RANDOM_CHARS = 32 };
void amqp_random_name(struct shard *s, char ret[AMQP_RANDOM_CHARS]); /* not terminated */
bool amqp_is_reply_to(struct span name);                             /* amq.rabbitmq.reply-to */
bool amqp_is_reply_address(struct span key);                         /* amq.rabbitmq.reply-to.TOKEN */
void amqp_reply_consume(struct amqp_channel *ch, const struct amqp_basic_consume *m, struct span tag);
/* Puts the channel's own address in place of "amq.rabbitmq.reply-to": the message moves to the chunk that is
 * returned, with one reference, the caller's. */
struct chunk *amqp_reply_rewrite(struct amqp_channel *ch, const struct amqp_props *props, struct message *m);
/* Sends a message to who consumes there. `tag` as in struct publish_item. */
void amqp_reply_publish(struct amqp_channel *ch, const struct message *m, struct chunk *chunk, bool mandatory,
                        uint64_t tag);
void amqp_reply_declare(struct amqp_channel *ch, const struct amqp_queue_declare *m);

#endif
