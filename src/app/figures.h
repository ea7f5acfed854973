/* Figures of many queues, from the shards where they live: one message to each shard. */
#ifndef COLOBUS_APP_FIGURES_H
#define COLOBUS_APP_FIGURES_H

#include "base/arena.h"
#include "core/msg.h"
#include "core/queue.h"
#include "core/space.h"

struct figures_ask;

/* The caller's until done(), which is called once on `home`, in a later turn. */
struct figures {
    struct shard *home;
    size_t count;
    const struct queue_info *const *queues; /* read before figures_gather() returns */
    struct queue_figures *items;            /* out, in the same order; zero: it is gone */
    void (*done)(struct figures *f);
    /* its own */
    uint64_t *ids;
    unsigned *shards;
    unsigned waiting;
};
/* Its memory is the arena's, which lives as long. */
void figures_gather(struct figures *f, struct arena *a);

#endif
