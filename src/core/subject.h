/* The subject space: publish and subscribe without storing, one for all protocols that have it.
 *
 * A subscription lives on its subscriber's shard; every other shard has a counted interest in its text, so
 * that whoever publishes knows how many will hear it, and sends one node to each shard that has any. What is
 * published is never a record: no queue, no journal, no owner. It is heard at most once, in the order of its
 * publisher, by those whose subscription was confirmed before.
 *
 * The shared plane is what the exchange "amq.topic" of the virtual host leads to, beside its bindings: what
 * is routed through that exchange, by whatever protocol, is heard here (route->subjects says so, and whoever
 * routes calls subject_deliver()); what is published here goes to its bindings too (core/publisher.h). */
#ifndef COLOBUS_CORE_SUBJECT_H
#define COLOBUS_CORE_SUBJECT_H

#include "base/chunk.h"
#include "base/outq.h"
#include "core/message.h"
#include "core/op.h"
#include "core/subject_limits.h"

struct vspace;

enum subject_plane {
    SUBJECT_SHARED,  /* amq.topic */
    SUBJECT_SHARDED, /* Redis's sharded channels: a space of their own, without patterns and exchange */
    SUBJECT_PLANES,
};

enum subject_kind {
    SUBJECT_EXACT,
    SUBJECT_GLOB, /* core/glob.h */
    SUBJECT_KINDS,
};

/* Longer texts can't be subscribed to, nor published to: each shard keeps them, and what a glob costs grows
 * with its length and the key's. */
enum { SUBJECT_KEY_MAX = 64 << 10, SUBJECT_GLOB_MAX = 4 << 10 };
static inline size_t subject_text_max(enum subject_kind kind)
{
    return kind == SUBJECT_GLOB ? SUBJECT_GLOB_MAX : SUBJECT_KEY_MAX;
}
/* What a subscription counts for in pubsub.max-subscriptions: a long text for several. */
static inline uint64_t subject_weight(struct span text)
{
    return 1 + text.len / 256;
}

/* A view. Bodies may be of any length; the exchange sees keys of up to 255 bytes only. */
struct subject_message {
    struct span key, body;
    struct span props; /* in its format's encoding; null: none */
    uint8_t format;    /* enum message_format_id: who speaks */
    struct chunk
        *chunk; /* where all spans lie; NULL: they are borrowed for the call, and copied if need be */
};

/* What somebody wants to hear: one for each text on each shard, made and freed with the first and last
 * subscription anywhere. */
struct interest {
    struct span text; /* owned */
    enum subject_plane plane;
    enum subject_kind kind;
    uint8_t format;             /* of who wants it: see subject_is_reserved(), exchange.h */
    uint32_t total;             /* subscriptions on all shards */
    struct subscription **subs; /* those that live here */
    uint32_t sub_count, sub_cap;
    uint8_t slot;                /* of the shard's chunks that messages are encoded into */
    struct subject_space *space; /* the core's, like the rest */
    struct list link;
    uint32_t counts[]; /* by shard */
};

/* A message as a front end's clients read it, encoded once for all subscribers on the shard that speak the
 * same. Each front end takes indices of its own. */
struct subject_wire {
    struct chunk *chunk; /* NULL: not encoded yet; else one reference, the core's */
    struct span bytes;
    struct chunk **filling; /* the core's: where it is made room for */
};
enum subject_wire_index { SUBJECT_WIRE_RESP2, SUBJECT_WIRE_RESP3, SUBJECT_WIRES };
/* Room for `len` contiguous bytes, to be filled at once. NULL: memory is gone. */
uint8_t *subject_wire_make(struct shard *s, struct subject_wire *w, size_t len);

struct subscriber;
struct subscriber_ops {
    /* Appends the message to subscriber_out(w), and has it flushed. `in`: what it is heard by. `alone`:
     * nobody else on this shard hears it by `in`, so that wires would not be shared. It may not change
     * subscriptions.
     */
    void (*deliver)(struct subscriber *w, const struct interest *in, const struct subject_message *m,
                    struct subject_wire wires[SUBJECT_WIRES], bool alone);
    /* All shards know what was changed before subscriber_settle(). In the completions phase. */
    void (*settled)(struct subscriber *w);
};

/* A connection that subscribes: embedded in the front end's state of it. */
struct subscriber {
    struct conn *conn;
    const struct subscriber_ops *ops;
    uint8_t format; /* enum message_format_id */
    uint32_t counts[SUBJECT_PLANES][SUBJECT_KINDS];
    uint64_t weight;   /* of its subscriptions: subject_weight() */
    struct outq later; /* what comes while `holding` */
    bool holding;
    /* the core's */
    struct vspace *space;
    struct list subscriptions;
    struct op_interest *gathering; /* changes that the other shards don't know yet */
    bool settling;
    uint64_t turn;          /* the shard's, in which it last heard something */
    uint64_t soft_since_ns; /* over the soft limit since then; 0: it is not */
    struct list soft_link;
    struct list behind_link; /* of those with much unread */
    uint64_t auth_seen;      /* changes of users here when its subscriptions were allowed */
};

void subscriber_init(struct subscriber *w, struct conn *c, const struct subscriber_ops *ops, uint8_t format);
/* Before its connection goes, or when it drops all it has: the other shards hear of it, nobody waits. It is
 * as after subscriber_init() then. */
void subscriber_close(struct subscriber *w);

/* 1: it is subscribed now; 0: it was; ERR_DENIED (read permission on amq.topic, and on the text as a topic);
 * ERR_TOO_LARGE (subject_text_max()); ERR_LIMIT (pubsub.max-subscriptions). Deliveries may begin before
 * subscriber_settle() is over: hold them.
 */
int subscriber_add(struct subscriber *w, enum subject_plane plane, enum subject_kind kind, struct span text);
/* 1: it is not any more; 0: it was not. Deliveries end when it is settled. */
int subscriber_del(struct subscriber *w, enum subject_plane plane, enum subject_kind kind, struct span text);
/* Its texts, in the order of subscribing: calls fn for each; fn may not change them. */
void subscriber_each(const struct subscriber *w, enum subject_plane plane, enum subject_kind kind,
                     void (*fn)(void *arg, struct span text), void *arg);
/* Tells the other shards what was added and deleted. True: they know. False: ops->settled() will come;
 * nothing may be added or deleted until then. */
bool subscriber_settle(struct subscriber *w);

/* Where deliver() writes: the connection's output, or what waits behind an answer. */
struct outq *subscriber_out(struct subscriber *w);
/* Between the two deliveries wait: so that an answer comes before what is heard after it. */
void subscriber_hold(struct subscriber *w);
void subscriber_resume(struct subscriber *w);

/* ---- publishing ---------------------------------------------------------------------------------------- */

/* 0 or ERR_DENIED, as subscriber_add() asks. */
int subject_may_subscribe(const struct actor *actor, struct span text);
/* 0 or ERR_DENIED: may the actor publish to the key: write permission on amq.topic, and on the key as topic.
 */
int subject_may_publish(const struct actor *actor, struct span key);
/* To all who have subscribed, here and elsewhere; returns how many they are. Authorised by the caller.
 * `publisher` (NULL: nobody) gives credit while other shards have it. */
uint64_t subject_deliver(struct shard *s, struct vspace *v, enum subject_plane plane,
                         const struct subject_message *m, struct conn *publisher);
/* The same for a message that was routed, with all its keys. `chunk` as in struct subject_message. */
uint64_t subject_deliver_message(struct shard *s, struct vspace *v, const struct message *m,
                                 struct chunk *chunk, struct conn *publisher);
/* This shard has done so much for subscribers in this turn that publishers should wait for the next one
 * (conn_yield()). */
bool subject_turn_is_full(const struct shard *s);

/* ---- questions, about all shards ----------------------------------------------------------------------- */

/* How many subscriptions there are to this text. */
uint32_t subject_count(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                       struct span text);
/* How many different texts. */
size_t subject_texts(const struct vspace *v, enum subject_plane plane, enum subject_kind kind);
/* All that somebody has subscribed to, sorted by text: an arena array. */
const struct interest **subject_list(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                                     struct arena *a, size_t *ret_count);
/* Calls fn for each of them, in no order, without sorting: there may be many. */
void subject_each(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                  void (*fn)(void *arg, const struct interest *in), void *arg);

/* ---- slow subscribers ---------------------------------------------------------------------------------- */

/* From the settings; may be changed while the broker runs, by any thread. */
struct subject_limits *subject_limits(struct broker *b);

/* ---- for core/shard.c and core/space*.c ---------------------------------------------------------------- */

void subjects_init(struct shard *s);
void subjects_fini(struct shard *s);
/* Gives back chunks that wait for more messages, where all who heard some have read them. */
void subjects_trim(struct shard *s);
/* At the end of the turn: sends what was gathered for other shards. */
void subjects_send(struct shard *s);
/* The virtual host is going. */
void subject_spaces_free(struct vspace *v);

#endif
