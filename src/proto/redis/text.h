/* Text that grows, for answers with many lines. */
#ifndef COLOBUS_PROTO_REDIS_TEXT_H
#define COLOBUS_PROTO_REDIS_TEXT_H

#include "base/span.h"

/* All zero: empty. Clients decide how long it gets, so memory may be refused: `failed` is set then, and what
 * comes after is dropped. */
struct redis_text {
    char *ptr;
    size_t len, cap;
    bool failed;
};

void redis_text_put(struct redis_text *t, struct span bytes);
/* At most 1 KiB at a time, more is cut. */
void redis_text_printf(struct redis_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct span redis_text_span(const struct redis_text *t); /* never null */
void redis_text_free(struct redis_text *t);

#endif
