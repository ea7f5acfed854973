/* core/watch.h over the fake core: fake_run() looks at every log. */
#include <assert.h>

#include "base/mem.h"
#include "core/watch.h"
#include "proto/kafka/fake_core.h"

struct fake_watch {
    struct list link;
    uint64_t log_id, tag, high_watermark, start;
};

struct watch_set {
    struct list link; /* in core->watch_sets */
    struct fake_core *core;
    unsigned owner;
    watch_fired_fn *report;
    void *user;
    struct list watches;
};

struct watch_set *watch_new(struct shard *home, unsigned owner, watch_fired_fn *fired, void *user)
{
    struct watch_set *set = mem_zalloc(sizeof(*set));
    set->core = container_of(home->broker, struct fake_core, broker);
    set->owner = owner;
    set->report = fired;
    set->user = user;
    list_init(&set->watches);
    list_add_tail(&set->core->watch_sets, &set->link);
    return set;
}

void watch_arm(struct watch_set *set, uint64_t log_id, uint64_t tag, uint64_t high_watermark, uint64_t start)
{
    struct fake_watch *w = mem_zalloc(sizeof(*w));
    assert((log_id - 1) % FAKE_SHARDS == set->owner);
    *w = (struct fake_watch){.log_id = log_id, .tag = tag, .high_watermark = high_watermark, .start = start};
    list_add_tail(&set->watches, &w->link);
}

static void free_watch(struct fake_watch *w)
{
    list_del(&w->link);
    mem_free(w);
}

void watch_drop(struct watch_set *set, uint64_t log_id)
{
    list_each_safe (l, tmp, &set->watches)
        if (list_entry(l, struct fake_watch, link)->log_id == log_id)
            free_watch(list_entry(l, struct fake_watch, link));
}

void watch_send(struct watch_set *set)
{
}

void watch_close(struct watch_set *set)
{
    list_each_safe (l, tmp, &set->watches)
        free_watch(list_entry(l, struct fake_watch, link));
    list_del(&set->link);
    mem_free(set);
}

static bool has_fired(const struct fake_core *core, const struct fake_watch *w)
{
    const struct fake_log *l = &core->logs[w->log_id - 1];
    return l->id != w->log_id || l->next != w->high_watermark || l->start != w->start;
}

bool fake_watch_run(struct fake_core *core)
{
    bool any = false;
    list_each_safe (s, next, &core->watch_sets) {
        struct watch_set *set = list_entry(s, struct watch_set, link);
        list_each_safe (l, tmp, &set->watches) {
            struct fake_watch *w = list_entry(l, struct fake_watch, link);
            uint64_t tag = w->tag;
            if (!has_fired(core, w))
                continue;
            free_watch(w);
            set->report(set->user, tag);
            any = true;
        }
    }
    return any;
}

unsigned fake_watch_count(const struct fake_core *core)
{
    unsigned n = 0;
    list_each (s, &core->watch_sets)
        list_each (l, &list_entry(s, struct watch_set, link)->watches)
            n++;
    return n;
}

void fake_watch_fini(struct fake_core *core)
{
    while (!list_empty(&core->watch_sets))
        watch_close(list_entry(list_first(&core->watch_sets), struct watch_set, link));
}
