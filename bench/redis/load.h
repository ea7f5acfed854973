/* The Redis load client: one thread, one epoll, many connections. Everything that is heard is compared with
 * what was published: byte by byte, and by number. */
#ifndef COLOBUS_BENCH_REDIS_LOAD_H
#define COLOBUS_BENCH_REDIS_LOAD_H

#include "load/histogram.h"
#include "redis/args.h"
#include "redis/wire.h"

enum { INPUT_BYTES = 256 << 10, BATCH_BYTES = 128 << 10 };

/* A channel: a publish to it as it goes out, a message of it as it comes in, made once. */
struct channel {
    uint8_t *publish, *message; /* with all of the payload; from its stamp on they differ each time */
    uint32_t publish_size, message_size, publish_stamp, message_stamp; /* stamp: where it lies */
    uint32_t hearers;
};

struct peer {
    int fd;
    bool publishes, ready, want_out; /* ready: what was asked while setting up has been answered */
    uint32_t waiting;                /* answers to come until then */
    uint32_t number;                 /* among the publishers, or subscribers */
    struct out out;
    uint8_t *left; /* the beginning of something, until the rest of it comes */
    size_t left_size, left_cap;
    /* a publisher: its k-th publish goes to channel (number + k) % channels */
    uint64_t made, answered;
    uint64_t *due; /* by k & due_mask */
    /* a subscriber */
    uint32_t channel;
    uint64_t *next; /* by publisher: the number it should hear next */
};

/* What has been done since the start. */
struct counters {
    uint64_t published, answered, due, received; /* due: deliveries that the publishes so far lead to */
    uint64_t lost, disordered, wrong_answers;
    uint64_t at_ns;
    double own_cpu_s, watched_cpu_s;
};

struct load {
    struct args args;
    int epoll;
    struct peer **publishers;
    uint32_t publisher_count; /* that are open */
    uint64_t due_mask;
    struct peer **subscribers;
    uint32_t subscriber_count; /* that are open */
    struct channel *channels;
    struct counters now, begin, end;
    bool publishing;
    uint64_t first_ns;                 /* schedule: publish i is due at first_ns + i / rate */
    uint64_t measure_from, measure_to; /* latencies of publishes due in here count */
    uint64_t read_ns;                  /* when the input now looked at was read */
    struct histogram latency, answer;  /* ns: to the subscriber, to the publisher's answer */
    uint8_t input[2 * INPUT_BYTES];
    size_t input_room; /* of it, for one recv() */
};

/* peer.c */
struct peer *peer_open(struct load *l);
void peer_free(struct peer *p);
void peer_flush(struct load *l, struct peer *p);
/* One round of all connections: waits at most `timeout_ns` (less than 0: for ever). */
void load_poll(struct load *l, int64_t timeout_ns);
/* Polls until the peer has been told all that it asked while setting up. */
void peer_settle(struct load *l, struct peer *p);

/* channels.c */
void channels_make(struct load *l);
void channels_free(struct load *l);

/* publish.c */
void publish_open(struct load *l, uint32_t count);
/* Fills outputs with what is due and allowed; returns ns until the next is due, -1: something has to come
 * first. */
int64_t publish_round(struct load *l);
/* Takes what is whole of the answers; returns its bytes. */
size_t publish_answers(struct load *l, struct peer *p, const uint8_t *bytes, size_t n);

/* subscribe.c */
void subscribe_open(struct load *l, uint32_t count);
/* Takes what is whole of the messages; returns its bytes. */
size_t subscribe_messages(struct load *l, struct peer *p, const uint8_t *bytes, size_t n);

/* run.c */
int run_flow(struct load *l);
int run_listen(struct load *l);
int run_idle(struct load *l);

/* sink.c: listens on the broker address until killed. */
int sink_run(const struct args *args);

#endif
