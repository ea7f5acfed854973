/* For the tests of the Redis front end: a broker on the simulated system, and clients that send bytes and
 * show what they hear. Nothing is fake: front, core and store are the broker's own. */
#ifndef COLOBUS_PROTO_REDIS_TESTKIT_H
#define COLOBUS_PROTO_REDIS_TESTKIT_H

#include "core/broker.h"
#include "os/sim/sim.h"

extern struct config kit_config;
/* `settings`: key and value in turn, NULL ends them. */
void kit_start(const char *shards, const char *const *settings);
void kit_stop(void);
struct broker *kit_broker(void);
void kit_run_ms(uint64_t ms);

struct sim_peer *kit_connect(void);
/* In pieces of `step` bytes, with some time in between; 0: at random. */
void kit_send(struct sim_peer *p, struct span bytes, size_t step);
/* All that comes until there is silence, as a C string ("<EOF>" at its end if the broker has closed the
 * connection; the client's id in HELLO is "ID"); the caller's to free. */
char *kit_hear(struct sim_peer *p);

#endif
