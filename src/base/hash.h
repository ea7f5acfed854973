/* Seeded hashing, so that peers cannot choose keys that collide. */
#ifndef COLOBUS_BASE_HASH_H
#define COLOBUS_BASE_HASH_H

#include "base/span.h"

/* Set once at start from os_random(); the simulator sets it from its seed. */
void hash_seed(uint64_t seed);
uint64_t hash_bytes(struct span s);
uint64_t hash_u64(uint64_t v);

/* The same in every process, for what must outlive a restart. Peers can choose bytes that collide. */
uint64_t hash_stable(struct span s);

#endif
