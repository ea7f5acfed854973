/* The client's end of a simulated Kafka connection: frames out, frames in. */
#ifndef COLOBUS_SIM_CLIENT_H
#define COLOBUS_SIM_CLIENT_H

#include "os/sim/sim.h"
#include "proto/kafka/kafka_wire.gen.h"

struct client {
    struct sim_peer *peer; /* NULL: not connected */
    int32_t next_correlation;
};

struct answer {
    struct span body;   /* lies in the arena, as everything decoded from it */
    struct arena arena; /* arena_fini() by who got it */
    int32_t correlation;
};

bool client_connect(struct client *c);
void client_close(struct client *c);
/* The broker has closed its end (what it sent before can still be received). */
bool client_is_cut(const struct client *c);
/* Returns the correlation id. */
int32_t client_send(struct client *c, int16_t key, int version, const void *request);
/* One whole answer to a request of this API and version, past its header: true. */
bool client_receive(struct client *c, int16_t key, int version, struct answer *ret);
/* Decodes it; a message that does not decode is a violation. */
void client_decode(struct answer *a, int16_t key, int version, void *ret_message);

#endif
