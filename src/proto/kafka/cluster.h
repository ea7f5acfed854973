/* The cluster as Kafka clients see it: one broker, which leads every partition and is the controller. */
#ifndef COLOBUS_PROTO_KAFKA_CLUSTER_H
#define COLOBUS_PROTO_KAFKA_CLUSTER_H

#include "core/topic.h"
#include "proto/kafka/request.h"

enum {
    /* What AclEntry.supportedOperations() gives for a topic and for the cluster, a bit per AclOperation code:
     * everything is allowed as long as there are no ACLs. */
    KAFKA_TOPIC_OPERATIONS = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11,
    KAFKA_CLUSTER_OPERATIONS = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12,
};

int32_t kafka_broker_id(const struct kafka_request *r);
struct span kafka_cluster_id(const struct kafka_request *r);
/* Where this client reaches the broker: what its listener advertises, else the address it came in on. The
 * bytes live as long as the request's arena. */
void kafka_advertised(struct kafka_request *r, struct span *ret_host, int32_t *ret_port);

static inline struct kafka_uuid kafka_uuid_of(const struct topic *t)
{
    struct kafka_uuid id;
    memcpy(id.bytes, t->id.bytes, sizeof(id.bytes));
    return id;
}

/* Topics of the connection's virtual host. ERR_NOT_FOUND, ERR_UNKNOWN_TOPIC_ID, ERR_DENIED. */
int kafka_topic(struct kafka_request *r, enum auth_action action, struct span name, struct topic **ret_topic);
int kafka_topic_by_id(struct kafka_request *r, enum auth_action action, struct kafka_uuid id,
                      struct topic **ret_topic);
/* ERR_NOT_FOUND: no such partition. */
int kafka_partition(const struct topic *t, int32_t index, const struct topic_partition **ret_partition);

#endif
