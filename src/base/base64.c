#include "base/base64.h"

#include "base/err.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(struct span bytes, char *ret_text)
{
    char *p = ret_text;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i;
        uint32_t v = (uint32_t)bytes.ptr[i] << 16;
        v |= n > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0;
        v |= n > 2 ? bytes.ptr[i + 2] : 0;
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = n > 1 ? digits[v >> 6 & 63] : '=';
        *p++ = n > 2 ? digits[v & 63] : '=';
    }
    *p = 0;
}

static int value_of(uint8_t c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

int base64_read(struct span text, uint8_t *ret_bytes, size_t cap)
{
    size_t pad = 0, n = 0;
    if (text.len % 4)
        return ERR_INVALID;
    while (pad < 2 && pad < text.len && text.ptr[text.len - 1 - pad] == '=')
        pad++;
    uint32_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = i < text.len - pad ? value_of(text.ptr[i]) : 0;
        if (d < 0)
            return ERR_INVALID;
        v = v << 6 | (uint32_t)d;
        if (i % 4 != 3)
            continue;
        size_t take = i + 1 == text.len ? 3 - pad : 3;
        if (n + take > cap)
            return ERR_INVALID;
        for (size_t k = 0; k < take; k++)
            ret_bytes[n++] = (uint8_t)(v >> (16 - 8 * k));
        v = 0;
    }
    return (int)n;
}
