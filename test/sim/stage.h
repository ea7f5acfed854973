/* The broker under simulation: booted on the simulated disk, stopped or crashed, booted again. */
#ifndef COLOBUS_SIM_STAGE_H
#define COLOBUS_SIM_STAGE_H

#include "core/broker.h"
#include "os/sim/sim.h"

#define STAGE_ADDRESS "127.0.0.1:9092"
#define STAGE_TOPIC   "t"
#define STAGE_GROUP   "g"

struct stage {
    uint64_t seed;
    unsigned shards;
    struct config config;
    struct broker *broker; /* NULL: it is down */
    struct front *front;
    bool ready;
};

extern struct stage stage;

void stage_init(uint64_t seed, unsigned shards);
/* On the present disk. A broker that does not start is a violation. */
void stage_boot(void);
/* One step of everything; false: the broker has ended by itself (a failed store). */
bool stage_step(void);
/* SIGTERM, and steps until it has ended; not ending in time, or with an exit code but 0, is a violation. */
void stage_stop(void);
/* The process is gone; the disk is left as a power cut, or a kill, may leave it. */
void stage_crash(enum sim_crash_mode mode);

#endif
