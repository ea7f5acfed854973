/* Base64 with padding (RFC 4648, 4). */
#ifndef COLOBUS_BASE_BASE64_H
#define COLOBUS_BASE_BASE64_H

#include "base/span.h"

/* Characters of `len` bytes, without a terminator. */
static inline size_t base64_len(size_t len)
{
    return (len + 2) / 3 * 4;
}
/* Writes base64_len() characters and a terminator. */
void base64_write(struct span bytes, char *ret_text);
/* At most `cap` bytes. The number of bytes, or ERR_INVALID: it is not base64, or more than `cap`. */
int base64_read(struct span text, uint8_t *ret_bytes, size_t cap);

#endif
