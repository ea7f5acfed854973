/* A shard: one event loop with its connections, logs, timers and mailbox. No shard touches another's state. */
#ifndef COLOBUS_CORE_SHARD_H
#define COLOBUS_CORE_SHARD_H

#include "base/chunk.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/config.h"
#include "core/handle.h"
#include "core/metrics.h"
#include "core/msg.h"
#include "os/os.h"
#include "store/store.h"

struct broker;
struct compressor;

/* The parts of the turn that connections and listeners (proto/) fill in. */
struct shard_hooks {
    void (*input)(struct shard *s); /* feed what arrived to the front ends */
    void (*flush)(struct shard *s); /* write what was queued */
    void (*stop)(struct shard *s);  /* no new connections; finish the old ones */
};

/* The turn, in this order: mailboxes, input, timers, journal submit, completions, flush.
 * Completions may queue output and messages; messages to itself are run in the next turn. */
struct shard {
    struct broker *broker;
    unsigned index;
    struct os_loop *loop;
    struct store_shard *store;
    const struct config *config;
    const struct shard_hooks *hooks;

    uint64_t now_ns;  /* sampled once per turn */
    int64_t now_ms;   /* wall clock, sampled once per turn */

    _Atomic(struct msg *) inbox; /* newest first; taken whole */
    struct heap timers;          /* struct shard_timer */
    struct handle_table conns;
    struct list ready, flush;    /* of struct conn */
    struct heap conn_deadlines;

    struct chunk_pool input_pool, output_pool, read_pool;
    struct compressor *compressor; /* scratch of this shard */
    struct map topics_by_name, topics_by_id; /* struct topic: this shard's replica */
    struct map partitions;         /* log id -> struct partition, those that live here */
    struct metrics_shard *metrics;

    bool stopping;
};

struct shard_timer {
    struct heap_node node;
    void (*fire)(struct shard *s, struct shard_timer *t);
};

void shard_timer_set(struct shard *s, struct shard_timer *t, uint64_t deadline_mono_ns); /* moves it if set */
void shard_timer_cancel(struct shard *s, struct shard_timer *t);

#endif
