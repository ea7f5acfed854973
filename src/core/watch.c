#include "core/watch.h"

#include <assert.h>

#include "base/mem.h"
#include "core/broker.h"
#include "core/partition.h"

/* One watch, the owner's. */
struct watch {
    struct list link; /* in partition->watches */
    struct list all;  /* in set->watches */
    struct watch_set *set;
    uint64_t log_id, tag;
    uint64_t high_watermark, start;
};

struct watch_step {
    uint64_t log_id, tag;
    uint64_t high_watermark, start;
    bool drop;
};

/* From the home to the owner, who frees it. */
struct watch_order {
    struct msg msg;
    struct watch_set *set;
    bool close;
    uint32_t count;
    struct watch_step steps[];
};

/* From the owner to the home, who frees it. */
struct watch_report {
    struct msg msg;
    struct watch_set *set;
    uint64_t tag;
};

/* Invariants: (1) a watch is in the partition it looks at; (2) after `closing` was sent to the home, which is
 * the last that comes to it, the owner does not touch the set any more. */
struct watch_set {
    /* Constant. */
    struct shard *home, *owner;
    watch_fired_fn *report;
    void *user;
    /* The home's. */
    struct watch_order *draft;
    uint32_t draft_cap;
    bool deaf; /* closed: reports on their way are not passed on */
    /* The owner's. */
    struct list link; /* in owner->watch_sets, once the first order has come */
    struct list watches;
    struct msg closing;
};

/* ---- the owner ---------------------------------------------------------------------------------------- */

static void free_watch(struct watch *w)
{
    list_del(&w->link);
    list_del(&w->all);
    mem_free(w);
}

static void reported(struct shard *home, struct msg *m)
{
    (void)home;
    struct watch_report *r = container_of(m, struct watch_report, msg);
    if (!r->set->deaf)
        r->set->report(r->set->user, r->tag);
    mem_free(r);
}

/* Sent at once: who is told that its append is durable, and asks then, must find that the watch has fired. */
static void fire(struct watch *w)
{
    struct watch_set *set = w->set;
    uint64_t tag = w->tag;
    free_watch(w);
    if (set->home == set->owner) {
        set->report(set->user, tag);
        return;
    }
    struct watch_report *r = mem_zalloc(sizeof(*r));
    *r = (struct watch_report){.msg.run = reported, .set = set, .tag = tag};
    msg_send(set->owner, set->home, &r->msg);
}

static void look(struct watch *w, const struct log *log)
{
    if (log_durable(log) != w->high_watermark || log_start(log) != w->start)
        fire(w);
}

void watch_look(struct partition *p)
{
    list_each_safe (l, tmp, &p->watches)
        look(list_entry(l, struct watch, link), p->log);
}

void watch_log_deleted(struct partition *p)
{
    list_each_safe (l, tmp, &p->watches)
        fire(list_entry(l, struct watch, link));
}

static void arm(struct watch_set *set, const struct watch_step *step)
{
    struct partition *p = partition_find(set->owner, step->log_id);
    struct watch *w = mem_zalloc(sizeof(*w));
    *w = (struct watch){.set = set,
                        .log_id = step->log_id,
                        .tag = step->tag,
                        .high_watermark = step->high_watermark,
                        .start = step->start};
    list_init(&w->link);
    list_add_tail(&set->watches, &w->all);
    if (!p) {
        fire(w);
        return;
    }
    list_add_tail(&p->watches, &w->link);
    look(w, p->log);
}

static void drop(const struct watch_set *set, uint64_t log_id)
{
    struct partition *p = partition_find(set->owner, log_id);
    if (!p)
        return;
    list_each_safe (l, tmp, &p->watches)
        if (list_entry(l, struct watch, link)->set == set)
            free_watch(list_entry(l, struct watch, link));
}

static void free_set(struct watch_set *set)
{
    assert(list_empty(&set->watches));
    mem_free(set->draft);
    mem_free(set);
}

static void closed(struct shard *home, struct msg *m)
{
    (void)home;
    free_set(container_of(m, struct watch_set, closing));
}

static void drop_all(struct watch_set *set)
{
    list_each_safe (l, tmp, &set->watches)
        free_watch(list_entry(l, struct watch, all));
    list_del(&set->link);
}

static void obey(struct shard *owner, struct msg *m)
{
    struct watch_order *o = container_of(m, struct watch_order, msg);
    struct watch_set *set = o->set;
    if (!list_linked(&set->link))
        list_add_tail(&owner->watch_sets, &set->link);
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->steps[i].drop)
            drop(set, o->steps[i].log_id);
        else
            arm(set, &o->steps[i]);
    }
    if (o->close) {
        drop_all(set);
        if (set->home == owner) {
            free_set(set);
        } else {
            set->closing.run = closed;
            msg_send(owner, set->home, &set->closing);
        }
    }
    mem_free(o);
}

void watch_fini(struct shard *s)
{
    while (!list_empty(&s->watch_sets)) {
        struct watch_set *set = list_entry(list_first(&s->watch_sets), struct watch_set, link);
        drop_all(set);
        free_set(set);
    }
}

/* ---- the home ----------------------------------------------------------------------------------------- */

struct watch_set *watch_new(struct shard *home, unsigned owner, watch_fired_fn *fired, void *user)
{
    struct watch_set *set = mem_zalloc(sizeof(*set));
    assert(owner < home->broker->shard_count);
    set->home = home;
    set->owner = &home->broker->shards[owner];
    set->report = fired;
    set->user = user;
    list_init(&set->link);
    list_init(&set->watches);
    return set;
}

static void add_step(struct watch_set *set, const struct watch_step *step)
{
    if (!set->draft || set->draft->count == set->draft_cap) {
        set->draft_cap = set->draft ? set->draft_cap * 2 : 4;
        struct watch_order *o =
            mem_realloc(set->draft, sizeof(*o) + set->draft_cap * sizeof(struct watch_step));
        if (!set->draft)
            *o = (struct watch_order){.set = set};
        set->draft = o;
    }
    set->draft->steps[set->draft->count++] = *step;
}

void watch_arm(struct watch_set *set, uint64_t log_id, uint64_t tag, uint64_t high_watermark, uint64_t start)
{
    add_step(set, &(struct watch_step){log_id, tag, high_watermark, start, false});
}

void watch_drop(struct watch_set *set, uint64_t log_id)
{
    add_step(set, &(struct watch_step){.log_id = log_id, .drop = true});
}

void watch_send(struct watch_set *set)
{
    struct watch_order *o = set->draft;
    if (!o)
        return;
    set->draft = NULL; /* before it is sent: then the set may be gone */
    if (set->owner == set->home) {
        obey(set->owner, &o->msg);
        return;
    }
    o->msg.run = obey;
    msg_send(set->home, set->owner, &o->msg);
}

void watch_close(struct watch_set *set)
{
    set->deaf = true;
    if (!set->draft) {
        set->draft = mem_zalloc(sizeof(*set->draft));
        set->draft->set = set;
    }
    set->draft->close = true;
    watch_send(set);
}
