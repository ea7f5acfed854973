#include "load/client.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void sleep_until_ns(uint64_t when)
{
    struct timespec t = {.tv_sec = (time_t)(when / 1000000000), .tv_nsec = (long)(when % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    _exit(1); /* librdkafka's threads may hold anything: no handlers, no waiting */
}

void client_set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char why[512];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        die(key, why);
}

void client_set_number(rd_kafka_conf_t *conf, const char *key, double value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.10g", value);
    client_set(conf, key, text);
}

/* Before the broker is up, every attempt to connect fails; that is no news. */
static void log_quietly(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    if (level <= 4 && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0)
        fprintf(stderr, "load: %s: %s\n", facility, text);
}

rd_kafka_conf_t *client_conf(const struct load_args *args)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    client_set(conf, "bootstrap.servers", args->brokers);
    client_set(conf, "client.id", "load");
    client_set(conf, "broker.address.family", "v4");
    client_set_number(conf, "reconnect.backoff.ms", 1);
    client_set_number(conf, "reconnect.backoff.max.ms", 5);
    client_set_number(conf, "topic.metadata.refresh.fast.interval.ms", 10);
    rd_kafka_conf_set_log_cb(conf, log_quietly);
    return conf;
}

rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[512];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (rk == NULL)
        die("client", why);
    return rk;
}

static rd_kafka_resp_err_t create_result(rd_kafka_queue_t *queue, int timeout_ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    size_t n = 0;
    if (err == 0) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        if (n > 0)
            err = rd_kafka_topic_result_error(results[0]);
    }
    rd_kafka_event_destroy(event);
    return err;
}

void client_create_topic(const struct load_args *args)
{
    char why[512];
    rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, client_conf(args));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(args->topic, (int)args->partitions, 1, why, sizeof(why));
    if (topic == NULL)
        die(args->topic, why);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    int timeout_ms = (int)(args->timeout * 1000);
    if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof(why)) != 0)
        die("timeout", why);
    rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
    rd_kafka_resp_err_t err = create_result(queue, timeout_ms);
    if (err != 0 && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        die("create", rd_kafka_err2str(err));
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void client_await_topic(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct load_args *args)
{
    uint64_t deadline = now_ns() + (uint64_t)(args->timeout * 1e9);
    while (now_ns() < deadline) {
        const rd_kafka_metadata_t *metadata;
        rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, topic, &metadata, 1000);
        uint32_t partitions = 0;
        if (err == 0) {
            partitions = metadata->topic_cnt == 1 ? (uint32_t)metadata->topics[0].partition_cnt : 0;
            rd_kafka_metadata_destroy(metadata);
        }
        if (partitions >= args->partitions)
            return;
        if (partitions > 0)
            die(args->topic, "has fewer partitions than --partitions");
        sleep_until_ns(now_ns() + 10000000);
    }
    die(args->topic, "timeout waiting for the topic");
}

static bool accepts(const struct addrinfo *address)
{
    int s = socket(address->ai_family, SOCK_STREAM, 0);
    bool ok = s >= 0 && connect(s, address->ai_addr, address->ai_addrlen) == 0;
    if (s >= 0)
        close(s);
    return ok;
}

void client_await_port(const struct load_args *args)
{
    char host[256];
    const char *colon = strrchr(args->brokers, ':');
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *address;
    if (colon == NULL || (size_t)(colon - args->brokers) >= sizeof(host))
        die("brokers", "this mode takes one host:port");
    snprintf(host, sizeof(host), "%.*s", (int)(colon - args->brokers), args->brokers);
    int err = getaddrinfo(host, colon + 1, &hints, &address);
    if (err != 0)
        die("brokers", gai_strerror(err));
    uint64_t deadline = now_ns() + (uint64_t)(args->timeout * 1e9);
    while (!accepts(address)) {
        if (now_ns() > deadline)
            die("first", "timeout waiting for the port");
        sleep_until_ns(now_ns() + 500000);
    }
    freeaddrinfo(address);
}
