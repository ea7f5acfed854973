/* DescribeAcls: there are no ACLs, which is told as Kafka does without an authorizer. Versions 1 to 3. */
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/request.h"

void kafka_describe_acls(struct kafka_request *r)
{
    struct kafka_describe_acls_response m;
    kafka_describe_acls_response_init(&m);
    m.error_code = kafka_error(r, KAFKA_SECURITY_DISABLED);
    m.error_message = span_str("No Authorizer is configured on the broker");
    kafka_respond(r, &m);
}
