/* DescribeCluster: the cluster id, its broker and its controller (KIP-700, KIP-919). */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/cluster.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static int check_endpoint(struct kafka_request *r, int type, const char **ret_message)
{
    if (type == ENDPOINT_BROKERS)
        return KAFKA_NONE;
    if (type == ENDPOINT_CONTROLLERS) {
        *ret_message =
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type "
            "CONTROLLER";
        return KAFKA_MISMATCHED_ENDPOINT_TYPE;
    }
    *ret_message = arena_printf(&r->arena, "Unsupported endpoint type %d", type);
    return KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
}

static void describe(struct kafka_request *r, struct kafka_describe_cluster_response *m)
{
    const struct kafka_describe_cluster_request *in = r->message;
    m->cluster_id = kafka_cluster_id(r);
    m->controller_id = kafka_broker_id(r);
    m->brokers_count = 1;
    m->brokers = arena_array(&r->arena, 1, sizeof(*m->brokers));
    m->brokers[0].broker_id = kafka_broker_id(r);
    kafka_advertised(r, &m->brokers[0].host, &m->brokers[0].port);
    if (in->include_cluster_authorized_operations)
        m->cluster_authorized_operations = KAFKA_CLUSTER_OPERATIONS;
}

void kafka_describe_cluster(struct kafka_request *r)
{
    const struct kafka_describe_cluster_request *in = r->message;
    struct kafka_describe_cluster_response m;
    kafka_describe_cluster_response_init(&m);
    const char *message = NULL;
    m.error_code = kafka_error(r, check_endpoint(r, in->endpoint_type, &message));
    m.error_message = span_str(message);
    m.endpoint_type = ENDPOINT_BROKERS;
    m.cluster_id = wire_empty;
    if (!m.error_code)
        describe(r, &m);
    kafka_respond(r, &m);
}
