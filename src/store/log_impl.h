/* The insides of logs and of a shard's store, shared by the sources of store/ only. */
#ifndef COLOBUS_STORE_LOG_IMPL_H
#define COLOBUS_STORE_LOG_IMPL_H

#include "base/map.h"
#include "base/ptrset.h"
#include "store/batch.h"
#include "store/blobs.h"
#include "store/index.h"
#include "store/producer.h"
#include "store/state_format.h"
#include "store/store.h"

enum {
    STORE_PATH_BYTES = 512,
    TAIL_CHUNK_BYTES = 256 << 10,
    TAIL_ROUND_BYTES = 64 << 10, /* larger chunks are multiples */
    READ_CHUNK_BYTES = 64 << 10,
    READ_MAX_BYTES = 1 << 20,      /* of one read from a segment, but for a larger first batch */
    REMNANT_BYTES = 64 << 10,      /* a tail this large goes to its segment when the journal is recycled */
    STATE_INLINE_BYTES = 64 << 10, /* a larger state goes to a file of its own */
    FLUSH_MAX_BYTES =
        1 << 20,     /* of one flush: larger writes take large folios, which are dear, see bench/README.md */
    MAX_FLUSHES = 4, /* per shard at a time */
    LOG_MAGIC = 0x4c4f4721,
};

#define FIRST_UNKNOWN INT64_MIN

/* ---- tail: the newest batches, referenced in the shard's chunks ---------------------------------------- */

struct tail_batch {
    struct chunk *chunk; /* one reference */
    const uint8_t *ptr;
    uint64_t base, lsn; /* lsn of its group once durable, else 0 */
    int64_t max_ts;
    uint32_t len, count; /* count: offsets taken */
};

/* batches[first .. first + count), in the order of offsets, without gaps. An empty tail owns no memory. */
struct tail {
    struct tail_batch *batches;
    uint32_t first, count, cap;
    uint64_t bytes;
};

void tail_init(struct tail *t);
void tail_fini(struct tail *t);
void tail_push(struct tail *t, const struct tail_batch *b); /* takes the reference over */
void tail_drop_first(struct tail *t);
struct tail_batch *tail_at(const struct tail *t, size_t i);
/* The index of the batch that holds the offset, or of the first one after it; count if none. */
size_t tail_find(const struct tail *t, uint64_t offset);

/* ---- segments ---------------------------------------------------------------------------------------- */

/* A segment file [base, next). `file` and `index` are a cache, in the shard's LRU while unused. */
struct segment {
    uint64_t base, next;
    uint64_t len;         /* bytes written */
    uint64_t synced_len;  /* bytes that a durable state entry names */
    uint64_t reserved;    /* space is made up to there */
    uint64_t hinted;      /* up to there it is on its way to the disk */
    uint64_t indexed_pos; /* position of the last index entry */
    uint32_t index_count;
    int64_t max_ts, created_ms;
    int64_t first_ms; /* max timestamp of the first batch; FIRST_UNKNOWN: not read since the start */
    int file;         /* -1: not open */
    bool index_loaded;
    bool dirty, dir_dirty; /* written, or created, but not synced */
    struct index index;
    uint32_t pins; /* jobs and writers that use it now */
    bool doomed;   /* unlink when the last pin is gone */
    struct list lru;
    struct log *log;
};

/* ---- log ------------------------------------------------------------------------------------------------
 */

struct epoch_start {
    uint32_t epoch;
    uint64_t start;
};

/* Offsets:  start <= readable < durable <= next;  saved <= written <= durable.
 *   [.., written) in segment files; [written, next) in the tail; below `saved` a durable state entry vouches
 * for the segments; [saved, next) is in the journal too (LOG_FSYNC). Invariants, checked by log_check():
 *  1. written <= durable <= next, saved <= written, start <= durable
 *  2. the tail begins at `written` and ends at `next`, without gaps
 *  3. segments are sorted, without gaps, and the last one ends at `written`; without any, written <= start
 *  4. pin_lsn != 0 iff linked in the shard's pins, which are sorted by it
 *  5. at most one flush or state entry is in flight */
struct log {
    uint32_t magic;
    uint32_t starts_pending; /* START entries in flight */
    uint64_t id;
    struct store_shard *ss;
    struct log_config config;
    void *user;

    uint64_t start, next, durable, written, saved;
    uint64_t start_durable; /* <= start: what lies below may be unlinked */
    int64_t max_ts;
    int64_t untimed_ms;     /* when a batch without a timestamp was last appended, or found by recovery */
    uint64_t segment_bytes; /* sum of segment lengths */
    struct tail tail;
    uint32_t tail_durable; /* how many of the tail's batches are durable */
    uint32_t segment_count, segment_cap, epoch_count;
    struct segment **segments;
    struct epoch_start *epochs;
    struct producers producers;

    uint64_t state_lsn;    /* of the newest durable state entry; 0: none */
    uint64_t unsaved_lsn;  /* of the oldest entry that the state does not cover; 0: none */
    uint64_t pin_lsn;      /* the smaller of the two: the journal may not be dropped from there on */
    struct list pin_link;  /* in ss->pins */
    struct list tail_link; /* in ss->tails while the tail is not empty */
    struct list os_link;   /* in ss->os_dirty: LOG_OS with batches to write */
    struct store_wait *waits, **waits_tail; /* LOG_OS: until durable >= wait->until */

    struct flush *flush; /* the one in flight */
    uint32_t refs;       /* group entries and reads in flight; a deleted log is freed at zero */
    bool damaged, deleted;
    bool renew_state; /* recovery changed something that only a state entry can hold */
    bool saving;      /* a state entry is in flight, or on its way there: */
    uint8_t *state;   /* it, until the journal admits it; NULL otherwise */
    size_t state_len;
    uint64_t state_as_of;
    struct list state_link;  /* in ss->states while it waits */
    char *spill, *old_spill; /* files of the newest spilled state and of the one it replaces; NULL: none */
};

struct flush {
    struct os_job job;
    struct log *log;
    struct segment *seg;  /* written to; pinned */
    struct segment *full; /* the one before, if it has to be synced first; pinned */
    bool sync, sync_dir;
    int opened;         /* file opened by the job, or -1 */
    struct span *spans; /* of the tail, which stays until the flush is done */
    size_t span_count, batches;
    uint64_t reserved, hinted; /* of the segment, before and after */
    uint64_t pos, len, end;    /* end: offset after the last batch written */
    int64_t max_ts, first_ms;
    struct index marks; /* new index entries */
    uint32_t mark_at;   /* number of the first of them */
    struct index index; /* all entries before, if the job had to load them */
    bool index_loaded;
    int err;
};

/* ---- large states, in files of their own (spill.c) ------------------------------------------------------
 */

/* A file in states/ as the journal entry names it. */
struct spill_file {
    char name[STATE_NAME_BYTES]; /* "": none */
    uint64_t len;
    uint32_t crc;
};

/* One such file being written by the disk pool. */
struct spill {
    struct os_job job;
    struct store_shard *ss;
    struct spill_file file;
    uint8_t *bytes;
    int err;
    void (*done)(struct spill *s); /* on the shard; frees nothing */
    void *owner;
};

/* ---- command logs (command.c) ---------------------------------------------------------------------------
 */

/* Commands are numbered from 1 on; the snapshot replaces all up to the number it was taken at. */
struct command_log {
    uint64_t id;
    struct store_shard *ss;
    uint64_t seq;           /* of the last command appended */
    uint64_t state_lsn;     /* of the newest durable snapshot; 0: none */
    uint64_t state_seq;     /* number of the last command in it */
    uint64_t unsaved_lsn;   /* of the oldest durable command that it does not cover; 0: none */
    struct spill_file file; /* where it stands, if not in the journal */

    enum { COMMANDS_IDLE, COMMANDS_SPILLING, COMMANDS_SPILLED, COMMANDS_JOURNALED } saving;
    /* Of the snapshot on its way: */
    uint64_t next_seq;
    struct spill_file next_file;
    uint64_t later_lsn;   /* of the oldest durable command that it does not cover; 0: none */
    uint64_t retry_at_ns; /* the disk was full */
    bool renew;           /* loss was accepted: a snapshot is to cover what is damaged */
    struct list link;     /* in ss->command_logs */
};

/* ---- shard ----------------------------------------------------------------------------------------------
 */

struct store_group {
    struct journal_group g;
    struct store_wait *waits, **waits_tail;
    struct store_shard *ss;
};

struct store_shard {
    struct store *st;
    unsigned index;
    struct os_loop *loop;
    struct ptrset logs; /* struct log by id */
    struct list command_logs;

    struct chunk_pool tail_pool, read_pool;
    struct chunk *tail_chunk; /* the one being filled; one reference */
    struct list tails;        /* logs with a tail */
    size_t tail_limit;

    struct store_group *group, *newest, *spare_groups; /* being filled; last submitted; for reuse */
    unsigned groups_in_flight;
    _Atomic(struct journal_group *) completed; /* newest first, from the journal's thread */
    struct store_wait *ready, **ready_tail;    /* to be called in the next completion phase */

    struct list pins;                 /* logs by pin_lsn, lowest first */
    _Atomic uint64_t recycle_before;  /* asked for by the journal */
    uint64_t recycling, copied_bytes; /* what is being emptied, and how much was copied forward for it */
    uint64_t last_lsn;                /* of the last group completed */
    uint64_t told_pin;                /* last value given to store_pin() */

    struct list os_dirty;
    struct list states; /* logs whose state waits for room in the journal */
    struct list lru;    /* segments with an open file and no pin, least recently used first */
    _Atomic unsigned open_files;
    unsigned dirty_files, max_files;
    unsigned flushes;      /* in flight */
    unsigned reads;        /* cold reads in flight */
    unsigned spills;       /* large states being written */
    atomic_bool disk_full; /* segments cannot be written for want of space */
    bool stopping, starved;
    bool renewed; /* states that recovery changed are saved */
    uint64_t retry_at_ns, expire_at_ns, poke_at_ns;
    atomic_bool space; /* the journal has something to say about space */
    uint64_t now_ns;
};

struct store {
    struct store_options opt;
    struct store_events ev;
    char *dir;
    int lock;
    struct journal *journal;
    struct blobs *blobs;
    struct os_pool *pool;
    struct store_shard *shards;
    _Atomic uint64_t *pins; /* per shard: nothing before this lsn is needed */
    struct recovery *recovery;
    bool unclean, started;
    atomic_bool marked; /* the journal says durably that the broker runs */
    struct store_mark {
        struct journal_group group;
        struct journal_entry entry;
    } marks[2]; /* started, stopped */
    bool closing;
    char *journal_dir;
    atomic_bool failed;
    _Atomic uint64_t read_bytes, log_count;
    void (*on_commit)(void *arg, uint64_t ns, uint32_t groups, uint64_t bytes);
    void *on_commit_arg;
};

/* store.c */
void store_fail(struct store *st, int err, const char *what);
/* Names of blobs. */
void store_segment_path(uint64_t log_id, uint64_t base, const char *suffix, char ret[STORE_PATH_BYTES]);
void store_log_dir(uint64_t log_id, char ret[STORE_PATH_BYTES]);

/* group.c */
int group_admit(struct store_shard *ss, uint64_t body_len, bool internal);
/* Adds an admitted entry to this turn's group; takes the chunk reference over, or without a chunk the heap
 * memory of the body. */
void group_add(struct store_shard *ss, const struct journal_entry *e);
void group_complete(struct store_shard *ss);
void group_discard(struct store_shard *ss); /* at the end: frees without calling anyone */

/* tail.c */
int tail_store(struct store_shard *ss, struct span batch, struct tail_batch *ret);
void tail_compact(struct store_shard *ss);

/* log.c */
struct log *log_new(struct store_shard *ss, uint64_t id, const struct log_config *cfg);
void log_free(struct log *l);
void log_unref(struct log *l);
void log_check(const struct log *l);
void log_advance(struct log *l, uint64_t durable); /* more is durable: waits and events */
void log_bump_epoch(struct log *l);                /* a new leader epoch begins at the end of the log */
void log_apply_batch(struct log *l, const uint8_t *batch,
                     int64_t now_ms); /* the fold: epochs, producers, max_ts */
bool log_alive(const struct log *l);
void log_remove_files(struct log *l); /* of a deleted log, when no flush uses them */

/* pin.c */
void pin_update(struct log *l);
void pin_entry(struct log *l, uint64_t lsn); /* an entry of the log became durable there */
void pin_tell(struct store_shard *ss);
void pin_recycle(struct store_shard *ss); /* moves what the journal asked for out of it */

/* command.c */
struct command_log *command_log_find(const struct store_shard *ss, uint64_t id); /* NULL if absent */
struct command_log *command_log_get(struct store_shard *ss, uint64_t id);        /* made if absent */
void command_durable(struct store_shard *ss, const struct journal_entry *e, uint64_t lsn);
uint64_t command_lowest(const struct store_shard *ss); /* of the journal; UINT64_MAX: nothing is needed */
void command_recycle(struct store_shard *ss, uint64_t before);
void command_renew(struct store_shard *ss);
void command_fini(struct store_shard *ss);

/* recover_commands.c */
struct found_commands;
void recover_command(struct map *found, const struct journal_replay_entry *e);
int recover_commands_check(const struct store *st); /* ERR_UNSUPPORTED: nobody asked for some of them */
void recover_commands_free(struct map *found);
struct map *recover_commands_of(const struct store *st); /* recover.c: id -> struct found_commands */

/* spill.c */
bool spill_wanted(const struct store_shard *ss, size_t len); /* too large to stand in the journal */
/* Writes `bytes`, which it takes, to states/LOG-RANDOM.suffix; durable when done() gets err 0. */
void spill_start(struct store_shard *ss, uint64_t log_id, const char *suffix, uint8_t *bytes, size_t len,
                 void (*done)(struct spill *s), void *owner);
void spill_encode(const struct spill_file *f, uint64_t start, uint8_t ret[STATE_SPILL_BYTES]);
int spill_decode(struct span body, struct spill_file *ret);
/* The bytes, checked, on the heap; f->len of them. ERR_CORRUPT: missing or damaged. */
int spill_read(struct store *st, const struct spill_file *f, uint8_t **ret_bytes);
void spill_remove(struct store *st, const char *name); /* in the background; NULL or "": nothing */

/* recover.c */
int recover_read(struct store *st);
void recover_free(struct store *st);
int recover_sweep(struct store *st);

/* quarantine.c */
struct quarantine {
    int blob; /* -1: nothing was saved yet */
    uint64_t pos;
    char name[STORE_PATH_BYTES];
};
void quarantine_log(struct log *l, const char *why, uint64_t offset); /* during recovery */
int quarantine_copy(struct quarantine *q, const struct log *l, uint64_t body_at, uint32_t len);
int quarantine_end(struct quarantine *q, const struct log *l);

/* recover_os.c */
int recover_os_log(struct log *l);

/* state.c: the fold of a log, as bytes */
uint8_t *state_encode(const struct log *l, uint64_t as_of, size_t *ret_len);
int state_decode(struct log *l, struct span bytes, uint64_t *ret_as_of);
/* Appends the state entry to this turn's group (spilling it to a file first if it is large). Takes `state`.
 */
void state_append(struct log *l, uint8_t *state, size_t len, uint64_t as_of);
void state_unlink(const struct log *l); /* the newest spilled state of a deleted log */
void state_retry(struct store_shard *ss);
/* A newer state is durable: the file of the one before can go. */
void state_replaced(struct log *l);
int state_read_spilled(struct store *st, struct span body, uint8_t **ret_bytes, size_t *ret_len,
                       char ret_name[STATE_NAME_BYTES]);

/* flush.c */
/* Writes the durable part of the tail to segments; sync: and a state entry. False: it cannot be done now. */
bool flush_start(struct log *l, bool sync);
bool flush_run_now(struct log *l);           /* recovery: on this thread; false: failed */
void flush_pressure(struct store_shard *ss); /* the tails are over their budget */
void flush_os(struct store_shard *ss);       /* what this turn appended to LOG_OS logs */
void disk_is_full(struct store_shard *ss);   /* publishers are refused until disk_is_fine() */
void disk_is_fine(struct store_shard *ss);

/* retain.c */
void log_drop_old(
    struct log *l); /* files and memory of what lies below the durable start, if they are idle */

/* segment.c */
struct segment *segment_new(struct log *l, uint64_t base);
void segment_free(struct segment *seg);
struct segment *segment_find(const struct log *l, uint64_t offset);
void segment_pin(struct segment *seg);
void segment_unpin(struct segment *seg);
/* Gives a file opened by a job to the segment, or closes it if it has one. */
void segment_adopt(struct segment *seg, int file);
void segment_close(struct segment *seg);
void segment_evict(struct store_shard *ss);
/* Removes a file or an empty folder on the disk pool: unlinking a large file takes the system a while. */
void segment_unlink(struct store *st, const char *path, bool dir);
void segment_doom(struct segment *seg); /* unlink when unused; no longer part of the log */
/* Any thread. `next` and `len`: what the segment holds as the caller knows it; save: write the index file
 * anew if it lacked something (not while a flush may append to it). */
int segment_load_index(const struct segment *seg, int file, uint64_t next, uint64_t len, bool save,
                       struct index *ret);
/* Cuts what the index file says beyond the segment's end, durably: other batches may come to stand there.
 * During recovery. */
int segment_cut_index(const struct segment *seg);
/* Steps over whole batches in [pos, len): fn gets the header; non-zero ends it. */
int segment_walk(struct blobs *blobs, int file, uint64_t pos, uint64_t len,
                 int (*fn)(void *arg, const uint8_t *header, uint64_t pos), void *arg);

#endif
