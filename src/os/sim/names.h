/* The entries of a simulated directory: names in bytewise order, each with the number of its inode. */
#ifndef COLOBUS_OS_SIM_NAMES_H
#define COLOBUS_OS_SIM_NAMES_H

#include "os/sim/blob.h"

struct name {
    struct blob *text;
    uint32_t ino;
};

struct names {
    struct name *items;
    size_t count, cap;
};

void names_fini(struct names *t);
void names_copy(struct names *dst, const struct names *src);
/* The inode of this name, 0 if there is none. */
uint32_t names_get(const struct names *t, struct span name);
/* Adds or replaces; takes a reference to the text. */
void names_put(struct names *t, struct blob *name, uint32_t ino);
void names_del(struct names *t, struct span name);

#endif
