/* The Kafka front end as the rest of the program sees it. */
#ifndef COLOBUS_PROTO_KAFKA_KAFKA_H
#define COLOBUS_PROTO_KAFKA_KAFKA_H

#include "proto/proto.h"

struct metrics;

extern const struct proto kafka_proto;

/* Names the slots of the metrics kept per API and the error codes. Once, before the threads start. */
void kafka_name_metrics(struct metrics *reg);

#endif
