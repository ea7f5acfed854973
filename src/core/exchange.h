/* Exchanges and bindings: from a published message to the queues, topics and exchanges it goes to.
 *
 * A pure data structure, one replica per shard: nothing here knows shards' turns, metadata or the disk. The
 * tables of a virtual host (core/space.h) own exchanges and destinations. */
#ifndef COLOBUS_CORE_EXCHANGE_H
#define COLOBUS_CORE_EXCHANGE_H

#include "base/list.h"
#include "base/map.h"
#include "core/message.h"

struct exchange;

enum exchange_type {
    EXCHANGE_DEFAULT, /* "": routes to the queue of that name; has no bindings of its own */
    EXCHANGE_DIRECT,
    EXCHANGE_FANOUT,
    EXCHANGE_TOPIC,
    EXCHANGE_HEADERS,
    EXCHANGE_DELAYED,      /* x-delayed-message: routes as `x-delayed-type` says, after x-delay ms */
    EXCHANGE_HASH,         /* x-consistent-hash */
    EXCHANGE_RANDOM,       /* x-random */
    EXCHANGE_LOCAL_RANDOM, /* x-local-random: the same, there is one node */
    EXCHANGE_MODULUS_HASH, /* x-modulus-hash: as x-consistent-hash by the key, all weights 1 */
};
/* By name: "direct", ..., "x-modulus-hash". -1: unknown. Not "", nobody can declare another default exchange.
 */
int exchange_type_of(struct span name);
/* EXCHANGE_DEFAULT is "direct". */
const char *exchange_type_name(enum exchange_type t);

/* Where a binding leads. Embedded in what owns it: struct exchange, and queues and topics of the core. */
enum dest_kind { DEST_QUEUE, DEST_EXCHANGE, DEST_TOPIC };
struct dest {
    enum dest_kind kind;
    struct span name;     /* the owner's */
    struct list bindings; /* struct binding, those that lead here */
    uint64_t seen;        /* the route() that found it last: each destination once */
};

struct binding {
    struct list by_source, by_dest; /* in exchange->bindings and dest->bindings */
    struct exchange *source;
    struct dest *dest;
    struct span key, args; /* owned; args sorted by name (fields_sort()) */
    bool durable;
    void *index; /* the matcher's */
};

struct exchange {
    struct dest dest;
    struct span name;               /* owned */
    enum exchange_type type, inner; /* inner: EXCHANGE_DELAYED's x-delayed-type; else the same as type */
    bool durable, auto_delete, internal;
    bool subjects;         /* subscriptions of core/subject.h hear what is routed through it */
    struct span args;      /* owned, as declared */
    struct span alternate; /* name of the alternate exchange, from args or a policy; owned; null: none */
    struct list bindings;  /* struct binding, from here */
    size_t binding_count;
    void *matcher; /* struct matcher, exchange_impl.h */
    uint64_t seen; /* by route(): cycles end */
    uint64_t id;   /* of its delay queue, if it is EXCHANGE_DELAYED; the namespace's */
    void *user;    /* struct vspace */
};

/* `args` are a checked table (fields.h). ERR_ARGUMENT with *ret_reason (arena) if they do not fit the type.
 */
int exchange_new(struct span name, enum exchange_type type, struct span args, struct arena *a,
                 const char **ret_reason, struct exchange **ret_exchange);
/* Drops its bindings, those from it and those that lead to it. */
void exchange_free(struct exchange *x);

/* Another alternate exchange (a policy); null: none. Copies. exchange_new() sets the one of the arguments. */
void exchange_set_alternate(struct exchange *x, struct span name);

/* Checks what a binding's type wants of key and args (x-match, weight). ERR_ARGUMENT with *ret_reason. */
int exchange_check_binding(const struct exchange *x, struct span key, struct span args, struct arena *a,
                           const char **ret_reason);
/* NULL: there is none with this key and these args. */
struct binding *exchange_find_binding(const struct exchange *x, const struct dest *d, struct span key,
                                      struct span args);
/* It must not exist yet, and must have been checked. Copies key and args. */
struct binding *exchange_bind(struct exchange *x, struct dest *d, struct span key, struct span args,
                              bool durable);
void exchange_unbind(struct binding *b);
void dest_init(struct dest *d, enum dest_kind kind, struct span name);
/* Drops all bindings that lead here. fn (may be NULL) hears of each before it goes. */
void dest_unbind_all(struct dest *d, void (*fn)(void *arg, struct binding *b), void *arg);

/* Keys that no wildcard of another protocol than the publisher's matches: those that begin with "$" or
 * "_INBOX". */
bool subject_is_reserved(struct span key);

/* ---- routing ------------------------------------------------------------------------------------------- */

/* What a message is routed to: each destination once (queues and topics; exchanges are followed). The array
 * is kept for reuse. */
struct route {
    struct dest **dests;
    struct binding **via; /* of each: the binding that led there, for its args; NULL: the default exchange */
    uint32_t count, cap;
    struct exchange *delayed; /* it came by an EXCHANGE_DELAYED, and asks for a delay: it goes there first,
                                 and `dests` holds only what other ways led to */
    int64_t delay_ms;
    struct exchange **delays; /* all such exchanges, `delayed` the first: it may have come by several */
    uint32_t delay_count, delay_cap;
    bool subjects;           /* out: it came by an exchange with `subjects` */
    bool cacheable;          /* out: what was found depends on the exchange and m->key alone */
    uint64_t stamp;          /* dest->seen of what is in it */
    struct route_work *work; /* scratch */
};
void route_init(struct route *r);
void route_fini(struct route *r);
/* Nothing is in it any more. Before each message whose destinations are not to be added to those before. */
void route_reset(struct route *r);

/* Names are looked up through these; both may answer NULL. */
struct route_space {
    struct exchange *(*exchange)(void *arg, struct span name); /* alternate exchanges */
    struct dest *(*queue)(void *arg, struct span name);        /* for the default exchange */
    void *arg;
};

/* Adds to `r` what a publish of `m` to `x` with m->key and the format's further keys goes to; alternate
 * exchanges are followed where an exchange finds nothing. `skip_delay`: its time has come. Cycles end;
 * nothing is counted twice. Keys of more than 255 bytes are skipped. Random choices are drawn from `dice`, a
 * state that the caller keeps per shard. */
void route_message(struct route *r, const struct route_space *sp, struct exchange *x, const struct message *m,
                   bool skip_delay, uint64_t *dice);
/* The result depends on exchange and key alone (no headers, no chance, no delay), so that it may be cached by
 * them as long as the tables do not change, for messages without further keys. True of simple ones only:
 * those with an alternate exchange or bindings to exchanges are false here, and route->cacheable says it
 * after the fact. */
bool route_is_cacheable(const struct exchange *x);

#endif
