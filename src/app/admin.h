/* The management port: health, metrics, topics and a page for people, over HTTP.
 *
 * It knows the broker only through struct admin_backend, so it is tested without one. */
#ifndef COLOBUS_APP_ADMIN_H
#define COLOBUS_APP_ADMIN_H

#include "base/arena.h"
#include "core/config.h"
#include "core/group.h"
#include "core/metrics.h"
#include "proto/http/http.h"

/* ---- what the broker provides -------------------------------------------------------------------------- */

enum admin_status { ADMIN_OK, ADMIN_DEGRADED, ADMIN_FAILED };

struct admin_health {
    enum admin_status status;
    char reason[200]; /* empty if ok */
};

struct admin_partition {
    unsigned shard;
    uint64_t start, end; /* log start, and the offset after the last durable record */
    uint64_t bytes;
    int err; /* 0, or why this log cannot be used */
};

struct admin_config {
    struct span name, value;
    bool is_default;
};

struct admin_topic {
    struct span name;
    uint8_t id[16];
    const struct admin_partition *partitions;
    size_t partition_count;
    const struct admin_config *configs; /* of ADMIN_TOPIC_DESCRIBE only */
    size_t config_count;
};

struct admin_offset {
    const struct admin_topic *topic; /* NULL: it is gone */
    uint32_t partition;
    int64_t offset;
    uint64_t start, end,
        lag; /* lag: records from the position, or the start if that is behind it, to the end */
    struct span metadata;
};

struct admin_group {
    struct span name, protocol_type, protocol;
    const char *state;
    uint32_t member_count;
    const struct admin_offset *offsets; /* by topic and partition */
    size_t offset_count;
    uint64_t lag; /* the sum */
    /* of ADMIN_GROUP_DESCRIBE only */
    int32_t generation;
    const struct group_member_info *members;
};

/* Of queues and exchanges, for the page. */
enum { ADMIN_PAGE_ROWS = 1000, ADMIN_PAGE_BINDINGS = 20 };

struct admin_queue {
    struct span name, vhost, policy; /* policy null: none */
    const char *type;
    unsigned features; /* bits of enum queue_feature */
    uint64_t ready, unacked, consumers;
    uint64_t in, out; /* messages since it or the broker began to live */
};

struct admin_binding {
    struct span key, dest;
    const char *kind; /* "queue", "exchange", "topic" */
    bool has_args;
};

struct admin_exchange {
    struct span name, vhost, alternate; /* alternate null: none */
    const char *type;
    bool durable, auto_delete, internal;
    const struct admin_binding *bindings; /* the first ADMIN_PAGE_BINDINGS */
    size_t binding_count, binding_total;
};

/* What is listened to without a queue (core/subject.h). */
enum admin_heard_kind { ADMIN_CHANNELS, ADMIN_PATTERNS, ADMIN_SHARD_CHANNELS, ADMIN_HEARD_KINDS };
enum {
    ADMIN_HEARD_PAGE = 200,  /* of each kind, on the page */
    ADMIN_HEARD_MAX = 10000, /* of each kind, in an answer */
    ADMIN_HEARD_BYTES = 512, /* of a text that are told: clients make them up, of any length */
};

struct admin_heard {
    struct span text; /* up to ADMIN_HEARD_BYTES of its `bytes` */
    size_t bytes;
    struct span vhost;
    uint64_t subscriptions;
};

struct admin_heard_list {
    const struct admin_heard *items; /* most subscriptions first, then by virtual host and text */
    size_t count, texts;             /* the first `count` of so many */
    uint64_t subscriptions;          /* of all of them */
};

enum admin_op {
    ADMIN_TOPIC_LIST,     /* all that the actor may see, sorted by name, with their partitions */
    ADMIN_TOPIC_DESCRIBE, /* `name`, with its configs */
    ADMIN_TOPIC_CREATE,   /* `name`, `partitions`, `configs`; may answer with the topic */
    ADMIN_TOPIC_DELETE,   /* `name` */
    ADMIN_TOPIC_CONFIG,   /* `name`, `configs`: sets these, a null value goes back to the default; answers as
                             ADMIN_TOPIC_DESCRIBE */
    ADMIN_GROUP_LIST,     /* all that the actor may see, sorted by name, and all topics */
    ADMIN_GROUP_DESCRIBE, /* `name`, with its members */
    ADMIN_GROUP_RESET,    /* `name`, as `reset` says; answers as describe does */
    ADMIN_GROUP_DELETE,   /* `name` */
    ADMIN_PAGE,           /* as ADMIN_GROUP_LIST, with queues, exchanges, and what is listened to */
    ADMIN_HEARD,          /* what is listened to, in `vhost`, of `pattern`, up to `limit` of each kind */
};

/* One question. It is the backend's from submit() until it calls done(), exactly once, on `shard`'s thread,
 * from within submit() or later, even if the client has gone. Everything pointed to lives in its arena, which
 * the backend may use too (one thread at a time). */
struct admin_call {
    /* in */
    enum admin_op op;
    struct shard *shard;
    struct actor actor;
    struct arena arena;
    struct span name;
    int32_t partitions; /* -1: the default */
    const struct admin_config *configs;
    size_t config_count;
    struct admin_reset {
        struct span topic;
        int32_t partition; /* -1: all */
        enum { ADMIN_TO_EARLIEST, ADMIN_TO_LATEST, ADMIN_TO_OFFSET, ADMIN_TO_TIME } to;
        int64_t value; /* the offset, or the time in ms */
    } reset;
    struct span vhost, pattern; /* of ADMIN_HEARD; null: any */
    size_t limit;
    /* out */
    int err;
    const char *reason; /* more than err_text(err), or NULL */
    const struct admin_topic *topics;
    size_t topic_count;
    const struct admin_group *groups;
    size_t group_count;
    const struct admin_queue *queues; /* of ADMIN_PAGE only, by virtual host and name, as the exchanges */
    size_t queue_count, queue_total;  /* the first ADMIN_PAGE_ROWS of so many */
    const struct admin_exchange *exchanges;
    size_t exchange_count, exchange_total;
    struct admin_heard_list heard[ADMIN_HEARD_KINDS]; /* of ADMIN_PAGE, too */
    const char *alarm; /* "low on memory": publishers to queues are held back; NULL: none */

    void (*done)(struct admin_call *call);
    struct http_ticket ticket; /* from here on the management port's own */
    const struct admin *admin;
    void (*answer)(struct conn *c, struct admin_call *call);
};

struct admin_backend {
    void *broker;
    /* Any shard, at once: what is known by atomics. */
    void (*health)(void *broker, struct admin_health *ret_health);
    void (*submit)(void *broker, struct admin_call *call);
    const struct metrics *metrics;
    /* RabbitMQ's management API (mgmt.h); NULL: none. As in struct http_server. */
    const struct http_route *routes;
    size_t route_count;
    bool (*guard)(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                  http_handler *handler);
};

/* ---- the port ------------------------------------------------------------------------------------------ */

struct admin {
    struct admin_backend backend;
    struct http_server server; /* hang it on the HTTP listeners: listener_info.front */
    const char *version;
    uint64_t started_ns;
    const struct config *config;
};

/* Names its metrics slots too, so it comes before the threads. `cfg` and what `backend` points to must live
 * as long. */
void admin_init(struct admin *a, const struct config *cfg, const struct admin_backend *backend,
                struct metrics *metrics);

#endif
