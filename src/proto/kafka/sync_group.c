/* SyncGroup: the leader hands in the division, everybody gets its part. Versions 0 to 5. */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

enum { PROTOCOL_SINCE = 5 }; /* protocol type and name, KIP-559 */

/* The answer points into the operation, which is freed after it is written. */
static void sync_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_group_sync *s = (struct op_group_sync *)op;
    struct kafka_sync_group_response *m = r->state;
    if (kafka_request_alive(r)) {
        m->error_code = kafka_group_error_of(r, op->err);
        if (!op->err) {
            m->protocol_type = s->ret_protocol_type;
            m->protocol_name = s->ret_protocol;
            m->assignment = s->ret_assignment;
        }
    }
    kafka_op_returned(r);
    op_group_free(&s->g);
}

static void submit(struct kafka_request *r, const struct kafka_sync_group_request *in)
{
    struct op_group_sync *s = kafka_group_op_new(r, sizeof(*s), in->group_id, sync_done);
    struct group_assignment *list = arena_array(&r->arena, (size_t)in->assignments_count, sizeof(*list));
    for (int32_t i = 0; i < in->assignments_count; i++)
        list[i] = (struct group_assignment){in->assignments[i].member_id, in->assignments[i].assignment};
    s->generation = in->generation_id;
    s->member_id = in->member_id;
    s->instance_id = in->group_instance_id;
    s->protocol_type = in->protocol_type;
    s->protocol = in->protocol_name;
    s->assignments = list;
    s->assignment_count = (uint32_t)in->assignments_count;
    op_group_sync_submit(s);
}

/* SyncGroupRequest.areMandatoryProtocolTypeAndNamePresent() */
static bool names_protocol(const struct kafka_request *r, const struct kafka_sync_group_request *in)
{
    return r->version < PROTOCOL_SINCE ||
           (!span_is_null(in->protocol_type) && !span_is_null(in->protocol_name));
}

void kafka_sync_group(struct kafka_request *r)
{
    const struct kafka_sync_group_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->assignments_count))
        return;
    struct kafka_sync_group_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_sync_group_response_init(m);
    m->assignment = wire_empty;
    r->state = m;
    r->finish = kafka_group_finish;
    if (names_protocol(r, in))
        submit(r, in);
    else
        m->error_code = kafka_error(r, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
}
