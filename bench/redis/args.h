/* The command line of the Redis load client. */
#ifndef COLOBUS_BENCH_REDIS_ARGS_H
#define COLOBUS_BENCH_REDIS_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum mode { MODE_FLOW, MODE_LISTEN, MODE_IDLE, MODE_SINK };

struct args {
    enum mode mode;
    const char *broker;
    const char *prefix; /* channels are prefix.0, prefix.1, ...; the pattern is prefix.* */
    uint32_t publishers, subscribers, channels;
    uint32_t pipeline; /* publishes without an answer, of each publisher */
    uint32_t size;     /* bytes of a payload */
    uint32_t resp;     /* 2 or 3, of the subscribers */
    uint32_t spoil;    /* sink: every so many deliveries one is spoilt; 0: none */
    uint64_t lag;      /* publishes that not all of their subscribers have read; 0: no limit */
    uint64_t count;    /* publishes; 0: until the time is over */
    double seconds, warm_up;
    double rate;  /* publishes per second of all publishers, on a schedule; 0: as fast as it goes */
    double drain; /* seconds to wait, after the last publish, for what is on its way */
    int watch;    /* process whose CPU time is told; 0: none */
    bool pattern;
    const char *spoil_how; /* drop, twice, swap, damage, answer */
};

/* Ends the program with 2 on a mistake. The texts are argv's. */
struct args args_parse(int argc, char **argv);

#endif
