/* From exchanges into topics: which partition a message goes to, and as what record.
 *
 * A binding to a topic, and a queue of type stream, which is a partition under another name. The arguments of
 * the binding say what the record's key is (`x-key-from`): "routing-key", "message-id", "header:NAME", "none"
 * (the default). With a key the partition is that of Kafka's default partitioner (murmur2 of the key),
 * without one that of the routing key, so that equal routing keys stay in order. */
#ifndef COLOBUS_CORE_TOPIC_POST_H
#define COLOBUS_CORE_TOPIC_POST_H

#include "core/message.h"
#include "core/op.h"
#include "core/record_build.h"

struct binding;
struct dest;

/* Kafka's hash of keys (org.apache.kafka.common.utils.Utils.murmur2). */
uint32_t topic_murmur2(struct span key);

/* Arguments of a binding to a topic: ERR_ARGUMENT with *ret_reason (arena). */
int topic_check_binding(struct span args, struct arena *a, const char **ret_reason);

/* Where a queue of type stream leads: the first partition of the topic of that name, or, of "NAME-3",
 * partition 3 of topic NAME. False: there is no such topic. */
bool topic_of_stream(const struct shard *s, struct span name, struct topic **ret_topic,
                     uint32_t *ret_partition);

/* "1h", as RabbitMQ writes how old a stream's messages may be: a number and one of YMDhms, in ms; -1: it is
 * not. */
int64_t stream_max_age_ms(struct span text);

/* A way into a topic. Spans are the binding's. */
struct topic_way {
    struct span name; /* the topic's, or that of a stream */
    struct span args; /* the binding's; null: none */
    bool stream;
};
/* False: this destination is no topic. `via` may be NULL. */
bool topic_way_of(const struct dest *d, const struct binding *via, struct topic_way *ret);

struct topic_post {
    uint64_t log_id;
    unsigned shard;
    struct records_policy policy; /* the topic's */
    struct record_draft draft;    /* in the arena and the message */
};
/* The record that `m` becomes. ERR_NOT_FOUND: the topic is gone; ERR_BAD_BATCH: a compacted topic wants a
 * key; ERR_TOO_LARGE: beyond max.message.bytes. */
int topic_post(const struct shard *s, const struct topic_way *way, const struct message *m, struct arena *a,
               struct topic_post *ret);
/* Makes the batch what the topic's settings ask for (compression, timestamps): *b's chunk, or another; one
 * reference to *ret_chunk is the caller's. `b` is empty afterwards. Errors as records_check(). */
int topic_post_seal(struct shard *s, const struct records_policy *policy, struct record_builder *b,
                    struct span *ret_batch, struct chunk **ret_chunk);

#endif
