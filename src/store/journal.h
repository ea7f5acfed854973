/* The journal: one sequential stream through which everything durable goes.
 *
 * This is the interface; journal_file.c is the implementation on local files. Another one, on an object
 * store, must fit behind it: nothing here speaks of files. A position is an lsn: opaque, per journal,
 * growing. */
#ifndef COLOBUS_STORE_JOURNAL_H
#define COLOBUS_STORE_JOURNAL_H

#include <stdatomic.h>

#include "base/chunk.h"
#include "base/span.h"

enum journal_entry_type {
    JOURNAL_BATCH = 1,   /* a record batch of a log; guarded by the batch's own CRC-32C */
    JOURNAL_COMMAND = 2, /* a command of a command log, such as the metadata */
    JOURNAL_STATE = 3,   /* a log's state; replaces all that is known of it but later entries */
    JOURNAL_START = 4,   /* a log's start offset moved: base is the new one, no body */
    JOURNAL_MARK = 5,    /* the broker started (base 1) or stopped cleanly (base 2); no body */
};

enum { JOURNAL_MARK_STARTED = 1, JOURNAL_MARK_STOPPED = 2 };

enum journal_entry_flags {
    JOURNAL_COPIED = 1,  /* carried forward unchanged when its file was recycled */
    JOURNAL_SPILLED = 2, /* JOURNAL_STATE: the body names a file that holds the state */
};

/* One entry of a group. `body` lies in `chunk`, to which the entry holds a reference until the group is done;
 * chunk NULL: the body is the submitter's and outlives the group. */
struct journal_entry {
    uint64_t log_id;
    uint64_t base;  /* BATCH, START: offset. STATE: as-of offset or number. COMMAND: its number */
    uint32_t epoch; /* BATCH: partition leader epoch as in the batch, which its CRC does not cover */
    uint8_t type, flags;
    struct span body;
    struct chunk *chunk;
    void *user; /* the submitter's: which log this is about */
};

/* All entries of one shard's turn: they become durable together or not at all. Immutable once submitted. */
struct journal_group {
    struct journal_entry *entries;
    uint32_t count, cap;
    uint64_t body_bytes;
    uint64_t admitted;                     /* set aside by admit(), given back when written */
    uint64_t submitted_ns;                 /* for the commit latency */
    uint64_t lsn;                          /* set by the journal before done() */
    int err;                               /* 0, or why it is not durable; then nothing later is either */
    void (*done)(struct journal_group *g); /* on the journal's thread, in order of submission */
    void *owner;
    struct journal_group *next; /* the journal's, later the owner's */
};

struct journal;
struct os_loop;

/* What replay finds, in lsn order. `body` is borrowed during the call. body_ok is false if the body does not
 * match its checksum: then the log it belongs to is damaged. */
struct journal_replay_entry {
    uint64_t log_id, base, lsn; /* lsn: of the group */
    uint64_t body_at;           /* where journal_read_body() finds the body again */
    uint32_t epoch, body_len;
    uint8_t type, flags;
    bool body_ok;
    struct span body;
};

struct journal_stats {
    _Atomic uint64_t commits, groups, entries, bytes, sync_ns, files, free_bytes;
    atomic_bool refused; /* the disk is full: publishers are refused */
};

struct journal_ops {
    /* Queues a group; done() will be called. Any thread; never blocks. */
    void (*submit)(struct journal *j, struct journal_group *g);
    /* May `bytes` more of bodies be submitted? 0: yes, and they are set aside. ERR_AGAIN: soon (space is
     * being made; on_space() tells). ERR_NO_SPACE: the disk is full. Internal entries (acknowledgements,
     * deletes, states, copies) may use the reserve that publishers may not. Any thread. */
    int (*admit)(struct journal *j, uint64_t bytes, bool internal);
    /* Everything before this lsn is needed no more. Any thread; carried out in the background. */
    void (*drop_before)(struct journal *j, uint64_t lsn);
    /* Reads every entry in order. Before start() only. fn's non-zero answer ends it. */
    int (*replay)(struct journal *j, int (*fn)(void *arg, const struct journal_replay_entry *e), void *arg);
    /* Reads a body that replay showed, while its lsn was not dropped. Before start() only. */
    int (*read_body)(struct journal *j, uint64_t body_at, uint8_t *ret_bytes, uint32_t len);
    /* After replay: makes what was found durable and begins to take groups. Background work reports on
     * `home`. */
    int (*start)(struct journal *j, struct os_loop *home);
    /* Writes what was submitted, then ends its thread. The loops have ended by now. */
    void (*stop)(struct journal *j);
    /* Frees it, after stop() and after the disk pool has ended. */
    void (*close)(struct journal *j);
};

struct journal {
    const struct journal_ops *ops;
    uint64_t max_group_bytes;
    struct journal_stats stats;
};

/* What one group may hold, so that it fits any file: the submitter starts a new one before it goes over. */
uint64_t journal_max_group_bytes(const struct journal *j);
/* Bytes that an entry with this body takes, as admit() counts them. */
uint64_t journal_entry_bytes(uint64_t body_len);

/* Called by the journal on its own thread. */
struct journal_events {
    /* Space is getting short: move everything with an lsn below this one out of the journal. */
    void (*recycle)(void *arg, uint64_t before_lsn);
    /* After ERR_AGAIN or ERR_NO_SPACE: it is worth asking again. */
    void (*space)(void *arg);
    /* A write or sync failed for good: nothing is acknowledged any more, the process should end. */
    void (*failed)(void *arg, int err, const char *what);
    void *arg;
};

#endif
