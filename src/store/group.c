/* This turn's journal group: entries are added while the turn runs, submitted at its end, and completed when
 * the journal's thread reports them durable. Who waits is called in the completion phase, never earlier. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"

enum { SPARE_GROUPS = 4 };

/* On the journal's thread: hand over and wake. */
static void group_done(struct journal_group *g)
{
    struct store_group *sg = container_of(g, struct store_group, g);
    struct store_shard *ss = sg->ss;
    struct journal_group *head = atomic_load_explicit(&ss->completed, memory_order_relaxed);
    struct os_loop *loop = ss->loop;
    do {
        g->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&ss->completed, &head, g, memory_order_release,
                                                    memory_order_relaxed));
    if (!head) /* else whoever pushed first has woken it */
        os_loop_wake(loop);
}

static struct store_group *group_new(struct store_shard *ss)
{
    struct store_group *sg = ss->spare_groups;
    if (sg)
        ss->spare_groups = sg->g.owner;
    else
        sg = mem_zalloc(sizeof(*sg));
    struct journal_entry *entries = sg->g.entries;
    uint32_t cap = sg->g.cap;
    *sg = (struct store_group){.g = {.entries = entries, .cap = cap, .done = group_done}, .ss = ss};
    sg->waits_tail = &sg->waits;
    return sg;
}

static void group_free(struct store_group *sg)
{
    struct store_shard *ss = sg->ss;
    unsigned kept = 0;
    for (struct store_group *x = ss->spare_groups; x; x = x->g.owner)
        kept++;
    if (kept < SPARE_GROUPS && sg->g.cap <= 4096) {
        sg->g.owner = ss->spare_groups;
        ss->spare_groups = sg;
        return;
    }
    mem_free(sg->g.entries);
    mem_free(sg);
}

/* Sets journal space aside for one entry, before anything is changed. */
int group_admit(struct store_shard *ss, uint64_t body_len, bool internal)
{
    struct store *st = ss->st;
    if (atomic_load_explicit(&st->failed, memory_order_relaxed))
        return ERR_IO;
    uint64_t bytes = journal_entry_bytes(body_len);
    if (bytes > journal_max_group_bytes(st->journal) - 4096)
        return ERR_TOO_LARGE;
    if (ss->group && journal_entry_bytes(0) * ss->group->g.count + ss->group->g.body_bytes + bytes >
                         journal_max_group_bytes(st->journal) / 2)
        store_shard_submit(ss);
    if (!ss->group) {
        bytes += 4096 + 64; /* directory header and padding */
    }
    int err = st->journal->ops->admit(st->journal, bytes, internal);
    if (err)
        return err;
    if (!ss->group)
        ss->group = group_new(ss);
    ss->group->g.admitted += bytes;
    return 0;
}

void group_add(struct store_shard *ss, const struct journal_entry *e)
{
    struct journal_group *g = &ss->group->g;
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 32;
        g->entries = mem_realloc(g->entries, g->cap * sizeof(*g->entries));
    }
    g->entries[g->count++] = *e;
    g->body_bytes += e->body.len;
    if (e->user)
        ((struct log *)e->user)->refs++;
}

void store_shard_submit(struct store_shard *ss)
{
    struct store_group *sg = ss->group;
    if (sg && sg->g.count) {
        ss->group = NULL;
        ss->newest = sg;
        ss->groups_in_flight++;
        ss->st->journal->ops->submit(ss->st->journal, &sg->g);
    }
    flush_os(ss);
}

static void wait_push(struct store_wait ***tail, struct store_wait *w)
{
    w->next = NULL;
    **tail = w;
    *tail = &w->next;
}

void store_wait(struct store_shard *ss, struct store_wait *w)
{
    if (ss->group && ss->group->g.count) {
        wait_push(&ss->group->waits_tail, w);
    } else if (ss->groups_in_flight) {
        wait_push(&ss->newest->waits_tail, w);
    } else {
        wait_push(&ss->ready_tail, w);
        os_loop_wake(ss->loop);
    }
}

static void call_waits(struct store_wait *w, int err)
{
    while (w) {
        struct store_wait *next = w->next;
        w->done(w, err);
        w = next;
    }
}

/* ---- completion: one entry of a durable group --------------------------------------------------------- */

static void batch_durable(struct log *l, const struct journal_entry *e, uint64_t lsn)
{
    if (e->flags & JOURNAL_COPIED) { /* the copy replaces the original as what pins the journal */
        size_t i = tail_find(&l->tail, e->base);
        if (i < l->tail.count && tail_at(&l->tail, i)->base == e->base)
            tail_at(&l->tail, i)->lsn = lsn;
        return;
    }
    struct tail_batch *b = tail_at(&l->tail, l->tail_durable++);
    assert(b->base == e->base);
    b->lsn = lsn;
    pin_entry(l, lsn);
    l->durable = b->base + b->count;
}

static void state_durable(struct log *l, const struct journal_entry *e, uint64_t lsn)
{
    l->saving = false;
    l->state_lsn = lsn;
    l->saved = l->written;
    l->unsaved_lsn = 0;
    for (size_t i = 0; i < l->segment_count; i++)
        l->segments[i]->synced_len = l->segments[i]->len;
    for (size_t i = 0; i < l->tail_durable && l->config.durability == LOG_FSYNC; i++) {
        uint64_t at = tail_at(&l->tail, i)->lsn;
        if (!l->unsaved_lsn || at < l->unsaved_lsn)
            l->unsaved_lsn = at;
    }
    state_replaced(l);
    pin_update(l);
}

static void entry_durable(struct store_shard *ss, const struct journal_entry *e, uint64_t lsn)
{
    struct log *l = e->user;
    if (l && l->deleted)
        return;
    switch (e->type) {
    case JOURNAL_BATCH:
        batch_durable(l, e, lsn);
        break;
    case JOURNAL_STATE:
        if (l)
            state_durable(l, e, lsn);
        else
            command_durable(ss, e, lsn);
        break;
    case JOURNAL_COMMAND:
        command_durable(ss, e, lsn);
        break;
    case JOURNAL_START:
        pin_entry(l, lsn);
        break;
    default:
        break;
    }
}

static void entry_release(struct journal_entry *e)
{
    chunk_unref(e->chunk);
    if (!e->chunk)
        mem_free((void *)e->body.ptr); /* a state's or a command's own copy */
    if (e->user)
        log_unref(e->user);
}

static void group_finish(struct store_shard *ss, struct store_group *sg)
{
    struct journal_group *g = &sg->g;
    int err = g->err;
    ss->groups_in_flight--;
    if (ss->newest == sg)
        ss->newest = NULL;
    for (uint32_t i = 0; i < g->count && !err; i++)
        entry_durable(ss, &g->entries[i], g->lsn);
    if (!err)
        ss->last_lsn = g->lsn;
    struct log *previous = NULL; /* tell once per log, not once per batch */
    for (uint32_t i = 0; i < g->count; i++) {
        struct log *l = g->entries[i].user;
        if (!err && l && l != previous && g->entries[i].type == JOURNAL_BATCH && !l->deleted)
            ss->st->ev.advanced(ss->st->ev.arg, l);
        previous = l;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        entry_release(&g->entries[i]);
    }
    call_waits(sg->waits, err);
    group_free(sg);
}

/* What the journal reported since the last turn, oldest first. */
void group_complete(struct store_shard *ss)
{
    struct journal_group *g = atomic_exchange_explicit(&ss->completed, NULL, memory_order_acquire),
                         *fifo = NULL;
    while (g) {
        struct journal_group *next = g->next;
        g->next = fifo;
        fifo = g;
        g = next;
    }
    while (fifo) {
        struct journal_group *next = fifo->next;
        group_finish(ss, container_of(fifo, struct store_group, g));
        fifo = next;
    }
    struct store_wait *ready = ss->ready;
    ss->ready = NULL;
    ss->ready_tail = &ss->ready;
    call_waits(ready, atomic_load(&ss->st->failed) ? ERR_IO : 0);
}

static void discard(struct store_group *sg)
{
    for (uint32_t i = 0; i < sg->g.count; i++) {
        sg->g.entries[i].user = NULL; /* logs are freed one by one afterwards */
        entry_release(&sg->g.entries[i]);
    }
    mem_free(sg->g.entries);
    mem_free(sg);
}

void group_discard(struct store_shard *ss)
{
    struct journal_group *g = atomic_exchange(&ss->completed, NULL);
    while (g) {
        struct journal_group *next = g->next;
        discard(container_of(g, struct store_group, g));
        g = next;
    }
    if (ss->group)
        discard(ss->group);
    while (ss->spare_groups) {
        struct store_group *sg = ss->spare_groups;
        ss->spare_groups = sg->g.owner;
        sg->g.count = 0;
        discard(sg);
    }
}
