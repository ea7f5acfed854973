/* For the tests of this front end: requests as bytes, answers as structs, over the fake core. */
#ifndef COLOBUS_PROTO_KAFKA_TEST_SESSION_H
#define COLOBUS_PROTO_KAFKA_TEST_SESSION_H

#include "proto/kafka/fake_core.h"
#include "proto/kafka/kafka_wire.gen.h"

enum { SESSION_BYTES = 1 << 20 };

struct session {
    struct fake_core core;
    struct fake_client client;
    struct arena arena;
    uint8_t out[SESSION_BYTES];
};

/* The one of the test that runs; for cmocka's setup and teardown. */
extern struct session *session;
int session_setup(void **state);
int session_teardown(void **state);

/* A whole frame of this request, in the arena. */
struct span session_frame(int16_t key, int version, int32_t correlation_id, const void *request);
/* Sends it; nothing completes before fake_run(). */
void session_send(int16_t key, int version, int32_t correlation_id, const void *request);
/* The first answer in the output, decoded and taken out: it must have this correlation id, and be all of its
 * frame. NULL: there is none. */
void *session_receive(int16_t key, int version, int32_t correlation_id);
/* Send, run, receive. The test fails if there is no answer. */
void *session_ask(int16_t key, int version, const void *request);

/* A good batch of `count` records (at most 60) with value "v". */
struct span session_batch(int32_t count);
/* One partition's worth of a Produce request. */
struct kafka_produce_request *session_produce(const char *topic, int32_t partition, int16_t acks,
                                              struct span batch);
struct kafka_fetch_request *session_fetch(const char *topic, int32_t partition, int64_t offset);

#endif
