#include "load/produce.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_RECORDS = 100000, RETRY_NS = 100000 };

/* The opaque of a record is when it was due; 0 for warm-up. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct producer *p = opaque;
    uint64_t due = (uint64_t)(uintptr_t)m->_private, now = now_ns();
    if (m->err != 0) {
        if (p->failure == NULL)
            p->failure = rd_kafka_err2str(m->err);
        atomic_fetch_add(&p->failed, 1);
        return;
    }
    if (due == 0) {
        atomic_fetch_add(&p->warm, 1);
        return;
    }
    p->last_ack_ns = now;
    histogram_add(&p->latency, now - due);
    atomic_store_explicit(&p->acked, atomic_load_explicit(&p->acked, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* 64 different letters in no order: a codec saves about a quarter. */
static uint8_t *make_payload(uint32_t size)
{
    uint8_t *bytes = malloc(size);
    uint32_t x = 2463534242;
    if (bytes == NULL)
        die("payload", "no memory");
    for (uint32_t i = 0; i < size; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        bytes[i] = (uint8_t)(' ' + x % 64);
    }
    return bytes;
}

static void connect_producer(struct producer *p)
{
    const struct load_args *args = p->args;
    rd_kafka_conf_t *conf = client_conf(args);
    client_set_number(conf, "linger.ms", args->linger_ms);
    client_set_number(conf, "batch.size", args->batch_bytes);
    client_set_number(conf, "batch.num.messages", 1000000); /* bytes decide */
    client_set_number(conf, "message.max.bytes", args->batch_bytes > 1000000 ? args->batch_bytes : 1000000);
    client_set_number(conf, "max.in.flight", args->in_flight);
    client_set_number(conf, "queue.buffering.max.messages", QUEUE_RECORDS);
    client_set_number(conf, "queue.buffering.max.kbytes", 1 << 20);
    client_set_number(conf, "message.timeout.ms", args->timeout * 1000);
    client_set_number(conf, "retry.backoff.ms", 10);
    client_set(conf, "compression.codec", args->codec);
    client_set(conf, "acks", args->acks);
    client_set(conf, "enable.idempotence", args->idempotent ? "true" : "false");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, p);
    p->rk = client_new(RD_KAFKA_PRODUCER, conf);
    p->topic = rd_kafka_topic_new(p->rk, args->topic, NULL);
}

/* False if the client's queue is full. */
static bool send_record(struct producer *p, uint32_t partition, uint64_t due)
{
    memcpy(p->payload, &due, PAYLOAD_STAMP_BYTES);
    if (rd_kafka_produce(p->topic, (int32_t)partition, RD_KAFKA_MSG_F_COPY, p->payload, p->args->size, NULL,
                         0, (void *)(uintptr_t)due) == 0)
        return true;
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        die("produce", rd_kafka_err2str(rd_kafka_last_error()));
    return false;
}

static void warm_up(struct producer *p)
{
    uint64_t deadline = now_ns() + (uint64_t)(p->args->timeout * 1e9);
    for (uint32_t i = 0; i < p->args->partitions; i++) {
        while (!send_record(p, i, 0))
            rd_kafka_poll(p->rk, 1);
    }
    while (p->warm + p->failed < p->args->partitions && now_ns() < deadline)
        rd_kafka_poll(p->rk, 100);
    if (p->failed > 0 || p->warm < p->args->partitions)
        die("warm-up", p->failed > 0 ? p->failure : "timeout");
}

void producer_open(struct producer *p, const struct load_args *args, uint32_t number)
{
    p->args = args;
    p->number = number;
    p->payload = make_payload(args->size);
    connect_producer(p);
    client_await_topic(p->rk, p->topic, args);
    if (args->warm_up)
        warm_up(p);
}

static void *take_acknowledgements(void *arg)
{
    struct producer *p = arg;
    while (!p->stop)
        rd_kafka_poll(p->rk, 20);
    return NULL;
}

/* When record n of this client is due. The clients' schedules are interleaved. Without a rate: now. */
static uint64_t due_at(const struct producer *p, uint64_t n)
{
    if (p->args->rate == 0)
        return now_ns();
    return p->start_ns + (uint64_t)((double)(n * p->args->clients + p->number) * 1e9 / p->args->rate);
}

static void send_all(struct producer *p)
{
    const struct load_args *args = p->args;
    uint64_t share = args->count / args->clients + (p->number < args->count % args->clients);
    uint64_t end = p->start_ns + (uint64_t)(args->seconds * 1e9);
    uint64_t deadline = p->start_ns + (uint64_t)(args->timeout * 1e9);
    for (uint64_t n = 0; args->count == 0 || n < share; n++) {
        uint64_t due = due_at(p, n);
        if (args->count == 0 && due >= end)
            break;
        if (args->rate != 0 && due > now_ns())
            sleep_until_ns(due);
        while (!send_record(p, (uint32_t)((n + p->number) % args->partitions), due)) {
            uint64_t now = now_ns();
            if (now > deadline)
                die("produce", "timeout");
            sleep_until_ns(now + RETRY_NS);
            if (args->rate == 0)
                due = now;
        }
        p->sent++;
    }
}

void producer_run(struct producer *p, uint64_t start_ns)
{
    pthread_t thread;
    uint64_t deadline = start_ns + (uint64_t)(p->args->timeout * 1e9);
    p->start_ns = start_ns;
    sleep_until_ns(start_ns);
    if (pthread_create(&thread, NULL, take_acknowledgements, p) != 0)
        die("produce", "cannot start a thread");
    send_all(p);
    while (p->acked + p->failed < p->sent && now_ns() < deadline)
        sleep_until_ns(now_ns() + 1000000);
    p->stop = true;
    pthread_join(thread, NULL);
    if (p->failed > 0 || p->acked < p->sent)
        die("produce", p->failed > 0 ? p->failure : "timeout waiting for acknowledgements");
}

void producer_close(struct producer *p)
{
    rd_kafka_topic_destroy(p->topic);
    rd_kafka_destroy(p->rk);
    free(p->payload);
}

uint64_t produce_first(const struct load_args *args)
{
    struct producer *p = calloc(1, sizeof(*p));
    if (p == NULL)
        die("first", "no memory");
    uint64_t deadline = now_ns() + (uint64_t)(args->timeout * 1e9);
    p->args = args;
    p->payload = make_payload(args->size);
    client_await_port(args);
    connect_producer(p);
    send_record(p, 0, now_ns());
    while (p->acked + p->failed == 0 && now_ns() < deadline)
        rd_kafka_poll(p->rk, 100);
    if (p->acked == 0)
        die("first", p->failed > 0 ? p->failure : "timeout");
    uint64_t at = p->last_ack_ns;
    producer_close(p);
    free(p);
    return at;
}
