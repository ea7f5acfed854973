/* Questions about logs: offsets by time (ListOffsets) and where epochs end (OffsetForLeaderEpoch). */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"

static int check_epoch(const struct log *l, int32_t epoch)
{
    if (epoch < 0 || (uint32_t)epoch == log_epoch(l))
        return 0;
    return (uint32_t)epoch < log_epoch(l) ? ERR_FENCED_EPOCH : ERR_UNKNOWN_EPOCH;
}

/* ---- offsets ------------------------------------------------------------------------------------------- */

/* The epoch that the record at `offset` was written in. Epochs grow with unclean restarts only, so few. */
static int32_t epoch_at(const struct log *l, uint64_t offset)
{
    int32_t present = (int32_t)log_epoch(l);
    for (int32_t e = 0; e < present; e++) {
        int32_t epoch;
        int64_t end;
        log_epoch_end(l, e, &epoch, &end);
        if (epoch >= 0 && offset < (uint64_t)end)
            return epoch;
    }
    return present;
}

static void answer(struct offset_item *it, uint64_t offset, int32_t epoch)
{
    it->offset = (int64_t)offset;
    it->ret_epoch = epoch;
}

enum { LOOK_ON = 1 }; /* the answer may lie further on */

/* What the batch found by log_find_time() says. Its first records may lie below the log's start, and then
 * what was found of it may be one of those. */
static int time_in_batch(struct op_offsets *o, struct offset_item *it, struct span batch)
{
    int64_t offset, timestamp;
    int err =
        records_find_timestamp(o->owner->compressor, batch, o->owner->config->kafka_max_decompressed_bytes,
                               (int64_t)o->from, it->timestamp, &offset, &timestamp);
    if (err)
        return err == ERR_NOT_FOUND ? LOOK_ON : err;
    answer(it, (uint64_t)offset, batch_leader_epoch(batch.ptr));
    it->ret_timestamp = timestamp;
    return 0;
}

/* The same for the largest timestamp. If it was below the log's start in this batch, the largest of those
 * above may be in another one. */
static int maximum_in_batch(struct op_offsets *o, struct offset_item *it, struct span batch)
{
    int64_t offset, timestamp;
    int err =
        records_max_timestamp(o->owner->compressor, batch, o->owner->config->kafka_max_decompressed_bytes,
                              (int64_t)o->from, &offset, &timestamp);
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (!err && timestamp > it->ret_timestamp) {
        answer(it, (uint64_t)offset, batch_leader_epoch(batch.ptr));
        it->ret_timestamp = timestamp;
    }
    return !err && timestamp == batch_max_timestamp(batch.ptr) ? 0 : LOOK_ON;
}

static int answer_from_batch(struct op_offsets *o, struct offset_item *it, struct span batch, uint64_t start)
{
    if (o->from < start)
        o->from = start;
    int err =
        it->timestamp == OFFSET_MAX_TIMESTAMP ? maximum_in_batch(o, it, batch) : time_in_batch(o, it, batch);
    o->from = (uint64_t)batch_next_offset(batch.ptr);
    return err;
}

static struct span gather(const struct rope *r, uint8_t *copy)
{
    size_t at = 0;
    for (size_t i = 0; i < r->count; i++) {
        memcpy(copy + at, r->slices[i].ptr, r->slices[i].len);
        at += r->slices[i].len;
    }
    return span_of(copy, at);
}

static int use_batch(struct op_offsets *o, struct offset_item *it, int err)
{
    const struct partition *p = partition_find(o->owner, it->log_id);
    const struct rope *r = &o->read.data;
    uint8_t *copy = NULL;
    if (!err && !p)
        err = ERR_NOT_FOUND;
    if (!err && r->len >= BATCH_HEADER_BYTES) {
        struct span batch;
        if (r->count == 1) {
            batch = span_of(r->slices[0].ptr, r->slices[0].len);
        } else {
            copy = mem_alloc(r->len);
            batch = gather(r, copy);
        }
        err = answer_from_batch(o, it, batch, log_start(p->log));
    }
    mem_free(copy);
    log_read_fini(&o->read);
    o->read = (struct log_read){0};
    return err;
}

static void offsets_rest(struct op_offsets *o);
static void found(struct log_read *r, int err);

/* ERR_AGAIN: the disk is being read. */
static int find_time(struct op_offsets *o, struct offset_item *it)
{
    int err;
    do {
        const struct partition *p = partition_find(o->owner, it->log_id);
        if (!p)
            return ERR_NOT_FOUND;
        o->read = (struct log_read){.done = found, .offset = o->from};
        err = it->timestamp == OFFSET_MAX_TIMESTAMP ? log_find_max(p->log, &o->read)
                                                    : log_find_time(p->log, it->timestamp, &o->read);
        if (err != ERR_AGAIN)
            err = use_batch(o, it, err);
    } while (err == LOOK_ON);
    return err;
}

static void found(struct log_read *r, int err)
{
    struct op_offsets *o = container_of(r, struct op_offsets, read);
    struct offset_item *it = &o->items[o->next];
    err = use_batch(o, it, err);
    if (err == LOOK_ON)
        err = find_time(o, it);
    if (err == ERR_AGAIN)
        return;
    it->err = err;
    o->next++;
    offsets_rest(o);
}

static int offset_one(struct op_offsets *o, struct offset_item *it)
{
    const struct partition *p = partition_find(o->owner, it->log_id);
    it->offset = it->ret_timestamp = -1;
    it->ret_epoch = -1;
    o->from = 0;
    if (!p)
        return ERR_NOT_FOUND;
    struct log *l = p->log;
    if (log_damaged(l))
        return ERR_CORRUPT;
    if (o->owner->saving)
        return ERR_STOPPING;
    int err = check_epoch(l, it->leader_epoch);
    if (err)
        return err;
    switch (it->timestamp) {
    case OFFSET_LATEST:
        answer(it, log_durable(l), (int32_t)log_epoch(l));
        return 0;
    case OFFSET_EARLIEST:
    case OFFSET_EARLIEST_LOCAL:
        answer(it, log_start(l), epoch_at(l, log_start(l)));
        return 0;
    case OFFSET_LATEST_TIERED:
        return 0;
    default:
        return it->timestamp < OFFSET_MAX_TIMESTAMP ? ERR_UNSUPPORTED : find_time(o, it);
    }
}

static void offsets_rest(struct op_offsets *o)
{
    while (o->next < o->count) {
        struct offset_item *it = &o->items[o->next];
        int err = offset_one(o, it);
        if (err == ERR_AGAIN)
            return;
        it->err = err;
        o->next++;
    }
    op_return(o->owner, &o->op);
}

static void start_offsets(struct shard *s, struct msg *m)
{
    struct op_offsets *o = container_of(m, struct op_offsets, op.msg);
    o->owner = s;
    offsets_rest(o);
}

void op_offsets_submit(struct op_offsets *o)
{
    op_send(&o->op, op_owner(&o->op, o->shard), start_offsets);
}

void op_offsets_free(struct op_offsets *o)
{
    if (!o)
        return;
    mem_free(o->items);
    op_free(o);
}

/* ---- epochs -------------------------------------------------------------------------------------------- */

static int epoch_one(struct shard *s, struct epoch_item *it)
{
    const struct partition *p = partition_find(s, it->log_id);
    it->ret_epoch = -1;
    it->ret_end = -1;
    if (!p)
        return ERR_NOT_FOUND;
    int err = check_epoch(p->log, it->leader_epoch);
    if (err)
        return err;
    if (it->epoch == (int32_t)log_epoch(p->log)) { /* the present epoch ends where the log does */
        it->ret_epoch = it->epoch;
        it->ret_end = (int64_t)log_durable(p->log);
        return 0;
    }
    if (it->epoch >= 0 && it->epoch < (int32_t)log_epoch(p->log))
        log_epoch_end(p->log, it->epoch, &it->ret_epoch, &it->ret_end);
    return 0;
}

static void start_epochs(struct shard *s, struct msg *m)
{
    struct op_epochs *e = container_of(m, struct op_epochs, op.msg);
    for (uint32_t i = 0; i < e->count; i++)
        e->items[i].err = epoch_one(s, &e->items[i]);
    op_return(s, &e->op);
}

void op_epochs_submit(struct op_epochs *e)
{
    op_send(&e->op, op_owner(&e->op, e->shard), start_epochs);
}

void op_epochs_free(struct op_epochs *e)
{
    if (!e)
        return;
    mem_free(e->items);
    op_free(e);
}
