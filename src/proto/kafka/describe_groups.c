/* DescribeGroups: groups with their members. Versions 0 to 6. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"
#include "proto/kafka/topics.h"

enum { NOT_FOUND_SINCE = 6 }; /* KIP-1043; before, a group that is not there is dead */

struct describe_groups {
    struct kafka_describe_groups_response response;
};

struct description {
    struct op_group_describe op;
    struct kafka_describe_groups_response_group *out;
};

static void tell_members(struct kafka_request *r, const struct op_group_describe *d,
                         struct kafka_describe_groups_response_group *out)
{
    out->members_count = (int32_t)d->ret_member_count;
    out->members = arena_array(&r->arena, d->ret_member_count, sizeof(*out->members));
    for (uint32_t i = 0; i < d->ret_member_count; i++) {
        const struct group_member_info *m = &d->ret_members[i];
        out->members[i].member_id = kafka_group_keep(r, m->id);
        out->members[i].group_instance_id = kafka_group_keep(r, m->instance_id);
        out->members[i].client_id = kafka_group_keep(r, m->client_id);
        out->members[i].client_host = kafka_group_keep(r, m->client_host);
        out->members[i].member_metadata = kafka_group_keep(r, m->metadata);
        out->members[i].member_assignment = kafka_group_keep(r, m->assignment);
    }
}

static void tell(struct kafka_request *r, const struct op_group_describe *d,
                 struct kafka_describe_groups_response_group *out)
{
    const struct kafka_describe_groups_request *in = r->message;
    out->group_state = span_str(group_state_name(d->ret_state));
    out->protocol_type = kafka_group_keep(r, d->ret_protocol_type);
    out->protocol_data = kafka_group_keep(r, d->ret_protocol);
    tell_members(r, d, out);
    if (in->include_authorized_operations)
        out->authorized_operations = KAFKA_GROUP_OPERATIONS;
}

/* GroupMetadataManager.describeGroups() */
static void tell_missing(struct kafka_request *r, struct kafka_describe_groups_response_group *out)
{
    const struct kafka_describe_groups_request *in = r->message;
    out->group_state = span_str(group_state_name(GROUP_DEAD));
    if (r->version >= NOT_FOUND_SINCE) {
        out->error_code = kafka_error_of(r, ERR_NO_GROUP);
        out->error_message =
            span_str(arena_printf(&r->arena, "Group %s not found.", kafka_printable(r, out->group_id)));
    } else if (in->include_authorized_operations) {
        out->authorized_operations = KAFKA_GROUP_OPERATIONS;
    }
}

static void describe_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct description *d = (struct description *)op;
    if (kafka_request_alive(r)) {
        if (!op->err) {
            tell(r, &d->op, d->out);
        } else if (op->err == ERR_NO_GROUP) {
            tell_missing(r, d->out);
        } else {
            d->out->error_code = kafka_group_error_of(r, op->err);
            d->out->error_message = span_str(kafka_error_text(d->out->error_code));
        }
    }
    op_group_free(&d->op.g);
    kafka_op_returned(r);
}

void kafka_describe_groups(struct kafka_request *r)
{
    const struct kafka_describe_groups_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->groups_count))
        return;
    struct describe_groups *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = kafka_group_finish;
    kafka_describe_groups_response_init(&st->response);
    st->response.groups_count = in->groups_count;
    st->response.groups = arena_array(&r->arena, (size_t)in->groups_count, sizeof(*st->response.groups));
    for (int32_t i = 0; i < in->groups_count; i++) {
        struct description *d = kafka_group_op_new(r, sizeof(*d), in->groups[i], describe_done);
        d->out = &st->response.groups[i];
        kafka_describe_groups_response_group_init(d->out);
        d->out->group_id = in->groups[i];
        op_group_describe_submit(&d->op);
    }
}
