/* Operations: what a connection asks of the core. Each travels to the shard that owns its target and back.
 *
 * The submitter allocates an operation with op_new() and fills it; it belongs to the core until `complete` is
 * called on the home shard, which owns it again (and frees it with op_free()). Completion never comes from
 * inside the submitting call. If the connection died meanwhile, complete() gets conn == NULL and only cleans
 * up. Operations of one connection to one target run in the order of their submission. */
#ifndef COLOBUS_CORE_OP_H
#define COLOBUS_CORE_OP_H

#include "base/arena.h"
#include "core/auth.h"
#include "core/conn.h"
#include "core/msg.h"
#include "core/shard.h"
#include "core/topic.h"
#include "store/log.h"

struct op {
    struct msg msg;
    struct shard *home; /* where complete() is called */
    struct handle conn; /* who asked; generation 0: nobody, complete() always gets NULL */
    struct actor actor;
    void (*complete)(struct conn *c, struct op *op);
    void *user; /* the submitter's */
    int err;    /* of the operation as a whole, 0 otherwise */
};

/* Zeroed; size is that of the struct that begins with `struct op`. The actor is the connection's. */
void *op_new(struct conn *c, size_t size, void (*complete)(struct conn *c, struct op *op), void *user);
void op_free(void *op);
/* The same for who has no connection: complete() always gets conn == NULL. Freed with op_free(). */
void *op_new_internal(struct shard *home, size_t size, void (*complete)(struct conn *c, struct op *op),
                      void *user);

/* ---- append: a run of batches for partitions of one shard --------------------------------------------- */

struct append_item {
    /* in */
    uint64_t log_id;
    struct span batch;   /* validated, see core/records.h; lies in `chunk` */
    struct chunk *chunk; /* one reference, the operation's */
    uint32_t tag;        /* the submitter's, e.g. which partition of the request */
    /* out */
    int err;
    uint64_t base_offset;
    int64_t timestamp; /* max timestamp of an earlier identical batch; -1 otherwise */
    uint64_t log_start;
    bool duplicate; /* it was stored before: nothing was appended */
    /* the core's */
    struct store_wait wait;
    struct op_append *run;
};

/* complete() comes when every item is durable or has failed. */
struct op_append {
    struct op op;
    unsigned shard; /* the owner of all items' logs: topic_partition.shard */
    uint32_t count;
    struct append_item *items; /* from mem_alloc; freed by op_append_free() */
    /* the core's */
    struct space_wait stall;
    uint32_t next, pending;
};
void op_append_submit(struct op_append *a);
void op_append_free(struct op_append *a); /* drops the chunks too */

/* ---- read: several partitions of one shard, with waiting ---------------------------------------------- */

struct read_item {
    /* in */
    uint64_t log_id;
    uint64_t offset;
    uint32_t max_bytes;
    int32_t leader_epoch; /* the client's idea of it; -1: not checked (KIP-320) */
    int32_t last_epoch;   /* epoch of the last record it has, for divergence; -1: not checked (KIP-595) */
    uint32_t tag;
    /* out */
    int err;
    uint64_t log_start, durable; /* durable: high watermark */
    struct log_read read;        /* .data is the answer */
    int32_t diverging_epoch;     /* -1: the client's history agrees */
    int64_t diverging_end;
    struct read_park *park; /* the core's */
};

/* complete() comes at once if wait_bytes are there, an item failed, or the deadline has passed; otherwise
 * when enough was appended, at the deadline, or after op_read_cancel(). Without items it waits all the same.
 */
struct op_read {
    struct op op;
    unsigned shard;
    uint32_t count;
    struct read_item *items; /* from mem_alloc; freed by op_read_free() */
    uint64_t max_bytes;      /* over all items; the first batch found may exceed it */
    uint64_t wait_bytes;
    uint64_t deadline_mono_ns;
    /* the core's */
    struct msg cancel;
    bool cancelled, cancel_back, arrived; /* of the home shard */
    struct read_park *park;               /* of the owner, until it returns */
};
void op_read_submit(struct op_read *r);
/* Completes a waiting read soon with what there is; harmless if it is on its way back already. At most once.
 */
void op_read_cancel(struct op_read *r);
void op_read_free(struct op_read *r); /* drops the slices too */

/* ---- questions about one log --------------------------------------------------------------------------- */

enum offset_query {
    OFFSET_LATEST = -1, /* high watermark */
    OFFSET_EARLIEST = -2,
    OFFSET_MAX_TIMESTAMP = -3, /* of the record with the largest timestamp */
    OFFSET_EARLIEST_LOCAL = -4,
    OFFSET_LATEST_TIERED = -5, /* -1 always: nothing is tiered */
};

struct offset_item {
    uint64_t log_id;
    int64_t timestamp;    /* >= 0, or one of offset_query */
    int32_t leader_epoch; /* -1: not checked */
    uint32_t tag;
    int err;
    int64_t offset;        /* -1: none */
    int64_t ret_timestamp; /* -1: none or not asked for */
    int32_t ret_epoch;
};
struct op_offsets {
    struct op op;
    unsigned shard;
    uint32_t count;
    struct offset_item *items; /* from mem_alloc; freed by op_offsets_free() */
    /* the core's */
    struct log_read read;
    struct shard *owner;
    uint32_t next;
    uint64_t from; /* of items[next]: offsets below were looked at */
};
void op_offsets_submit(struct op_offsets *o);
void op_offsets_free(struct op_offsets *o);

struct epoch_item {
    uint64_t log_id;
    int32_t leader_epoch; /* the client's idea of the present one; -1: not checked */
    int32_t epoch;        /* asked for */
    uint32_t tag;
    int err;
    int32_t ret_epoch;
    int64_t ret_end;
};
struct op_epochs {
    struct op op;
    unsigned shard;
    uint32_t count;
    struct epoch_item *items; /* from mem_alloc; freed by op_epochs_free() */
};
void op_epochs_submit(struct op_epochs *e);
void op_epochs_free(struct op_epochs *e);

struct size_item {
    uint64_t log_id;
    uint32_t tag;
    int err;
    uint64_t bytes; /* of all records stored */
};
struct op_sizes {
    struct op op;
    unsigned shard;
    uint32_t count;
    struct size_item *items; /* from mem_alloc; freed by op_sizes_free() */
};
void op_sizes_submit(struct op_sizes *o);
void op_sizes_free(struct op_sizes *o);

/* Room of the file system that everything lies on. */
struct op_space {
    struct op op;
    uint64_t ret_total, ret_free; /* bytes */
    struct os_job job;            /* the core's */
};
void op_space_submit(struct op_space *o);
void op_space_free(struct op_space *o);

struct trim_item {
    uint64_t log_id;
    int64_t before; /* -1: the high watermark */
    uint32_t tag;
    int err;
    uint64_t log_start;
    /* the core's */
    struct store_wait wait;
    struct op_trim *run;
};
struct op_trim { /* DeleteRecords */
    struct op op;
    unsigned shard;
    uint32_t count;
    struct trim_item *items; /* from mem_alloc; freed by op_trim_free() */
    /* the core's */
    struct space_wait stall;
    uint32_t next, pending;
};
void op_trim_submit(struct op_trim *t);
void op_trim_free(struct op_trim *t);

/* ---- changes of the metadata: decided on shard 0, complete when every shard has applied them ------------
 */

struct op_topic_create {
    struct op op;
    struct span name;           /* in the operation's arena */
    int32_t partitions;         /* -1: the default */
    struct topic_config config; /* its rare settings as long as the operation */
    bool validate_only;
    struct topic_id id; /* out */
    uint32_t ret_partitions;
    struct arena arena; /* arena_init()ed by op_new()'s zeroes; freed by op_topic_create_free() */
};
void op_topic_create_submit(struct op_topic_create *t);
void op_topic_create_free(struct op_topic_create *t);

struct op_topic_delete {
    struct op op;
    struct span name; /* null: by id */
    struct topic_id id;
    struct arena arena;
};
void op_topic_delete_submit(struct op_topic_delete *t);
void op_topic_delete_free(struct op_topic_delete *t);

struct op_topic_grow {
    struct op op;
    struct span name;
    int32_t partitions; /* total wanted */
    bool validate_only;
    struct arena arena;
};
void op_topic_grow_submit(struct op_topic_grow *t);
void op_topic_grow_free(struct op_topic_grow *t);

struct op_topic_alter {
    struct op op;
    struct span name;
    const struct topic_alter_item *items; /* like the name and its spans in the operation's arena */
    uint32_t count;
    bool replace; /* see topic_config_alter() */
    bool validate_only;
    const char *ret_reason; /* of ERR_BAD_CONFIG: in the arena */
    struct arena arena;
};
void op_topic_alter_submit(struct op_topic_alter *t);
void op_topic_alter_free(struct op_topic_alter *t);

/* A new producer id (never given out before, durable in blocks). */
struct op_producer_id {
    struct op op;
    int64_t producer_id;
    int16_t producer_epoch;
    struct list link; /* the core's, while a block of ids is being made */
};
void op_producer_id_submit(struct op_producer_id *p);

#endif
