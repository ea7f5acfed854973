/* The AMQP load client: one thread, one epoll, writes gathered, nothing waits for anything but the limits
 * asked for. */
#ifndef COLOBUS_BENCH_AMQP_LOAD_H
#define COLOBUS_BENCH_AMQP_LOAD_H

#include "amqp/args.h"
#include "amqp/frame.h"
#include "load/histogram.h"

enum { INPUT_BYTES = 1 << 20 }; /* of a connection; holds several frames of FRAME_MAX */

/* A message to one queue as it goes out, made once; the body begins with the time it was due. */
struct template
{
    uint8_t *bytes;
    uint32_t size, stamp; /* stamp: where the time goes; 0: the body is too short for it */
};

/* A channel that publishes; its n-th message goes to queue (number + n * publishers) % queues. */
struct publisher {
    uint32_t number, queue;
    uint64_t made;              /* messages put in the output */
    uint64_t next_due_ns;       /* with a rate */
    uint64_t low;               /* confirms: all sequence numbers up to here are confirmed */
    uint32_t outstanding, mask; /* mask + 1 places in due */
    uint64_t *due;              /* by sequence number: when an unconfirmed message was due; 0: confirmed */
};

struct consumer {
    uint64_t last_tag;
    uint32_t unacked;   /* since the last acknowledgement */
    uint64_t body_left; /* of a message of which the header has come */
    uint64_t due_ns;    /* when it was due */
};

struct channel {
    uint16_t id;
    bool publishes, consumes;
    struct publisher pub;
    struct consumer con;
};

struct peer {
    int fd;
    bool writable, want_out, blocked, closing; /* blocked: connection.blocked; closing: all is said */
    struct out out;
    uint8_t *in;
    size_t in_start, in_end;
    uint32_t waiting;    /* replies that have not come */
    uint64_t last_count; /* messages, of the last queue.declare-ok */
    struct channel *channels;
    uint32_t channel_count; /* ids from 1 */
};

/* What has been done since the start. */
struct counters {
    uint64_t sent, confirmed, nacked, returned, received, redelivered, wrong_size;
    uint64_t at_ns, last_confirm_ns, last_receive_ns;
    double own_cpu_s, watched_cpu_s;
};

struct load {
    struct args args;
    int epoll;
    struct peer **peers;
    uint32_t peer_count, publisher_count;
    struct template *templates; /* by queue */
    struct counters now, begin, end;
    bool publishing;
    uint64_t first_ns;                 /* schedule: message i is due at first_ns + i / rate */
    uint64_t measure_from, measure_to; /* latencies of messages due in here count */
    uint64_t read_ns;                  /* when the input now looked at was read */
    struct histogram latency, confirm; /* ns */
};

/* peer.c. A connection whose handshake, with `channels` channels, is on its way. */
struct peer *peer_open(struct load *l, uint32_t channels);
void peer_free(struct load *l, struct peer *p);
void peer_flush(struct load *l, struct peer *p);
void peer_read(struct load *l, struct peer *p);
/* One round of all connections: waits at most `timeout_ns` (less than 0: for ever). */
void load_poll(struct load *l, int64_t timeout_ns);
/* Polls until all replies have come. */
void load_settle(struct load *l);

/* setup.c */
void setup_queues(struct load *l, struct peer *p, double *ret_seconds);
void setup_remove(struct load *l, struct peer *p, double *ret_seconds);
void setup_consume(struct load *l, struct peer *p, struct channel *c, uint32_t number, uint32_t consumers);
void setup_publish(struct load *l, struct peer *p, struct channel *c, uint32_t number);
/* Messages ready in all queues: passive declarations. Those sent before on this channel are counted. */
uint64_t setup_ready(struct load *l, struct peer *p, uint16_t channel);

/* publish.c */
void publish_templates(struct load *l);
void publish_templates_free(struct load *l);
/* Fills outputs with what is due and allowed; returns ns until the next is due, 0: more can be made at once,
 * -1: something has to come first. */
int64_t publish_round(struct load *l);
void publish_confirmed(struct load *l, struct channel *c, uint64_t tag, bool multiple, bool nack);

/* consume.c */
void consume_deliver(struct load *l, struct channel *c, const uint8_t *payload, uint32_t size);
void consume_header(struct load *l, struct peer *p, struct channel *c, const uint8_t *payload, uint32_t size);
void consume_body(struct load *l, struct peer *p, struct channel *c, const uint8_t *payload, uint32_t size);
void consume_ack(struct load *l, struct peer *p, struct channel *c);

/* run.c */
int run_flow(struct load *l);
int run_declare(struct load *l);
int run_idle(struct load *l);

/* sink.c: listens on the broker address until killed. */
int sink_run(const struct args *args);

/* CPU seconds of a process; 0 if it is not there. */
double process_cpu_seconds(int pid);

#endif
