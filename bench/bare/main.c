/* The bare client: `bare produce|fetch|copy`; one JSON object on standard output. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bare/bare.h"
#include "bare/wire.h"

enum { MAX_CONNECTIONS = 64, MAX_IN_FLIGHT = 64 };

static const struct option longs[] = {
    {"broker", 1, NULL, 'b'},     {"topic", 1, NULL, 't'},
    {"partitions", 1, NULL, 'p'}, {"connections", 1, NULL, 'c'},
    {"size", 1, NULL, 's'},       {"batch-bytes", 1, NULL, 'B'},
    {"in-flight", 1, NULL, 'i'},  {"fetch-bytes", 1, NULL, 'f'},
    {"last", 1, NULL, 'l'},       {"seconds", 1, NULL, 'S'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage(void)
{
    fprintf(stderr,
            "usage: bare produce|fetch|copy [--broker host:port] [--topic name] [--partitions n]\n"
            "         [--connections n] [--seconds s] [--size bytes] [--batch-bytes n] [--in-flight n]\n"
            "         [--fetch-bytes n] [--last records]\n"
            "  produce  sends the same batch again and again, to the partitions in turn\n"
            "  fetch    reads all once, or the --last records of each partition for --seconds\n"
            "  copy     a loopback TCP connection without a broker\n");
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= min && v <= max)) {
        fprintf(stderr, "bare: '%s' is not a number from %g to %g\n", text, min, max);
        exit(2);
    }
    return v;
}

static void store(struct bare_args *a, int option, const char *text)
{
    if (option == 'b')
        a->broker = text;
    else if (option == 't')
        a->topic = text;
    else if (option == 'p')
        a->partitions = (uint32_t)number(text, 1, 100000);
    else if (option == 'c')
        a->connections = (uint32_t)number(text, 1, MAX_CONNECTIONS);
    else if (option == 's')
        a->size = (uint32_t)number(text, 1, 1 << 20);
    else if (option == 'B')
        a->batch_bytes = (uint32_t)number(text, 1, 1 << 20);
    else if (option == 'i')
        a->in_flight = (uint32_t)number(text, 1, MAX_IN_FLIGHT);
    else if (option == 'f')
        a->fetch_bytes = (uint32_t)number(text, 1024, 1 << 30);
    else if (option == 'l')
        a->last = (uint64_t)number(text, 0, 1e12);
    else if (option == 'S')
        a->seconds = number(text, 0.01, 86400);
    else
        usage();
}

static const struct {
    const char *name;
    void (*run)(struct bare_flow *f);
} modes[] = {{"produce", bare_produce}, {"fetch", bare_fetch}, {"copy", bare_copy}};

static struct bare_args parse(int argc, char **argv)
{
    struct bare_args a = {.broker = "127.0.0.1:9092",
                          .topic = "load",
                          .partitions = 1,
                          .connections = 1,
                          .size = 1024,
                          .batch_bytes = 128 << 10,
                          .in_flight = 5,
                          .fetch_bytes = 4 << 20,
                          .seconds = 3};
    if (argc < 2)
        usage();
    while (strcmp(modes[a.mode].name, argv[1]) != 0) {
        if (++a.mode == sizeof(modes) / sizeof(modes[0]))
            usage();
    }
    optind = 2;
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        store(&a, option, optarg);
    if (optind < argc)
        usage();
    return a;
}

static void *run(void *arg)
{
    struct bare_flow *f = arg;
    modes[f->args->mode].run(f);
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Sums up in the first. */
static void report(struct bare_flow *flows, uint32_t n, double cpu)
{
    struct bare_flow *sum = &flows[0];
    for (uint32_t i = 1; i < n; i++) {
        sum->warm += flows[i].warm;
        sum->records += flows[i].records;
        sum->bytes += flows[i].bytes;
        sum->requests += flows[i].requests;
        sum->begin_ns = flows[i].begin_ns < sum->begin_ns ? flows[i].begin_ns : sum->begin_ns;
        sum->end_ns = flows[i].end_ns > sum->end_ns ? flows[i].end_ns : sum->end_ns;
        histogram_merge(&sum->latency, &flows[i].latency);
    }
    double seconds = sum->end_ns > sum->begin_ns ? (double)(sum->end_ns - sum->begin_ns) / 1e9 : 1e-9;
    printf("{\"warm\":%" PRIu64 ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64
           ",\"seconds\":%.6f,\"records_per_s\":%.1f,\"mb_per_s\":%.3f,\"request_p50_ms\":%.3f,\"request_p99_"
           "ms\":%.3f,"
           "\"client_cpu_s\":%.3f}\n",
           sum->warm, sum->records, sum->bytes, sum->requests, seconds, (double)sum->records / seconds,
           (double)sum->bytes / seconds / 1e6, (double)histogram_percentile(&sum->latency, 50) / 1e6,
           (double)histogram_percentile(&sum->latency, 99) / 1e6, cpu);
}

int main(int argc, char **argv)
{
    struct bare_args args = parse(argc, argv);
    pthread_t threads[MAX_CONNECTIONS];
    struct bare_flow *flows = calloc(args.connections, sizeof(*flows));
    if (flows == NULL)
        wire_die("connections", "no memory");
    double before = cpu_seconds();
    for (uint32_t i = 0; i < args.connections; i++) {
        flows[i].args = &args;
        flows[i].number = i;
        if (pthread_create(&threads[i], NULL, run, &flows[i]) != 0)
            wire_die("connections", "cannot start a thread");
    }
    for (uint32_t i = 0; i < args.connections; i++)
        pthread_join(threads[i], NULL);
    report(flows, args.connections, cpu_seconds() - before);
    free(flows);
    return 0;
}
