/* Between tap.c (what taps are) and tap_cursor.c (what they do). */
#ifndef COLOBUS_CORE_TAP_IMPL_H
#define COLOBUS_CORE_TAP_IMPL_H

#include "core/tap.h"

/* A binding that does not exist yet. */
struct tap_edge {
    struct span source, dest;
    enum dest_kind kind;
};
/* Do messages to this exchange come to this topic, by bindings, taps and `extra` (may be NULL)? */
bool tap_reaches(const struct shard *s, struct span exchange, struct span topic,
                 const struct tap_edge *extra);

#endif
