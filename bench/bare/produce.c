#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bare/bare.h"
#include "bare/wire.h"

enum { HEAD_BYTES = 512, RESPONSE_BYTES = 4096, MAX_IN_FLIGHT = 64 };
enum { UNKNOWN_TOPIC_OR_PARTITION = 3, NOT_LEADER_OR_FOLLOWER = 6 };

static const uint64_t WARM_UP_NS = 10000000000;

/* Produce v7: one batch for one partition. */
static void encode_head(struct wire *w, const struct bare_flow *f, uint32_t partition, int32_t id,
                        size_t batch_bytes)
{
    wire_begin(w, WIRE_PRODUCE, 7, id);
    put_i16(w, -1); /* no transaction */
    put_i16(w, -1); /* acks=all */
    put_i32(w, 30000);
    put_i32(w, 1);
    put_text(w, f->args->topic);
    put_i32(w, 1);
    put_i32(w, (int32_t)partition);
    put_i32(w, (int32_t)batch_bytes);
    wire_end(w, batch_bytes);
}

/* The error code. */
static int16_t outcome(struct wire response)
{
    skip(&response, 4);
    skip_text(&response);
    skip(&response, 8);
    return get_i16(&response);
}

static void check(int16_t code)
{
    if (code != 0) {
        char text[32];
        snprintf(text, sizeof(text), "refused with code %d", code);
        wire_die("produce", text);
    }
}

/* One record to each partition of the connection: a topic just made may take a while to be ready everywhere.
 */
static void warm_up(struct bare_flow *f, int s)
{
    uint8_t head[HEAD_BYTES], response[RESPONSE_BYTES];
    size_t batch_bytes;
    uint8_t *batch = wire_batch(1, f->args->size, &batch_bytes);
    uint64_t deadline = wire_now_ns() + WARM_UP_NS;
    for (uint32_t p = f->number % f->args->partitions; p < f->args->partitions;) {
        struct wire w = {head, sizeof(head), 0};
        encode_head(&w, f, p, 0, batch_bytes);
        wire_send(s, head, w.at, batch, batch_bytes);
        int16_t code = outcome(wire_receive(s, response, sizeof(response), 0));
        if (code == UNKNOWN_TOPIC_OR_PARTITION || code == NOT_LEADER_OR_FOLLOWER) {
            if (wire_now_ns() > deadline)
                check(code);
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
            continue;
        }
        check(code);
        f->warm++;
        p += f->args->connections;
    }
    free(batch);
}

void bare_produce(struct bare_flow *f)
{
    const struct bare_args *a = f->args;
    uint8_t head[HEAD_BYTES], response[RESPONSE_BYTES];
    uint64_t sent_ns[MAX_IN_FLIGHT];
    uint32_t records = a->batch_bytes / a->size > 0 ? a->batch_bytes / a->size : 1,
             partition = f->number % a->partitions;
    size_t batch_bytes;
    uint8_t *batch = wire_batch(records, a->size, &batch_bytes);
    int s = wire_connect(a->broker);
    int32_t sent = 0, acked = 0;
    warm_up(f, s);
    f->begin_ns = wire_now_ns();
    uint64_t end = f->begin_ns + (uint64_t)(a->seconds * 1e9);
    for (uint64_t now = f->begin_ns; now < end || acked < sent;) {
        for (; now < end && sent - acked < (int32_t)a->in_flight; now = wire_now_ns()) {
            struct wire w = {head, sizeof(head), 0};
            encode_head(&w, f, partition, sent, batch_bytes);
            sent_ns[sent++ % MAX_IN_FLIGHT] = now;
            wire_send(s, head, w.at, batch, batch_bytes);
            partition += a->connections;
            partition = partition < a->partitions ? partition : f->number % a->partitions;
        }
        check(outcome(wire_receive(s, response, sizeof(response), acked)));
        now = wire_now_ns();
        histogram_add(&f->latency, now - sent_ns[acked++ % MAX_IN_FLIGHT]);
        f->end_ns = now;
    }
    f->requests = (uint64_t)acked;
    f->records = f->requests * records;
    f->bytes = f->records * a->size;
    free(batch);
}
