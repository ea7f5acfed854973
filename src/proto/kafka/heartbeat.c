/* Heartbeat: a member is alive, and learns whether it has to join again. Versions 0 to 4. */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

static void heartbeat_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct kafka_heartbeat_response *m = r->state;
    if (kafka_request_alive(r))
        m->error_code = kafka_group_error_of(r, op->err);
    op_group_free((struct op_group *)op);
    kafka_op_returned(r);
}

void kafka_heartbeat(struct kafka_request *r)
{
    const struct kafka_heartbeat_request *in = r->message;
    struct kafka_heartbeat_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_heartbeat_response_init(m);
    r->state = m;
    r->finish = kafka_group_finish;
    struct op_group_heartbeat *h = kafka_group_op_new(r, sizeof(*h), in->group_id, heartbeat_done);
    h->generation = in->generation_id;
    h->member_id = in->member_id;
    h->instance_id = in->group_instance_id;
    op_group_heartbeat_submit(h);
}
