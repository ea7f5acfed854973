/* Logs: append-only sequences of record batches with offsets, kept in the journal first and in segments
 * later. */
#ifndef COLOBUS_STORE_LOG_H
#define COLOBUS_STORE_LOG_H

#include "base/chunk.h"
#include "base/list.h"
#include "base/outq.h"
#include "os/os.h"

struct store_shard;

enum log_durability {
    LOG_FSYNC, /* durable when the journal has synced it */
    LOG_OS,    /* written to the segment, acknowledged when the kernel has it */
};

struct log_config {
    enum log_durability durability;
    uint64_t segment_bytes;
    uint32_t index_interval_bytes;
    int64_t producer_expiry_ms; /* an idle producer id is forgotten after this */
    int64_t segment_ms;         /* a batch so much newer than the first begins a new segment; 0: never */
    int64_t retention_ms, retention_bytes; /* for log_retain(); -1: unlimited */
};

struct log; /* store/log_impl.h; one shard's thread only */

/* Read access for everyone above. */
uint64_t log_id(const struct log *l);
uint64_t log_start(const struct log *l);   /* first offset that can be read */
uint64_t log_next(const struct log *l);    /* the offset the next record gets */
uint64_t log_durable(const struct log *l); /* high watermark: below it everything is durable and visible */
uint32_t log_epoch(const struct log *l);   /* leader epoch */
uint64_t log_bytes(const struct log *l);   /* size of all records stored */
int64_t log_max_timestamp(const struct log *l); /* -1: none */
bool log_damaged(const struct log *l);          /* quarantined: reads and appends fail with ERR_CORRUPT */
void *log_user(const struct log *l);
void log_set_user(struct log *l, void *user);
void log_set_config(struct log *l, const struct log_config *cfg);

/* Somebody waits for durability. done() is called once, in a later phase of a turn of the log's shard, with 0
 * or the reason why it is not durable (then the broker is failing). Never called from inside log_wait(). */
struct store_wait {
    void (*done)(struct store_wait *w, int err);
    struct store_wait *next; /* the store's, like the next */
    uint64_t until;
};

/* done() comes when all that was appended to this log (fsync: to its shard) up to now is durable. */
void log_wait(struct log *l, struct store_wait *w);

/* Appends one batch, already validated and checksummed. The bytes are copied; base offset and leader epoch
 * are written into the copy. Sequences of idempotent producers are checked here. 0: appended at *ret_base;
 * wait with log_wait() before telling anyone. 1: it was stored before (idempotence), at *ret_base;
 * *ret_timestamp (if not NULL) is that batch's max timestamp; a reply still has to log_wait(). ERR_AGAIN: the
 * journal makes room, try again when store_events.space says so. ERR_NO_SPACE, ERR_OUT_OF_ORDER,
 * ERR_DUPLICATE_SEQUENCE, ERR_PRODUCER_EPOCH, ERR_CORRUPT, ERR_NO_MEMORY. */
int log_append(struct log *l, struct span batch, uint64_t *ret_base, int64_t *ret_timestamp);

/* A read, owned by the caller until done. Slices hold references that the caller drops with log_read_fini().
 */
struct log_read {
    /* in */
    uint64_t offset; /* of the first record wanted; the first batch may begin before it */
    size_t max_bytes;
    bool at_least_one;                         /* return the first batch even if it is larger (KIP-74) */
    void (*done)(struct log_read *r, int err); /* only if log_read() answered ERR_AGAIN */
    /* out: whole batches, below log_durable() */
    struct rope data;
    /* the store's */
    size_t slices_cap;
    struct os_job job;
    struct log *log;
    struct segment_reader *reader;
};

/* 0: r->data is filled (empty at the end of the log). ERR_AGAIN: the disk is being read, done() comes in a
 * later turn. ERR_OFFSET_RANGE: below log_start() or above log_durable(). ERR_CORRUPT, ERR_IO, ERR_NO_MEMORY.
 */
int log_read(struct log *l, struct log_read *r);
void log_read_fini(struct log_read *r);

/* The first batch whose max timestamp is >= timestamp, of those that reach beyond the start and r->offset: in
 * r->data, whole (empty: none). Same answers and ownership as log_read(); max_bytes and at_least_one are
 * ignored. */
int log_find_time(struct log *l, int64_t timestamp, struct log_read *r);
/* The first of the batches with the largest max timestamp among those. Empty too if none has one. */
int log_find_max(struct log *l, struct log_read *r);

/* The largest epoch <= `epoch` that has records, and the offset where it ends. -1/-1 if there is none. */
void log_epoch_end(const struct log *l, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end);

/* Moves the start forward (DeleteRecords). Durable with the next log_wait(). ERR_OFFSET_RANGE, ERR_AGAIN,
 * ERR_NO_SPACE. */
int log_set_start(struct log *l, uint64_t offset);

struct log_removed {
    uint64_t segments, records, bytes;
};

/* Moves the start over what the log's settings no longer keep at `now_ms` (wall clock), and gives back the
 * space of what lies below a start that is durable. To be called now and then. 0, with what went in *ret
 * (perhaps nothing). ERR_AGAIN, ERR_NO_SPACE: the journal has no room for the new start; nothing changed, try
 * again soon. */
int log_retain(struct log *l, int64_t now_ms, struct log_removed *ret);

#endif
