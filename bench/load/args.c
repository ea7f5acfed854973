#include "load/args.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { OPTION_TEXT, OPTION_U32, OPTION_U64, OPTION_F64, OPTION_FLAG };

/* One row per option: the parser, its limits and the usage text. */
static const struct load_option {
    const char *name;
    enum option_type type;
    size_t at;
    double min, max;
    const char *help;
} options[] = {
#define AT(field) offsetof(struct load_args, field)
    {"brokers", OPTION_TEXT, AT(brokers), 0, 0, "host:port (127.0.0.1:9092)"},
    {"topic", OPTION_TEXT, AT(topic), 0, 0, "topic (load)"},
    {"partitions", OPTION_U32, AT(partitions), 1, 100000, "partitions of the topic, used in turn (1)"},
    {"clients", OPTION_U32, AT(clients), 1, 64, "client instances, each with its own connection (1)"},
    {"size", OPTION_U32, AT(size), 16, 1 << 20, "bytes of a record's value (1024)"},
    {"linger-ms", OPTION_F64, AT(linger_ms), 0, 10000, "how long the client gathers a batch (5)"},
    {"batch-bytes", OPTION_U32, AT(batch_bytes), 1024, 16 << 20, "largest batch (1000000)"},
    {"in-flight", OPTION_U32, AT(in_flight), 1, 1000, "requests in flight of one client (5)"},
    {"codec", OPTION_TEXT, AT(codec), 0, 0, "none, gzip, snappy, lz4, zstd (none)"},
    {"acks", OPTION_TEXT, AT(acks), 0, 0, "all, 1, 0 (all)"},
    {"count", OPTION_U64, AT(count), 1, 1e12, "records in all, instead of --seconds"},
    {"seconds", OPTION_F64, AT(seconds), 0.01, 86400, "how long to produce (3)"},
    {"timeout", OPTION_F64, AT(timeout), 0.1, 86400, "seconds after which the run has failed (120)"},
    {"rate", OPTION_F64, AT(rate), 0.1, 1e9,
     "records per second on a fixed schedule; latency counts from\n"
     "                      when a record was due"},
    {"fetch-wait-ms", OPTION_U32, AT(fetch_wait_ms), 0, 60000, "how long a fetch may wait for records (500)"},
    {"idempotent", OPTION_FLAG, AT(idempotent), 0, 0, "produce with sequence numbers"},
    {"no-warm-up", OPTION_FLAG, AT(warm_up), 0, 0,
     "do not send one unmeasured record to each partition first"},
#undef AT
};
enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

static const char *const mode_names[] = {"create", "produce", "consume", "tail", "first"};

void args_usage(void)
{
    fprintf(stderr, "usage: load create|produce|consume|tail|first [--option value ...]\n"
                    "  create   makes the topic\n"
                    "  produce  sends records; latency is the time to their acknowledgement\n"
                    "  consume  reads --count records from the beginning of all partitions\n"
                    "  tail     produces and consumes at once; also the time until a record is read\n"
                    "  first    waits for the broker, sends one record, tells when it was acknowledged\n\n");
    for (int i = 0; i < OPTION_COUNT; i++)
        fprintf(stderr, "  --%-15s   %s\n", options[i].name, options[i].help);
}

static bool store_number(const struct load_option *o, const char *text, void *field)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(v >= o->min && v <= o->max)) {
        fprintf(stderr, "load: --%s takes a number from %g to %g, not '%s'\n", o->name, o->min, o->max, text);
        return false;
    }
    if (o->type == OPTION_U32)
        *(uint32_t *)field = (uint32_t)v;
    else if (o->type == OPTION_U64)
        *(uint64_t *)field = (uint64_t)v;
    else
        *(double *)field = v;
    return true;
}

static bool store(const struct load_option *o, char *text, struct load_args *args)
{
    void *field = (char *)args + o->at;
    if (o->type == OPTION_TEXT)
        *(const char **)field = text;
    else if (o->type == OPTION_FLAG)
        *(bool *)field = strncmp(o->name, "no-", 3) != 0;
    else
        return store_number(o, text, field);
    return true;
}

static bool parse_mode(const char *text, enum load_mode *ret_mode)
{
    for (int i = 0; i < (int)(sizeof(mode_names) / sizeof(mode_names[0])); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *ret_mode = (enum load_mode)i;
            return true;
        }
    }
    fprintf(stderr, "load: no mode '%s'\n", text);
    return false;
}

bool args_parse(int argc, char **argv, struct load_args *args)
{
    struct option longs[OPTION_COUNT + 1] = {0};
    for (int i = 0; i < OPTION_COUNT; i++)
        longs[i] = (struct option){options[i].name, options[i].type != OPTION_FLAG, NULL, i};
    *args = (struct load_args){.brokers = "127.0.0.1:9092",
                               .topic = "load",
                               .codec = "none",
                               .acks = "all",
                               .partitions = 1,
                               .clients = 1,
                               .size = 1024,
                               .linger_ms = 5,
                               .batch_bytes = 1000000,
                               .in_flight = 5,
                               .fetch_wait_ms = 500,
                               .seconds = 3,
                               .timeout = 120,
                               .warm_up = true};
    if (argc < 2 || !parse_mode(argv[1], &args->mode))
        return false;
    optind = 2;
    int i;
    while ((i = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (i == '?' || !store(&options[i], optarg, args))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr, "load: what is '%s'?\n", argv[optind]);
        return false;
    }
    if (args->mode == LOAD_CONSUME && args->count == 0) {
        fprintf(stderr, "load: consume needs --count\n");
        return false;
    }
    return true;
}
