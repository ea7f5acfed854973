/* Inside core/subject*.c.
 *
 *   subject_table.c       texts that somebody wants to hear, and which of them a key matches
 *   subject_subscribe.c   subscribers; telling the other shards
 *   subject_deliver.c     from a message to those who hear it; slow ones
 *   subject.c             begin, end, questions */
#ifndef COLOBUS_CORE_SUBJECT_IMPL_H
#define COLOBUS_CORE_SUBJECT_IMPL_H

#include "base/ptrset.h"
#include "core/broker.h"
#include "core/space_impl.h"
#include "core/subject.h"

/* Somebody hears what a text matches. Owned by its subscriber. */
struct subscription {
    struct list link; /* in who->subscriptions */
    struct interest *in;
    struct subscriber *who;
    uint32_t at;  /* in->subs[at] */
    bool leaving; /* deleted; heard until the other shards know */
    /* Numbers of this shard's changes that say it to the others; UINT64_MAX: not said yet. What another shard
     * publishes is heard if that shard knew the first and not the second: it has counted it then. */
    uint64_t since, until;
};

enum { GLOB_PREFIX_MAX = 32, SUBJECT_SLOTS = 16 };

struct globs_found; /* a slot of the cache */

/* One plane of a virtual host, on one shard. Globs are found by the bytes that they begin with: `prefixes`
 * has a bucket for each such beginning (of GLOB_PREFIX_MAX bytes at the most), `lengths` how many of each
 * length. */
struct subject_space {
    struct shard *shard;
    uint32_t vhost;
    enum subject_plane plane;
    struct map texts[SUBJECT_KINDS]; /* struct interest */
    struct map prefixes;             /* struct glob_bucket */
    uint32_t lengths[GLOB_PREFIX_MAX + 1];
    uint64_t globs_generation; /* changes with the set of globs */
    struct globs_found *cache; /* NULL: there never was a glob */
};

/* One shard's part of all. */
struct subjects {
    struct shard *shard;
    struct ptrset subscriptions; /* struct subscription by interest and subscriber */
    struct subject_run **runs;   /* being gathered, by shard */
    uint64_t gathered;           /* shards that have one, a bit each */
    /* Being filled with encoded messages; a reference each. Several, so that what the subscribers of one text
     * hear lies together, though others are heard in between: neighbours cost them least. */
    struct chunk *wires[SUBJECT_SLOTS][SUBJECT_WIRES];
    uint32_t texts;                     /* ever made here: they get slots in turn */
    struct chunk *copies;               /* the same, with messages for other shards that were only borrowed */
    uint64_t changes;                   /* sent round by this shard: the number of the last one */
    uint64_t *applied;                  /* by shard: the number of its last change that this shard knows */
    uint64_t turn_messages, turn_bytes; /* done for subscribers and gathered for other shards in this turn */
    uint64_t turn_writes;               /* subscribers who have heard something in it */
    uint64_t turn;                      /* its number, from 1 */
    struct list soft;                   /* subscribers over the soft limit */
    struct list behind;                 /* subscribers that had much unread when they last heard something */
    uint64_t relieved_turn, relieved_ns; /* when it was last looked at the memory of all output */
    struct shard_timer look;             /* at those */
};

/* ---- subject_deliver.c ---- */

/* It is not over the soft limit any more, or goes. */
void subscriber_caught_up(struct subscriber *w);

/* ---- subject_subscribe.c ---- */

/* Changes of users that this shard knows: after one a subscriber may be allowed less. */
uint64_t subject_auth_changes(const struct shard *s);
/* Looks again at all its subscriptions. False: it may not have one of them any more, and is disconnected, as
 * in Redis (acl.c: ACLKillPubsubClientsIfNeeded()). */
bool subscriber_may_hear(struct subscriber *w);

/* ---- subject_table.c ---- */

/* NULL: nobody wants it anywhere. */
struct interest *interest_find(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                               struct span text);
/* Makes it if need be. */
struct interest *interest_get(struct shard *s, struct vspace *v, enum subject_plane plane,
                              enum subject_kind kind, uint8_t format, struct span text);
/* `delta` subscriptions more on that shard; the interest is gone when there are none left. */
void interest_count(struct interest *in, unsigned shard, int delta);
/* The globs that match: valid until the next call on this shard. */
struct interest *const *globs_matching(struct subject_space *sp, struct span key, uint32_t *ret_count);
void subject_space_free(struct subject_space *sp);

#endif
