#include "load/consume.h"

#include <stdio.h>
#include <string.h>

#include "load/produce.h"

enum { MESSAGES = 1000 };

void consumer_open(struct consumer *c, const struct load_args *args, uint32_t number)
{
    rd_kafka_conf_t *conf = client_conf(args);
    c->args = args;
    c->number = number;
    client_set_number(conf, "fetch.wait.max.ms", args->fetch_wait_ms);
    client_set_number(conf, "fetch.min.bytes", 1);
    client_set_number(conf, "queued.min.messages", 1000000);
    client_set_number(conf, "queued.max.messages.kbytes", 256 << 10);
    client_set(conf, "check.crcs", "true");
    client_set(conf, "enable.partition.eof", "false");
    c->rk = client_new(RD_KAFKA_CONSUMER, conf);
    c->topic = rd_kafka_topic_new(c->rk, args->topic, NULL);
    client_await_topic(c->rk, c->topic, args);
    c->queue = rd_kafka_queue_new(c->rk);
}

static bool is_mine(const struct consumer *c, uint32_t partition)
{
    return partition % c->args->clients == c->number;
}

void consumer_start(struct consumer *c)
{
    for (uint32_t i = 0; i < c->args->partitions; i++) {
        if (is_mine(c, i) &&
            rd_kafka_consume_start_queue(c->topic, (int32_t)i, RD_KAFKA_OFFSET_BEGINNING, c->queue) != 0)
            die("consume", rd_kafka_err2str(rd_kafka_last_error()));
    }
}

static bool count(struct consumer *c, const rd_kafka_message_t *m)
{
    uint64_t due;
    if (m->err != 0)
        die("consume", rd_kafka_message_errstr(m));
    if (m->len < PAYLOAD_STAMP_BYTES)
        die("consume", "a record that is not ours");
    memcpy(&due, m->payload, PAYLOAD_STAMP_BYTES);
    if (due == 0) {
        c->warm++;
        return false;
    }
    uint64_t now = now_ns();
    if (c->first_ns == 0)
        c->first_ns = now;
    c->last_ns = now;
    c->bytes += m->len;
    histogram_add(&c->age, now > due ? now - due : 0);
    return true;
}

/* Waits for one message, then takes those that are there: a batch alone would wait until it is full. */
static ssize_t take(struct consumer *c, rd_kafka_message_t **messages)
{
    messages[0] = rd_kafka_consume_queue(c->queue, 20);
    if (messages[0] == NULL)
        return 0;
    ssize_t more = rd_kafka_consume_batch_queue(c->queue, 0, messages + 1, MESSAGES - 1);
    return more > 0 ? 1 + more : 1;
}

void consumer_warm_up(struct consumer *c)
{
    rd_kafka_message_t *messages[MESSAGES];
    uint64_t deadline = now_ns() + (uint64_t)(c->args->timeout * 1e9), wanted = 0;
    for (uint32_t i = 0; i < c->args->partitions; i++)
        wanted += is_mine(c, i) ? c->args->clients : 0;
    while (c->warm < wanted) {
        ssize_t n = take(c, messages);
        for (ssize_t i = 0; i < n; i++) {
            if (count(c, messages[i]))
                die("warm-up", "the topic has records already");
            rd_kafka_message_destroy(messages[i]);
        }
        if (now_ns() > deadline)
            die("warm-up", "timeout of a reader");
    }
}

void consumer_run(struct consumer *c, _Atomic uint64_t *seen, _Atomic uint64_t *total, uint64_t deadline_ns)
{
    rd_kafka_message_t *messages[MESSAGES];
    while (*seen < *total) {
        ssize_t n = take(c, messages);
        uint64_t counted = 0;
        for (ssize_t i = 0; i < n; i++) {
            counted += count(c, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
        c->records += counted;
        *seen += counted;
        if (now_ns() > deadline_ns) {
            fprintf(stderr, "load: %llu of %llu records read\n", (unsigned long long)*seen,
                    (unsigned long long)*total);
            die("consume", "timeout");
        }
    }
}

void consumer_close(struct consumer *c)
{
    for (uint32_t i = 0; i < c->args->partitions; i++) {
        if (is_mine(c, i))
            rd_kafka_consume_stop(c->topic, (int32_t)i);
    }
    rd_kafka_queue_destroy(c->queue);
    rd_kafka_topic_destroy(c->topic);
    rd_kafka_destroy(c->rk);
}
