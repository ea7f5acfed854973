/* For the tests of channels: a broker on the simulated system, with clients that send methods and read
 * frames. Nothing is fake: front, core and store are the broker's own. */
#ifndef COLOBUS_PROTO_AMQP_CHANNEL_TESTKIT_H
#define COLOBUS_PROTO_AMQP_CHANNEL_TESTKIT_H

#include "core/broker.h"
#include "os/sim/sim.h"
#include "proto/amqp/amqp_impl.h"

struct client {
    struct sim_peer *peer;
    struct arena arena; /* of what is sent, and what came */
    bool cork;          /* what is said waits, to be sent as one piece by client_push() */
    uint8_t *said;
    size_t said_len, said_cap;
};

extern struct config kit_config;
/* *state: the number of shards, a text. */
void kit_start(void **state);
void kit_start_with(void **state, const char *key, const char *value); /* and this setting */
void kit_stop(void);
/* The broker dies at once, and the disk is as it may be then; boots again. Clients must have been closed with
 * it. */
void kit_crash(enum sim_crash_mode mode);
void kit_run_ms(uint64_t ms);
struct shard *kit_shard(void); /* the last: not the first client's, if there are several */

/* Connected, logged in as guest, with `channels` channels open: 1, 2, ... */
struct client *client_new(unsigned channels);
void client_close(struct client *c);
void client_say(struct client *c, unsigned channel, struct amqp_method m);
void client_push(struct client *c);
/* The next method sent to it; the test fails if it is another, or none comes within 2 s. */
struct amqp_method client_hear(struct client *c, unsigned channel, uint32_t id);
/* Nothing comes for 50 ms. */
void client_hear_nothing(struct client *c);
/* Any method on any channel within that time; id 0: none came. */
struct amqp_method client_hear_any(struct client *c, unsigned *ret_channel, uint64_t within_ms);
/* The next content frames; in the arena, as C strings. */
const char *client_hear_body(struct client *c, struct amqp_props *ret_props);

/* Often said. Spans are C strings. */
struct publish {
    const char *exchange, *key, *body;
    size_t len; /* of the body; 0: strlen */
    bool persistent, mandatory;
    const char *reply_to, *expiration;
    const char *cc; /* one further key */
};
void client_publish(struct client *c, unsigned channel, struct publish p);
void client_ask(struct client *c, unsigned channel, struct amqp_method m, uint32_t answer);
void client_declare(struct client *c, unsigned channel, const char *queue, bool durable, struct span args);
/* Ready messages. */
uint32_t client_count(struct client *c, unsigned channel, const char *queue);
void client_consume(struct client *c, unsigned channel, const char *queue, bool no_ack);
/* The next delivery on that channel: its body; the tag is that of the n-th. */
const char *client_delivery(struct client *c, unsigned channel, struct amqp_basic_deliver *ret);
/* basic.get: its body; NULL: empty. */
const char *client_get(struct client *c, unsigned channel, const char *queue, struct amqp_basic_get_ok *ret);
/* The broker closes the channel with this code and text. */
void client_hear_close(struct client *c, unsigned channel, int code, const char *text);

#endif
