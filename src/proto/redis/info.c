/* INFO: the broker as monitors and libraries of Redis look at it. Only figures that are there, with Redis's
 * names where they mean the same. */
#include "base/err.h"
#include "core/broker.h"
#include "proto/redis/commands.h"
#include "proto/redis/text.h"

enum { DAY_S = 86400 };

struct report {
    struct redis_text text;
    struct shard *shard;
    const struct redis_conn *rc;
};

#define LINE(...) redis_text_printf(&r->text, __VA_ARGS__)

static unsigned long long sum(const struct report *r, enum metric id)
{
    return metrics_sum(r->shard->broker->metrics, id, 0);
}

static void put_server(struct report *r)
{
    const struct broker *b = r->shard->broker;
    long long up = (r->shard->now_ms - b->started_ms) / 1000;
    LINE("redis_version:%s\r\n", r->shard->config->redis_version);
    LINE("colobus_version:%s\r\n", COLOBUS_VERSION);
    LINE("redis_mode:standalone\r\n");
    LINE("arch_bits:%u\r\n", (unsigned)sizeof(void *) * 8);
    LINE("process_id:%u\r\n", os_process_id());
    LINE("run_id:%s\r\n", b->cluster_id);
    LINE("tcp_port:%u\r\n", redis_port(r->rc));
    LINE("server_time_usec:%lld\r\n", (long long)r->shard->now_ms * 1000);
    LINE("uptime_in_seconds:%lld\r\n", up < 0 ? 0 : up);
    LINE("uptime_in_days:%lld\r\n", up < 0 ? 0 : up / DAY_S);
    LINE("io_threads_active:%u\r\n", b->shard_count > 1);
}

static void put_clients(struct report *r)
{
    LINE("connected_clients:%llu\r\n", sum(r, METRIC_REDIS_CLIENTS));
    LINE("maxclients:%llu\r\n", (unsigned long long)r->shard->config->max_connections);
    LINE("blocked_clients:0\r\n");
    LINE("tracking_clients:0\r\n");
}

/* As redis-cli shows bytes. */
static void put_human(struct report *r, const char *name, uint64_t bytes)
{
    static const char units[] = "KMGT";
    double n = (double)bytes / 1024;
    size_t unit = 0;
    while (n >= 1024 && unit + 2 < sizeof(units)) {
        n /= 1024;
        unit++;
    }
    LINE("%s:%.2f%c\r\n", name, n, units[unit]);
}

/* What the process has, all protocols: which part of it Redis's clients use is not known. */
static void put_memory(struct report *r)
{
    uint64_t rss = os_rss_bytes();
    LINE("used_memory:%llu\r\n", (unsigned long long)rss);
    put_human(r, "used_memory_human", rss);
    LINE("used_memory_rss:%llu\r\n", (unsigned long long)rss);
    put_human(r, "used_memory_rss_human", rss);
    LINE("maxmemory:0\r\n");
    LINE("maxmemory_human:0B\r\n");
    LINE("maxmemory_policy:noeviction\r\n");
}

/* Whoever is connected finds everything loaded; and nothing that Redis's clients publish is stored. */
static void put_persistence(struct report *r)
{
    LINE("loading:0\r\n");
    LINE("async_loading:0\r\n");
    LINE("rdb_bgsave_in_progress:0\r\n");
    LINE("aof_enabled:0\r\n");
    LINE("aof_rewrite_in_progress:0\r\n");
}

static size_t texts(const struct report *r, enum subject_plane plane, enum subject_kind kind)
{
    return r->rc->space ? subject_texts(r->rc->space, plane, kind) : 0;
}

static void put_stats(struct report *r)
{
    LINE("total_connections_received:%llu\r\n", sum(r, METRIC_REDIS_CLIENTS_TOTAL));
    LINE("total_commands_processed:%llu\r\n", sum(r, METRIC_REDIS_COMMANDS));
    LINE("total_error_replies:%llu\r\n", sum(r, METRIC_REDIS_ERRORS));
    LINE("client_output_buffer_limit_disconnections:%llu\r\n", sum(r, METRIC_SUBJECT_SLOW));
    LINE("expired_keys:0\r\n");
    LINE("evicted_keys:0\r\n");
    LINE("keyspace_hits:0\r\n");
    LINE("keyspace_misses:0\r\n");
    LINE("pubsub_channels:%zu\r\n", texts(r, SUBJECT_SHARED, SUBJECT_EXACT));
    LINE("pubsub_patterns:%zu\r\n", texts(r, SUBJECT_SHARED, SUBJECT_GLOB));
    LINE("pubsubshard_channels:%zu\r\n", texts(r, SUBJECT_SHARDED, SUBJECT_EXACT));
}

static void put_replication(struct report *r)
{
    LINE("role:master\r\n");
    LINE("connected_slaves:0\r\n");
}

/* The system's part and the program's are not told apart here, so this isn't called used_cpu_user. */
static void put_cpu(struct report *r)
{
    LINE("colobus_used_cpu:%.6f\r\n", (double)os_cpu_time_us() / 1e6);
}

static void put_nothing(struct report *r)
{
}

static void put_cluster(struct report *r)
{
    LINE("cluster_enabled:0\r\n");
}

/* In Redis's order. */
static const struct section {
    const char *word, *title;
    void (*put)(struct report *r);
} sections[] = {
    {"server", "Server", put_server},
    {"clients", "Clients", put_clients},
    {"memory", "Memory", put_memory},
    {"persistence", "Persistence", put_persistence},
    {"stats", "Stats", put_stats},
    {"replication", "Replication", put_replication},
    {"cpu", "CPU", put_cpu},
    {"modules", "Modules", put_nothing},
    {"cluster", "Cluster", put_cluster},
    {"keyspace", "Keyspace", put_nothing},
};

static bool is_asked_for(const struct redis_call *c, const struct section *s)
{
    if (c->count == 1)
        return true;
    for (size_t i = 1; i < c->count; i++)
        if (redis_is(c->args[i], s->word) || redis_is(c->args[i], "default") || redis_is(c->args[i], "all") ||
            redis_is(c->args[i], "everything"))
            return true;
    return false;
}

REDIS_COMMAND(info)
{
    struct report report = {.shard = c->rc->conn->shard, .rc = c->rc}, *r = &report;
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        if (!is_asked_for(c, &sections[i]))
            continue;
        LINE("%s# %s\r\n", r->text.len ? "\r\n" : "", sections[i].title);
        sections[i].put(r);
    }
    resp_verbatim(redis_reply(c->rc), redis_text_span(&r->text));
    redis_text_free(&r->text);
    return REDIS_DONE;
}
