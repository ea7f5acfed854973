/* The invariants of core/queue_impl.h, over every queue of every shard. */
#include "queue_sim.h"

#include "base/map.h"

static struct queue *now; /* being checked */
static struct map places; /* offset + 1 of its level -> the entry there */

static void require(bool ok, const char *what, const struct entry *e)
{
    if (!ok)
        violation("queue %.*s: %s (state %d, pos %llu, offset %lld)", SPAN_ARG(now->info->dest.name), what,
                  e ? e->state : -1, e ? (unsigned long long)e->pos : 0, e ? (long long)e->offset : 0);
}

/* One message in one place, and not in a gap as well. */
static void check_place(struct queue_level *l, struct entry *e)
{
    if (e->level != l)
        return;
    require(e->record == NULL || e->chunk != NULL, "a record without its chunk", e);
    if (e->offset == ENTRY_NO_OFFSET)
        return;
    require(!e->batched, "a message with an offset is still in a batch", e);
    require(!acked_has(&l->acked, e->offset), "an acknowledged message is still there", e);
    require(e->offset < log_next(l->log), "an offset that was not given out", e);
    require(!map_get_u64(&places, e->offset + 1), "one offset in two places", e);
    map_put_u64(&places, e->offset + 1, e);
}

static uint64_t check_gap(struct queue_level *l, struct entry *gap)
{
    uint64_t n = 0;
    require(gap->offset < gap_end(gap) && gap_end(gap) <= log_next(l->log), "a gap without an end", gap);
    for (uint64_t o = gap->offset; o < gap_end(gap); o++) {
        bool own = note_has_place(level_note(l, o, false)), gone = acked_has(&l->acked, o);
        struct entry *e = map_get_u64(&places, o + 1);
        require(!e || own || gone, "a message is in a gap, too", e);
        n += !own && !gone;
    }
    return n;
}

static uint64_t check_ready(struct queue_level *l)
{
    uint64_t n = 0, pos = 0;
    uint32_t loaded = 0;
    list_each (it, &l->ready) {
        struct entry *e = list_entry(it, struct entry, link);
        require(it == list_first(&l->ready) || e->pos >= pos, "ready messages are not sorted", e);
        require(e->state == ENTRY_READY, "in the ready list, in another state", e);
        pos = e->pos + (e->gap ? gap_end(e) - e->offset : 1);
        require(e->gap || e->record || e->offset != ENTRY_NO_OFFSET, "a message without bytes", e);
        loaded += e->record != NULL;
        if (e->gap)
            n += check_gap(l, e);
        else
            n++;
    }
    require(loaded == l->loaded, "the number of loaded messages", NULL);
    return n;
}

static void place_ready(struct queue_level *l)
{
    list_each (it, &l->ready)
        if (!list_entry(it, struct entry, link)->gap)
            check_place(l, list_entry(it, struct entry, link));
}

static void place_list(struct queue_level *l, const struct list *entries)
{
    list_each (it, entries) {
        struct entry *e = list_entry(it, struct entry, link);
        require(e->state == ENTRY_MOVING, "in a move, in another state", e);
        check_place(l, e);
    }
}

static void check_level(struct queue_level *l, uint64_t *ready)
{
    struct entry *e;
    map_init(&places);
    place_ready(l);
    list_each (it, &now->consumers) {
        struct consumer *c = list_entry(it, struct consumer, link);
        for (uint64_t n = 0; (e = leases_next(&c->leases, n, &n)); n++) {
            require(e->state == ENTRY_LEASED, "leased, in another state", e);
            check_place(l, e);
        }
    }
    for (size_t i = 0; i < now->delayed.count; i++) {
        e = container_of(now->delayed.nodes[i], struct entry_delay, node)->entry;
        require(e->state == ENTRY_DELAYED, "delayed, in another state", e);
        check_place(l, e);
    }
    place_list(l, &now->moves);
    place_list(l, &now->moving_list);
    *ready += check_ready(l);
    map_fini(&places);
}

static bool may_take(const struct consumer *c)
{
    return !c->cancelled && !c->get && c->in_flight < c->window &&
           (!now->info->config->single_active || now->single == c) && (!c->limited || c->credit > 0) &&
           (c->no_ack || c->prefetch == 0 || c->unacked < c->prefetch);
}

static void check_consumers(void)
{
    uint64_t unacked = 0;
    list_each (it, &now->consumers) {
        struct consumer *c = list_entry(it, struct consumer, link);
        uint32_t leases = 0;
        for (uint64_t n = 0; leases_next(&c->leases, n, &n); n++)
            leases++;
        require(leases == c->unacked, "the number of a consumer's leases", NULL);
        require(list_linked(&c->active) == may_take(c), "active are not those who may take", NULL);
        unacked += leases;
    }
    require(unacked == now->unacked, "the number of unacknowledged messages", NULL);
}

static void check_queue(struct queue *q)
{
    uint64_t ready = 0, moving = 0;
    now = q;
    for (unsigned n = 0; n < q->level_count; n++)
        if (queue_level_at(q, n))
            check_level(queue_level_at(q, n), &ready);
    if (ready != q->ready)
        violation("queue %.*s: %llu messages are ready, not %llu", SPAN_ARG(q->info->dest.name),
                  (unsigned long long)ready, (unsigned long long)q->ready);
    list_each (it, &q->moving_list)
        moving++;
    require(moving == q->moving, "the number of moves", NULL);
    check_consumers();
}

void check_invariants(void)
{
    for (unsigned i = 0; i < scene.broker->shard_count; i++) {
        struct queue *q;
        for (size_t k = 0; (q = queue_next(scene.broker->shards[i].queues, &k));)
            check_queue(q);
    }
}

bool queues_are_quiet(void)
{
    for (unsigned i = 0; i < scene.broker->shard_count; i++) {
        struct queue *q;
        for (size_t k = 0; (q = queue_next(scene.broker->shards[i].queues, &k));)
            if (q->ready || q->unacked || q->moving || q->delayed.count || !list_empty(&q->moves))
                return false;
    }
    return true;
}
