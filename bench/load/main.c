/* The load client: produces, consumes, or both, and reports rates and latencies as JSON. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/consume.h"
#include "load/produce.h"
#include "load/report.h"

struct run {
    const struct load_args *args;
    struct producer *producers;
    struct consumer *consumers;
    uint64_t start_ns;
    _Atomic uint64_t seen, total;
    pthread_t threads[128]; /* twice the limit of --clients */
    uint32_t thread_count;
};

struct worker {
    struct run *run;
    uint32_t number;
};

static uint64_t deadline_of(const struct run *r)
{
    return r->start_ns + (uint64_t)(r->args->timeout * 1e9);
}

static void *produce_worker(void *arg)
{
    struct worker w = *(struct worker *)arg;
    free(arg);
    producer_run(&w.run->producers[w.number], w.run->start_ns);
    return NULL;
}

static void *consume_worker(void *arg)
{
    struct worker w = *(struct worker *)arg;
    free(arg);
    consumer_run(&w.run->consumers[w.number], &w.run->seen, &w.run->total, deadline_of(w.run));
    return NULL;
}

static void spawn(struct run *r, void *(*body)(void *), uint32_t number)
{
    struct worker *w = malloc(sizeof(*w));
    if (w == NULL)
        die("thread", "no memory");
    *w = (struct worker){r, number};
    if (pthread_create(&r->threads[r->thread_count++], NULL, body, w) != 0)
        die("thread", "cannot be started");
}

static void open_all(struct run *r, bool produces, bool consumes)
{
    r->producers = calloc(r->args->clients, sizeof(*r->producers));
    r->consumers = calloc(r->args->clients, sizeof(*r->consumers));
    if (r->producers == NULL || r->consumers == NULL)
        die("clients", "no memory");
    for (uint32_t i = 0; i < r->args->clients; i++) {
        if (produces)
            producer_open(&r->producers[i], r->args, i);
        if (consumes)
            consumer_open(&r->consumers[i], r->args, i);
    }
}

static void join_all(struct run *r, uint32_t from)
{
    for (uint32_t i = from; i < r->thread_count; i++)
        pthread_join(r->threads[i], NULL);
    r->thread_count = from;
}

/* Sums up in the first client's histogram. */
static struct report_flow flow_of_producers(struct run *r)
{
    struct report_flow f = {.latency = &r->producers[0].latency};
    uint64_t last = 0;
    for (uint32_t i = 0; i < r->args->clients; i++) {
        struct producer *p = &r->producers[i];
        f.records += p->acked;
        last = p->last_ack_ns > last ? p->last_ack_ns : last;
        if (i > 0)
            histogram_merge(&r->producers[0].latency, &p->latency);
    }
    f.bytes = f.records * r->args->size;
    f.seconds = (double)(last - r->start_ns) / 1e9;
    return f;
}

/* From the first record to the last: when librdkafka begins to fetch is its own affair. */
static struct report_flow flow_of_consumers(struct run *r, bool with_age)
{
    struct report_flow f = {.latency = with_age ? &r->consumers[0].age : NULL};
    uint64_t first = UINT64_MAX, last = 0;
    for (uint32_t i = 0; i < r->args->clients; i++) {
        struct consumer *c = &r->consumers[i];
        f.records += c->records;
        f.bytes += c->bytes;
        first = c->first_ns > 0 && c->first_ns < first ? c->first_ns : first;
        last = c->last_ns > last ? c->last_ns : last;
        if (i > 0)
            histogram_merge(&r->consumers[0].age, &c->age);
    }
    f.seconds = last > first ? (double)(last - first) / 1e9 : 1e-9;
    return f;
}

static void run_clients(struct run *r, bool produces, bool consumes)
{
    uint32_t n = r->args->clients, consumers = consumes ? n : 0;
    open_all(r, produces, consumes);
    r->total = produces ? UINT64_MAX : r->args->count;
    for (uint32_t i = 0; i < consumers; i++)
        consumer_start(&r->consumers[i]);
    for (uint32_t i = 0; produces && r->args->warm_up && i < consumers; i++)
        consumer_warm_up(&r->consumers[i]);
    r->start_ns = now_ns() + 1000000;
    for (uint32_t i = 0; i < consumers; i++)
        spawn(r, consume_worker, i);
    for (uint32_t i = 0; produces && i < n; i++)
        spawn(r, produce_worker, i);
    join_all(r, consumers);
    struct report_flow produced = {0}, consumed = {0};
    if (produces)
        produced = flow_of_producers(r), r->total = produced.records;
    join_all(r, 0);
    if (consumes)
        consumed = flow_of_consumers(r, produces);
    report_print(produces ? &produced : NULL, consumes ? &consumed : NULL);
}

static void close_all(struct run *r)
{
    for (uint32_t i = 0; i < r->args->clients; i++) {
        if (r->consumers[i].rk != NULL)
            consumer_close(&r->consumers[i]);
        if (r->producers[i].rk != NULL)
            producer_close(&r->producers[i]);
    }
    free(r->producers);
    free(r->consumers);
}

int main(int argc, char **argv)
{
    struct load_args args;
    if (!args_parse(argc, argv, &args)) {
        if (argc < 2)
            args_usage();
        return 2;
    }
    if (args.mode == LOAD_FIRST) {
        report_print_first(produce_first(&args));
        return 0;
    }
    client_create_topic(&args);
    if (args.mode == LOAD_CREATE)
        return 0;
    struct run run = {.args = &args};
    run_clients(&run, args.mode != LOAD_CONSUME, args.mode == LOAD_CONSUME || args.mode == LOAD_TAIL);
    fflush(stdout);
    close_all(&run);
    return 0;
}
