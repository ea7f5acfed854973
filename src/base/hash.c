#include "base/hash.h"

#include <xxhash.h>

static uint64_t seed_value = 0x9e3779b97f4a7c15u;

void hash_seed(uint64_t seed)
{
    seed_value = seed;
}

uint64_t hash_bytes(struct span s)
{
    return XXH3_64bits_withSeed(s.ptr, s.len, seed_value);
}

uint64_t hash_u64(uint64_t v)
{
    return XXH3_64bits_withSeed(&v, sizeof(v), seed_value);
}

uint64_t hash_stable(struct span s)
{
    return XXH3_64bits(s.ptr, s.len);
}
