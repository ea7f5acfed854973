#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGE_BYTES = 128 << 10 };

static atomic_bool fail_armed;
static bool fail_sticky;
static int64_t fail_left;
static void (*exhausted)(void);

/* glibc moves its threshold up to the largest block freed, and keeps what is smaller: a burst of large
 * fetches would stay in memory for good. Large blocks that are needed all the time are kept by their pools.
 */
void mem_init(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
#endif
}

void mem_on_exhausted(void (*fn)(void))
{
    exhausted = fn;
}

void mem_fail_after(int64_t n, bool sticky)
{
    fail_left = n;
    fail_sticky = sticky;
    atomic_store(&fail_armed, n >= 0);
}

static bool must_fail(void)
{
    if (!atomic_load_explicit(&fail_armed, memory_order_relaxed))
        return false;
    if (fail_left-- > 0)
        return false;
    if (!fail_sticky)
        atomic_store(&fail_armed, false);
    return true;
}

static void *must(void *ptr, size_t size)
{
    if (ptr)
        return ptr;
    if (exhausted)
        exhausted();
    fprintf(stderr, "level=error component=memory msg=\"out of memory, stopping\" bytes=%zu\n", size);
    _exit(1);
}

void *mem_try(size_t size)
{
    return must_fail() ? NULL : malloc(size ? size : 1);
}

void *mem_alloc(size_t size)
{
    return must(mem_try(size), size);
}

void *mem_zalloc(size_t size)
{
    return must(must_fail() ? NULL : calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *ptr, size_t size)
{
    return must(must_fail() ? NULL : realloc(ptr, size ? size : 1), size);
}

char *mem_strndup(const void *ptr, size_t len)
{
    char *s = mem_alloc(len + 1);
    if (len)
        memcpy(s, ptr, len);
    s[len] = 0;
    return s;
}

void mem_free(void *ptr)
{
    free(ptr);
}
