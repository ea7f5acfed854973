/* Generation handles: how the broker refers to things that can die in between. */
#ifndef COLOBUS_CORE_HANDLE_H
#define COLOBUS_CORE_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An index into a shard's table plus the generation of its slot when the handle was made. A handle whose
 * thing has died resolves to NULL, even when the slot is used again. generation 0 is never given out. */
struct handle {
    uint32_t index;
    uint32_t generation;
    uint16_t shard;
};

struct handle_slot;

struct handle_table {
    struct handle_slot *slots;
    uint32_t cap, free_head, live;
    uint16_t shard;
};

void handle_table_init(struct handle_table *t, uint16_t shard);
void handle_table_fini(struct handle_table *t);
struct handle handle_new(struct handle_table *t, void *thing);
void *handle_get(const struct handle_table *t, struct handle h); /* NULL: it died */
void handle_free(struct handle_table *t, struct handle h);
void *handle_next(const struct handle_table *t, uint32_t *cursor); /* each live thing; NULL at the end */

#endif
