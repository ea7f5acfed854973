#include "base/crc32c.h"

#include <isa-l/crc.h>

/* isa-l's crc32_iscsi leaves the inversions to its caller, and takes its length as int. */
uint32_t crc32c_more(uint32_t crc, const void *ptr, size_t len)
{
    unsigned char *p = (unsigned char *)ptr; /* isa-l does not write; its prototype lacks the const */
    uint32_t state = ~crc;
    while (len > 0) {
        int n = len > (1 << 30) ? 1 << 30 : (int)len;
        state = crc32_iscsi(p, n, state);
        p += n;
        len -= (size_t)n;
    }
    return ~state;
}

uint32_t crc32c(const void *ptr, size_t len)
{
    return crc32c_more(0, ptr, len);
}
