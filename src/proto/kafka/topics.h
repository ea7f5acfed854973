/* What CreateTopics, CreatePartitions and DeleteTopics share: names of a request, and errors in Kafka's
 * words. */
#ifndef COLOBUS_PROTO_KAFKA_TOPICS_H
#define COLOBUS_PROTO_KAFKA_TOPICS_H

#include "proto/kafka/cluster.h"

/* An error of an admin request: Kafka's code, and a text for people (arena or static; NULL: none). */
struct kafka_refusal {
    int code;
    const char *message;
};

/* The code's own text from Kafka's table. */
struct kafka_refusal kafka_refuse_code(int code);
/* One of our errors, told in Kafka's words. */
struct kafka_refusal kafka_refuse_err(int err);
struct kafka_refusal kafka_refuse(struct kafka_request *r, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Topic.validate(): INVALID_TOPIC_EXCEPTION with the reason; code 0: the name is good. */
struct kafka_refusal kafka_check_topic_name(struct kafka_request *r, struct span name);

/* For each of `count` spans, or other bytes: does the same stand elsewhere in the array? An arena array. */
bool *kafka_find_duplicates(struct kafka_request *r, const struct span *keys, size_t count);

/* A peer's name for a message: printable characters only, others shown as '?'. An arena string. */
const char *kafka_printable(struct kafka_request *r, struct span s);

/* KIP-195, manual assignments: with one broker, only [that broker]. */
struct kafka_refusal kafka_check_replicas(struct kafka_request *r, const int32_t *broker_ids, int32_t count);

#endif
