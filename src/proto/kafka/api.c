#include "proto/kafka/api.h"

#include "core/metrics.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/errors.h"
#include "proto/kafka/kafka.h"

/* One row per API, by key: X(key, name in the schema, name in Kafka's words). */
#define KAFKA_APIS(X)                                                                                        \
    X(0, produce, "Produce")                                                                                 \
    X(1, fetch, "Fetch")                                                                                     \
    X(2, list_offsets, "ListOffsets")                                                                        \
    X(3, metadata, "Metadata")                                                                               \
    X(8, offset_commit, "OffsetCommit")                                                                      \
    X(9, offset_fetch, "OffsetFetch")                                                                        \
    X(10, find_coordinator, "FindCoordinator")                                                               \
    X(11, join_group, "JoinGroup")                                                                           \
    X(12, heartbeat, "Heartbeat")                                                                            \
    X(13, leave_group, "LeaveGroup")                                                                         \
    X(14, sync_group, "SyncGroup")                                                                           \
    X(15, describe_groups, "DescribeGroups")                                                                 \
    X(16, list_groups, "ListGroups")                                                                         \
    X(18, api_versions, "ApiVersions")                                                                       \
    X(19, create_topics, "CreateTopics")                                                                     \
    X(20, delete_topics, "DeleteTopics")                                                                     \
    X(21, delete_records, "DeleteRecords")                                                                   \
    X(22, init_producer_id, "InitProducerId")                                                                \
    X(23, offset_for_leader_epoch, "OffsetForLeaderEpoch")                                                   \
    X(29, describe_acls, "DescribeAcls")                                                                     \
    X(32, describe_configs, "DescribeConfigs")                                                               \
    X(33, alter_configs, "AlterConfigs")                                                                     \
    X(35, describe_log_dirs, "DescribeLogDirs")                                                              \
    X(37, create_partitions, "CreatePartitions")                                                             \
    X(42, delete_groups, "DeleteGroups")                                                                     \
    X(44, incremental_alter_configs, "IncrementalAlterConfigs")                                              \
    X(47, offset_delete, "OffsetDelete")                                                                     \
    X(60, describe_cluster, "DescribeCluster")

/* The generated functions know their struct; the table does not. */
#define WRAP(key, name, words)                                                                               \
    static void name##_read(struct reader *r, int version, void *ret_request)                                \
    {                                                                                                        \
        kafka_##name##_request_read(r, version, ret_request);                                                \
    }                                                                                                        \
    static void name##_write(struct writer *w, int version, const void *response)                            \
    {                                                                                                        \
        kafka_##name##_response_write(w, version, response);                                                 \
    }
KAFKA_APIS(WRAP)
#undef WRAP

static const struct kafka_api apis[] = {
#define ROW(key, name, words)                                                                                \
    {key, words, sizeof(struct kafka_##name##_request), name##_read, name##_write, kafka_##name},
    KAFKA_APIS(ROW)
#undef ROW
};

enum { API_COUNT = sizeof(apis) / sizeof(apis[0]) };

const struct kafka_api *kafka_api_find(int16_t key)
{
    for (size_t i = 0; i < API_COUNT; i++)
        if (apis[i].key == key)
            return &apis[i];
    return NULL;
}

const struct kafka_api *kafka_api_list(size_t *ret_count)
{
    *ret_count = API_COUNT;
    return apis;
}

void kafka_name_metrics(struct metrics *reg)
{
    for (size_t i = 0; i < API_COUNT; i++) {
        struct metrics_label label = {"api", span_str(apis[i].name)};
        metrics_name_slot(reg, METRICS_DIM_KAFKA_API, (unsigned)apis[i].key, &label, 1);
    }
    struct metrics_label other = {"api", span_str("unknown")};
    metrics_name_slot(reg, METRICS_DIM_KAFKA_API, METRICS_SLOTS_KAFKA_API - 1, &other, 1);
    metrics_name_kafka_errors(reg, kafka_error_name);
}
