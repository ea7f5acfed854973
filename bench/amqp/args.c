#include "amqp/args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {"publish", "consume", "both", "declare", "delete", "idle", "sink"};

static const char help[] =
    "usage: amqp_load publish|consume|both|declare|delete|idle|sink [OPTION...]\n"
    "  --broker HOST:PORT  --user U --password P --vhost V\n"
    "  --prefix NAME --queues N        queues NAME-0 to NAME-(N-1)\n"
    "  --durable --arguments K=V,...   of the queues\n"
    "  --no-declare                    the queues are there; --remove: delete them at the end\n"
    "  --fanout                        publish to a fanout exchange that all queues are bound to\n"
    "  --publishers N --consumers N    channels of each kind; --channels N of them on one connection\n"
    "  --size BYTES --persistent       of a message\n"
    "  --confirm N                     publisher confirms, N outstanding on each channel\n"
    "  --ack --prefetch N --ack-every K  else automatic acknowledgement\n"
    "  --rate R                        messages per second on a schedule, latency from when a message was "
    "due\n"
    "  --in-flight N                   both: publish no faster than this many are on their way\n"
    "  --seconds S --warm-up S --count N --drain S\n"
    "  --watch PID                     tell the CPU time of this process too\n"
    "  --connections N                 idle: open them, say so, and keep them until standard input ends\n"
    "declare and delete: only that, timed. sink: a broker that drops what comes and delivers without end.\n";

static const struct option longs[] = {
    {"broker", 1, NULL, 'b'},      {"user", 1, NULL, 'u'},        {"password", 1, NULL, 'p'},
    {"vhost", 1, NULL, 'v'},       {"prefix", 1, NULL, 'n'},      {"queues", 1, NULL, 'q'},
    {"durable", 0, NULL, 'd'},     {"arguments", 1, NULL, 'A'},   {"no-declare", 0, NULL, 'N'},
    {"remove", 0, NULL, 'R'},      {"fanout", 0, NULL, 'f'},      {"publishers", 1, NULL, 'P'},
    {"consumers", 1, NULL, 'C'},   {"channels", 1, NULL, 'c'},    {"size", 1, NULL, 's'},
    {"persistent", 0, NULL, 'D'},  {"confirm", 1, NULL, 'w'},     {"ack", 0, NULL, 'a'},
    {"prefetch", 1, NULL, 'F'},    {"ack-every", 1, NULL, 'k'},   {"rate", 1, NULL, 'r'},
    {"in-flight", 1, NULL, 'i'},   {"seconds", 1, NULL, 'S'},     {"warm-up", 1, NULL, 'W'},
    {"count", 1, NULL, 'x'},       {"drain", 1, NULL, 't'},       {"watch", 1, NULL, 'z'},
    {"connections", 1, NULL, 'o'}, {"batch-bytes", 1, NULL, 'B'}, {NULL, 0, NULL, 0},
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
        fprintf(stderr, "amqp_load: '%s' is not a number from %g to %g\n", text, min, max);
        exit(2);
    }
    return v;
}

static bool store_text(struct args *a, int option, const char *text)
{
    const char **places[256] = {['b'] = &a->broker, ['u'] = &a->user,   ['p'] = &a->password,
                                ['v'] = &a->vhost,  ['n'] = &a->prefix, ['A'] = &a->arguments};
    if (places[option] == NULL)
        return false;
    *places[option] = text;
    return true;
}

static bool store_flag(struct args *a, int option)
{
    bool *places[256] = {
        ['d'] = &a->durable, ['R'] = &a->remove, ['f'] = &a->fanout, ['D'] = &a->persistent, ['a'] = &a->ack};
    if (option == 'N')
        a->declare = false;
    else if (places[option] != NULL)
        *places[option] = true;
    else
        return false;
    return true;
}

static bool store_count(struct args *a, int option, const char *text)
{
    const struct {
        uint32_t *place, min, max;
    } places[256] = {
        ['q'] = {&a->queues, 1, 10000000},    ['P'] = {&a->publishers, 1, 4096},
        ['C'] = {&a->consumers, 1, 4096},     ['c'] = {&a->channels, 1, 2047},
        ['s'] = {&a->size, 0, 64 << 20},      ['w'] = {&a->window, 0, 1 << 20},
        ['F'] = {&a->prefetch, 0, 65535},     ['k'] = {&a->ack_every, 1, 65535},
        ['o'] = {&a->connections, 1, 200000}, ['B'] = {&a->batch_bytes, 1, 16 << 20},
    };
    if (places[option].place == NULL)
        return false;
    *places[option].place = (uint32_t)number(text, places[option].min, places[option].max);
    return true;
}

static void store_rest(struct args *a, int option, const char *text)
{
    double *places[256] = {['r'] = &a->rate, ['S'] = &a->seconds, ['W'] = &a->warm_up, ['t'] = &a->drain};
    if (option == 'i')
        a->in_flight = (uint64_t)number(text, 0, 1e12);
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
    struct args a = {.broker = "127.0.0.1:5672",
                     .user = "guest",
                     .password = "guest",
                     .vhost = "/",
                     .prefix = "load",
                     .queues = 1,
                     .publishers = 1,
                     .consumers = 1,
                     .channels = 1,
                     .connections = 1,
                     .size = 16,
                     .batch_bytes = 128 << 10,
                     .seconds = 3,
                     .drain = 30,
                     .declare = true};
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
        if (!store_text(&a, option, optarg) && !store_flag(&a, option) && !store_count(&a, option, optarg))
            store_rest(&a, option, optarg);
    }
    if (optind < argc)
        usage();
    if (a.ack_every == 0)
        a.ack_every = a.prefetch > 1 ? (a.prefetch + 1) / 2 : 1;
    if (a.prefetch > 0 && a.ack_every > a.prefetch)
        a.ack_every = a.prefetch;
    return a;
}
