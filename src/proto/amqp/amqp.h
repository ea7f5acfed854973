/* The AMQP 0-9-1 front end as the rest of the program sees it. */
#ifndef COLOBUS_PROTO_AMQP_AMQP_H
#define COLOBUS_PROTO_AMQP_AMQP_H

#include "proto/proto.h"

extern const struct proto amqp_proto;
/* message_formats[MESSAGE_FORMAT_AMQP]: to be set before the broker starts. */
extern const struct message_format amqp_message_format;

/* ---- what there is to see of a connection ----------------------------------------------------------------
 */

/* Texts and spans are valid during the call only. */
struct amqp_conn_info {
    const char *user, *vhost;
    const char *state;             /* "running", "blocked", "closing", "closed" */
    struct span client_properties; /* a checked table; empty if it was too large to be kept */
    int64_t opened_ms;
    uint32_t channels, frame_max;
    uint16_t channel_max, heartbeat_s;
};
struct amqp_channel_info {
    uint16_t number;
    uint32_t prefetch, global_prefetch; /* 0: no limit; prefetch: of consumers to come */
    uint32_t consumers;
    uint64_t unacked, unconfirmed;
    bool confirming, transactional;
};
struct amqp_consumer_info {
    struct span tag, queue;
    uint16_t channel;
    uint32_t prefetch, unacked;
    bool no_ack, exclusive;
};
/* The connection, then each of its channels and after it its consumers. */
struct amqp_observer {
    void (*connection)(void *arg, const struct amqp_conn_info *i);
    void (*channel)(void *arg, const struct amqp_channel_info *i);
    void (*consumer)(void *arg, const struct amqp_consumer_info *i);
};
/* On the connection's shard. False: it is no connection of AMQP, or not open yet. */
bool amqp_describe(const struct conn *c, const struct amqp_observer *o, void *arg);

/* Closes a connection that is open, as somebody in charge has decided: 320 with this reason. On its shard. */
void amqp_close(struct conn *c, const char *reason);

#endif
