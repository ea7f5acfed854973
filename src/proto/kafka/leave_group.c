/* LeaveGroup: one member (versions 0 to 2), or several, also by their static ids (3 to 5, KIP-345). */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

enum { MEMBERS_SINCE = 3 };

static void tell_members(struct kafka_request *r, const struct op_group_leave *l, int err)
{
    const struct kafka_leave_group_request *in = r->message;
    struct kafka_leave_group_response *m = r->state;
    m->members_count = (int32_t)l->count;
    m->members = arena_array(&r->arena, l->count, sizeof(*m->members));
    for (uint32_t i = 0; i < l->count; i++) {
        m->members[i].member_id = in->members[i].member_id;
        m->members[i].group_instance_id = in->members[i].group_instance_id;
        m->members[i].error_code = kafka_group_error_of(r, err ? err : l->leavers[i].err);
    }
}

/* GroupCoordinatorService.leaveGroup(): a group that is not there is an error of each member. Before version
 * 3 the error of the member stands for the whole (LeaveGroupResponse). */
static void leave_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_group_leave *l = (struct op_group_leave *)op;
    struct kafka_leave_group_response *m = r->state;
    if (kafka_request_alive(r)) {
        int err = op->err == ERR_NO_GROUP ? ERR_UNKNOWN_MEMBER : op->err;
        if (r->version < MEMBERS_SINCE)
            m->error_code = kafka_group_error_of(r, err ? err : l->leavers[0].err);
        else if (err && err != ERR_UNKNOWN_MEMBER)
            m->error_code = kafka_group_error_of(r, err);
        else
            tell_members(r, l, err);
    }
    op_group_free(&l->g);
    kafka_op_returned(r);
}

static struct group_leaver *take_members(struct kafka_request *r, const struct kafka_leave_group_request *in,
                                         uint32_t *ret_count)
{
    *ret_count = r->version >= MEMBERS_SINCE ? (uint32_t)in->members_count : 1;
    struct group_leaver *list = arena_array(&r->arena, *ret_count, sizeof(*list));
    if (r->version < MEMBERS_SINCE)
        list[0].member_id = in->member_id;
    for (int32_t i = 0; i < in->members_count; i++) {
        list[i].member_id = in->members[i].member_id;
        list[i].instance_id = in->members[i].group_instance_id;
    }
    return list;
}

void kafka_leave_group(struct kafka_request *r)
{
    const struct kafka_leave_group_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->members_count))
        return;
    struct kafka_leave_group_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_leave_group_response_init(m);
    r->state = m;
    r->finish = kafka_group_finish;
    struct op_group_leave *l = kafka_group_op_new(r, sizeof(*l), in->group_id, leave_done);
    l->leavers = take_members(r, in, &l->count);
    op_group_leave_submit(l);
}
