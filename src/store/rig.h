/* Test kit: a store on the simulated system, with a model of what was written and what was acknowledged. */
#ifndef COLOBUS_STORE_RIG_H
#define COLOBUS_STORE_RIG_H

#include "os/sim/sim.h"
#include "store/store.h"

enum { RIG_MAX_LOGS = 64, RIG_MAX_SHARDS = 3, RIG_MAX_BATCHES = 4096, RIG_COMMAND_LOGS = 4 };

/* What was handed to log_append(), in order. acked: 0, or the number of the acknowledgement. */
struct rig_batch {
    uint64_t base;
    uint32_t count, payload;
    uint64_t seed, acked;
};

struct rig_log {
    uint64_t id;
    struct log_config config;
    struct log *log;
    struct rig_batch *batches;
    size_t count, cap;
    uint64_t created_ack, deleted_ack; /* acknowledgement numbers; 0: not acknowledged */
    bool creating, created, deleting;
    uint64_t start, start_ack; /* acknowledged start, and the highest asked for */
    uint64_t start_asked;
};

/* A command log whose fold is the number of its commands and a hash over them. */
struct rig_commands {
    uint64_t id, count, hash; /* the fold, as a broker would have it in memory */
    struct rig_command {
        uint64_t hash, acked; /* the fold after this command; acked as above */
    } * model;                /* all that were handed to store_command_append(), in order */
    size_t model_count, cap;
};

struct rig {
    struct store_options opt;
    struct store *st;
    struct os_loop *loops[RIG_MAX_SHARDS];
    struct rig_shard {
        struct rig *rig;
        unsigned index;
    } shards[RIG_MAX_SHARDS];
    struct rig_log logs[RIG_MAX_LOGS];              /* index = log id - 1 */
    struct rig_commands commands[RIG_COMMAND_LOGS]; /* id: STORE_COMMAND_LOGS + index */
    size_t snapshot_bytes;                          /* what snapshots are padded with, the metadata's too */
    uint64_t snapshots, large_snapshots;            /* taken; of them, with 8 KiB or more */
    uint64_t acks;                                  /* given so far: also the mark in the disk's log */
    int failed;                                     /* what the store failed with */
    uint64_t spaces, advanced;
    void (*script)(struct rig *r, unsigned shard, void *arg); /* called in each turn */
    void *script_arg;
    bool stopping;
};

void rig_init(struct rig *r, unsigned shards);
/* Forgets the model. The store must be closed. */
void rig_fini(struct rig *r);
/* Opens (and recovers) the store on the simulated disk; logs known to the metadata are recovered. */
int rig_open(struct rig *r);
void rig_close(struct rig *r);   /* cleanly */
void rig_give_up(struct rig *r); /* after a failed rig_open(), or without a clean stop */
void rig_abandon(struct rig *r); /* the process died: forgets the store's memory */

/* In a turn of the right shard, or when no loop runs. */
int rig_create(struct rig *r, unsigned index,
               const struct log_config *cfg); /* durable: logs[index].created */
int rig_append(struct rig *r, struct rig_log *l, uint32_t records, uint32_t payload);
int rig_trim(struct rig *r, struct rig_log *l, uint64_t offset);
/* Applies the log's retention. A batch's timestamp is its seed, so one more with each. */
int rig_retain(struct rig *r, struct rig_log *l, int64_t now_ms);
int rig_command(struct rig *r, unsigned index, uint32_t bytes);
/* Runs until nothing is in flight. */
void rig_settle(struct rig *r);
void rig_run(struct rig *r, uint64_t steps);

/* A sealed batch of `records` empty-ish records with pseudo-random payload bytes; in a static buffer. */
struct span rig_batch_make(uint64_t seed, uint32_t records, uint32_t payload);
/* Reads the log from `from` to its durable end and compares with the model; every batch acknowledged at or
 * before `ack` must be there. Asserts. Drops from the model what did not survive. */
void rig_verify(struct rig *r, struct rig_log *l, uint64_t ack);
/* The same for a command log: it must be the fold of a prefix of the model. */
void rig_verify_commands(struct rig *r, struct rig_commands *c, uint64_t ack);
void rig_verify_all(struct rig *r, uint64_t ack);
/* Gives the copy of a rig a model of its own. */
void rig_copy_model(struct rig *copy);
/* What recovery showed is promised from now on, and what it did not show never was. */
void rig_rebase(struct rig *r);
/* Reads one log whole: bytes are appended to a heap buffer. */
int rig_read(struct rig *r, struct log *log, uint64_t from, size_t max_bytes, uint8_t **ret_bytes,
             size_t *ret_len);
int rig_find_time(struct rig *r, struct log *log, int64_t timestamp, uint8_t **ret_bytes, size_t *ret_len);

#endif
