/* The journal on local files: its open function, and the insides that its own three sources share. */
#ifndef COLOBUS_STORE_JOURNAL_FILE_H
#define COLOBUS_STORE_JOURNAL_FILE_H

#include "os/os.h"
#include "store/journal_format.h"

struct journal_file_options {
    const char *dir;           /* the journal's own folder, made if absent */
    uint64_t file_bytes;       /* size of one file, at least 64 KiB */
    uint64_t max_bytes;        /* of all files together; at least four files are kept possible */
    struct os_pool *disk_pool; /* new files are prepared here */
    bool accept_loss;
    struct journal_events events;
    void (*on_commit)(void *arg, uint64_t ns, uint32_t groups, uint64_t bytes); /* may be NULL */
    void *on_commit_arg;
};

/* Reads which files there are. ERR_CORRUPT: a file in the middle is missing or damaged. */
int journal_file_open(const struct journal_file_options *opt, struct journal **ret_journal);

/* ---- shared by journal_file.c, journal_scan.c and journal_space.c -------------------------------------- */

enum { JOURNAL_PATH_BYTES = 512, JOURNAL_MIN_FILES = 4, JOURNAL_WRITE_BYTES = 8 << 20 };

struct journal_live {
    uint64_t file_no, size;
    struct journal_file_header header;
};

struct journal_file {
    struct journal base;
    struct journal_file_options opt;
    uint8_t uuid[16];
    struct os_pool *thread; /* one thread, which only journals */

    /* Any thread. */
    _Atomic(struct journal_group *) inbox; /* newest first */
    atomic_bool scheduled;                 /* `work` is queued */
    _Atomic uint64_t drop_lsn;
    _Atomic int64_t capacity, reserved; /* bytes that can be admitted, bytes that were */
    atomic_bool over;                   /* as many files as there may be hold what is needed */
    atomic_bool wanted;                 /* somebody was refused: tell when there is room */
    _Atomic int prepared;               /* 0 nothing, 1 a spare is ready, < 0 an error */
    struct os_job work;

    /* The journal thread's from start() on; before, the opener's. */
    struct journal_live *live; /* oldest first; the last one is written to */
    size_t live_count, live_cap;
    uint64_t *spares; /* numbers of prepared files */
    size_t spare_count, spare_cap;
    uint64_t next_spare;
    int file;     /* the last live file */
    uint64_t pos; /* where the next group goes in it */
    uint64_t synced_lsn;
    uint32_t chain;
    struct journal_group *queue, **queue_tail; /* taken from the inbox, oldest first */
    uint8_t *dir_bytes;
    size_t dir_cap;
    struct span *spans;
    size_t spans_cap;
    int failed; /* the error that ended it */
    bool started;
    struct os_loop *home; /* where prepare_job reports */
    uint64_t recycle_asked;
    uint64_t retry_at_ns; /* when to try again to prepare a file */
    bool preparing;
    struct os_job prepare_job;
    uint64_t prepare_no;
    uint8_t *last_group; /* bytes of the last group found by replay, until start() */
    uint64_t last_group_len, last_group_lsn;
    int body_file; /* read_body()'s */
    uint64_t body_file_no;
};

void journal_file_path(const struct journal_file *j, uint64_t file_no, char ret[JOURNAL_PATH_BYTES]);
void journal_spare_path(const struct journal_file *j, uint64_t no, char ret[JOURNAL_PATH_BYTES]);
void journal_file_kick(struct journal_file *j);
void journal_file_fail(struct journal_file *j, int err, const char *what);

/* journal_scan.c */
int journal_scan(struct journal_file *j, int (*fn)(void *, const struct journal_replay_entry *), void *arg);
int journal_read_body(struct journal_file *j, uint64_t body_at, uint8_t *ret_bytes, uint32_t len);

/* journal_space.c */
int journal_space_list(struct journal_file *j);
int journal_space_rotate(struct journal_file *j); /* ERR_AGAIN: no spare is ready */
int journal_space_make_spare(struct journal_file *j, bool zero);
void journal_space_work(struct journal_file *j); /* drop, prepare, ask for recycling, tell who waits */
void journal_space_count(struct journal_file *j);
int journal_space_admit(struct journal_file *j, uint64_t bytes, bool internal);

#endif
