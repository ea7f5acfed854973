#include "app/queue_features.h"

#include "core/space.h"

const char *const queue_feature_marks[QUEUE_FEATURE_COUNT] = {
#define FEATURE(id, mark, text) mark,
    QUEUE_FEATURES(FEATURE)
#undef FEATURE
};

const char *const queue_feature_texts[QUEUE_FEATURE_COUNT] = {
#define FEATURE(id, mark, text) text,
    QUEUE_FEATURES(FEATURE)
#undef FEATURE
};

unsigned queue_features(const struct queue_info *q)
{
    const struct queue_config *c = q->config;
    const bool has[QUEUE_FEATURE_COUNT] = {
        [QUEUE_FEATURE_DURABLE] = q->durable,
        [QUEUE_FEATURE_AUTO_DELETE] = q->auto_delete,
        [QUEUE_FEATURE_EXCLUSIVE] = q->exclusive,
        [QUEUE_FEATURE_TTL] = c->ttl_ms >= 0,
        [QUEUE_FEATURE_EXPIRES] = c->expires_ms >= 0,
        [QUEUE_FEATURE_LIMIT] = c->max_length >= 0,
        [QUEUE_FEATURE_LIMIT_BYTES] = c->max_bytes >= 0,
        [QUEUE_FEATURE_OVERFLOW] = c->overflow != OVERFLOW_DROP_HEAD,
        [QUEUE_FEATURE_DEAD_LETTERS] = !span_is_null(c->dead_letter_exchange),
        [QUEUE_FEATURE_DEAD_LETTER_KEY] = !span_is_null(c->dead_letter_key),
        [QUEUE_FEATURE_PRIORITIES] = c->max_priority > 0,
        [QUEUE_FEATURE_SINGLE_ACTIVE] = c->single_active,
        [QUEUE_FEATURE_DELIVERY_LIMIT] = c->delivery_limit >= 0,
        [QUEUE_FEATURE_RETRIES] = c->max_retries >= 0 || c->retry_min_ms >= 0,
    };
    unsigned bits = 0;
    for (unsigned i = 0; i < QUEUE_FEATURE_COUNT; i++)
        bits |= (unsigned)has[i] << i;
    return bits;
}
