#include "proto/kafka/groups.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/reader.h"

enum { JOIN_GROUP = 11, OFFSET_COMMIT = 8 };

/* A limit of ours, which trying again does not lift: the error of Kafka's that comes nearest and that the
 * client's handler of this API knows, so that it tells its user instead of trying for ever.
 * ConsumerCoordinator.OffsetCommitResponseHandler raises INVALID_COMMIT_OFFSET_SIZE, JoinGroupResponseHandler
 * GROUP_MAX_SIZE_REACHED. Others: what GroupCoordinatorService makes of a group that does not fit. */
static int limit_code(const struct kafka_request *r)
{
    switch (r->api->key) {
    case JOIN_GROUP:
        return KAFKA_GROUP_MAX_SIZE_REACHED;
    case OFFSET_COMMIT:
        return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    default:
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

/* What passes is COORDINATOR_NOT_AVAILABLE: clients look for the coordinator and try again. As for other
 * requests, codes of partitions, they would not know them here
 * (GroupCoordinatorService.handleOperationException()).
 */
static int group_code(const struct kafka_request *r, int err)
{
    switch (err) {
    case ERR_STOPPING:
    case ERR_AGAIN:
    case ERR_TIMEOUT:
    case ERR_NO_SPACE:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_NO_MEMORY:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case ERR_DENIED:
        return KAFKA_GROUP_AUTHORIZATION_FAILED;
    case ERR_LIMIT:
        return limit_code(r);
    default:
        return err_kafka(err);
    }
}

int16_t kafka_group_error_of(struct kafka_request *r, int err)
{
    return err ? kafka_error(r, group_code(r, err)) : 0;
}

void *kafka_group_op_new(struct kafka_request *r, size_t size, struct span group,
                         void (*complete)(struct conn *c, struct op *op))
{
    struct op_group *g = kafka_op_new(r, size, complete);
    g->group = group;
    arena_init(&g->arena);
    return g;
}

void kafka_group_finish(struct kafka_request *r)
{
    kafka_respond(r, r->state);
}

struct span kafka_group_keep(struct kafka_request *r, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_strndup(&r->arena, s.ptr, s.len), s.len);
}

int kafka_group_partition(const struct topic *t, int err, int32_t index, struct group_offset *ret_offset)
{
    const struct topic_partition *p;
    if (!err)
        err = kafka_partition(t, index, &p);
    if (err)
        return err;
    *ret_offset =
        (struct group_offset){.topic = t->id, .partition = (uint32_t)index, .offset = -1, .leader_epoch = -1};
    return 0;
}

/* ---- subscriptions ------------------------------------------------------------------------------------- */

/* ConsumerProtocolSubscription, of which version 0 is the beginning of every version: i16 version, topics,
 * nullable user data. Unlike the messages of the API it has no flexible versions. */
static struct span read_topic(struct reader *in)
{
    int16_t len = read_i16(in);
    if (len < 0)
        reader_fail(in, ERR_INVALID, "a null topic");
    return read_bytes(in, len > 0 ? (size_t)len : 0);
}

static void read_user_data(struct reader *in)
{
    int32_t len = read_i32(in);
    read_bytes(in, len > 0 ? (size_t)len : 0);
}

/* The number of topics, each taking at least its length's two bytes, so that nothing is allocated from a
 * count alone. -1: malformed. */
static int32_t read_count(struct reader *in)
{
    int16_t version = read_i16(in);
    int32_t count = read_i32(in);
    return in->err || version < 0 || count < 0 || (size_t)count > reader_left(in) / 2 ? -1 : count;
}

/* Appends to topics, which has room. Nothing if it is malformed, as ClassicGroup.computeSubscribedTopics().
 */
static uint32_t read_subscription(struct span metadata, struct span *topics)
{
    struct reader in;
    reader_init(&in, metadata, NULL);
    int32_t count = read_count(&in);
    for (int32_t i = 0; i < count; i++)
        topics[i] = read_topic(&in);
    read_user_data(&in);
    return in.err || count < 0 ? 0 : (uint32_t)count;
}

static uint64_t room_for(const struct group_protocol *protocols, uint32_t count)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct reader in;
        reader_init(&in, protocols[i].metadata, NULL);
        int32_t topics = read_count(&in);
        room += topics > 0 ? (uint64_t)topics : 0;
    }
    return room;
}

static int compare(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

bool kafka_subscribed_topics(struct kafka_request *r, const struct group_protocol *protocols, uint32_t count,
                             const struct span **ret_topics, uint32_t *ret_count)
{
    uint32_t n = 0, unique = 0;
    uint64_t room = room_for(protocols, count);
    if (!kafka_check_count(r, room))
        return false;
    struct span *topics = arena_array(&r->arena, room, sizeof(*topics));
    for (uint32_t i = 0; i < count; i++)
        n += read_subscription(protocols[i].metadata, topics + n);
    if (n)
        qsort(topics, n, sizeof(*topics), compare);
    for (uint32_t i = 0; i < n; i++)
        if (unique == 0 || !span_eq(topics[unique - 1], topics[i]))
            topics[unique++] = topics[i];
    *ret_topics = topics;
    *ret_count = unique;
    return true;
}
