/* Inside the core: how operations travel, and the reads that wait. */
#ifndef COLOBUS_CORE_OP_IMPL_H
#define COLOBUS_CORE_OP_IMPL_H

#include "core/op.h"
#include "core/partition.h"

/* Runs run() on `owner`: at once if it is the op's home, else there in its mailbox phase. */
void op_send(struct op *op, struct shard *owner, void (*run)(struct shard *here, struct msg *m));
/* The way back, from the shard `here`: complete() comes in a completions phase of the home shard. */
void op_return(struct shard *here, struct op *op);
/* On the home shard: it is complete. */
void op_done(struct shard *home, struct op *op);
/* The shard of this number. */
struct shard *op_owner(const struct op *op, unsigned shard);

/* One log that a parked read waits for. */
struct read_wait {
    struct list link; /* in partition->parked */
    struct read_park *park;
    struct log *log;
    uint64_t bytes; /* log_bytes() when it was parked */
    bool any;       /* records were in flight then: any advance is worth a look */
};

/* A read on its owner shard. Invariants: (1) `reading`: a log_read is on its way and the park is in no list;
 * (2) else it is parked: its waits are linked, or it is in shard->woken, or both. */
struct read_park {
    struct op_read *op;
    struct shard *owner;
    struct shard_timer timer;
    struct list woken; /* in shard->woken */
    uint32_t next;     /* item being read */
    uint64_t total;    /* bytes found in this pass */
    bool settled;      /* an item failed or diverges: do not wait */
    bool full; /* a batch did not fit what is left of the budget: to look at further items is in vain */
    bool reading, cancelled;
    struct read_wait waits[];
};

/* Look at it again in the completions phase. */
void read_wake(struct shard *s, struct read_wait *w);
/* The same, if what was appended since may be enough. */
void read_advanced(struct shard *s, struct read_wait *w);
void read_serve_woken(struct shard *s);

#endif
