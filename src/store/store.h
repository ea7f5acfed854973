/* The store of one broker: a data directory with the journal, the segments of the topics' logs, and recovery.
 */
#ifndef COLOBUS_STORE_STORE_H
#define COLOBUS_STORE_STORE_H

#include "store/journal.h"
#include "store/log.h"

struct store;
struct store_shard;

/* Command logs: sequences of opaque commands that the core folds into a snapshot. The metadata are one, ids
 * from STORE_COMMAND_LOGS on are others (id + n for a small n: each one costs a little at every recycling).
 * Ids of record logs never get there. A command log lives on store_shard_of() its id. */
enum { STORE_META_LOG = 0 };
#define STORE_COMMAND_LOGS (1ull << 56)
bool store_is_command_log(uint64_t id);

struct store_options {
    const char *dir;
    unsigned shards;
    uint64_t journal_file_bytes;
    uint64_t journal_max_bytes;
    size_t tail_bytes;       /* memory for tails, all shards together */
    unsigned max_open_files; /* segment files kept open, all shards together */
    unsigned disk_threads;
    bool accept_loss; /* start in spite of a damaged journal, after naming what is lost */
};

/* Called in a turn of the shard concerned. */
struct store_events {
    /* More of this log is durable: readers that wait may be served. */
    void (*advanced)(void *arg, struct log *l);
    /* It is worth trying again what got ERR_AGAIN (err 0), or what waits must fail with `err`. */
    void (*space)(void *arg, unsigned shard, int err);
    /* The store failed for good (any thread). */
    void (*failed)(void *arg, int err, const char *what);
    /* Writes the whole state of a command log: all that was appended so far, durable or not, and never
     * nothing. To write nothing means that there was no memory: it is tried again. Inside
     * store_shard_tick(). */
    void (*snapshot)(void *arg, uint64_t log_id, struct outq *out);
    void *arg;
};

/* ---- opening: on one thread, before the loops run ---------------------------------------------------- */

/* Locks the directory (made if absent), reads the journal, checks it. ERR_LOCKED, ERR_CORRUPT (damage below
 * the durable end; logged), ERR_IO, ERR_NO_SPACE. */
int store_open(const struct store_options *opt, const struct store_events *ev, struct store **ret_store);

/* Feeds a command log's snapshot (if there is one) and then each later command, in order; both are borrowed.
 * The metadata first, then every other command log that this version knows, whether or not it was ever
 * written to. ERR_CORRUPT: it is damaged (logged; not with accept_loss), or what the callbacks answered. */
int store_replay_commands(struct store *st, uint64_t log_id, int (*restore)(void *arg, struct span snapshot),
                          int (*apply)(void *arg, struct span command), void *arg);

/* Recovers a log that the metadata names (or starts an empty one). The store owns the log. A log that is
 * damaged is returned all the same, quarantined. */
int store_recover_log(struct store *st, uint64_t id, const struct log_config *cfg, struct log **ret_log);

/* The end of recovery: makes the recovered tail durable, opens the journal, removes what no log claims.
 * ERR_UNSUPPORTED: there are commands of a log that was not replayed (logged). */
int store_start(struct store *st, struct os_loop **loops);

/* Was the last stop unclean? Known after store_open(). */
bool store_was_unclean(const struct store *st);

/* After the loops have ended. clean: states were saved by store_shard_stop(). */
void store_close(struct store *st);

/* ---- running: each call on the thread of the shard it is about ---------------------------------------- */

struct store_shard *store_shard(struct store *st, unsigned index);

/* The shard that a log lives on. Logs whose ids are equal modulo STORE_LOG_SLOTS are always on the same one,
 * however many there are: so a command log can be kept where the logs are that it is about. */
enum { STORE_LOG_SLOTS = 64 };
unsigned store_shard_of(const struct store *st, uint64_t log_id);

/* A new log; its creation must be durable (a metadata command) before the first append. */
struct log *store_log_new(struct store_shard *ss, uint64_t id, const struct log_config *cfg);
/* Deletes a log whose deletion is durable: pending waits are called with ERR_NOT_FOUND, files go later. */
void store_log_delete(struct log *l);
struct log *store_log_get(struct store_shard *ss, uint64_t id); /* NULL if absent */

/* Appends to a command log, which must live on this shard; durable with the next store_wait(). Commands of
 * the metadata may use the reserve that is kept for when the disk is full; others wait as publishers do.
 * ERR_AGAIN (store_events.space tells when to try again), ERR_NO_SPACE, ERR_TOO_LARGE, ERR_IO. */
int store_command_append(struct store_shard *ss, uint64_t log_id, struct span command);
/* done() when all that this shard appended so far is durable. */
void store_wait(struct store_shard *ss, struct store_wait *w);

/* Phases of the turn. */
void store_shard_submit(struct store_shard *ss);   /* hand this turn's group to the journal */
void store_shard_complete(struct store_shard *ss); /* what became durable: calls waits and events */
void store_shard_tick(struct store_shard *ss, uint64_t now_mono_ns); /* background work: flush, recycle */
/* Gives memory kept for reuse to the heap that was not needed since the last call. */
void store_shard_trim(struct store_shard *ss);
bool store_shard_keeps_memory(const struct store_shard *ss);
uint64_t store_shard_next_tick(const struct store_shard *ss); /* when to be called; UINT64_MAX: not */

/* Begins a clean stop: flushes what states need; stopped() is true when nothing is in flight. */
void store_shard_stop(struct store_shard *ss);
bool store_shard_stopped(const struct store_shard *ss);

/* ---- figures, any thread ------------------------------------------------------------------------------ */

struct store_figures {
    struct journal_stats *journal;
    uint64_t tail_bytes, tail_limit, open_files, read_bytes, logs;
    bool disk_full; /* publishers are refused for want of space */
};
void store_figures(const struct store *st, struct store_figures *ret);

/* Room of the file system that the store is on. Blocks: for a job (store_job()). ERR_IO. */
int store_disk_space(const struct store *st, uint64_t *ret_total, uint64_t *ret_free);
/* Runs a job on the threads for blocking work. */
void store_job(struct store *st, struct os_job *job);

/* The histogram hook: called on the journal thread after each commit. Set before store_start(). */
void store_on_commit(struct store *st, void (*fn)(void *arg, uint64_t ns, uint32_t groups, uint64_t bytes),
                     void *arg);

#endif
