#include "redis/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/epoll.h>
#include <unistd.h>

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

static bool all_there(const struct load *l)
{
    return l->now.answered == l->now.published && l->now.received >= l->now.due;
}

static void turn(struct load *l, uint64_t until)
{
    int64_t wait = l->publishing ? publish_round(l) : -1;
    uint64_t now = now_ns();
    int64_t left = until > now ? (int64_t)(until - now) : 0;
    load_poll(l, wait >= 0 && wait < left ? wait : left);
}

/* Until `until`, or all of --count is done; or --drain seconds after the last of it. */
static void flow_until(struct load *l, uint64_t until)
{
    bool all_out = false;
    while (now_ns() < until) {
        if (l->args.count > 0 && l->now.published >= l->args.count) {
            if (!all_out)
                until = now_ns() + (uint64_t)(l->args.drain * 1e9);
            all_out = true;
            if (all_there(l))
                return;
        }
        turn(l, until);
    }
}

/* Waits for what is on its way, and a moment for what should not be. */
static void settle(struct load *l)
{
    uint64_t patience = now_ns() + (uint64_t)(l->args.drain * 1e9);
    l->publishing = false;
    while (!all_there(l) && l->now.lost == 0 && now_ns() < patience)
        turn(l, patience);
    uint64_t moment = now_ns() + 20000000;
    while (now_ns() < moment)
        turn(l, moment);
}

static void flow(struct load *l)
{
    const struct args *a = &l->args;
    l->first_ns = now_ns();
    l->measure_from = l->first_ns + (uint64_t)(a->warm_up * 1e9);
    l->measure_to = l->measure_from + (uint64_t)((a->count > 0 ? 86400 : a->seconds) * 1e9);
    l->publishing = true;
    flow_until(l, l->measure_from);
    l->begin = snapshot(l);
    flow_until(l, l->measure_to);
    l->end = snapshot(l);
    settle(l);
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

static void report(const struct load *l)
{
    const struct counters *b = &l->begin, *e = &l->end, *n = &l->now;
    double s = (double)(e->at_ns - b->at_ns) / 1e9;
    double answered = (double)(e->answered - b->answered), received = (double)(e->received - b->received);
    printf("{\"seconds\":%.6f,\"published\":%.0f,\"delivered\":%.0f", s, answered, received);
    printf(",\"published_per_s\":%.1f,\"delivered_per_s\":%.1f", answered / s, received / s);
    printf(",\"client_cpu_s\":%.4f,\"broker_cpu_s\":%.4f", e->own_cpu_s - b->own_cpu_s,
           e->watched_cpu_s - b->watched_cpu_s);
    printf(",\"all\":{\"published\":%" PRIu64 ",\"answered\":%" PRIu64 ",\"due\":%" PRIu64
           ",\"delivered\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"disordered\":%" PRIu64
           ",\"wrong_answers\":%" PRIu64 "}",
           n->published, n->answered, n->due, n->received, n->lost, n->disordered, n->wrong_answers);
    print_latency("latency", &l->latency);
    print_latency("answer", &l->answer);
    printf("}\n");
    fflush(stdout);
}

static bool is_right(const struct load *l)
{
    const struct counters *n = &l->now;
    return n->answered == n->published && n->received == n->due && n->lost == 0 && n->disordered == 0 &&
           n->wrong_answers == 0;
}

int run_flow(struct load *l)
{
    const struct counters *n = &l->now;
    subscribe_open(l, l->args.subscribers);
    publish_open(l, l->args.publishers);
    flow(l);
    report(l);
    if (is_right(l))
        return 0;
    fprintf(stderr,
            "redis_load: %" PRIu64 " publishes, %" PRIu64 " answers, %" PRIu64 " of them wrong; %" PRIu64
            " deliveries of %" PRIu64 ", %" PRIu64 " lost, %" PRIu64 " twice or out of order\n",
            n->published, n->answered, n->wrong_answers, n->received, n->due, n->lost, n->disordered);
    return 1;
}

static void say_subscribed(const struct load *l, uint64_t began)
{
    printf("{\"subscribers\":%u,\"seconds\":%.6f}\n", l->subscriber_count, (double)(now_ns() - began) / 1e9);
    fflush(stdout);
}

int run_listen(struct load *l)
{
    uint64_t began = now_ns();
    subscribe_open(l, l->args.subscribers);
    say_subscribed(l, began);
    int watch = epoll_create1(0); /* of standard input, and of the epoll of all connections */
    struct epoll_event e, input = {.events = EPOLLIN, .data.u32 = 0},
                          peers = {.events = EPOLLIN, .data.u32 = 1};
    if (watch < 0 || epoll_ctl(watch, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0 ||
        epoll_ctl(watch, EPOLL_CTL_ADD, l->epoll, &peers) != 0)
        die("epoll", "cannot be created");
    while (epoll_wait(watch, &e, 1, -1) >= 0 && e.data.u32 == 1)
        load_poll(l, 0);
    settle(l);
    close(watch);
    printf("{\"delivered\":%" PRIu64 "}\n", l->now.received);
    return 0;
}

int run_idle(struct load *l)
{
    char byte;
    uint64_t began = now_ns();
    subscribe_open(l, l->args.subscribers);
    say_subscribed(l, began);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return 0;
}
