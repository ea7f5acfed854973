/* Hash set of pointers for large numbers of small things: 12 bytes a slot, keys and comparison are the
 * owner's. */
#ifndef COLOBUS_BASE_PTRSET_H
#define COLOBUS_BASE_PTRSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open addressing, linear probing, backward-shift delete; grows and shrinks by itself. The low 32 bits of a
 * hash are what counts. The order of iteration says nothing: sort before you show anything to a client. */
struct ptrset {
    uint32_t *hashes;
    void **items; /* NULL: free slot */
    size_t cap;   /* 0 or a power of two */
    size_t count;
};

typedef bool ptrset_eq(const void *item, const void *key);

void ptrset_init(struct ptrset *s);
void ptrset_fini(struct ptrset *s); /* frees the table, not the items */
/* NULL if absent. `eq` is asked about items of this hash only. */
void *ptrset_get(const struct ptrset *s, uint64_t hash, ptrset_eq *eq, const void *key);
/* No item with an equal key may be in it. */
void ptrset_put(struct ptrset *s, uint64_t hash, void *item);
/* This very item, which must be in it (asserted). */
void ptrset_del(struct ptrset *s, uint64_t hash, const void *item);
/* for (size_t i = 0; (item = ptrset_next(s, &i));) ...; no change of the set meanwhile. */
void *ptrset_next(const struct ptrset *s, size_t *cursor);

#endif
