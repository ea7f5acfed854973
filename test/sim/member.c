/* Members of a consumer group: they join, one divides the partitions, each goes on from the committed offsets
 * of its part and commits; they leave, vanish, come again. What they commit are numbers, not what was read.
 */
#include <stdio.h>
#include <string.h>

#include "actors.h"
#include "client.h"
#include "group_ledger.h"
#include "ledger.h"
#include "stage.h"

enum { API_COMMIT = 8, API_OFFSETS = 9, API_JOIN = 11, API_HEARTBEAT = 12, API_LEAVE = 13, API_SYNC = 14 };
enum { COMMIT_VERSION = 7, OFFSETS_VERSION = 7, HEARTBEAT_VERSION = 3, LEAVE_VERSION = 3, SYNC_VERSION = 3 };
enum { SESSION_MS = 30000, REBALANCE_MS = 10000, ID_BYTES = 128 };
enum {
    ERROR_COORDINATOR_NOT_AVAILABLE = 15,
    ERROR_ILLEGAL_GENERATION = 22,
    ERROR_UNKNOWN_MEMBER = 25,
    ERROR_REBALANCING = 27,
    ERROR_MEMBER_ID_REQUIRED = 79,
    ERROR_FENCED_INSTANCE = 82,
};

enum state { OUTSIDE, JOINED, KNOWS_PART, WORKS };

struct member {
    struct client client;
    enum state state;
    int16_t waiting; /* the API whose answer is due; 0: none */
    int join_version;
    bool is_static;
    char instance[16], id[ID_BYTES];
    int32_t generation;
    bool leads;
    char others[MEMBERS][ID_BYTES]; /* the leader's list */
    unsigned other_count;
    unsigned part; /* a bit per partition */
    int64_t position[PARTITIONS], floor[PARTITIONS];
};

static struct member members[MEMBERS];

static void forget_all(struct member *m)
{
    struct client client = m->client;
    unsigned i = (unsigned)(m - members);
    *m = (struct member){.client = client, .join_version = sim_random_below(2) ? 5 : 2, .is_static = i == 0};
    if (m->is_static)
        m->join_version = 5;
    snprintf(m->instance, sizeof(m->instance), "i%u", i);
}

void members_reset(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        forget_all(&members[i]);
}

static struct span instance_of(const struct member *m)
{
    return m->is_static ? span_str(m->instance) : SPAN_NULL;
}

static void send(struct member *m, int16_t api, int version, const void *request)
{
    (void)client_send(&m->client, api, version, request);
    m->waiting = api;
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static void ask_join(struct member *m)
{
    struct kafka_join_group_request q;
    struct kafka_join_group_request_protocol p = {span_str("parts"), span_str("")};
    kafka_join_group_request_init(&q);
    q.group_id = span_str(STAGE_GROUP);
    q.session_timeout_ms = SESSION_MS;
    q.rebalance_timeout_ms = REBALANCE_MS;
    q.member_id = span_str(m->id);
    q.group_instance_id = instance_of(m);
    q.protocol_type = span_str("sim");
    q.protocols = &p;
    q.protocols_count = 1;
    send(m, API_JOIN, m->join_version, &q);
}

/* Partitions are dealt out in turn. */
static void ask_sync(struct member *m)
{
    struct kafka_sync_group_request q;
    struct kafka_sync_group_request_assignment parts[MEMBERS] = {0};
    static uint8_t masks[MEMBERS];
    kafka_sync_group_request_init(&q);
    q.group_id = span_str(STAGE_GROUP);
    q.generation_id = m->generation;
    q.member_id = span_str(m->id);
    q.group_instance_id = instance_of(m);
    for (unsigned i = 0; i < m->other_count; i++)
        masks[i] = 0;
    for (unsigned p = 0; p < PARTITIONS && m->other_count; p++)
        masks[(p + (unsigned)m->generation) % m->other_count] |= (uint8_t)(1 << p);
    for (unsigned i = 0; i < m->other_count; i++) {
        parts[i].member_id = span_str(m->others[i]);
        parts[i].assignment = span_of(&masks[i], 1);
    }
    q.assignments = parts;
    q.assignments_count = m->leads ? (int32_t)m->other_count : 0;
    send(m, API_SYNC, SYNC_VERSION, &q);
}

static void ask_offsets(struct member *m)
{
    struct kafka_offset_fetch_request q;
    struct kafka_offset_fetch_request_topic t = {.name = span_str(STAGE_TOPIC)};
    int32_t indexes[PARTITIONS];
    kafka_offset_fetch_request_init(&q);
    for (unsigned p = 0; p < PARTITIONS; p++) {
        indexes[p] = (int32_t)p;
        m->floor[p] = group_ledger_floor(p);
    }
    t.partition_indexes = indexes;
    t.partition_indexes_count = PARTITIONS;
    q.group_id = span_str(STAGE_GROUP);
    q.topics = &t;
    q.topics_count = 1;
    send(m, API_OFFSETS, OFFSETS_VERSION, &q);
}

static void ask_commit(struct member *m)
{
    struct kafka_offset_commit_request q;
    struct kafka_offset_commit_request_topic t;
    struct kafka_offset_commit_request_partition parts[PARTITIONS];
    kafka_offset_commit_request_init(&q);
    kafka_offset_commit_request_topic_init(&t);
    int32_t n = 0;
    for (unsigned p = 0; p < PARTITIONS; p++) {
        if (!(m->part & 1u << p))
            continue;
        m->position[p] += 1 + (int64_t)sim_random_below(5);
        kafka_offset_commit_request_partition_init(&parts[n]);
        parts[n].partition_index = (int32_t)p;
        parts[n].committed_offset = m->position[p];
        parts[n++].committed_metadata = span_str("sim");
        group_ledger_committing(p, m->position[p]);
    }
    t.name = span_str(STAGE_TOPIC);
    t.partitions = parts;
    t.partitions_count = n;
    q.group_id = span_str(STAGE_GROUP);
    q.generation_id_or_member_epoch = m->generation;
    q.member_id = span_str(m->id);
    q.group_instance_id = instance_of(m);
    q.topics = &t;
    q.topics_count = 1;
    send(m, API_COMMIT, COMMIT_VERSION, &q);
}

static void ask_heartbeat(struct member *m)
{
    struct kafka_heartbeat_request q;
    kafka_heartbeat_request_init(&q);
    q.group_id = span_str(STAGE_GROUP);
    q.generation_id = m->generation;
    q.member_id = span_str(m->id);
    q.group_instance_id = instance_of(m);
    send(m, API_HEARTBEAT, HEARTBEAT_VERSION, &q);
}

static void ask_leave(struct member *m)
{
    struct kafka_leave_group_request q;
    struct kafka_leave_group_request_member who;
    kafka_leave_group_request_init(&q);
    kafka_leave_group_request_member_init(&who);
    who.member_id = span_str(m->id);
    who.group_instance_id = instance_of(m);
    q.group_id = span_str(STAGE_GROUP);
    q.members = &who;
    q.members_count = 1;
    send(m, API_LEAVE, LEAVE_VERSION, &q);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

/* What is left of the membership after an error; true if there was one. */
static bool refused(struct member *m, const char *what, int error)
{
    if (error == 0)
        return false;
    group_ledger_left((unsigned)(m - members));
    m->state = OUTSIDE;
    switch (error) {
    case ERROR_REBALANCING:
    case ERROR_ILLEGAL_GENERATION:
    case ERROR_COORDINATOR_NOT_AVAILABLE: /* the disk is full, or the broker stops */
        return true;
    case ERROR_UNKNOWN_MEMBER:
    case ERROR_FENCED_INSTANCE:
        m->id[0] = 0;
        return true;
    default:
        ledger_violation("a member's %s got error %d", what, error);
    }
}

static void copy_id(char *to, struct span from)
{
    if (from.len >= ID_BYTES)
        ledger_violation("a member id of %zu bytes", from.len);
    snprintf(to, ID_BYTES, "%.*s", SPAN_ARG(from));
}

static void take_join(struct member *m, struct answer *a)
{
    struct kafka_join_group_response r;
    client_decode(a, API_JOIN, m->join_version, &r);
    if (r.error_code == ERROR_MEMBER_ID_REQUIRED) {
        if (m->join_version < 4 || m->is_static)
            ledger_violation("a member that knows no KIP-394 got error %d", r.error_code);
        copy_id(m->id, r.member_id);
        return;
    }
    if (refused(m, "join", r.error_code))
        return;
    copy_id(m->id, r.member_id);
    m->generation = r.generation_id;
    m->leads = span_eq(r.leader, r.member_id);
    m->other_count = (unsigned)r.members_count;
    if (r.members_count > MEMBERS + 16 || (r.members_count > 0 && !m->leads))
        ledger_violation("%d members told to %s", r.members_count, m->leads ? "the leader" : "a follower");
    m->other_count = 0;
    for (int32_t i = 0; i < r.members_count && m->other_count < MEMBERS; i++)
        copy_id(m->others[m->other_count++], r.members[i].member_id);
    group_ledger_joined((unsigned)(m - members), m->generation);
    m->state = JOINED;
}

static void take_sync(struct member *m, struct answer *a)
{
    struct kafka_sync_group_response r;
    client_decode(a, API_SYNC, SYNC_VERSION, &r);
    if (refused(m, "sync", r.error_code))
        return;
    m->part = r.assignment.len ? r.assignment.ptr[0] : 0;
    group_ledger_assigned((unsigned)(m - members), m->generation, m->part);
    m->state = KNOWS_PART;
}

static void take_offsets(struct member *m, struct answer *a)
{
    struct kafka_offset_fetch_response r;
    client_decode(a, API_OFFSETS, OFFSETS_VERSION, &r);
    if (refused(m, "question for offsets", r.error_code))
        return;
    for (int32_t i = 0; r.topics_count == 1 && i < r.topics[0].partitions_count; i++) {
        const struct kafka_offset_fetch_response_partition *p = &r.topics[0].partitions[i];
        unsigned n = (unsigned)p->partition_index;
        if (n >= PARTITIONS || p->error_code)
            ledger_violation("the committed offset of partition %u: error %d", n, p->error_code);
        group_ledger_fetched(n, p->committed_offset, m->floor[n]);
        m->position[n] = p->committed_offset < 0 ? 0 : p->committed_offset;
    }
    m->state = WORKS;
}

static void take_commit(struct member *m, struct answer *a)
{
    struct kafka_offset_commit_response r;
    client_decode(a, API_COMMIT, COMMIT_VERSION, &r);
    if (r.topics_count != 1)
        ledger_violation("an answer to a commit has %d topics", r.topics_count);
    for (int32_t i = 0; i < r.topics[0].partitions_count; i++) {
        const struct kafka_offset_commit_response_partition *p = &r.topics[0].partitions[i];
        if (refused(m, "commit", p->error_code))
            return;
        group_ledger_committed((unsigned)p->partition_index, m->position[p->partition_index]);
    }
}

static void take_heartbeat(struct member *m, struct answer *a)
{
    struct kafka_heartbeat_response r;
    client_decode(a, API_HEARTBEAT, HEARTBEAT_VERSION, &r);
    (void)refused(m, "heartbeat", r.error_code);
}

static void take_leave(struct member *m, struct answer *a)
{
    struct kafka_leave_group_response r;
    client_decode(a, API_LEAVE, LEAVE_VERSION, &r);
    forget_all(m);
}

static void receive(struct member *m)
{
    static const struct {
        int16_t api;
        int version; /* 0: the member's */
        void (*take)(struct member *m, struct answer *a);
    } kinds[] = {
        {API_JOIN, 0, take_join},
        {API_SYNC, SYNC_VERSION, take_sync},
        {API_OFFSETS, OFFSETS_VERSION, take_offsets},
        {API_COMMIT, COMMIT_VERSION, take_commit},
        {API_HEARTBEAT, HEARTBEAT_VERSION, take_heartbeat},
        {API_LEAVE, LEAVE_VERSION, take_leave},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct answer a;
        if (kinds[i].api != m->waiting)
            continue;
        if (client_receive(&m->client, m->waiting, kinds[i].version ? kinds[i].version : m->join_version,
                           &a)) {
            m->waiting = 0;
            kinds[i].take(m, &a);
            arena_fini(&a.arena);
        }
        return;
    }
}

/* ---- acting -------------------------------------------------------------------------------------------- */

static void cut(struct member *m)
{
    client_close(&m->client);
    m->waiting = 0;
}

static void act(struct member *m, bool calm)
{
    uint64_t dice = sim_random_below(400);
    switch (m->state) {
    case OUTSIDE:
        ask_join(m);
        return;
    case JOINED:
        ask_sync(m);
        return;
    case KNOWS_PART:
        ask_offsets(m);
        return;
    case WORKS:
        if (!calm && dice == 0 && !m->is_static)
            ask_leave(m);
        else if (!calm && dice == 1)
            m->state = OUTSIDE; /* joins again, for no reason that others know */
        else if (!calm && dice < 200 && m->part)
            ask_commit(m);
        else
            ask_heartbeat(m);
        return;
    }
}

void member_step(unsigned i, bool calm)
{
    struct member *m = &members[i];
    if (!m->client.peer) {
        (void)client_connect(&m->client);
        return;
    }
    if (m->waiting)
        receive(m);
    if (client_is_cut(&m->client) || (!calm && sim_random_below(2000) == 0)) {
        cut(m);
        if (sim_random_below(2)) { /* it was a crash: the next one knows nothing */
            group_ledger_left(i);
            forget_all(m);
        }
    } else if (!m->waiting) {
        act(m, calm);
    }
}

void members_cut(void)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        cut(&members[i]);
}

bool members_settled(void)
{
    unsigned all = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (members[i].state != WORKS || members[i].generation != members[0].generation ||
            (all & members[i].part))
            return false;
        all |= members[i].part;
    }
    return all == (1u << PARTITIONS) - 1;
}
