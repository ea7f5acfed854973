/* The command line of the AMQP load client. */
#ifndef COLOBUS_BENCH_AMQP_ARGS_H
#define COLOBUS_BENCH_AMQP_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum mode { MODE_PUBLISH, MODE_CONSUME, MODE_BOTH, MODE_DECLARE, MODE_DELETE, MODE_IDLE, MODE_SINK };

struct args {
    enum mode mode;
    const char *broker, *user, *password, *vhost;
    const char *prefix;    /* queues are prefix-0, prefix-1, ...; the fanout exchange is prefix-fanout */
    const char *arguments; /* x-arguments of the queues */
    uint32_t queues, publishers, consumers, channels, connections;
    uint32_t size;     /* bytes of a body */
    uint32_t window;   /* confirms outstanding on a channel; 0: no confirms */
    uint32_t prefetch; /* of each consumer; 0: no limit */
    uint32_t ack_every;
    uint32_t batch_bytes;
    uint64_t in_flight;      /* both: messages on their way, of all; 0: no limit */
    uint64_t count;          /* messages to publish or consume; 0: until the time is over */
    uint64_t expect;         /* consume: end when so many have come */
    double seconds, warm_up; /* warm_up: load before what counts */
    double rate;             /* messages per second of all publishers; 0: as fast as it goes */
    double drain;            /* seconds to wait, after the last publish, for what is on its way */
    int watch;               /* process whose CPU time is told; 0: none */
    bool fanout, durable, persistent, ack, declare, remove;
};

/* Ends the program with 2 on a mistake. The texts are argv's. */
struct args args_parse(int argc, char **argv);

#endif
