/* What was sent, acknowledged and seen: the checker of the simulation.
 *
 * 1. A value that was refused for certain is never seen.
 * 2. An offset of a partition holds one value, whoever sees it and whenever.
 * 3. At the end every acknowledged value stands at its acknowledged offset, and everything that a consumer
 * ever saw still stands where it was.
 * 4. A value stands at one offset; only a producer without idempotence that has sent it twice may double it.
 * 5. Consumers see offsets without gaps, and high watermarks never go back behind what they saw.
 * 6. Values of one idempotent producer stand in the order in which it sent them. */
#ifndef COLOBUS_SIM_LEDGER_H
#define COLOBUS_SIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_PARTITIONS = 8 };

enum value_state { VALUE_PENDING, VALUE_OK, VALUE_REFUSED, VALUE_UNKNOWN };

void ledger_reset(uint64_t seed);
/* A violation: prints what, with the seed, and ends the program with exit code 1. */
_Noreturn void ledger_violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A new value, numbered from 1. */
uint64_t ledger_new(unsigned partition, unsigned producer, bool idempotent);
void ledger_sent(uint64_t value);
void ledger_acked(uint64_t value, uint64_t offset);
void ledger_refused(uint64_t value);
void ledger_unknown(uint64_t value);
void ledger_seen(unsigned partition, uint64_t offset, uint64_t value);
void ledger_watermark(unsigned partition, uint64_t high_watermark);

/* The last reading of everything. */
void ledger_scan(unsigned partition, uint64_t offset, uint64_t value);
void ledger_check_scan(void);

uint64_t ledger_values(void);
uint64_t ledger_acks(void);

#endif
