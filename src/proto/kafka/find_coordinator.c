/* FindCoordinator: where the coordinator of a group is, which is here. Versions 0 to 3 ask for one key, later
 * ones for several (KIP-699). */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"

enum { BATCH_SINCE = 4 };
enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

/* KafkaApis.getCoordinator(): a type that is not known, which share groups are where they are off, is an
 * invalid request. Transactions: as InitProducerId, so that clients fail at once. */
static int check_type(int8_t type)
{
    switch (type) {
    case KEY_GROUP:
        return KAFKA_NONE;
    case KEY_TRANSACTION:
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    default:
        return KAFKA_INVALID_REQUEST;
    }
}

static void find(struct kafka_request *r, int8_t type,
                 struct kafka_find_coordinator_response_coordinator *ret)
{
    int code = check_type(type);
    ret->error_code = kafka_error(r, code);
    ret->error_message = span_str(kafka_error_text(code));
    if (code) {
        ret->node_id = -1;
        ret->host = wire_empty;
        ret->port = -1;
        return;
    }
    ret->node_id = kafka_broker_id(r);
    kafka_advertised(r, &ret->host, &ret->port);
}

static void find_one(struct kafka_request *r, const struct kafka_find_coordinator_request *in,
                     struct kafka_find_coordinator_response *m)
{
    struct kafka_find_coordinator_response_coordinator found;
    kafka_find_coordinator_response_coordinator_init(&found);
    find(r, in->key_type, &found);
    m->error_code = found.error_code;
    m->error_message = found.error_message;
    m->node_id = found.node_id;
    m->host = found.host;
    m->port = found.port;
}

void kafka_find_coordinator(struct kafka_request *r)
{
    const struct kafka_find_coordinator_request *in = r->message;
    struct kafka_find_coordinator_response m;
    if (!kafka_check_count(r, (uint64_t)in->coordinator_keys_count))
        return;
    kafka_find_coordinator_response_init(&m);
    if (r->version < BATCH_SINCE)
        find_one(r, in, &m);
    m.coordinators_count = in->coordinator_keys_count;
    m.coordinators = arena_array(&r->arena, (size_t)m.coordinators_count, sizeof(*m.coordinators));
    for (int32_t i = 0; i < m.coordinators_count; i++) {
        kafka_find_coordinator_response_coordinator_init(&m.coordinators[i]);
        m.coordinators[i].key = in->coordinator_keys[i];
        find(r, in->key_type, &m.coordinators[i]);
    }
    kafka_respond(r, &m);
}
