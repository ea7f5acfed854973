/* A core for tests and fuzzing of this front end alone: topics and logs in memory, operations that complete
 * when the test says so. One thread; the connection lives on shard 0, partitions are dealt out to all shards.
 */
#ifndef COLOBUS_PROTO_KAFKA_FAKE_CORE_H
#define COLOBUS_PROTO_KAFKA_FAKE_CORE_H

#include "core/broker.h"
#include "core/group.h"
#include "core/op.h"
#include "proto/kafka/kafka.h"

enum { FAKE_SHARDS = 3, FAKE_TOPICS = 16, FAKE_LOGS = 64, FAKE_BATCHES = 64 };

struct fake_log {
    uint64_t id; /* 0: free; else its place + 1 */
    uint64_t start, next;
    uint32_t count;
    struct slice batches[FAKE_BATCHES]; /* one reference each */
    uint64_t bases[FAKE_BATCHES];
};

struct fake_core;

struct fake_pending {
    struct op *op;
    void (*run)(struct fake_core *core, struct op *op, bool *ret_done);
};

struct fake_core {
    struct broker broker;
    struct shard shards[FAKE_SHARDS];
    struct config config;
    struct topic *topics[FAKE_TOPICS];
    struct fake_log logs[FAKE_LOGS];
    struct chunk_pool log_pool;
    struct fake_pending *pending; /* submitted and not complete, in order */
    unsigned op_count, op_cap;
    bool newest_first;                      /* complete in the reverse order of submission */
    int append_err;                         /* every append fails with it */
    int group_err;                          /* every operation on groups fails with it */
    void (*group_hook)(struct op_group *g); /* answers them instead of fake_group.c */
    int64_t next_producer_id;
    uint64_t submitted;
    uint64_t items_read;    /* by all reads, each time they look */
    struct list watch_sets; /* of fake_watch.c */
};

struct fake_client {
    struct fake_core *core;
    struct conn conn;
    struct listener_info listener;
    struct chunk *input;
    size_t taken; /* of input, consumed */
    bool closed;
};

void fake_core_init(struct fake_core *core);
/* Everything submitted must have completed (asserted). */
void fake_core_fini(struct fake_core *core);
struct topic *fake_topic(struct fake_core *core, const char *name, uint32_t partitions);
struct fake_log *fake_log_of(struct fake_core *core, const struct topic *t, uint32_t partition);
/* Queues an operation; run() is called until it says that it is done. */
void fake_submit(struct op *op, void (*run)(struct fake_core *core, struct op *op, bool *ret_done));
/* Completes what can be, until only reads that wait are left. */
void fake_run(struct fake_core *core);
void fake_advance_ms(struct fake_core *core, struct fake_client *client, uint64_t ms);

/* Reports what has fired; false: nothing. fake_run() does it. */
bool fake_watch_run(struct fake_core *core);
unsigned fake_watch_count(const struct fake_core *core);
void fake_watch_fini(struct fake_core *core);

void fake_client_open(struct fake_client *client, struct fake_core *core);
/* Bytes arrive; the front end sees them as long as it may read. Nothing is completed. */
void fake_client_send(struct fake_client *client, struct span bytes);
/* What it has to send, as one run of bytes; valid until the next call. It stays queued. */
struct span fake_client_output(struct fake_client *client, uint8_t *buf, size_t cap);
void fake_client_close(struct fake_client *client);

#endif
