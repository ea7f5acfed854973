/* InitProducerId: gives an idempotent producer its id (KIP-98). Transactional producers are refused. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/request.h"

static void producer_id_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_producer_id *p = (struct op_producer_id *)op;
    struct kafka_init_producer_id_response *m = r->state;
    if (kafka_request_alive(r)) {
        m->error_code = kafka_error_of(r, op->err);
        if (!op->err) {
            m->producer_id = p->producer_id;
            m->producer_epoch = p->producer_epoch;
        }
    }
    op_free(p);
    kafka_op_returned(r);
}

static void finish(struct kafka_request *r)
{
    kafka_respond(r, r->state);
}

/* KafkaApis.handleInitProducerIdRequest() and TransactionCoordinator: id and epoch come together or not at
 * all; without a transactional id they are ignored and a new id is given (KIP-360 bumps epochs for
 * transactions only). */
static int check(const struct kafka_init_producer_id_request *in)
{
    if (!span_is_null(in->transactional_id))
        return in->transactional_id.len == 0 ? KAFKA_INVALID_REQUEST
                                             : KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if ((in->producer_id == -1) != (in->producer_epoch == -1))
        return KAFKA_INVALID_REQUEST;
    return KAFKA_NONE;
}

void kafka_init_producer_id(struct kafka_request *r)
{
    struct kafka_init_producer_id_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_init_producer_id_response_init(m);
    m->producer_epoch = -1;
    m->error_code = kafka_error(r, check(r->message));
    r->state = m;
    r->finish = finish;
    if (m->error_code)
        return;
    struct op_producer_id *p = kafka_op_new(r, sizeof(*p), producer_id_done);
    op_producer_id_submit(p);
}
