#include "redis/args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_SIZE = 16 }; /* the stamp of a payload */

static const char *const modes[] = {"flow", "listen", "idle", "sink"};

static const char help[] =
    "usage: redis_load flow|listen|idle|sink [OPTION...]\n"
    "  --broker HOST:PORT\n"
    "  --prefix NAME --channels N      channels NAME.0 to NAME.(N-1)\n"
    "  --publishers N --subscribers N  connections of each kind, dealt out to the channels\n"
    "  --pattern                       subscribers take the pattern NAME.* instead\n"
    "  --resp 2|3                      of the subscribers\n"
    "  --pipeline N                    publishes without an answer, of each publisher\n"
    "  --size BYTES                    of a payload, 16 at least\n"
    "  --rate R                        publishes per second on a schedule, latency from when one was due\n"
    "  --lag N                         publish no faster than so many are unread by some of their "
    "subscribers\n"
    "  --seconds S --warm-up S --count N --drain S\n"
    "  --watch PID                     tell the CPU time of this process too\n"
    "flow: publish, and check all that is heard. listen: subscribe, and count what others publish with this "
    "size, until\n"
    "standard input ends. idle: subscribe, say so, and stay until standard input ends. sink: a broker that "
    "knows no more\n"
    "than this client; --spoil N --spoil-how drop|twice|swap|damage|answer does one of N deliveries or "
    "answers wrong.\n";

static const struct option longs[] = {
    {"broker", 1, NULL, 'b'},
    {"prefix", 1, NULL, 'n'},
    {"channels", 1, NULL, 'c'},
    {"publishers", 1, NULL, 'P'},
    {"pattern", 0, NULL, 'p'},
    {"resp", 1, NULL, 'R'},
    {"subscribers", 1, NULL, 'C'},
    {"pipeline", 1, NULL, 'w'},
    {"size", 1, NULL, 's'},
    {"rate", 1, NULL, 'r'},
    {"lag", 1, NULL, 'l'},
    {"seconds", 1, NULL, 'S'},
    {"warm-up", 1, NULL, 'W'},
    {"count", 1, NULL, 'x'},
    {"drain", 1, NULL, 't'},
    {"watch", 1, NULL, 'z'},
    {"spoil", 1, NULL, 'k'},
    {"spoil-how", 1, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static _Noreturn void usage(void)
{
    fputs(help, stderr);
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= min && v <= max)) {
        fprintf(stderr, "redis_load: '%s' is not a number from %g to %g\n", text, min, max);
        exit(2);
    }
    return v;
}

static bool store_text(struct args *a, int option, const char *text)
{
    const char **places[256] = {['b'] = &a->broker, ['n'] = &a->prefix, ['h'] = &a->spoil_how};
    if (places[option] == NULL)
        return false;
    *places[option] = text;
    return true;
}

static bool store_count(struct args *a, int option, const char *text)
{
    const struct {
        uint32_t *place, min, max;
    } places[256] = {
        ['c'] = {&a->channels, 1, 1000000},     ['P'] = {&a->publishers, 0, 4096},
        ['C'] = {&a->subscribers, 0, 200000},   ['w'] = {&a->pipeline, 1, 1 << 20},
        ['s'] = {&a->size, MIN_SIZE, 16 << 20}, ['R'] = {&a->resp, 2, 3},
        ['k'] = {&a->spoil, 0, 1 << 30},
    };
    if (places[option].place == NULL)
        return false;
    *places[option].place = (uint32_t)number(text, places[option].min, places[option].max);
    return true;
}

static void store_rest(struct args *a, int option, const char *text)
{
    double *places[256] = {['r'] = &a->rate, ['S'] = &a->seconds, ['W'] = &a->warm_up, ['t'] = &a->drain};
    if (option == 'p')
        a->pattern = true;
    else if (option == 'l')
        a->lag = (uint64_t)number(text, 0, 1e12);
    else if (option == 'x')
        a->count = (uint64_t)number(text, 0, 1e12);
    else if (option == 'z')
        a->watch = (int)number(text, 1, 1 << 30);
    else if (places[option] != NULL)
        *places[option] = number(text, 0, 1e9);
    else
        usage();
}

struct args args_parse(int argc, char **argv)
{
    struct args a = {.broker = "127.0.0.1:6379",
                     .prefix = "load",
                     .publishers = 1,
                     .subscribers = 1,
                     .channels = 1,
                     .pipeline = 1,
                     .size = 16,
                     .resp = 2,
                     .seconds = 3,
                     .drain = 30,
                     .spoil_how = "drop"};
    if (argc < 2)
        usage();
    while (strcmp(modes[a.mode], argv[1]) != 0) {
        if (++a.mode > MODE_SINK)
            usage();
    }
    optind = 2;
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (option == '?')
            usage();
        if (!store_text(&a, option, optarg) && !store_count(&a, option, optarg))
            store_rest(&a, option, optarg);
    }
    if (optind < argc || (a.pattern && a.channels > 1)) {
        fputs(a.pattern ? "redis_load: a pattern goes with one channel\n" : help, stderr);
        exit(2);
    }
    return a;
}
