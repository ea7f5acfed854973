/* The APIs this front end serves: one row each, from which ApiVersions answers and requests are dispatched.
 */
#ifndef COLOBUS_PROTO_KAFKA_API_H
#define COLOBUS_PROTO_KAFKA_API_H

#include "proto/kafka/wire.h"

struct kafka_request;

struct kafka_api {
    int16_t key;
    const char *name;     /* "OffsetForLeaderEpoch" */
    size_t request_bytes; /* of struct kafka_X_request */
    void (*read)(struct reader *r, int version, void *ret_request);
    void (*write)(struct writer *w, int version, const void *response);
    void (*handle)(struct kafka_request *r); /* the decoded request is r->message */
};

/* NULL: not served. */
const struct kafka_api *kafka_api_find(int16_t key);
/* All of them, by key. */
const struct kafka_api *kafka_api_list(size_t *ret_count);

/* The handlers, one file each: api_versions.c and so on. */
void kafka_alter_configs(struct kafka_request *r);
void kafka_api_versions(struct kafka_request *r);
void kafka_create_partitions(struct kafka_request *r);
void kafka_create_topics(struct kafka_request *r);
void kafka_delete_groups(struct kafka_request *r);
void kafka_delete_records(struct kafka_request *r);
void kafka_delete_topics(struct kafka_request *r);
void kafka_describe_acls(struct kafka_request *r);
void kafka_describe_cluster(struct kafka_request *r);
void kafka_describe_configs(struct kafka_request *r);
void kafka_describe_groups(struct kafka_request *r);
void kafka_describe_log_dirs(struct kafka_request *r);
void kafka_fetch(struct kafka_request *r);
void kafka_find_coordinator(struct kafka_request *r);
void kafka_heartbeat(struct kafka_request *r);
void kafka_incremental_alter_configs(struct kafka_request *r);
void kafka_init_producer_id(struct kafka_request *r);
void kafka_join_group(struct kafka_request *r);
void kafka_leave_group(struct kafka_request *r);
void kafka_list_groups(struct kafka_request *r);
void kafka_list_offsets(struct kafka_request *r);
void kafka_metadata(struct kafka_request *r);
void kafka_offset_commit(struct kafka_request *r);
void kafka_offset_delete(struct kafka_request *r);
void kafka_offset_fetch(struct kafka_request *r);
void kafka_offset_for_leader_epoch(struct kafka_request *r);
void kafka_produce(struct kafka_request *r);
void kafka_sync_group(struct kafka_request *r);

/* ApiVersions in a version that is not known: answered in version 0 (KIP-511). */
void kafka_api_versions_unsupported(struct kafka_request *r);

#endif
