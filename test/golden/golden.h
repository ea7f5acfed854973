/* Reads recorded golden samples (test/golden/README.md). */
#ifndef COLOBUS_TEST_GOLDEN_H
#define COLOBUS_TEST_GOLDEN_H

#include "base/arena.h"
#include "base/span.h"

struct golden_sample {
    const char *message; /* "produce_request" */
    int version;
    const char *kind;   /* "full", "nulls", "inner_nulls", "foreign_tags" */
    struct span header; /* null: the message is a header itself */
    struct span bytes;
    const char *dump; /* as wire_dump.c prints it; of foreign_tags: that of the full sample before it */
};

struct golden {
    struct golden_sample *samples;
    size_t count;
};

/* All samples of a file, in the arena. Fails the running test if the file is missing or malformed. */
struct golden golden_load(struct arena *arena, const char *path);

#endif
