/* The metadata on shard 0: what exists, who may be given which id, and how a change becomes true everywhere.
 */
#ifndef COLOBUS_CORE_META_H
#define COLOBUS_CORE_META_H

#include "core/meta_format.h"
#include "core/shard.h"

struct op;
struct meta;

enum meta_prepared {
    META_APPEND,   /* change->command says what changes */
    META_NOTHING,  /* it is fine and changes nothing: done */
    META_LATER,    /* it touches what is being changed: after this round */
    META_VOLATILE, /* as META_APPEND, but nothing of it is written: it ends with this run of the broker */
};

/* First byte of a key of the round; topics' names go without. */
enum meta_key_kind { META_KEY_RECORD = 1, META_KEY_VHOST, META_KEY_EXCHANGE, META_KEY_QUEUE, META_KEY_OWNER };

/* Something that a change touches: alone in its round, or with others who say the same. */
struct meta_key {
    struct span key;
    bool alone;
};

/* A change that somebody wants. Owned by meta from meta_submit() until finish() returns; then freed. */
struct meta_change {
    struct list link;
    struct op *op;      /* NULL: the core's own */
    struct arena arena; /* of the command */
    struct span name;   /* the topic it touches, if any */
    struct meta_key *keys;
    uint32_t key_count, key_cap;
    bool is_volatile;
    struct meta_command command;
    /* Checks the change against this shard's topics; fills change->command. One of meta_prepared, or an error
     * that ends it. May be called several times. */
    int (*prepare)(struct meta *m, struct meta_change *change);
    void (*finish)(struct meta *m, struct meta_change *change, int err);
};

/* Changes go in rounds: all that wait are validated in order, appended, and when they are durable they are
 * applied by shard 0 and then by every other shard; when all have, they finish. A round of volatile changes
 * alone does not wait for the disk. A round touches a name at most once, or only in ways that do not matter
 * to each other, so validation needs no more than shard 0's tables; what must wait for the next round keeps
 * whatever it touches to itself, so that nobody overtakes it there. Invariants: (1) `round` does not change
 * between the append and the last acknowledgement, other shards read it; (2) shard 0's topics and `next_*`
 * reflect exactly the rounds that are `applied`. */
struct meta {
    struct shard *shard; /* 0 */
    struct list queue;   /* not yet appended */
    struct list round;   /* appended, see above */
    unsigned round_count;
    unsigned round_creates;
    unsigned round_durable; /* those that are appended */
    bool busy, applied;
    struct map names; /* touched by this round: of topics the change, of keys META_SHARED or META_ALONE */
    struct store_wait wait;
    struct space_wait stall;
    bool stalled, pumping, more;
    unsigned acks_left;
    struct meta_order *orders; /* one per shard */

    bool has_cluster_id;
    uint8_t cluster_id[16];
    uint64_t next_log_id;      /* with this round's; ids are never reused */
    uint64_t next_volatile_id; /* of queues that are not durable */
    uint64_t producer_limit;   /* durable: ids below may have been given out */
    uint64_t producer_next;    /* the next one to give out, below the limit */
    struct list producer_waiters;
    bool producer_block_wanted;
};

struct meta *meta_new(struct shard *shard0, unsigned shards);
void meta_free(struct meta *m);

/* Start-up, before the threads run: one command of the metadata log into every shard's topics. ERR_CORRUPT.
 */
int meta_replay(struct meta *m, struct span command);
int meta_restore(struct meta *m, struct span snapshot);
/* All state, those of the present round included. On failure `out` is left empty. */
void meta_snapshot(struct meta *m, struct outq *out);

/* Shard 0 only. */
struct meta_change *meta_change_new(struct op *op, int (*prepare)(struct meta *m, struct meta_change *change),
                                    void (*finish)(struct meta *m, struct meta_change *change, int err));
void meta_submit(struct meta *m, struct meta_change *change);
/* For prepare(), before it looks at anything. Adds something that the change touches; its bytes live as long
 * as the change. */
void meta_change_key(struct meta_change *ch, struct span key, bool alone);
/* True if nothing that is going on touches its keys. Else nobody else may before it has had its turn: return
 * META_LATER. */
bool meta_change_free(struct meta *m, struct meta_change *ch);
/* The same for a change that waits for something else than the round: return META_LATER, and call
 * meta_again() when it can go on. */
void meta_change_hold(struct meta *m, struct meta_change *ch);
void meta_again(struct meta *m);
/* A copy in the change's arena; never null. */
struct span meta_change_keep(struct meta_change *ch, struct span bytes);
/* Makes the cluster id durable if there is none yet; done() is called at once if there is. */
void meta_ensure_cluster_id(struct meta *m,
                            void (*done)(struct meta *m, struct meta_change *change, int err));

#endif
