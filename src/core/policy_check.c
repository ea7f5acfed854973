/* What a policy may say. */
#include "core/policy.h"

#include "base/err.h"
#include "base/regex.h"

static const char *const apply_tos[] = {
    [POLICY_QUEUES] = "queues",   [POLICY_CLASSIC] = "classic_queues", [POLICY_QUORUM] = "quorum_queues",
    [POLICY_STREAMS] = "streams", [POLICY_EXCHANGES] = "exchanges",    [POLICY_ALL] = "all"};
_Static_assert(sizeof(apply_tos) / sizeof(apply_tos[0]) == POLICY_APPLY_TOS, "a name for each");

int policy_apply_to_of(struct span name)
{
    for (int i = 0; i < POLICY_APPLY_TOS; i++)
        if (span_eq_str(name, apply_tos[i]))
            return i;
    return -1;
}

const char *policy_apply_to_name(enum policy_apply_to to)
{
    return apply_tos[to];
}

enum value { COUNT, POSITIVE, NUMBER, TEXT, OVERFLOW_WORD, RETRY_WORD, STRATEGY_WORD, AGE, ANYTHING };

/* Without effect here, and taken so that definitions of a RabbitMQ can be imported: where and how its queues
 * keep their messages is Colobus' own affair. */
#define IGNORED ANYTHING, false

static const struct {
    const char *name;
    enum value value;
    bool operator_may;
} keys[] = {
    {"alternate-exchange", TEXT, false},
    {"consumer-timeout", POSITIVE, false},
    {"dead-letter-exchange", TEXT, false},
    {"dead-letter-routing-key", TEXT, false},
    {"dead-letter-strategy", STRATEGY_WORD, false},
    {"delayed-retry-max", COUNT, false},
    {"delayed-retry-min", COUNT, false},
    {"delayed-retry-type", RETRY_WORD, false},
    {"delivery-limit", NUMBER, true},
    {"expires", POSITIVE, true},
    {"ha-mode", IGNORED},
    {"ha-params", IGNORED},
    {"ha-promote-on-failure", IGNORED},
    {"ha-promote-on-shutdown", IGNORED},
    {"ha-sync-batch-size", IGNORED},
    {"ha-sync-mode", IGNORED},
    {"initial-cluster-size", IGNORED},
    {"max-age", AGE, false},
    {"max-in-memory-bytes", COUNT, true},
    {"max-in-memory-length", COUNT, true},
    {"max-length", COUNT, true},
    {"max-length-bytes", COUNT, true},
    {"max-retries", COUNT, false},
    {"message-ttl", COUNT, true},
    {"overflow", OVERFLOW_WORD, true},
    {"queue-leader-locator", IGNORED},
    {"queue-master-locator", IGNORED},
    {"queue-mode", IGNORED},
    {"queue-version", ANYTHING, true},
    {"stream-filter-size-bytes", IGNORED},
    {"stream-max-segment-size-bytes", IGNORED},
};
enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static bool is_one_of(struct span s, const char *const *words)
{
    for (; *words; words++)
        if (span_eq_str(s, *words))
            return true;
    return false;
}

/* "7D": a number and one of Y M D h m s, as x-max-age. */
static bool is_age(struct span s)
{
    if (s.len < 2 || !memchr("YMDhms", s.ptr[s.len - 1], 6))
        return false;
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

static bool value_fits(enum value want, const struct field *f)
{
    static const char *const overflows[] = {"drop-head", "reject-publish", "reject-publish-dlx", NULL};
    static const char *const retries[] = {"disabled", "all", "failed", "returned", NULL};
    static const char *const strategies[] = {"at-most-once", "at-least-once", NULL};
    bool text = f->tag == 'S';
    switch (want) {
    case COUNT:
        return field_is_integer(f) && f->integer >= 0;
    case POSITIVE:
        return field_is_integer(f) && f->integer > 0;
    case NUMBER:
        return field_is_integer(f);
    case TEXT:
        return text;
    case OVERFLOW_WORD:
        return text && is_one_of(f->bytes, overflows);
    case RETRY_WORD:
        return text && is_one_of(f->bytes, retries);
    case STRATEGY_WORD:
        return text && is_one_of(f->bytes, strategies);
    case AGE:
        return text && is_age(f->bytes);
    case ANYTHING:
        return true;
    }
    return false;
}

static int check_key(struct span name, const struct field *f, bool operator_policy, struct arena *a,
                     const char **ret_why)
{
    unsigned i = 0;
    while (i < KEYS && !span_eq_str(name, keys[i].name))
        i++;
    if (i == KEYS || (operator_policy && !keys[i].operator_may)) {
        *ret_why = arena_printf(a, "[<<\"%.*s\">>] are not recognised policy settings", SPAN_ARG(name));
        return ERR_ARGUMENT;
    }
    if (!value_fits(keys[i].value, f)) {
        *ret_why = arena_printf(a, "%s is not a valid value of %s", field_describe(f, a), keys[i].name);
        return ERR_ARGUMENT;
    }
    return 0;
}

int policy_check(const struct policy_text *p, bool operator_policy, struct arena *a, const char **ret_why)
{
    struct fields_iter it;
    struct span name;
    struct field f;
    struct regex *r;
    char why[REGEX_WHY];
    if (regex_new(p->pattern, why, &r) < 0) {
        *ret_why = arena_printf(a, "pattern should be a regular expression: %s", why);
        return ERR_ARGUMENT;
    }
    regex_free(r);
    if (fields_count(p->definition) == 0) {
        *ret_why = "no policy provided"; /* rabbit_policy:validation/2 */
        return ERR_ARGUMENT;
    }
    for (fields_begin(&it, p->definition); fields_next(&it, &name, &f);) {
        int err = check_key(name, &f, operator_policy, a, ret_why);
        if (err)
            return err;
    }
    return 0;
}
