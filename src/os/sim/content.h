/* The bytes of a simulated file: pages of 4 KiB in leaves of 1 MiB, both shared copy-on-write, so that the
 * present, the synced and a crashed version of a file cost little more than their differences. */
#ifndef COLOBUS_OS_SIM_CONTENT_H
#define COLOBUS_OS_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum { SIM_PAGE = 4096, SIM_SECTOR = 512, SIM_LEAF_PAGES = 256 };

struct content_leaf;

/* Zeroed is empty. Bytes beyond `size` are zero, unless content_put() placed some there. */
struct content {
    uint64_t size;
    uint64_t pages; /* that are not holes, reserved ones included */
    struct content_leaf **leaves;
    size_t leaf_count;
};

void content_fini(struct content *c);
/* dst is overwritten without a look at it. Shares everything. */
void content_copy(struct content *dst, const struct content *src);
/* Up to the end of the file; returns the bytes read. */
size_t content_read(const struct content *c, uint64_t pos, void *ret_bytes, size_t len);
/* Places bytes, and grows the file to their end. */
void content_write(struct content *c, uint64_t pos, struct span bytes);
/* Places bytes without regard to the size. */
void content_put(struct content *c, uint64_t pos, struct span bytes);
/* Sets the size; what is beyond it, reserved pages too, is gone. */
void content_truncate(struct content *c, uint64_t size);
/* Turns holes into zero pages that count. */
void content_reserve(struct content *c, uint64_t pos, uint64_t len);
/* How many pages of the range are holes. */
uint64_t content_holes(const struct content *c, uint64_t pos, uint64_t len);
/* Makes page `index` of dst that of src. */
void content_take_page(struct content *dst, const struct content *src, uint64_t index);

#endif
