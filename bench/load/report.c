#include "load/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_latency(const struct histogram *h)
{
    printf(",\"latency_ms\":{\"mean\":%.3f,\"p50\":%.3f,\"p99\":%.3f,\"p99.9\":%.3f,\"max\":%.3f}",
           h->sum / (double)h->count / 1e6, (double)histogram_percentile(h, 50) / 1e6,
           (double)histogram_percentile(h, 99) / 1e6, (double)histogram_percentile(h, 99.9) / 1e6,
           (double)h->max / 1e6);
}

static void print_flow(const char *name, const struct report_flow *f)
{
    printf("\"%s\":{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"seconds\":%.6f,\"records_per_s\":%.1f,\"mb_per_s\":%.3f",
           name, f->records, f->bytes, f->seconds, (double)f->records / f->seconds,
           (double)f->bytes / f->seconds / 1e6);
    if (f->latency != NULL && f->latency->count > 0)
        print_latency(f->latency);
    printf("},");
}

void report_print(const struct report_flow *produced, const struct report_flow *consumed)
{
    printf("{");
    if (produced != NULL)
        print_flow("produced", produced);
    if (consumed != NULL)
        print_flow("consumed", consumed);
    printf("\"client_cpu_s\":%.3f}\n", cpu_seconds());
}

void report_print_first(uint64_t acked_at_ns)
{
    printf("{\"acked_at_ns\":%" PRIu64 ",\"client_cpu_s\":%.3f}\n", acked_at_ns, cpu_seconds());
}
