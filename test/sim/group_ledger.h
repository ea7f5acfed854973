/* What the members of the group were told and have committed: the checker.
 *
 * 1. In one life of the broker generations never go back for a client that joins again.
 * 2. Within one generation of a life no partition is in the parts of two members.
 * 3. A committed offset that is told lies between the highest that was acknowledged before the question, and
 * the highest that was ever sent: nothing acknowledged is lost, nothing is made up, and nobody who was fenced
 *    moved it back. */
#ifndef COLOBUS_SIM_GROUP_LEDGER_H
#define COLOBUS_SIM_GROUP_LEDGER_H

#include <stdint.h>

void group_ledger_reset(void);
void group_ledger_new_life(void);
void group_ledger_joined(unsigned member, int32_t generation);
void group_ledger_assigned(unsigned member, int32_t generation, unsigned part);
void group_ledger_left(unsigned member);
void group_ledger_committing(unsigned partition, int64_t offset);
void group_ledger_committed(unsigned partition, int64_t offset);
/* The highest acknowledged so far; -1: none. */
int64_t group_ledger_floor(unsigned partition);
/* `floor` is what group_ledger_floor() said when it was asked. */
void group_ledger_fetched(unsigned partition, int64_t offset, int64_t floor);
uint64_t group_ledger_commits(void);

#endif
