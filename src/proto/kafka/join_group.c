/* JoinGroup: a member joins, and is answered when all have. Versions 0 to 9. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/conn.h"
#include "proto/kafka/groups.h"

enum {
    REBALANCE_TIMEOUT_SINCE = 1,
    NEEDS_KNOWN_ID_SINCE = 4,  /* KIP-394 */
    SKIP_ASSIGNMENT_SINCE = 9, /* KIP-814 */
};

static void tell_members(struct kafka_request *r, const struct op_group_join *j,
                         struct kafka_join_group_response *m)
{
    m->members_count = (int32_t)j->ret_member_count;
    m->members = arena_array(&r->arena, j->ret_member_count, sizeof(*m->members));
    for (uint32_t i = 0; i < j->ret_member_count; i++) {
        m->members[i].member_id = j->ret_members[i].id;
        m->members[i].group_instance_id = j->ret_members[i].instance_id;
        m->members[i].metadata = j->ret_members[i].metadata;
    }
}

static void tell(struct kafka_request *r, const struct op_group_join *j)
{
    struct kafka_join_group_response *m = r->state;
    int err = j->g.op.err;
    m->error_code = kafka_group_error_of(r, err);
    if (!err || err == ERR_MEMBER_ID_REQUIRED)
        m->member_id = j->ret_member_id;
    if (err)
        return;
    m->generation_id = j->ret_generation;
    m->protocol_type = j->ret_protocol_type;
    m->protocol_name = j->ret_protocol;
    m->leader = j->ret_leader;
    m->skip_assignment = j->ret_skip_assignment;
    tell_members(r, j, m);
}

/* The answer points into the operation, which is freed after it is written. If the connection has died the
 * member stays until its session is over, as in Kafka. */
static void join_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_group_join *j = (struct op_group_join *)op;
    if (kafka_request_alive(r))
        tell(r, j);
    kafka_op_returned(r);
    op_group_free(&j->g);
}

/* As Java prints an InetAddress without a name: "/127.0.0.1", with no port. */
static struct span client_host(struct kafka_request *r)
{
    const char *peer = r->kc->conn->peer, *colon = strrchr(peer, ':');
    size_t len = colon ? (size_t)(colon - peer) : strlen(peer);
    if (len >= 2 && peer[0] == '[' && peer[len - 1] == ']') {
        peer++;
        len -= 2;
    }
    return span_str(arena_printf(&r->arena, "/%.*s", (int)len, peer));
}

static const struct group_protocol *take_protocols(struct kafka_request *r,
                                                   const struct kafka_join_group_request *in)
{
    struct group_protocol *list = arena_array(&r->arena, (size_t)in->protocols_count, sizeof(*list));
    for (int32_t i = 0; i < in->protocols_count; i++)
        list[i] = (struct group_protocol){in->protocols[i].name, in->protocols[i].metadata};
    return list;
}

static void submit(struct kafka_request *r, const struct kafka_join_group_request *in)
{
    const struct group_protocol *protocols = take_protocols(r, in);
    const struct span *topics = NULL;
    uint32_t protocol_count = (uint32_t)in->protocols_count, topic_count = 0;
    if (span_eq_str(in->protocol_type, "consumer") &&
        !kafka_subscribed_topics(r, protocols, protocol_count, &topics, &topic_count))
        return;
    struct op_group_join *j = kafka_group_op_new(r, sizeof(*j), in->group_id, join_done);
    j->member_id = in->member_id;
    j->instance_id = in->group_instance_id;
    j->client_id = span_is_null(r->client_id) ? wire_empty : r->client_id;
    j->client_host = client_host(r);
    j->protocol_type = in->protocol_type;
    j->protocols = protocols;
    j->protocol_count = protocol_count;
    j->topics = topics;
    j->topic_count = topic_count;
    j->session_timeout_ms = in->session_timeout_ms;
    j->rebalance_timeout_ms =
        r->version >= REBALANCE_TIMEOUT_SINCE ? in->rebalance_timeout_ms : in->session_timeout_ms;
    j->needs_known_id = r->version >= NEEDS_KNOWN_ID_SINCE && span_is_null(in->group_instance_id);
    j->can_skip = r->version >= SKIP_ASSIGNMENT_SINCE;
    op_group_join_submit(j);
}

void kafka_join_group(struct kafka_request *r)
{
    const struct kafka_join_group_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->protocols_count))
        return;
    struct kafka_join_group_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_join_group_response_init(m);
    m->member_id = in->member_id;
    m->protocol_name = SPAN_NULL; /* written as '' before version 7 */
    r->state = m;
    r->finish = kafka_group_finish;
    submit(r, in);
}
