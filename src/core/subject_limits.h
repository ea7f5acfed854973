/* When a subscriber is too slow. */
#ifndef COLOBUS_CORE_SUBJECT_LIMITS_H
#define COLOBUS_CORE_SUBJECT_LIMITS_H

#include <stdatomic.h>
#include <stdint.h>

/* One with more than `hard` bytes unread is cut at once, one with more than `soft` for `soft_ms` then; 0: no
 * such limit. */
struct subject_limits {
    _Atomic uint64_t hard, soft, soft_ms;
};

#endif
