#include "os/sim/blob.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *ptr)
{
    if (!ptr)
        abort();
    return ptr;
}

void *sim_zalloc(size_t size)
{
    return must(calloc(1, size ? size : 1));
}

void *sim_realloc(void *ptr, size_t size)
{
    return must(realloc(ptr, size ? size : 1));
}

void sim_free(void *ptr)
{
    free(ptr);
}

void *sim_grow(void *items, size_t count, size_t *cap, size_t item_bytes)
{
    if (count < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 8;
    return sim_realloc(items, *cap * item_bytes);
}

struct blob *blob_new(struct span bytes)
{
    struct blob *b = must(malloc(sizeof *b + bytes.len));
    b->refs = 1;
    b->len = bytes.len;
    if (bytes.len)
        memcpy(b->bytes, bytes.ptr, bytes.len);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    assert(b->refs > 0);
    if (--b->refs == 0)
        free(b);
}
