#include "app/figures.h"

#include <assert.h>

#include "core/broker.h"

struct figures_ask {
    struct msg msg;
    struct figures *figures;
};

static void came_back(struct shard *home, struct msg *m)
{
    struct figures *f = container_of(m, struct figures_ask, msg)->figures;
    assert(home == f->home && f->waiting > 0);
    if (--f->waiting == 0)
        f->done(f);
}

static void look(struct shard *s, struct msg *m)
{
    struct figures *f = container_of(m, struct figures_ask, msg)->figures;
    for (size_t i = 0; i < f->count; i++)
        if (f->shards[i] == s->index)
            (void)queue_figures(s, f->ids[i], &f->items[i]);
    m->run = came_back;
    msg_send(s, f->home, m);
}

void figures_gather(struct figures *f, struct arena *a)
{
    struct broker *b = f->home->broker;
    struct figures_ask *asks = arena_array(a, b->shard_count, sizeof(*asks));
    f->ids = arena_array(a, f->count + 1, sizeof(*f->ids));
    f->shards = arena_array(a, f->count + 1, sizeof(*f->shards));
    f->items = arena_array(a, f->count + 1, sizeof(*f->items));
    memset(f->items, 0, (f->count + 1) * sizeof(*f->items));
    for (size_t i = 0; i < f->count; i++) {
        f->ids[i] = f->queues[i]->id;
        f->shards[i] = f->queues[i]->shard;
    }
    f->waiting = b->shard_count;
    for (unsigned i = 0; i < b->shard_count; i++) {
        asks[i].figures = f;
        asks[i].msg.run = look;
        msg_send(f->home, &b->shards[i], &asks[i].msg);
    }
}
