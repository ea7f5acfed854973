/* The simulator's random numbers: splitmix64, so that a number depends on its seed and place alone. */
#ifndef COLOBUS_OS_SIM_DICE_H
#define COLOBUS_OS_SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection that scatters. */
static inline uint64_t dice_mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
    return v ^ (v >> 31);
}

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *d)
{
    d->state += 0x9e3779b97f4a7c15u;
    return dice_mix(d->state);
}

/* [0, limit), limit > 0; the bias of the multiplication is below 2^-32 for the limits used here. */
static inline uint64_t dice_below(struct dice *d, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)dice_next(d) * limit) >> 64);
}

/* True in `in` of 256 throws. */
static inline bool dice_chance(struct dice *d, unsigned in)
{
    return (dice_next(d) & 255) < in;
}

#endif
