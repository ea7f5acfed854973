#include "proto/kafka/cluster.h"

#include "base/err.h"
#include "core/broker.h"
#include "proto/kafka/conn.h"

int32_t kafka_broker_id(const struct kafka_request *r)
{
    return (int32_t)kafka_config(r)->broker_id;
}

struct span kafka_cluster_id(const struct kafka_request *r)
{
    return span_str(r->shard->broker->cluster_id);
}

/* Splits "127.0.0.1:9092" or "[::1]:9092" at its last colon; without one, port is 0. */
static void split_address(const char *address, struct span *ret_host, int32_t *ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    int32_t port = 0;
    for (const char *p = colon ? colon + 1 : ""; *p >= '0' && *p <= '9' && port < 65536; p++)
        port = port * 10 + (*p - '0');
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    *ret_host = span_of(address, len);
    *ret_port = port;
}

void kafka_advertised(struct kafka_request *r, struct span *ret_host, int32_t *ret_port)
{
    const struct conn *c = r->kc->conn;
    const struct listener_info *l = c->listener;
    struct span bound_host;
    split_address(c->local, ret_host, ret_port);
    if (l->bound)
        split_address(l->bound, &bound_host, ret_port);
    if (l->advertised_host)
        *ret_host = span_str(l->advertised_host);
    if (l->advertised_port)
        *ret_port = l->advertised_port;
    *ret_host = span_of(arena_copy(&r->arena, ret_host->ptr, ret_host->len), ret_host->len);
}

int kafka_topic(struct kafka_request *r, enum auth_action action, struct span name, struct topic **ret_topic)
{
    return topic_find(r->shard, kafka_actor(r), action, name, ret_topic);
}

int kafka_topic_by_id(struct kafka_request *r, enum auth_action action, struct kafka_uuid id,
                      struct topic **ret_topic)
{
    struct topic_id tid;
    _Static_assert(sizeof(tid.bytes) == sizeof(id.bytes), "both are UUIDs");
    memcpy(tid.bytes, id.bytes, sizeof(tid.bytes));
    return topic_find_id(r->shard, kafka_actor(r), action, &tid, ret_topic);
}

int kafka_partition(const struct topic *t, int32_t index, const struct topic_partition **ret_partition)
{
    if (index < 0 || (uint32_t)index >= t->partition_count)
        return ERR_NOT_FOUND;
    *ret_partition = &t->partitions[index];
    return 0;
}
