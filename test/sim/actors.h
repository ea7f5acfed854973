/* The clients of the simulation: producers of three kinds, consumers, members of a group, and one that sends
 * nonsense. */
#ifndef COLOBUS_SIM_ACTORS_H
#define COLOBUS_SIM_ACTORS_H

#include <stdbool.h>

enum { PARTITIONS = 4, PRODUCERS = 5, CONSUMERS = 3, MEMBERS = 4 };

void producers_reset(void);
void producer_step(unsigned i, bool may_send_new);
void producers_cut(void);  /* the broker is gone: connections break */
bool producers_idle(void); /* nothing waits for an answer */

void consumers_reset(void);
void consumer_step(unsigned i);
void consumers_cut(void);

void members_reset(void);
/* calm: it only joins and says that it is alive. */
void member_step(unsigned i, bool calm);
void members_cut(void);
/* All are in one generation, and each partition is in the part of one of them. */
bool members_settled(void);

void vandal_step(void);
void vandal_cut(void);

/* Creates the topic; true when it is there. Call until then. */
bool setup_step(void);
void setup_cut(void);
/* Reads everything from the start; true when all partitions were read to their ends. */
void scan_reset(void);
bool scan_step(void);

#endif
