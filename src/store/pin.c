/* Pins: which part of the journal each record log still needs (of command logs command.c knows), and emptying
 * what the journal wants to recycle.
 *
 * A log needs the journal from its newest state entry, or from its oldest entry that the state does not
 * cover, whichever is older. Recycling flushes the logs that hold much there to their segments, and copies
 * the small remnants of the others forward, so that one cold log pins nothing. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

enum { RECYCLE_PER_TURN = 256 }; /* logs looked at per tick: recycling must not stall the shard */

/* Keeps the list sorted; new pins are nearly always the newest, so searching from the end is short. */
void pin_update(struct log *l)
{
    uint64_t pin = l->unsaved_lsn;
    if (l->state_lsn && (!pin || l->state_lsn < pin))
        pin = l->state_lsn;
    if (pin == l->pin_lsn)
        return;
    l->pin_lsn = pin;
    list_del(&l->pin_link);
    if (pin) {
        struct list *pos = &l->ss->pins;
        while (pos->prev != &l->ss->pins && list_entry(pos->prev, struct log, pin_link)->pin_lsn > pin)
            pos = pos->prev;
        list_insert_before(pos, &l->pin_link);
    }
}

void pin_entry(struct log *l, uint64_t lsn)
{
    if (l->unsaved_lsn)
        return;
    l->unsaved_lsn = lsn;
    pin_update(l);
}

static uint64_t first_pin(const struct store_shard *ss)
{
    return list_entry(ss->pins.next, struct log, pin_link)->pin_lsn;
}

/* The lowest lsn this shard needs. Groups in flight will get lsns above the last one completed. */
static uint64_t lowest(const struct store_shard *ss)
{
    uint64_t low = command_lowest(ss);
    if (!list_empty(&ss->pins))
        low = first_pin(ss) < low ? first_pin(ss) : low;
    if (ss->groups_in_flight && ss->last_lsn < low)
        low = ss->last_lsn;
    uint64_t asked = atomic_load(&ss->recycle_before);
    return low < asked ? low
                       : asked; /* never beyond what the journal itself named: later groups are ours too */
}

/* Tells the journal what all shards together still need. */
void pin_tell(struct store_shard *ss)
{
    struct store *st = ss->st;
    uint64_t low = lowest(ss);
    if (low == ss->told_pin)
        return;
    ss->told_pin = low;
    atomic_store(&st->pins[ss->index], low);
    for (unsigned i = 0; i < st->opt.shards; i++) {
        uint64_t other = atomic_load(&st->pins[i]);
        if (other < low)
            low = other;
    }
    if (low)
        st->journal->ops->drop_before(st->journal, low);
}

/* ---- recycling ---- */

static uint64_t remnant_bytes(const struct log *l, uint64_t before)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->tail_durable; i++)
        if (tail_at(&l->tail, i)->lsn < before)
            sum += tail_at(&l->tail, i)->len;
    return sum;
}

/* Everything unsaved is still in the tail, and what lies there is small: worth copying. But copies of all
 * that is small must stay well below what recycling frees, or the journal would only chase its own tail:
 * beyond a quarter of a file for each time that recycling is asked for, logs go to segments however small
 * they are. */
static bool is_remnant(struct log *l, uint64_t before)
{
    if (l->damaged)
        return true; /* only its state */
    struct store_shard *ss = l->ss;
    uint64_t file = ss->st->opt.journal_file_bytes;
    uint64_t limit = REMNANT_BYTES < file / 16 ? REMNANT_BYTES : file / 16;
    if (l->config.durability != LOG_FSYNC || l->saved != l->written)
        return false;
    uint64_t bytes = remnant_bytes(l, before);
    if (bytes >= limit || ss->copied_bytes + bytes > file / 4 / ss->st->opt.shards)
        return false;
    ss->copied_bytes += bytes;
    return true;
}

static int copy_forward(struct log *l, uint64_t before)
{
    for (size_t i = 0; i < l->tail_durable; i++) {
        const struct tail_batch *b = tail_at(&l->tail, i);
        if (b->lsn >= before)
            continue;
        int err = group_admit(l->ss, b->len, true);
        if (err)
            return err;
        struct journal_entry e = {
            .log_id = l->id,
            .base = b->base,
            .epoch = (uint32_t)batch_leader_epoch(b->ptr),
            .type = JOURNAL_BATCH,
            .flags = JOURNAL_COPIED,
            .body = span_of(b->ptr, b->len),
            .chunk = chunk_ref(b->chunk),
            .user = l,
        };
        group_add(l->ss, &e);
    }
    size_t len;
    uint8_t *state = state_encode(l, l->next, &len);
    state_append(l, state, len, l->next);
    return 0;
}

/* One log leaves the part of the journal before `before`. False: no more can be started this turn. */
static bool leave(struct log *l, uint64_t before)
{
    if (l->flush || l->saving)
        return true; /* on its way */
    if (l->damaged && l->unsaved_lsn)
        return true; /* its records could not be saved: they stay, and the journal with them */
    if (is_remnant(l, before))
        return copy_forward(l, before) == 0;
    return flush_start(l, true);
}

void pin_recycle(struct store_shard *ss)
{
    uint64_t before = atomic_load(&ss->recycle_before);
    unsigned budget = RECYCLE_PER_TURN;
    if (before != ss->recycling) {
        ss->recycling = before;
        ss->copied_bytes = 0;
    }
    command_recycle(ss, before);
    list_each_safe (it, tmp, &ss->pins) {
        struct log *l = list_entry(it, struct log, pin_link);
        if (l->pin_lsn >= before || budget-- == 0 || !leave(l, before))
            break;
    }
    pin_tell(ss);
}
