/* Hash map from bytes or from a u64 to a pointer: open addressing, linear probing, backward-shift delete. */
#ifndef COLOBUS_BASE_MAP_H
#define COLOBUS_BASE_MAP_H

#include "base/span.h"

/* The map borrows its keys: a key's bytes must live (usually inside the value) as long as the entry.
 * Iteration order depends on the hash seed; sort before you show anything to a client. */
struct map_slot {
    struct span key; /* u64 keys: ptr NULL, the number in len */
    uint64_t hash;
    void *value; /* NULL: free slot */
};

struct map {
    struct map_slot *slots;
    uint32_t cap; /* 0 or a power of two */
    uint32_t count;
};

void map_init(struct map *m);
void map_fini(struct map *m); /* frees the table, not the values */

void *map_get(const struct map *m, struct span key); /* NULL if absent */
/* value must not be NULL, and the key must be absent (asserted). */
void map_put(struct map *m, struct span key, void *value);
/* Returns the value that was removed, or NULL. */
void *map_del(struct map *m, struct span key);

void *map_get_u64(const struct map *m, uint64_t key);
void map_put_u64(struct map *m, uint64_t key, void *value);
void *map_del_u64(struct map *m, uint64_t key);

/* for (size_t i = 0; (value = map_next(m, &i));) ...; no change of the map meanwhile. */
void *map_next(const struct map *m, size_t *cursor);

#endif
