/* The requests about consumer groups, over canned answers of the core: what each version asks of it, and what
 * it makes of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "proto/kafka/errors.h"
#include "proto/kafka/test_session.h"

enum {
    OFFSET_COMMIT = 8,
    OFFSET_FETCH = 9,
    FIND_COORDINATOR = 10,
    JOIN_GROUP = 11,
    HEARTBEAT = 12,
    LEAVE_GROUP = 13,
    SYNC_GROUP = 14,
    DESCRIBE_GROUPS = 15,
    LIST_GROUPS = 16,
    DELETE_GROUPS = 42,
    OFFSET_DELETE = 47,
};

static void assert_text(struct span s, const char *text)
{
    assert_false(span_is_null(s));
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void *make(size_t size)
{
    return arena_alloc(&session->arena, size);
}

/* ---- FindCoordinator ---------------------------------------------------------------------------------- */

static struct kafka_find_coordinator_request *find_key(int8_t type, const char *key)
{
    struct kafka_find_coordinator_request *m = make(sizeof(*m));
    kafka_find_coordinator_request_init(m);
    m->key = span_str(key);
    m->key_type = type;
    m->coordinator_keys_count = 2;
    m->coordinator_keys = make(2 * sizeof(struct span));
    m->coordinator_keys[0] = span_str(key);
    m->coordinator_keys[1] = span_str("other");
    return m;
}

static void this_broker_coordinates_every_group(void **state)
{
    for (int version = 0; version <= 3; version++) {
        struct kafka_find_coordinator_response *a = session_ask(FIND_COORDINATOR, version, find_key(0, "g"));
        assert_int_equal(a->error_code, 0);
        assert_int_equal(a->node_id, 1);
        assert_text(a->host, "127.0.0.1");
        assert_int_equal(a->port, 9092);
    }
    for (int version = 4; version <= 6; version++) {
        struct kafka_find_coordinator_response *a = session_ask(FIND_COORDINATOR, version, find_key(0, "g"));
        assert_int_equal(a->coordinators_count, 2);
        assert_text(a->coordinators[0].key, "g");
        assert_text(a->coordinators[1].key, "other");
        assert_int_equal(a->coordinators[1].error_code, 0);
        assert_int_equal(a->coordinators[1].node_id, 1);
        assert_text(a->coordinators[1].host, "127.0.0.1");
        assert_int_equal(a->coordinators[1].port, 9092);
    }
}

static void the_advertised_address_is_told(void **state)
{
    session->client.listener.advertised_host = "broker.example";
    session->client.listener.advertised_port = 19092;
    struct kafka_find_coordinator_response *a = session_ask(FIND_COORDINATOR, 3, find_key(0, "g"));
    assert_text(a->host, "broker.example");
    assert_int_equal(a->port, 19092);
}

static void transactions_and_share_groups_have_no_coordinator(void **state)
{
    struct kafka_find_coordinator_response *a = session_ask(FIND_COORDINATOR, 1, find_key(1, "txn"));
    assert_int_equal(a->error_code, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    assert_text(a->error_message, "The transactional id authorization failed.");
    assert_int_equal(a->node_id, -1);
    assert_int_equal(a->port, -1);
    a = session_ask(FIND_COORDINATOR, 6, find_key(2, "share:id:0"));
    assert_int_equal(a->coordinators[0].error_code, KAFKA_INVALID_REQUEST);
    assert_int_equal(a->coordinators[0].node_id, -1);
    assert_text(a->coordinators[0].host, "");
}

/* ---- JoinGroup ---------------------------------------------------------------------------------------- */

static struct op_group_join asked; /* the scalars of the last JoinGroup; its spans are gone */
static char asked_host[64], asked_topics[64];

static void keep_text(char *ret, size_t cap, struct span s)
{
    assert_true(s.len < cap);
    memcpy(ret, s.ptr, s.len);
    ret[s.len] = 0;
}

static void see_join(struct op_group *g)
{
    asked = *(struct op_group_join *)g;
    keep_text(asked_host, sizeof(asked_host), asked.client_host);
    asked_topics[0] = 0;
    for (uint32_t i = 0; i < asked.topic_count; i++) {
        char one[32];
        keep_text(one, sizeof(one), asked.topics[i]);
        strcat(asked_topics, one);
        strcat(asked_topics, ",");
    }
    assert_true(span_eq_str(asked.client_id, "test"));
    assert_true(span_eq_str(g->group, "g"));
    assert_true(span_eq_str(asked.member_id, "me"));
    g->op.err = ERR_REBALANCING;
}

static struct kafka_join_group_request *join(const char *member, const char *protocol_type,
                                             uint32_t protocols)
{
    struct kafka_join_group_request *m = make(sizeof(*m));
    kafka_join_group_request_init(m);
    m->group_id = span_str("g");
    m->member_id = span_str(member);
    m->session_timeout_ms = 10000;
    m->rebalance_timeout_ms = 60000;
    m->protocol_type = span_str(protocol_type);
    m->protocols_count = (int32_t)protocols;
    m->protocols = make(protocols * sizeof(*m->protocols));
    for (uint32_t i = 0; i < protocols; i++) {
        m->protocols[i].name = span_str(i ? "sticky" : "range");
        m->protocols[i].metadata = span_str("meta");
    }
    return m;
}

/* All versions: without 0 and 1 older clients cannot join (KAFKA-19444, kafka-go#1378). */
static void a_join_asks_what_its_version_can(void **state)
{
    session->core.group_hook = see_join;
    for (int version = 0; version <= 9; version++) {
        struct kafka_join_group_request *m = join("me", "test", 2);
        if (version >= 5)
            m->group_instance_id = span_str("i");
        struct kafka_join_group_response *a = session_ask(JOIN_GROUP, version, m);
        assert_int_equal(a->error_code, KAFKA_REBALANCE_IN_PROGRESS);
        assert_text(a->member_id, "me");
        assert_int_equal(a->generation_id, -1);
        assert_int_equal(asked.session_timeout_ms, 10000);
        assert_int_equal(asked.rebalance_timeout_ms, version == 0 ? 10000 : 60000);
        assert_int_equal(asked.needs_known_id, version == 4);
        assert_int_equal(asked.can_skip, version == 9);
        assert_int_equal(span_is_null(asked.instance_id), version < 5);
        assert_int_equal(asked.protocol_count, 2);
        assert_int_equal(asked.topic_count, 0);
        assert_string_equal(asked_host, "/127.0.0.1");
        if (version >= 7)
            assert_true(span_is_null(a->protocol_name));
        else
            assert_text(a->protocol_name, "");
    }
}

static void dynamic_members_must_know_their_id_from_version_4(void **state)
{
    for (int version = 0; version <= 9; version++) {
        struct kafka_join_group_response *a = session_ask(JOIN_GROUP, version, join("", "consumer", 1));
        assert_int_equal(a->error_code, version >= 4 ? KAFKA_MEMBER_ID_REQUIRED : 0);
        assert_text(a->member_id, "m1");
        assert_int_equal(a->generation_id, version >= 4 ? -1 : 1);
    }
    struct kafka_join_group_request *m = join("", "consumer", 1);
    m->group_instance_id = span_str("i");
    struct kafka_join_group_response *a = session_ask(JOIN_GROUP, 5, m);
    assert_int_equal(a->error_code, 0);
}

static void the_leader_gets_the_members(void **state)
{
    for (int version = 0; version <= 9; version++) {
        struct kafka_join_group_request *m = join("m1", "consumer", 2);
        m->group_instance_id = version >= 5 ? span_str("i") : SPAN_NULL;
        struct kafka_join_group_response *a = session_ask(JOIN_GROUP, version, m);
        assert_int_equal(a->error_code, 0);
        assert_int_equal(a->generation_id, 1);
        assert_text(a->protocol_name, "range");
        assert_text(a->leader, "m1");
        assert_text(a->member_id, "m1");
        assert_int_equal(a->members_count, 1);
        assert_text(a->members[0].member_id, "m1");
        assert_text(a->members[0].metadata, "meta");
        if (version >= 5)
            assert_text(a->members[0].group_instance_id, "i");
        if (version >= 7)
            assert_text(a->protocol_type, "consumer");
        assert_int_equal(a->skip_assignment, version == 9);
    }
}

static struct span bytes(const char *b, size_t len)
{
    return span_of(arena_copy(&session->arena, b, len), len);
}
#define BYTES(s) bytes(s, sizeof(s) - 1)

static void subscriptions_are_read_and_united(void **state)
{
    session->core.group_hook = see_join;
    struct kafka_join_group_request *m = join("me", "consumer", 2);
    m->protocols[0].metadata = BYTES("\0\3\0\0\0\2\0\1b\0\1a\xff\xff\xff\xff more of version 3");
    m->protocols[1].metadata = BYTES("\0\0\0\0\0\2\0\1c\0\1a\0\0\0\1u");
    session_ask(JOIN_GROUP, 9, m);
    assert_string_equal(asked_topics, "a,b,c,");
    m->protocol_type = span_str("connect");
    session_ask(JOIN_GROUP, 9, m);
    assert_string_equal(asked_topics, "");
}

static void of_a_malformed_subscription_no_topics_are_known(void **state)
{
    session->core.group_hook = see_join;
    struct span bad[] = {
        BYTES(""),
        BYTES("\0"),
        BYTES("\0\0\0\0\0\1"),                      /* no topic */
        BYTES("\0\0\0\0\0\1\0\2a"),                 /* half a topic */
        BYTES("\0\0\0\0\0\1\0\1a"),                 /* no user data */
        BYTES("\0\0\0\0\0\1\0\1a\0\0\0\2u"),        /* half of it */
        BYTES("\0\0\0\0\0\1\xff\xff\0\0\0\0"),      /* a null topic */
        BYTES("\0\0\x7f\xff\xff\xff\0\1a\0\0\0\0"), /* a count that lies */
        BYTES("\0\0\xff\xff\xff\xff\0\0\0\0"),      /* a negative one */
        BYTES("\xff\xff\0\0\0\1\0\1a\0\0\0\0"),     /* a negative version */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct kafka_join_group_request *m = join("me", "consumer", 2);
        m->protocols[0].metadata = bad[i];
        m->protocols[1].metadata = BYTES("\0\0\0\0\0\1\0\1z\0\0\0\0");
        session_ask(JOIN_GROUP, 5, m);
        assert_string_equal(asked_topics, "z,");
    }
}

static void too_many_subscribed_topics_close_the_connection(void **state)
{
    session->core.config.kafka_max_array_elements = 3;
    struct kafka_join_group_request *m = join("me", "consumer", 1);
    m->protocols[0].metadata = BYTES("\0\0\0\0\0\4\0\1a\0\1b\0\1c\0\1d\0\0\0\0");
    session_send(JOIN_GROUP, 5, 1, m);
    assert_int_equal(session->core.submitted, 0);
    assert_true(session->client.conn.closing);
}

static void a_client_on_ipv6_has_an_address_without_brackets(void **state)
{
    session->core.group_hook = see_join;
    session->client.conn.peer = "[2001:db8::7]:50000";
    session_ask(JOIN_GROUP, 5, join("me", "test", 1));
    assert_string_equal(asked_host, "/2001:db8::7");
}

static void a_connection_may_die_while_its_member_joins(void **state)
{
    session_send(JOIN_GROUP, 9, 1, join("m1", "consumer", 1));
    session_send(HEARTBEAT, 4, 2, &(struct kafka_heartbeat_request){.group_id = span_str("g")});
    assert_int_equal(session->core.op_count, 2);
    fake_client_close(&session->client);
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 0);
}

/* ---- errors ------------------------------------------------------------------------------------------- */

static int heartbeat_error(int err)
{
    struct kafka_heartbeat_request m = {
        .group_id = span_str("g"), .generation_id = 1, .member_id = span_str("m1")};
    session->core.group_err = err;
    struct kafka_heartbeat_response *a = session_ask(HEARTBEAT, 4, &m);
    return a->error_code;
}

static void errors_are_told_in_codes_that_group_clients_know(void **state)
{
    static const int passing[] = {ERR_STOPPING, ERR_AGAIN, ERR_NO_SPACE, ERR_IO, ERR_NO_MEMORY, ERR_TIMEOUT};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        assert_int_equal(heartbeat_error(passing[i]), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(heartbeat_error(0), 0);
    assert_int_equal(heartbeat_error(ERR_DENIED), KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(heartbeat_error(ERR_GENERATION), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(heartbeat_error(ERR_UNKNOWN_MEMBER), KAFKA_UNKNOWN_MEMBER_ID);
    assert_int_equal(heartbeat_error(ERR_FENCED_INSTANCE), KAFKA_FENCED_INSTANCE_ID);
    assert_int_equal(heartbeat_error(ERR_REBALANCING), KAFKA_REBALANCE_IN_PROGRESS);
    assert_int_equal(heartbeat_error(ERR_GROUP_ID), KAFKA_INVALID_GROUP_ID);
    assert_int_equal(heartbeat_error(ERR_LIMIT), KAFKA_UNKNOWN_SERVER_ERROR);
    session->core.group_err = ERR_LIMIT;
    struct kafka_join_group_response *a = session_ask(JOIN_GROUP, 9, join("m", "consumer", 1));
    assert_int_equal(a->error_code, KAFKA_GROUP_MAX_SIZE_REACHED);
}

/* ---- SyncGroup, Heartbeat, LeaveGroup ----------------------------------------------------------------- */

static struct op_group_sync synced;

static void see_sync(struct op_group *g)
{
    synced = *(struct op_group_sync *)g;
    assert_int_equal(synced.generation, 7);
    assert_int_equal(synced.assignment_count, 2);
    assert_true(span_eq_str(synced.assignments[1].member_id, "m2"));
    assert_true(span_eq_str(synced.assignments[1].bytes, "part 2"));
}

static struct kafka_sync_group_request *sync_request(int version)
{
    struct kafka_sync_group_request *m = make(sizeof(*m));
    kafka_sync_group_request_init(m);
    m->group_id = span_str("g");
    m->generation_id = 7;
    m->member_id = span_str("m1");
    m->group_instance_id = version >= 3 ? span_str("i") : SPAN_NULL;
    m->protocol_type = version >= 5 ? span_str("consumer") : SPAN_NULL;
    m->protocol_name = version >= 5 ? span_str("range") : SPAN_NULL;
    m->assignments_count = 2;
    m->assignments = make(2 * sizeof(*m->assignments));
    m->assignments[0].member_id = span_str("m1");
    m->assignments[0].assignment = span_str("part 1");
    m->assignments[1].member_id = span_str("m2");
    m->assignments[1].assignment = span_str("part 2");
    return m;
}

static void a_sync_hands_the_division_in_and_gets_its_part(void **state)
{
    for (int version = 0; version <= 5; version++) {
        session->core.group_hook = see_sync;
        struct kafka_sync_group_response *a = session_ask(SYNC_GROUP, version, sync_request(version));
        assert_int_equal(a->error_code, 0);
        assert_text(a->assignment, ""); /* a follower that was left out */
        assert_int_equal(span_is_null(synced.instance_id), version < 3);
        assert_int_equal(span_is_null(synced.protocol_type), version < 5);
        assert_int_equal(span_is_null(synced.protocol), version < 5);
        session->core.group_hook = NULL;
        a = session_ask(SYNC_GROUP, version, sync_request(version));
        assert_text(a->assignment, "part 1");
        if (version >= 5)
            assert_text(a->protocol_name, "range");
    }
}

static void a_sync_of_version_5_must_name_its_protocol(void **state)
{
    struct kafka_sync_group_request *m = sync_request(5);
    m->protocol_name = SPAN_NULL;
    struct kafka_sync_group_response *a = session_ask(SYNC_GROUP, 5, m);
    assert_int_equal(a->error_code, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    assert_int_equal(session->core.submitted, 0);
}

static void every_version_of_heartbeat_is_answered(void **state)
{
    struct kafka_heartbeat_request m = {.group_id = span_str("g"), .member_id = span_str("m1")};
    for (int version = 0; version <= 4; version++) {
        m.generation_id = 1;
        assert_int_equal(((struct kafka_heartbeat_response *)session_ask(HEARTBEAT, version, &m))->error_code,
                         0);
        m.generation_id = 2;
        assert_int_equal(((struct kafka_heartbeat_response *)session_ask(HEARTBEAT, version, &m))->error_code,
                         KAFKA_ILLEGAL_GENERATION);
    }
}

static struct kafka_leave_group_response *leave(int version, const char *first, const char *second)
{
    struct kafka_leave_group_request *m = make(sizeof(*m));
    kafka_leave_group_request_init(m);
    m->group_id = span_str("g");
    m->member_id = span_str(first);
    m->members_count = 2;
    m->members = make(2 * sizeof(*m->members));
    m->members[0].member_id = span_str(first);
    m->members[1].member_id = span_str(second);
    m->members[1].group_instance_id = span_str("i");
    return session_ask(LEAVE_GROUP, version, m);
}

static void members_leave_one_or_several(void **state)
{
    for (int version = 0; version <= 5; version++) {
        struct kafka_leave_group_response *a = leave(version, "m1", "");
        assert_int_equal(a->error_code, 0);
        assert_int_equal(a->members_count, version >= 3 ? 2 : 0);
        if (version < 3)
            continue;
        assert_text(a->members[0].member_id, "m1");
        assert_int_equal(a->members[0].error_code, 0);
        assert_true(span_is_null(a->members[0].group_instance_id));
        assert_text(a->members[1].group_instance_id, "i");
        assert_int_equal(a->members[1].error_code, KAFKA_UNKNOWN_MEMBER_ID);
    }
    assert_int_equal(leave(2, "nobody", "")->error_code, KAFKA_UNKNOWN_MEMBER_ID);
}

static void whoever_leaves_a_group_that_is_not_there_is_unknown(void **state)
{
    session->core.group_err = ERR_NO_GROUP;
    assert_int_equal(leave(1, "m1", "")->error_code, KAFKA_UNKNOWN_MEMBER_ID);
    struct kafka_leave_group_response *a = leave(5, "m1", "");
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->members[0].error_code, KAFKA_UNKNOWN_MEMBER_ID);
    session->core.group_err = ERR_DENIED;
    a = leave(5, "m1", "");
    assert_int_equal(a->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(a->members_count, 0);
}

/* ---- OffsetCommit ------------------------------------------------------------------------------------- */

static struct kafka_offset_commit_request *commit(const char *topic, int32_t partitions)
{
    struct kafka_offset_commit_request *m = make(sizeof(*m));
    kafka_offset_commit_request_init(m);
    m->group_id = span_str("g");
    m->member_id = span_str("me");
    m->generation_id_or_member_epoch = 5;
    m->topics_count = 1;
    m->topics = make(sizeof(*m->topics));
    m->topics[0].name = span_str(topic);
    m->topics[0].partitions_count = partitions;
    m->topics[0].partitions = make((size_t)partitions * sizeof(*m->topics[0].partitions));
    for (int32_t i = 0; i < partitions; i++) {
        kafka_offset_commit_request_partition_init(&m->topics[0].partitions[i]);
        m->topics[0].partitions[i].partition_index = i;
        m->topics[0].partitions[i].committed_offset = 100 + i;
    }
    return m;
}

static struct op_group_commit committed;

static void see_commit(struct op_group *g)
{
    committed = *(struct op_group_commit *)g;
    const struct group_offset *o = committed.offsets;
    assert_true(span_eq_str(committed.member_id, "me"));
    assert_int_equal(committed.generation, 5);
    assert_int_equal(committed.count, 2);
    assert_int_equal(o[0].err, 0);
    assert_int_equal(o[0].offset, 100);
    assert_int_equal(o[0].topic.bytes[0], 1);
    assert_true(span_eq_str(o[0].metadata, "said"));
    assert_int_equal(o[1].partition, 1);
    assert_int_equal(o[1].metadata.len, 0);
    assert_false(span_is_null(o[1].metadata));
    assert_int_equal(o[1].leader_epoch, -1);
}

static void a_commit_asks_what_its_version_can(void **state)
{
    fake_topic(&session->core, "t", 2);
    session->core.group_hook = see_commit;
    for (int version = 2; version <= 9; version++) {
        struct kafka_offset_commit_request *m = commit("t", 2);
        m->topics[0].partitions[0].committed_metadata = span_str("said");
        m->topics[0].partitions[0].committed_leader_epoch = version >= 6 ? 4 : -1;
        m->group_instance_id = version >= 7 ? span_str("i") : SPAN_NULL;
        m->retention_time_ms = version <= 4 ? 1000 : -1;
        struct kafka_offset_commit_response *a = session_ask(OFFSET_COMMIT, version, m);
        assert_int_equal(committed.retention_ms, version <= 4 ? 1000 : -1);
        assert_int_equal(span_is_null(committed.instance_id), version < 7);
        assert_text(a->topics[0].name, "t");
        assert_int_equal(a->topics[0].partitions[1].partition_index, 1);
        assert_int_equal(a->topics[0].partitions[1].error_code, 0);
    }
}

static void a_retention_beyond_all_time_is_cut(void **state)
{
    fake_topic(&session->core, "t", 2);
    session->core.group_hook = see_commit;
    struct kafka_offset_commit_request *m = commit("t", 2);
    m->topics[0].partitions[0].committed_metadata = span_str("said");
    m->retention_time_ms = INT64_MAX;
    session_ask(OFFSET_COMMIT, 2, m);
    assert_true(committed.retention_ms > 0 && committed.retention_ms < INT64_MAX / 2);
    m->retention_time_ms = -2;
    session_ask(OFFSET_COMMIT, 2, m);
    assert_int_equal(committed.retention_ms, -1);
}

static void a_commit_of_what_is_not_there_fails_alone(void **state)
{
    fake_topic(&session->core, "t", 1);
    struct kafka_offset_commit_request *m = commit("t", 2);
    struct kafka_offset_commit_response *a = session_ask(OFFSET_COMMIT, 8, m);
    assert_int_equal(a->topics[0].partitions[0].error_code, 0);
    assert_int_equal(a->topics[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    uint64_t before = session->core.submitted;
    a = session_ask(OFFSET_COMMIT, 8, commit("absent", 2));
    assert_int_equal(a->topics[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(session->core.submitted, before); /* nothing was left to ask */
}

static void too_large_metadata_fail_alone(void **state)
{
    fake_topic(&session->core, "t", 2);
    struct kafka_offset_commit_request *m = commit("t", 2);
    m->topics[0].partitions[0].committed_metadata = span_of(make(5000), 5000);
    struct kafka_offset_commit_response *a = session_ask(OFFSET_COMMIT, 8, m);
    assert_int_equal(a->topics[0].partitions[0].error_code, KAFKA_OFFSET_METADATA_TOO_LARGE);
    assert_int_equal(a->topics[0].partitions[1].error_code, 0);
}

static int commit_error(int version, int err)
{
    session->core.group_err = err;
    struct kafka_offset_commit_response *a = session_ask(OFFSET_COMMIT, version, commit("t", 2));
    assert_int_equal(a->topics[0].partitions[1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    return a->topics[0].partitions[0].error_code;
}

static void an_error_of_the_commit_is_told_for_each_partition(void **state)
{
    fake_topic(&session->core, "t", 1);
    assert_int_equal(commit_error(8, ERR_GENERATION), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit_error(8, ERR_LIMIT), KAFKA_INVALID_COMMIT_OFFSET_SIZE);
    assert_int_equal(commit_error(8, ERR_NO_SPACE), KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(commit_error(8, ERR_DENIED), KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(commit_error(8, ERR_NO_GROUP), KAFKA_ILLEGAL_GENERATION);
    assert_int_equal(commit_error(9, ERR_NO_GROUP), KAFKA_GROUP_ID_NOT_FOUND);
}

static void a_commit_of_too_much_closes_the_connection(void **state)
{
    session->core.config.kafka_max_array_elements = 3;
    session_send(OFFSET_COMMIT, 8, 1, commit("t", 4));
    assert_int_equal(session->core.submitted, 0);
    assert_true(session->client.conn.closing);
}

/* ---- OffsetFetch -------------------------------------------------------------------------------------- */

/* Of version 1 to 7, and of 8 and 9 with this group and another. topic NULL: all. */
static struct kafka_offset_fetch_request *fetch(const char *topic)
{
    struct kafka_offset_fetch_request *m = make(sizeof(*m));
    kafka_offset_fetch_request_init(m);
    int32_t *indexes = make(3 * sizeof(*indexes));
    indexes[1] = 1;
    indexes[2] = 99;
    m->group_id = span_str("g");
    m->groups_count = 2;
    m->groups = make(2 * sizeof(*m->groups));
    kafka_offset_fetch_request_group_init(&m->groups[0]);
    kafka_offset_fetch_request_group_init(&m->groups[1]);
    m->groups[0].group_id = span_str("g");
    m->groups[1].group_id = span_str("other");
    m->topics_count = m->groups[0].topics_count = m->groups[1].topics_count = -1;
    if (!topic)
        return m;
    m->topics_count = m->groups[0].topics_count = 1;
    m->topics = make(sizeof(*m->topics));
    m->topics[0].name = span_str(topic);
    m->topics[0].partition_indexes = indexes;
    m->topics[0].partition_indexes_count = 3;
    m->groups[0].topics = make(sizeof(*m->groups[0].topics));
    m->groups[0].topics[0].name = span_str(topic);
    m->groups[0].topics[0].partition_indexes = indexes;
    m->groups[0].topics[0].partition_indexes_count = 3;
    return m;
}

static void positions_are_told_in_every_version(void **state)
{
    fake_topic(&session->core, "t", 2);
    for (int version = 1; version <= 7; version++) {
        struct kafka_offset_fetch_response *a = session_ask(OFFSET_FETCH, version, fetch("t"));
        assert_int_equal(a->error_code, 0);
        assert_int_equal(a->topics_count, 1);
        assert_text(a->topics[0].name, "t");
        assert_int_equal(a->topics[0].partitions_count, 3);
        assert_int_equal(a->topics[0].partitions[1].committed_offset, 1);
        assert_int_equal(a->topics[0].partitions[1].committed_leader_epoch, version >= 5 ? 3 : -1);
        assert_text(a->topics[0].partitions[1].metadata, "said");
        assert_int_equal(a->topics[0].partitions[2].partition_index, 99);
        assert_int_equal(a->topics[0].partitions[2].committed_offset, -1);
        assert_int_equal(a->topics[0].partitions[2].error_code, 0);
        assert_text(a->topics[0].partitions[2].metadata, "");
    }
    for (int version = 8; version <= 9; version++) {
        struct kafka_offset_fetch_response *a = session_ask(OFFSET_FETCH, version, fetch("t"));
        assert_int_equal(a->groups_count, 2);
        assert_text(a->groups[0].group_id, "g");
        assert_int_equal(a->groups[0].topics[0].partitions[1].committed_offset, 1);
        assert_int_equal(a->groups[0].topics[0].partitions[2].committed_offset, -1);
        assert_text(a->groups[1].group_id, "other");
        assert_int_equal(a->groups[1].topics_count, 1);
    }
}

static void all_positions_come_without_those_of_topics_that_are_gone(void **state)
{
    fake_topic(&session->core, "t", 2);
    for (int version = 2; version <= 7; version++) {
        struct kafka_offset_fetch_response *a = session_ask(OFFSET_FETCH, version, fetch(NULL));
        assert_int_equal(a->topics_count, 1);
        assert_text(a->topics[0].name, "t");
        assert_int_equal(a->topics[0].partitions_count, 2);
        assert_int_equal(a->topics[0].partitions[1].partition_index, 1);
        assert_int_equal(a->topics[0].partitions[1].committed_offset, 1);
    }
}

static void an_unknown_topic_has_no_position(void **state)
{
    struct kafka_offset_fetch_response *a = session_ask(OFFSET_FETCH, 1, fetch("absent"));
    assert_int_equal(a->topics[0].partitions[0].committed_offset, -1);
    assert_int_equal(a->topics[0].partitions[0].error_code, 0);
}

static void an_error_of_the_group_is_told_where_the_version_has_room(void **state)
{
    fake_topic(&session->core, "t", 2);
    session->core.group_err = ERR_DENIED;
    struct kafka_offset_fetch_response *a = session_ask(OFFSET_FETCH, 1, fetch("t"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a->topics[0].partitions[i].error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
        assert_int_equal(a->topics[0].partitions[i].committed_offset, -1);
    }
    a = session_ask(OFFSET_FETCH, 2, fetch("t"));
    assert_int_equal(a->error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(a->topics_count, 0);
    a = session_ask(OFFSET_FETCH, 9, fetch("t"));
    assert_int_equal(a->groups[0].error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_int_equal(a->groups[0].topics_count, 0);
}

static void an_offset_fetch_may_outlive_its_connection(void **state)
{
    fake_topic(&session->core, "t", 2);
    session_send(OFFSET_FETCH, 9, 1, fetch(NULL));
    session_send(OFFSET_FETCH, 9, 2, fetch("t"));
    session_send(DESCRIBE_GROUPS, 6, 3, &(struct kafka_describe_groups_request){0});
    session_send(LIST_GROUPS, 5, 4, &(struct kafka_list_groups_request){0});
    fake_client_close(&session->client);
    fake_run(&session->core);
    assert_int_equal(session->core.op_count, 0);
}

/* ---- OffsetDelete ------------------------------------------------------------------------------------- */

static struct kafka_offset_delete_response *forget(void)
{
    struct kafka_offset_delete_request *m = make(sizeof(*m));
    kafka_offset_delete_request_init(m);
    m->group_id = span_str("g");
    m->topics_count = 1;
    m->topics = make(sizeof(*m->topics));
    m->topics[0].name = span_str("t");
    m->topics[0].partitions_count = 3;
    m->topics[0].partitions = make(3 * sizeof(*m->topics[0].partitions));
    for (int i = 0; i < 3; i++)
        m->topics[0].partitions[i].partition_index = i;
    return session_ask(OFFSET_DELETE, 0, m);
}

static void positions_are_deleted(void **state)
{
    fake_topic(&session->core, "t", 2);
    struct kafka_offset_delete_response *a = forget();
    assert_int_equal(a->error_code, 0);
    assert_int_equal(a->topics[0].partitions[0].error_code, 0);
    assert_int_equal(a->topics[0].partitions[1].error_code, KAFKA_GROUP_SUBSCRIBED_TO_TOPIC);
    assert_int_equal(a->topics[0].partitions[2].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    session->core.group_err = ERR_GROUP_NOT_EMPTY;
    a = forget();
    assert_int_equal(a->error_code, KAFKA_NON_EMPTY_GROUP);
    assert_int_equal(a->topics_count, 0);
}

/* ---- DescribeGroups, ListGroups, DeleteGroups --------------------------------------------------------- */

static struct kafka_describe_groups_response *describe(int version, bool operations)
{
    struct kafka_describe_groups_request *m = make(sizeof(*m));
    kafka_describe_groups_request_init(m);
    m->groups_count = 2;
    m->groups = make(2 * sizeof(struct span));
    m->groups[0] = span_str("static");
    m->groups[1] = span_str("other");
    m->include_authorized_operations = operations;
    return session_ask(DESCRIBE_GROUPS, version, m);
}

static void groups_are_described(void **state)
{
    for (int version = 0; version <= 6; version++) {
        struct kafka_describe_groups_response *a = describe(version, version >= 3);
        assert_int_equal(a->groups_count, 2);
        assert_text(a->groups[0].group_id, "static");
        assert_text(a->groups[0].group_state, "Stable");
        assert_text(a->groups[0].protocol_type, "consumer");
        assert_text(a->groups[0].protocol_data, "range");
        assert_int_equal(a->groups[0].members_count, 1);
        assert_text(a->groups[0].members[0].member_id, "m1");
        assert_text(a->groups[0].members[0].client_host, "/127.0.0.1");
        assert_text(a->groups[0].members[0].member_assignment, "assignment");
        if (version >= 4)
            assert_text(a->groups[0].members[0].group_instance_id, "i1");
        assert_true(span_is_null(a->groups[1].members[0].group_instance_id));
        assert_int_equal(a->groups[0].authorized_operations,
                         version >= 3 ? 1 << 3 | 1 << 6 | 1 << 8 : INT32_MIN);
    }
    assert_int_equal(describe(6, false)->groups[0].authorized_operations, INT32_MIN);
}

static void a_group_that_is_not_there_is_dead_or_not_found(void **state)
{
    session->core.group_err = ERR_NO_GROUP;
    struct kafka_describe_groups_response *a = describe(5, false);
    assert_int_equal(a->groups[1].error_code, 0);
    assert_text(a->groups[1].group_state, "Dead");
    a = describe(6, true);
    assert_int_equal(a->groups[1].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    assert_text(a->groups[1].error_message, "Group other not found.");
    assert_text(a->groups[1].group_state, "Dead");
    assert_int_equal(a->groups[1].authorized_operations, INT32_MIN);
    session->core.group_err = ERR_DENIED;
    a = describe(6, true);
    assert_int_equal(a->groups[0].error_code, KAFKA_GROUP_AUTHORIZATION_FAILED);
    assert_text(a->groups[0].group_state, "");
}

static struct kafka_list_groups_response *list(int version, const char *state, const char *type)
{
    struct kafka_list_groups_request *m = make(sizeof(*m));
    kafka_list_groups_request_init(m);
    m->states_filter = make(sizeof(struct span));
    m->states_filter[0] = span_str(state);
    m->states_filter_count = state != NULL;
    m->types_filter = make(sizeof(struct span));
    m->types_filter[0] = span_str(type);
    m->types_filter_count = type != NULL;
    return session_ask(LIST_GROUPS, version, m);
}

static void groups_of_all_shards_are_listed_by_name(void **state)
{
    static const char *const names[] = {"e0", "e1", "e2", "s0", "s1", "s2"};
    for (int version = 0; version <= 5; version++) {
        struct kafka_list_groups_response *a = list(version, NULL, NULL);
        assert_int_equal(a->groups_count, 6);
        for (int i = 0; i < 6; i++)
            assert_text(a->groups[i].group_id, names[i]);
        assert_text(a->groups[0].protocol_type, "");
        assert_text(a->groups[3].protocol_type, "consumer");
        if (version >= 4)
            assert_text(a->groups[3].group_state, "Stable");
        if (version >= 5)
            assert_text(a->groups[3].group_type, "classic");
    }
}

static void groups_are_filtered_by_state_and_type(void **state)
{
    assert_int_equal(list(4, "stable", NULL)->groups_count, 3);
    assert_int_equal(list(5, "Empty", "Classic")->groups_count, 3);
    assert_int_equal(list(5, "Dead", NULL)->groups_count, 0);
    assert_int_equal(list(5, "no such state", NULL)->groups_count, 0);
    assert_int_equal(list(5, NULL, "consumer")->groups_count, 0);
}

static void a_list_is_whole_or_an_error(void **state)
{
    session->core.group_err = ERR_STOPPING;
    struct kafka_list_groups_response *a = list(5, NULL, NULL);
    assert_int_equal(a->error_code, KAFKA_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(a->groups_count, 0);
}

static void groups_are_deleted_once_each(void **state)
{
    struct span names[] = {span_str("b"), span_str("a"), span_str("b")};
    struct kafka_delete_groups_request m = {.groups_names = names, .groups_names_count = 3};
    for (int version = 0; version <= 2; version++) {
        session->core.group_err = 0;
        struct kafka_delete_groups_response *a = session_ask(DELETE_GROUPS, version, &m);
        assert_int_equal(a->results_count, 2);
        assert_text(a->results[0].group_id, "a");
        assert_text(a->results[1].group_id, "b");
        assert_int_equal(a->results[1].error_code, 0);
        session->core.group_err = ERR_NO_GROUP;
        a = session_ask(DELETE_GROUPS, version, &m);
        assert_int_equal(a->results[0].error_code, KAFKA_GROUP_ID_NOT_FOUND);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, session_setup, session_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(this_broker_coordinates_every_group),
        TEST(the_advertised_address_is_told),
        TEST(transactions_and_share_groups_have_no_coordinator),
        TEST(a_join_asks_what_its_version_can),
        TEST(dynamic_members_must_know_their_id_from_version_4),
        TEST(the_leader_gets_the_members),
        TEST(subscriptions_are_read_and_united),
        TEST(of_a_malformed_subscription_no_topics_are_known),
        TEST(too_many_subscribed_topics_close_the_connection),
        TEST(a_client_on_ipv6_has_an_address_without_brackets),
        TEST(a_connection_may_die_while_its_member_joins),
        TEST(errors_are_told_in_codes_that_group_clients_know),
        TEST(a_sync_hands_the_division_in_and_gets_its_part),
        TEST(a_sync_of_version_5_must_name_its_protocol),
        TEST(every_version_of_heartbeat_is_answered),
        TEST(members_leave_one_or_several),
        TEST(whoever_leaves_a_group_that_is_not_there_is_unknown),
        TEST(a_commit_asks_what_its_version_can),
        TEST(a_retention_beyond_all_time_is_cut),
        TEST(a_commit_of_what_is_not_there_fails_alone),
        TEST(too_large_metadata_fail_alone),
        TEST(an_error_of_the_commit_is_told_for_each_partition),
        TEST(a_commit_of_too_much_closes_the_connection),
        TEST(positions_are_told_in_every_version),
        TEST(all_positions_come_without_those_of_topics_that_are_gone),
        TEST(an_unknown_topic_has_no_position),
        TEST(an_error_of_the_group_is_told_where_the_version_has_room),
        TEST(an_offset_fetch_may_outlive_its_connection),
        TEST(positions_are_deleted),
        TEST(groups_are_described),
        TEST(a_group_that_is_not_there_is_dead_or_not_found),
        TEST(groups_of_all_shards_are_listed_by_name),
        TEST(groups_are_filtered_by_state_and_type),
        TEST(a_list_is_whole_or_an_error),
        TEST(groups_are_deleted_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
