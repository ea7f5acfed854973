/* For tests and fuzzing of the connection alone: one connection without a socket, and in the place of
 * channels a transcript of what they were told. Nothing of the core is real but conn.c and what it needs. */
#ifndef COLOBUS_PROTO_AMQP_RIG_H
#define COLOBUS_PROTO_AMQP_RIG_H

#include "core/broker.h"
#include "core/user.h"
#include "proto/amqp/amqp.h"
#include "proto/amqp/amqp_impl.h"

enum { RIG_TRANSCRIPT_BYTES = 1 << 16, RIG_INPUT_BYTES = 1 << 18 };

struct rig {
    struct broker broker;
    struct config config;
    struct shard shard;
    struct conn conn;
    struct listener_info listener;
    struct vspace space; /* "/" */
    struct chunk *input;
    size_t taken, need;
    struct op_login *login; /* submitted and not answered */
    char transcript[RIG_TRANSCRIPT_BYTES];
    size_t transcript_len;
    uint64_t heard; /* calls of amqp_input_ended() */
    unsigned conns_gone;
    bool wait_at_declare; /* amqp_channel_wait() at queue.declare */
    bool closed;
};

extern struct rig *rig; /* the one of the test that runs */
void rig_open(void);
void rig_close(void); /* the client has gone */
void rig_free(void);

/* Bytes arrive, and are looked at as proto/conn_input.c would; logins are answered. */
void rig_send(struct span bytes);
void rig_pump(void);
void rig_advance_ms(uint64_t ms); /* deadlines fire */
/* Header to open-ok, by what a client would send; the answers are dropped. */
void rig_handshake(uint32_t frame_max, uint16_t heartbeat_s);

/* Client frames, in the arena. */
struct span rig_method(struct arena *a, uint16_t channel, const struct amqp_method *m);
struct span rig_frame(struct arena *a, uint8_t type, uint16_t channel, struct span payload);
struct span rig_header(struct arena *a, uint16_t channel, uint64_t body_size, struct span props);
struct span rig_join(struct arena *a, const struct span *parts, size_t count);

/* The first frame of the output, decoded and taken out. False: there is none. Payload in the arena. */
bool rig_next(struct arena *a, struct amqp_frame *ret);

#endif
