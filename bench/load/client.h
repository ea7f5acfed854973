/* What producers and consumers of the load client share: librdkafka instances, and the clock. */
#ifndef COLOBUS_BENCH_CLIENT_H
#define COLOBUS_BENCH_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "load/args.h"

/* CLOCK_MONOTONIC, so that other processes of the machine can compare. */
uint64_t now_ns(void);
void sleep_until_ns(uint64_t when);
/* Prints why and ends the process with 1: a benchmark that goes on after a failure measures something else.
 */
_Noreturn void die(const char *what, const char *why);

/* librdkafka settings common to all; dies if one is refused. The caller's, until rd_kafka_new() takes it. */
rd_kafka_conf_t *client_conf(const struct load_args *args);
void client_set(rd_kafka_conf_t *conf, const char *key, const char *value);
void client_set_number(rd_kafka_conf_t *conf, const char *key, double value);
rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf);
/* Makes the topic; one that exists already is fine. Dies on failure. */
void client_create_topic(const struct load_args *args);
/* Waits until the topic is known with all its partitions; dies at the timeout. */
void client_await_topic(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct load_args *args);
/* Returns as soon as the port accepts connections, within a millisecond: librdkafka itself tries again only
 * once a second. Dies at the timeout. */
void client_await_port(const struct load_args *args);

#endif
