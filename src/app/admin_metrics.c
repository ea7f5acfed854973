/* /metrics: the registry, this process, and the logs. */
#include <stdio.h>

#include "app/admin_impl.h"
#include "base/err.h"
#include "core/shard.h"

static void put_process(const struct admin *a, const struct shard *s, struct metrics_writer *w)
{
    struct metrics_label version = {"version", span_str(a->version)};
    metrics_family(w, "colobus_info", "gauge", "Always 1; the labels say which broker this is.");
    metrics_sample(w, "colobus_info", &version, 1, 1);
    metrics_family(w, "colobus_uptime_seconds", "gauge", "Time since the start.");
    metrics_sample_f64(w, "colobus_uptime_seconds", NULL, 0, (double)admin_uptime_ms(a, s) / 1e3);
    metrics_family(w, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
    metrics_sample_f64(w, "process_cpu_seconds_total", NULL, 0, (double)os_cpu_time_us() / 1e6);
    metrics_family(w, "process_resident_memory_bytes", "gauge", "Resident memory.");
    metrics_sample(w, "process_resident_memory_bytes", NULL, 0, os_rss_bytes());
    struct admin_health h = {0};
    a->backend.health(a->backend.broker, &h);
    metrics_family(w, "colobus_health", "gauge", "1 for the present state, as /healthz tells it.");
    for (int i = ADMIN_OK; i <= ADMIN_FAILED; i++) {
        struct metrics_label status = {"status", span_str(admin_status_name((enum admin_status)i))};
        metrics_sample(w, "colobus_health", &status, 1, h.status == (enum admin_status)i);
    }
}

static const struct {
    const char *name, *help;
    size_t offset; /* of the u64 in struct admin_partition */
} log_families[] = {
    {"colobus_log_start_offset", "First offset that can be read.", offsetof(struct admin_partition, start)},
    {"colobus_log_end_offset", "Offset after the last durable record.",
     offsetof(struct admin_partition, end)},
    {"colobus_log_bytes", "Bytes of records that are kept.", offsetof(struct admin_partition, bytes)},
};

static void put_logs(const struct admin_call *call, size_t family, struct metrics_writer *w)
{
    metrics_family(w, log_families[family].name, "gauge", log_families[family].help);
    for (size_t t = 0; t < call->topic_count; t++) {
        const struct admin_topic *topic = &call->topics[t];
        for (size_t p = 0; p < topic->partition_count; p++) {
            char number[24];
            snprintf(number, sizeof(number), "%zu", p);
            struct metrics_label labels[] = {{"topic", topic->name}, {"partition", span_str(number)}};
            const char *at = (const char *)&topic->partitions[p] + log_families[family].offset;
            metrics_sample(w, log_families[family].name, labels, 2, *(const uint64_t *)at);
        }
    }
}

static void put_group(const struct admin_group *g, const char *family, bool lag, struct metrics_writer *w)
{
    for (size_t i = 0; i < g->offset_count; i++) {
        const struct admin_offset *o = &g->offsets[i];
        char number[24];
        if (!o->topic || o->offset < 0) /* a client may commit -1, which stands for none */
            continue;
        snprintf(number, sizeof(number), "%u", o->partition);
        struct metrics_label labels[] = {
            {"group", g->name}, {"topic", o->topic->name}, {"partition", span_str(number)}};
        metrics_sample(w, family, labels, 3, lag ? o->lag : (uint64_t)o->offset);
    }
}

static void put_groups(const struct admin_call *call, struct metrics_writer *w)
{
    static const char offsets[] = "colobus_group_committed_offset", lags[] = "colobus_group_lag";
    metrics_family(w, offsets, "gauge", "Offset that a consumer group has committed.");
    for (size_t i = 0; i < call->group_count; i++)
        put_group(&call->groups[i], offsets, false, w);
    metrics_family(w, lags, "gauge",
                   "Records between a consumer group's committed offset and the end of the log.");
    for (size_t i = 0; i < call->group_count; i++)
        put_group(&call->groups[i], lags, true, w);
}

static void answer_metrics(struct conn *c, struct admin_call *call)
{
    struct outq body;
    struct metrics_writer w;
    outq_init(&body, c->out.pool);
    metrics_writer_init(&w, &body);
    put_process(call->admin, c->shard, &w);
    metrics_render(call->admin->backend.metrics, &w);
    for (size_t i = 0; i < sizeof(log_families) / sizeof(log_families[0]); i++)
        put_logs(call, i, &w);
    put_groups(call, &w);
    if (metrics_writer_finish(&w))
        http_respond_error(c, call->ticket.seq, err_http(ERR_NO_MEMORY), err_text(ERR_NO_MEMORY));
    else
        http_respond(c, call->ticket.seq,
                     &(struct http_response){.status = 200,
                                             .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                             .body_queue = &body});
    outq_fini(&body);
}

void admin_metrics(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(admin_call_new(c, ticket, ADMIN_GROUP_LIST, answer_metrics));
}
