#include "os/sim/oplog.h"

#include <assert.h>

void oplog_start(struct oplog *log, const struct disk *d)
{
    if (log->on)
        return;
    log->on = true;
    log->base = d->ops;
}

void oplog_stop(struct oplog *log)
{
    for (size_t i = 0; i < log->count; i++)
        disk_op_fini(&log->ops[i]);
    for (size_t i = 0; i < log->checkpoint_count; i++)
        disk_free(log->checkpoints[i]);
    disk_free(log->cursor);
    log->cursor = NULL;
    log->count = log->checkpoint_count = 0;
    log->on = false;
}

void oplog_fini(struct oplog *log)
{
    oplog_stop(log);
    sim_free(log->ops);
    sim_free(log->checkpoints);
    sim_free(log->marks);
    *log = (struct oplog){0};
}

void oplog_add(struct oplog *log, const struct disk *d, const struct disk_op *op)
{
    if (!log->on)
        return;
    assert(log->base + log->count == d->ops);
    if (log->count % OPLOG_STRIDE == 0) {
        log->checkpoints =
            sim_grow(log->checkpoints, log->checkpoint_count, &log->checkpoint_cap, sizeof *log->checkpoints);
        log->checkpoints[log->checkpoint_count++] = disk_clone(d);
    }
    log->ops = sim_grow(log->ops, log->count, &log->cap, sizeof *log->ops);
    log->ops[log->count++] = disk_op_copy(op);
}

void oplog_mark(struct oplog *log, uint64_t op, uint64_t value)
{
    log->marks = sim_grow(log->marks, log->mark_count, &log->mark_cap, sizeof *log->marks);
    log->marks[log->mark_count++] = (struct oplog_mark){op, value};
}

uint64_t oplog_mark_before(const struct oplog *log, uint64_t op)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < log->mark_count && log->marks[i].op < op; i++)
        if (log->marks[i].value > highest)
            highest = log->marks[i].value;
    return highest;
}

const struct disk *oplog_disk_at(struct oplog *log, const struct disk *now, uint64_t op)
{
    if (op == now->ops)
        return now;
    assert(log->on && op >= log->base && op < now->ops);
    size_t nearest = (size_t)((op - log->base) / OPLOG_STRIDE);
    uint64_t from = log->base + (uint64_t)nearest * OPLOG_STRIDE;
    if (!log->cursor || log->cursor->ops > op || log->cursor->ops < from) {
        disk_free(log->cursor);
        log->cursor = disk_clone(log->checkpoints[nearest]);
    }
    while (log->cursor->ops < op)
        disk_apply(log->cursor, &log->ops[log->cursor->ops - log->base]);
    return log->cursor;
}
