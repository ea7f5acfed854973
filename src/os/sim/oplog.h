/* The log of the disk's operations, and the disk as it was after any of them. */
#ifndef COLOBUS_OS_SIM_OPLOG_H
#define COLOBUS_OS_SIM_OPLOG_H

#include "os/sim/disk.h"

/* Operations are numbered from 1; ops[0] is number base + 1. */
struct oplog {
    bool on;
    uint64_t base;
    struct disk_op *ops;
    size_t count, cap;
    struct disk **checkpoints; /* checkpoints[i] is the disk after operation base + i * OPLOG_STRIDE */
    size_t checkpoint_count, checkpoint_cap;
    struct disk *cursor; /* the disk that was asked for last; or NULL */
    struct oplog_mark {
        uint64_t op, value; /* set when `op` operations were done */
    } * marks;
    size_t mark_count, mark_cap;
};

enum { OPLOG_STRIDE = 4096 };

/* Starts logging from this disk on. */
void oplog_start(struct oplog *log, const struct disk *d);
/* Forgets all operations; marks stay. */
void oplog_stop(struct oplog *log);
void oplog_fini(struct oplog *log);
/* Before the operation is applied to d. */
void oplog_add(struct oplog *log, const struct disk *d, const struct disk_op *op);
void oplog_mark(struct oplog *log, uint64_t op, uint64_t value);
uint64_t oplog_mark_before(const struct oplog *log, uint64_t op);
/* The disk right after operation `op`; valid until the next call on the log. `now` is the disk of today. Fast
 * when asked for ascending numbers. */
const struct disk *oplog_disk_at(struct oplog *log, const struct disk *now, uint64_t op);

#endif
