/* Arguments of queues: whether they are well, and whether two declarations mean the same, in RabbitMQ's words
 * (rabbit_amqqueue, rabbit_misc:assert_args_equivalence of 3.13). */
#include <stdlib.h>

#include "base/err.h"
#include "core/fields.h"
#include "core/shard.h"
#include "core/space_impl.h"

enum { CLASSIC = 1 << QUEUE_CLASSIC, QUORUM = 1 << QUEUE_QUORUM, STREAM = 1 << QUEUE_STREAM, ALL = 7 };

/* NULL: fine. Else the reason, as Erlang prints it. */
typedef const char *check_fn(const struct field *f, struct span args, struct arena *a);

static const char *bad_type(const struct field *f, struct arena *a)
{
    return arena_printf(a, "{unacceptable_type,%s}", field_type_name(f->tag));
}

static const char *non_negative(const struct field *f, struct span args, struct arena *a)
{
    (void)args;
    if (!field_is_integer(f) || f->tag == 't')
        return arena_printf(a, "\"expected integer, got %s\"", field_type_name(f->tag));
    return f->integer < 0 ? arena_printf(a, "{value_negative,%lld}", (long long)f->integer) : NULL;
}

static const char *positive(const struct field *f, struct span args, struct arena *a)
{
    const char *why = non_negative(f, args, a);
    return why || f->integer ? why : "{value_zero,0}";
}

/* rabbit_misc:check_expiry(): what a timer of Erlang can wait. */
static const char *message_ttl(const struct field *f, struct span args, struct arena *a)
{
    const char *why = non_negative(f, args, a);
    if (!why && f->integer > UINT32_MAX)
        why = arena_printf(a, "{value_too_big,%lld}", (long long)f->integer);
    return why;
}

static const char *expires(const struct field *f, struct span args, struct arena *a)
{
    const char *why = message_ttl(f, args, a);
    return why || f->integer ? why : "{value_zero,0}";
}

static const char *max_priority(const struct field *f, struct span args, struct arena *a)
{
    const char *why = non_negative(f, args, a);
    if (!why && f->integer > UINT8_MAX)
        why = arena_printf(a, "{max_value_exceeded,%lld}", (long long)f->integer);
    return why;
}

/* -1: without a limit. */
static const char *limit(const struct field *f, struct span args, struct arena *a)
{
    return field_is_integer(f) && f->integer == -1 ? NULL : non_negative(f, args, a);
}

static const char *is_string(const struct field *f, struct span args, struct arena *a)
{
    (void)args;
    return f->tag == 'S' ? NULL : bad_type(f, a);
}

static const char *is_bool(const struct field *f, struct span args, struct arena *a)
{
    (void)args;
    return f->tag == 't' ? NULL : bad_type(f, a);
}

static const char *dead_letter_key(const struct field *f, struct span args, struct arena *a)
{
    struct field x;
    if (f->tag != 'S')
        return bad_type(f, a);
    return fields_get_str(args, "x-dead-letter-exchange", &x) ? NULL : "routing_key_but_no_dlx_defined";
}

static const char *one_of(const struct field *f, const char *const *words, const char *otherwise,
                          struct arena *a)
{
    if (f->tag != 'S')
        return bad_type(f, a);
    for (; *words; words++)
        if (span_eq_str(f->bytes, *words))
            return NULL;
    return otherwise;
}

static const char *overflow(const struct field *f, struct span args, struct arena *a)
{
    static const char *const words[] = {"drop-head", "reject-publish", "reject-publish-dlx", NULL};
    (void)args;
    return one_of(f, words, "invalid_overflow", a);
}

static const char *strategy(const struct field *f, struct span args, struct arena *a)
{
    static const char *const words[] = {"at-most-once", "at-least-once", NULL};
    (void)args;
    return one_of(f, words, "invalid_dlx_strategy", a);
}

static const char *locator(const struct field *f, struct span args, struct arena *a)
{
    static const char *const words[] = {"client-local", "balanced", "random", "least-leaders", NULL};
    (void)args;
    return one_of(f, words, "invalid_queue_locator_arg", a);
}

static const char *retry_type(const struct field *f, struct span args, struct arena *a)
{
    static const char *const words[] = {"disabled", "all", "failed", "returned", NULL};
    (void)args;
    return one_of(f, words, "invalid_delayed_retry_type", a);
}

static const char *queue_mode(const struct field *f, struct span args, struct arena *a)
{
    static const char *const words[] = {"default", "lazy", NULL};
    (void)args;
    return one_of(f, words, arena_printf(a, "\"unsupported queue mode '%.*s'\"", SPAN_ARG(f->bytes)), a);
}

static const char *queue_version(const struct field *f, struct span args, struct arena *a)
{
    const char *why = non_negative(f, args, a);
    if (!why && f->integer != 1 && f->integer != 2)
        why = arena_printf(a, "\"unsupported queue version '%lld'\"", (long long)f->integer);
    return why;
}

static const char *max_age(const struct field *f, struct span args, struct arena *a)
{
    (void)args;
    if (f->tag != 'S')
        return bad_type(f, a);
    bool well = f->bytes.len >= 2 && f->bytes.len <= 12 && strchr("YMDhms", f->bytes.ptr[f->bytes.len - 1]);
    int64_t n = 0;
    for (size_t i = 0; well && i + 1 < f->bytes.len; i++) {
        well = f->bytes.ptr[i] >= '0' && f->bytes.ptr[i] <= '9';
        n = n * 10 + (f->bytes.ptr[i] - '0');
    }
    return well && n > 0 ? NULL : "invalid_max_age";
}

/* In RabbitMQ's order of checking. Delivery limits, retries and consumer timeouts count for classic queues,
 * too: there is one implementation. A `known` argument of another type is an error, a name that is not here
 * is nobody's business. `same`: a second declaration must agree. */
static const struct {
    const char *name;
    check_fn *check;
    uint8_t types;
    bool same;
} rules[] = {
    {"x-expires", expires, ALL & ~STREAM, true},
    {"x-message-ttl", message_ttl, ALL & ~STREAM, true},
    {"x-dead-letter-exchange", is_string, ALL & ~STREAM, true},
    {"x-dead-letter-routing-key", dead_letter_key, ALL & ~STREAM, true},
    {"x-dead-letter-strategy", strategy, QUORUM, true},
    {"x-max-length", non_negative, ALL & ~STREAM, true},
    {"x-max-length-bytes", non_negative, ALL, true},
    {"x-max-in-memory-length", non_negative, QUORUM, true},
    {"x-max-in-memory-bytes", non_negative, QUORUM, true},
    {"x-max-priority", max_priority, CLASSIC, true},
    {"x-overflow", overflow, ALL & ~STREAM, true},
    {"x-queue-mode", queue_mode, CLASSIC, true},
    {"x-queue-version", queue_version, CLASSIC, true},
    {"x-single-active-consumer", is_bool, ALL & ~STREAM, true},
    {"x-quorum-initial-group-size", positive, QUORUM, true},
    {"x-max-age", max_age, STREAM, true},
    {"x-stream-max-segment-size-bytes", non_negative, STREAM, true},
    {"x-stream-filter-size-bytes", non_negative, STREAM, true},
    {"x-initial-cluster-size", positive, STREAM, true},
    {"x-queue-leader-locator", locator, ALL, true},
    {"x-delivery-limit", limit, ALL & ~STREAM, true},
    {"x-max-retries", non_negative, ALL & ~STREAM, true},
    {"x-delayed-retry-type", retry_type, ALL & ~STREAM, true},
    {"x-delayed-retry-min", message_ttl, ALL & ~STREAM, true},
    {"x-delayed-retry-max", message_ttl, ALL & ~STREAM, true},
    {"x-consumer-timeout", message_ttl, ALL, false}, /* RabbitMQ knows it in policies only */
};
enum { RULES = sizeof(rules) / sizeof(*rules) };

static int refuse(struct arena *a, const char *name, const char *what, const char *reason,
                  const char **ret_why)
{
    *ret_why = arena_printf(a, "invalid arg '%s' for %s: %s", name, what, reason);
    return ERR_ARGUMENT;
}

static int check_type(struct span args, const char *what, struct arena *a, enum queue_type *ret_type,
                      const char **ret_why)
{
    static const char *const names[] = {"classic", "quorum", "stream"};
    struct field f;
    if (!fields_get_str(args, "x-queue-type", &f)) {
        *ret_type = QUEUE_CLASSIC;
        return 0;
    }
    if (f.tag != 'S')
        return refuse(a, "x-queue-type", what, bad_type(&f, a), ret_why);
    for (unsigned i = 0; i < 3; i++) {
        if (span_eq_str(f.bytes, names[i])) {
            *ret_type = (enum queue_type)i;
            return 0;
        }
    }
    return refuse(a, "x-queue-type", what,
                  arena_printf(a, "\"unsupported queue type '%.*s'\"", SPAN_ARG(f.bytes)), ret_why);
}

int queue_check_args(struct span args, const char *what, struct arena *a, enum queue_type *ret_type,
                     const char **ret_why)
{
    static const char *const modules[] = {"rabbit_classic_queue", "rabbit_quorum_queue",
                                          "rabbit_stream_queue"};
    struct field f;
    int err = check_type(args, what, a, ret_type, ret_why);
    for (unsigned i = 0; !err && i < RULES; i++) {
        const char *why = NULL;
        if ((rules[i].types & 1 << *ret_type) && fields_get_str(args, rules[i].name, &f))
            why = rules[i].check(&f, args, a);
        if (why)
            err = refuse(a, rules[i].name, what, why, ret_why);
    }
    for (unsigned i = 0; !err && i < RULES; i++) {
        if ((rules[i].types & 1 << *ret_type) || !fields_get_str(args, rules[i].name, &f))
            continue;
        *ret_why = arena_printf(a, "invalid arg '%s' for %s of queue type %s", rules[i].name, what,
                                modules[*ret_type]);
        err = ERR_ARGUMENT;
    }
    return err;
}

/* ---- equivalence --------------------------------------------------------------------------------------- */

/* rabbit_misc:val(): alone it says its type, beside another value it does not. */
static const char *describe(const struct field *f, bool with_type, struct arena *a)
{
    return !f || with_type ? field_describe(f, a) : arena_printf(a, "'%s'", field_text(f, a));
}

static int compare(struct span mine, struct span theirs, const char *name, const char *what, struct arena *a,
                   const char **ret_why)
{
    struct field f, g;
    bool have = fields_get_str(mine, name, &f), got = fields_get_str(theirs, name, &g);
    if ((!have && !got) || (have && got && field_eq(&f, &g)))
        return 0;
    bool alone = have != got;
    *ret_why = arena_printf(a, "inequivalent arg '%s' for %s: received %s but current is %s", name, what,
                            describe(got ? &g : NULL, alone, a), describe(have ? &f : NULL, alone, a));
    return ERR_INEQUIVALENT;
}

/* Classic is what a queue is that does not say. */
static bool is_classic(struct span args)
{
    struct field f;
    return !fields_get_str(args, "x-queue-type", &f) || (f.tag == 'S' && span_eq_str(f.bytes, "classic"));
}

int queue_compare_args(const struct queue_info *q, struct span args, const char *what, struct arena *a,
                       const char **ret_why)
{
    int err = 0;
    if (!is_classic(q->args) || !is_classic(args))
        err = compare(q->args, args, "x-queue-type", what, a, ret_why);
    for (unsigned i = 0; !err && i < RULES; i++)
        if (rules[i].same && (rules[i].types & 1 << q->type))
            err = compare(q->args, args, rules[i].name, what, a, ret_why);
    return err;
}

int exchange_compare_args(const struct exchange *x, struct span args, const char *what, struct arena *a,
                          const char **ret_why)
{
    int err = compare(x->args, args, "alternate-exchange", what, a, ret_why);
    if (!err && x->type == EXCHANGE_DELAYED)
        err = compare(x->args, args, "x-delayed-type", what, a, ret_why);
    return err;
}
