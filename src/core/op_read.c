/* Reading several logs of one shard, with waiting (long polling): op.h says what, this is how.
 *
 * A pass reads item after item until the budget is used. If it found too little, the read is parked: linked
 * to every partition it asked for, plus a timer. An advance wakes it, and the completions phase makes another
 * pass from the start. What a pass found is dropped when it parks, so a waiting read holds no memory of the
 * log. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/op_impl.h"

static void pass(struct read_park *k);

/* ---- one item ------------------------------------------------------------------------------------------ */

/* KIP-320: the client and the broker must agree on the leader epoch. */
static int check_epoch(const struct log *l, int32_t epoch)
{
    if (epoch < 0 || (uint32_t)epoch == log_epoch(l))
        return 0;
    return (uint32_t)epoch < log_epoch(l) ? ERR_FENCED_EPOCH : ERR_UNKNOWN_EPOCH;
}

/* KIP-595: does the client's last record stand in this log, too? 1: no, and the answer is in the item. */
static int check_divergence(const struct log *l, struct read_item *it)
{
    int32_t epoch;
    int64_t end;
    if (it->last_epoch < 0)
        return 0;
    log_epoch_end(l, it->last_epoch, &epoch, &end);
    if (epoch < 0)
        return ERR_OFFSET_RANGE;
    if (epoch == it->last_epoch && (uint64_t)end >= it->offset)
        return 0;
    it->diverging_epoch = epoch;
    it->diverging_end = end;
    return 1;
}

static void read_done(struct log_read *r, int err);

/* ERR_AGAIN: the disk is being read. Else the item is finished. */
static int read_item(struct read_park *k, struct read_item *it)
{
    const struct op_read *r = k->op;
    it->park = NULL; /* until it is looked for in the log */
    const struct partition *p = partition_find(k->owner, it->log_id);
    if (!p)
        return ERR_NOT_FOUND;
    if (k->owner->saving)
        return ERR_STOPPING;
    it->log_start = log_start(p->log);
    it->durable = log_durable(p->log);
    int err = check_epoch(p->log, it->leader_epoch);
    if (!err)
        err = check_divergence(p->log, it);
    if (err) {
        k->settled = true;
        return err < 0 ? err : 0;
    }
    if (it->offset > it->durable || it->offset < it->log_start)
        return ERR_OFFSET_RANGE;
    uint64_t left = k->total < r->max_bytes ? r->max_bytes - k->total : 0;
    if (it->offset == it->durable || (left == 0 && k->total > 0) || k->full)
        return 0;
    it->park = k;
    it->read = (struct log_read){.offset = it->offset,
                                 .max_bytes = it->max_bytes < left ? it->max_bytes : left,
                                 .at_least_one = k->total == 0,
                                 .done = read_done};
    return log_read(p->log, &it->read);
}

static void finish_item(struct read_park *k, struct read_item *it, int err)
{
    it->err = err;
    if (err)
        k->settled = true;
    else
        k->total += it->read.data.len;
    if (!err && it->park && it->read.data.len == 0 && it->read.max_bytes < it->max_bytes)
        k->full = true;
    k->next++;
}

static void read_done(struct log_read *r, int err)
{
    struct read_item *it = container_of(r, struct read_item, read);
    struct read_park *k = it->park;
    assert(k->reading && &k->op->items[k->next] == it);
    k->reading = false;
    finish_item(k, it, err);
    pass(k);
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static void unpark(struct read_park *k)
{
    shard_timer_cancel(k->owner, &k->timer);
    list_del(&k->woken);
    for (uint32_t i = 0; i <= k->op->count; i++)
        list_del(&k->waits[i].link);
}

static void drop_data(struct op_read *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        log_read_fini(&r->items[i].read);
        r->items[i].read = (struct log_read){0};
    }
}

static void park(struct read_park *k)
{
    drop_data(k->op);
    for (uint32_t i = 0; i < k->op->count; i++) {
        struct partition *p = partition_find(k->owner, k->op->items[i].log_id);
        struct read_wait *w = &k->waits[i];
        if (!p) { /* deleted while another item was read from the disk: the next pass says so */
            read_wake(k->owner, w);
            continue;
        }
        w->log = p->log;
        w->bytes = log_bytes(p->log);
        w->any = log_next(p->log) != log_durable(p->log) || k->total > 0;
        list_add_tail(&p->parked, &w->link);
    }
    if (k->op->count == 0)
        list_add_tail(&k->owner->timed, &k->waits[0].link);
    if (k->op->deadline_mono_ns != UINT64_MAX)
        shard_timer_set(k->owner, &k->timer, k->op->deadline_mono_ns);
}

void read_wake(struct shard *s, struct read_wait *w)
{
    if (!list_linked(&w->park->woken))
        list_add_tail(&s->woken, &w->park->woken);
}

void read_advanced(struct shard *s, struct read_wait *w)
{
    if (w->any || log_bytes(w->log) - w->bytes >= w->park->op->wait_bytes || w->park->op->count > 1)
        read_wake(s, w);
}

static void timeout(struct shard *s, struct shard_timer *t)
{
    read_wake(s, &container_of(t, struct read_park, timer)->waits[0]);
}

/* ---- passes -------------------------------------------------------------------------------------------- */

static void go_home(struct read_park *k);

static bool is_enough(const struct read_park *k)
{
    const struct op_read *r = k->op;
    const struct shard *s = k->owner;
    return k->settled || k->cancelled || k->total >= r->wait_bytes || s->stopping ||
           r->deadline_mono_ns <= s->now_ns;
}

static void pass(struct read_park *k)
{
    struct op_read *r = k->op;
    while (k->next < r->count) {
        struct read_item *it = &r->items[k->next];
        int err = read_item(k, it);
        if (err == ERR_AGAIN) {
            k->reading = true;
            return;
        }
        finish_item(k, it, err);
    }
    if (is_enough(k))
        go_home(k);
    else
        park(k);
}

static void start_pass(struct read_park *k)
{
    unpark(k);
    k->next = 0;
    k->total = 0;
    k->settled = k->full = false;
    pass(k);
}

void read_serve_woken(struct shard *s)
{
    struct list now; /* a pass may park and be woken again: that is for the next turn */
    list_init(&now);
    while (!list_empty(&s->woken)) {
        struct list *l = list_first(&s->woken);
        list_del(l);
        list_add_tail(&now, l);
    }
    while (!list_empty(&now)) {
        struct list *l = list_first(&now);
        list_del(l); /* what wakes it from here on is news */
        start_pass(list_entry(l, struct read_park, woken));
    }
}

/* ---- there and back ------------------------------------------------------------------------------------ */

/* A cancellation on its way lives inside the operation: completion waits until both are back. */
static void arrived(struct shard *home, struct msg *m)
{
    struct op_read *r = container_of(m, struct op_read, op.msg);
    r->arrived = true;
    if (!r->cancelled || r->cancel_back)
        op_done(home, &r->op);
}

static void go_home(struct read_park *k)
{
    struct op_read *r = k->op;
    struct shard *here = k->owner;
    unpark(k);
    r->park = NULL;
    mem_free(k);
    if (here == r->op.home) {
        arrived(here, &r->op.msg);
        return;
    }
    r->op.msg.run = arrived;
    msg_send(here, r->op.home, &r->op.msg);
}

static void start(struct shard *s, struct msg *m)
{
    struct op_read *r = container_of(m, struct op_read, op.msg);
    struct read_park *k = mem_zalloc(sizeof(*k) + (r->count + 1) * sizeof(k->waits[0]));
    k->op = r;
    k->owner = s;
    k->timer.fire = timeout;
    list_init(&k->woken);
    for (uint32_t i = 0; i <= r->count; i++) {
        list_init(&k->waits[i].link);
        k->waits[i].park = k;
    }
    for (uint32_t i = 0; i < r->count; i++)
        r->items[i].diverging_epoch = -1;
    r->park = k;
    start_pass(k);
}

void op_read_submit(struct op_read *r)
{
    op_send(&r->op, op_owner(&r->op, r->shard), start);
}

static void cancel_back(struct shard *home, struct msg *m)
{
    struct op_read *r = container_of(m, struct op_read, cancel);
    r->cancel_back = true;
    if (r->arrived)
        op_done(home, &r->op);
}

static void cancel_park(struct shard *s, struct read_park *k)
{
    if (!k) /* it has left already */
        return;
    k->cancelled = true;
    if (!k->reading)
        read_wake(s, &k->waits[0]);
}

static void cancel_at_owner(struct shard *s, struct msg *m)
{
    struct op_read *r = container_of(m, struct op_read, cancel);
    cancel_park(s, r->park);
    m->run = cancel_back;
    msg_send(s, r->op.home, m);
}

void op_read_cancel(struct op_read *r)
{
    assert(!r->cancelled);
    if (r->arrived)
        return;
    r->cancelled = true;
    if (op_owner(&r->op, r->shard) == r->op.home) {
        r->cancel_back = true;
        cancel_park(r->op.home, r->park);
        return;
    }
    r->cancel.run = cancel_at_owner;
    msg_send(r->op.home, op_owner(&r->op, r->shard), &r->cancel);
}

void op_read_free(struct op_read *r)
{
    if (!r)
        return;
    drop_data(r);
    mem_free(r->items);
    op_free(r);
}
