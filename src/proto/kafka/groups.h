/* What the requests about consumer groups share. */
#ifndef COLOBUS_PROTO_KAFKA_GROUPS_H
#define COLOBUS_PROTO_KAFKA_GROUPS_H

#include "core/group.h"
#include "proto/kafka/cluster.h"

enum {
    /* AclEntry.supportedOperations() for a group, READ, DELETE and DESCRIBE: groups have no settings here. */
    KAFKA_GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8,
};

/* Counts an error of a group's operation, in the code that clients of this API act upon: see groups.c. */
int16_t kafka_group_error_of(struct kafka_request *r, int err);
/* A new operation on this group, see kafka_op_new(); to be freed by op_group_free(). */
void *kafka_group_op_new(struct kafka_request *r, size_t size, struct span group,
                         void (*complete)(struct conn *c, struct op *op));
/* A finish() for requests whose state is the response, or begins with it. */
void kafka_group_finish(struct kafka_request *r);
/* A copy in the request's arena; null stays null. */
struct span kafka_group_keep(struct kafka_request *r, struct span s);
/* A topic's partition by name and number, of a topic that kafka_topic() found or not (err). On success
 * *ret_offset says which position is meant. ERR_NOT_FOUND, and err. */
int kafka_group_partition(const struct topic *t, int err, int32_t index, struct group_offset *ret_offset);

/* The topics that a consumer says it is subscribed to, over all its protocols, each once: an arena array of
 * spans into the metadata. Those of a protocol with malformed metadata are not known. False after
 * kafka_fail(): more than kafka.max-array-elements. */
bool kafka_subscribed_topics(struct kafka_request *r, const struct group_protocol *protocols, uint32_t count,
                             const struct span **ret_topics, uint32_t *ret_count);

#endif
