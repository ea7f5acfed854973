#include "amqp/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

double process_cpu_seconds(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    unsigned long user = 0, kernel = 0;
    const char *rest = strrchr(text, ')');
    if (rest != NULL)
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static struct counters snapshot(const struct load *l)
{
    struct counters c = l->now;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    c.own_cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                  (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    c.watched_cpu_s = l->args.watch > 0 ? process_cpu_seconds(l->args.watch) : 0;
    c.at_ns = now_ns();
    return c;
}

/* Opens as many connections as `total` channels need and calls `each` with every channel. */
static void open_channels(struct load *l, uint32_t total, bool publish)
{
    for (uint32_t i = 0; i < total;) {
        uint32_t n = total - i < l->args.channels ? total - i : l->args.channels;
        struct peer *p = peer_open(l, n);
        load_settle(l);
        for (uint32_t k = 0; k < n; k++, i++) {
            if (publish)
                setup_publish(l, p, &p->channels[k], i);
            else
                setup_consume(l, p, &p->channels[k], i, total);
        }
    }
    load_settle(l);
}

static uint64_t expected(const struct load *l)
{
    if (l->args.mode == MODE_CONSUME)
        return l->args.count;
    return l->now.sent * (l->args.fanout ? l->args.queues : 1);
}

/* All that was published is confirmed and received, as far as the mode has it. */
static bool all_there(const struct load *l)
{
    const struct args *a = &l->args;
    if (a->mode == MODE_CONSUME)
        return l->now.received >= a->count && a->count > 0;
    for (uint32_t i = 0; i < l->peer_count; i++) {
        if (l->peers[i]->out.start < l->peers[i]->out.end)
            return false;
    }
    return (a->window == 0 || l->now.confirmed >= l->now.sent) &&
           (a->mode != MODE_BOTH || l->now.received >= expected(l));
}

static void turn(struct load *l, uint64_t until)
{
    int64_t wait = l->publishing ? publish_round(l) : -1;
    uint64_t now = now_ns();
    int64_t left = until > now ? (int64_t)(until - now) : 0;
    load_poll(l, wait >= 0 && wait < left ? wait : left);
}

/* Until `until`, or all of --count is done. */
static void flow_until(struct load *l, uint64_t until)
{
    uint64_t count = l->args.count;
    while (now_ns() < until) {
        bool sent = l->args.mode == MODE_CONSUME || (count > 0 && l->now.sent >= count);
        if (count > 0 && sent && all_there(l))
            return;
        turn(l, until);
    }
}

static void flow(struct load *l)
{
    const struct args *a = &l->args;
    double limit =
        a->count > 0 ? 86400 : a->seconds; /* with a count, `drain` after no progress would be nicer */
    l->first_ns = now_ns();
    for (uint32_t i = 0; i < l->peer_count; i++) {
        for (uint32_t k = 0; k < l->peers[i]->channel_count; k++)
            l->peers[i]->channels[k].pub.next_due_ns = l->first_ns;
    }
    l->measure_from = l->first_ns + (uint64_t)(a->warm_up * 1e9);
    l->measure_to = l->measure_from + (uint64_t)(limit * 1e9);
    l->publishing = a->mode != MODE_CONSUME;
    flow_until(l, l->measure_from);
    l->begin = snapshot(l);
    flow_until(l, l->measure_to);
    l->end = snapshot(l);
    l->publishing = false;
    uint64_t patience = now_ns() + (uint64_t)(a->drain * 1e9);
    while (a->mode != MODE_CONSUME && !all_there(l) && now_ns() < patience)
        turn(l, patience);
}

static void finish_connections(struct load *l)
{
    for (uint32_t i = 0; i < l->peer_count; i++) {
        struct peer *p = l->peers[i];
        for (uint32_t k = 0; k < p->channel_count; k++)
            consume_ack(l, p, &p->channels[k]);
        size_t at = method_begin(&p->out, 0, CONNECTION_CLOSE);
        put16(&p->out, 200);
        put_short(&p->out, "done");
        put32(&p->out, 0);
        frame_end(&p->out, at);
        p->waiting++;
        p->closing = true;
        peer_flush(l, p);
    }
    load_settle(l);
}

static void print_latency(const char *name, const struct histogram *h)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
    printf(",\"%s_us\":{\"count\":%" PRIu64, name, h->count);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        printf(",\"%s\":%.1f", points[i].name, (double)histogram_percentile(h, points[i].percent) / 1e3);
    printf("}");
}

static void report(const struct load *l, uint64_t ready, const struct counters *settled)
{
    const struct counters *b = &l->begin, *e = &l->end;
    double s = (double)(e->at_ns - b->at_ns) / 1e9;
    double sent = (double)(e->sent - b->sent), received = (double)(e->received - b->received);
    double most = received > sent ? received : sent;
    printf("{\"seconds\":%.6f,\"sent\":%.0f,\"confirmed\":%" PRIu64 ",\"received\":%.0f", s, sent,
           e->confirmed - b->confirmed, received);
    printf(",\"sent_per_s\":%.1f,\"confirmed_per_s\":%.1f,\"received_per_s\":%.1f,\"bytes_per_s\":%.0f",
           sent / s, (double)(e->confirmed - b->confirmed) / s, received / s, most * l->args.size / s);
    printf(",\"client_cpu_s\":%.4f,\"broker_cpu_s\":%.4f", e->own_cpu_s - b->own_cpu_s,
           e->watched_cpu_s - b->watched_cpu_s);
    printf(",\"all\":{\"sent\":%" PRIu64 ",\"confirmed\":%" PRIu64 ",\"nacked\":%" PRIu64
           ",\"returned\":%" PRIu64 ",\"received\":%" PRIu64 ",\"redelivered\":%" PRIu64
           ",\"wrong_size\":%" PRIu64 "}",
           l->now.sent, l->now.confirmed, l->now.nacked, l->now.returned, l->now.received, l->now.redelivered,
           l->now.wrong_size);
    if (l->args.mode == MODE_PUBLISH)
        printf(",\"ready\":%" PRIu64 ",\"settled_s\":%.6f,\"settled_broker_cpu_s\":%.4f", ready,
               (double)(settled->at_ns - b->at_ns) / 1e9, settled->watched_cpu_s - b->watched_cpu_s);
    if (l->args.mode != MODE_PUBLISH)
        print_latency("latency", &l->latency);
    if (l->args.window > 0)
        print_latency("confirm", &l->confirm);
    printf("}\n");
}

int run_flow(struct load *l)
{
    const struct args *a = &l->args;
    double unused;
    uint64_t ready = 0;
    struct peer *control = peer_open(l, 1);
    load_settle(l);
    if (a->declare)
        setup_queues(l, control, &unused);
    publish_templates(l);
    l->publisher_count = a->publishers;
    if (a->mode != MODE_PUBLISH)
        open_channels(l, a->consumers, false);
    if (a->mode != MODE_CONSUME)
        open_channels(l, a->publishers, true);
    flow(l);
    for (uint32_t i = 1; a->mode == MODE_PUBLISH && i < l->peer_count; i++) /* the broker has all of it */
        ready = setup_ready(l, l->peers[i], 1);
    struct counters settled = snapshot(l);
    if (a->remove)
        setup_remove(l, control, &unused);
    report(l, ready, &settled);
    fflush(stdout);
    bool whole = a->mode == MODE_PUBLISH || (a->mode == MODE_CONSUME && a->count == 0) || all_there(l);
    if (!whole)
        fprintf(stderr, "amqp_load: %" PRIu64 " of %" PRIu64 " messages came\n", l->now.received,
                expected(l));
    if (!a->remove)
        finish_connections(l);
    publish_templates_free(l);
    return whole && l->now.wrong_size == 0 ? 0 : 1;
}

int run_declare(struct load *l)
{
    double seconds, before = process_cpu_seconds(l->args.watch);
    struct peer *control = peer_open(l, 1);
    load_settle(l);
    (l->args.mode == MODE_DECLARE ? setup_queues : setup_remove)(l, control, &seconds);
    printf("{\"queues\":%u,\"seconds\":%.6f,\"queues_per_s\":%.1f,\"broker_cpu_s\":%.4f}\n", l->args.queues,
           seconds, l->args.queues / seconds, process_cpu_seconds(l->args.watch) - before);
    finish_connections(l);
    return 0;
}

int run_idle(struct load *l)
{
    char byte;
    uint64_t began = now_ns();
    for (uint32_t i = 0; i < l->args.connections; i++) {
        struct peer *p = peer_open(l, 1);
        while (i % 32 == 31 && p->waiting > 0) /* not more than the backlog of the listening socket */
            load_poll(l, 100000000);
    }
    load_settle(l);
    printf("{\"connections\":%u,\"seconds\":%.6f}\n", l->args.connections, (double)(now_ns() - began) / 1e9);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return 0;
}
