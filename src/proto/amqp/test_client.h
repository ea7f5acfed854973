/* For the tests of the connection: what a client says, and what it expects to hear. */
#ifndef COLOBUS_PROTO_AMQP_TEST_CLIENT_H
#define COLOBUS_PROTO_AMQP_TEST_CLIENT_H

#include "proto/amqp/rig.h"

extern struct arena arena; /* of the test that runs */
extern const uint8_t no_props[2];

/* For cmocka: a connection that was accepted, or one that is open already. */
int client_setup(void **state);
int client_setup_open(void **state);
int client_teardown(void **state);
/* Another client comes in, and gets as far as open-ok. */
void reopen(void);

void say_method(uint16_t channel, struct amqp_method m);
void say_id(uint16_t channel, uint32_t id); /* all arguments empty */
void open_channel(uint16_t channel);
struct span publish_frame(uint16_t channel); /* exchange "x", key "k" */
struct span body_of(size_t len);             /* the same for the same length */
/* Publish, header, and the body in frames of at most `piece`. */
struct span message_frames(uint16_t channel, size_t len, size_t piece);
/* What the transcript says of such a message. */
const char *published(uint16_t channel, size_t len);

/* The next method that the broker sends; the test fails if it is another one. */
struct amqp_method expect(uint16_t channel, uint32_t id);
void expect_silence(void);
void expect_close(int code, uint32_t method, const char *text); /* connection.close */
void expect_over(void);
/* All of it, which is forgotten then. */
void expect_transcript(const char *text);
void forget_transcript(void);

#endif
