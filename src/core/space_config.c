/* What a queue's arguments, a policy and an operator policy make of it together. */
#include "base/mem.h"
#include "core/fields.h"
#include "core/shard.h"
#include "core/space_impl.h"

/* "x-message-ttl" of args is "message-ttl" of policies. */
static bool get(struct span table, const char *name, bool is_policy, struct field *ret)
{
    return table.len && fields_get_str(table, is_policy ? name + 2 : name, ret);
}

/* The smallest of all that are set. */
static void number(struct span table, bool is_policy, const char *name, int64_t *value)
{
    struct field f;
    if (!get(table, name, is_policy, &f) || !field_is_integer(&f) || f.integer < 0)
        return;
    if (*value < 0 || f.integer < *value)
        *value = f.integer;
}

/* Who comes first sets it. */
static void text(struct span table, bool is_policy, const char *name, struct span *value)
{
    struct field f;
    if (span_is_null(*value) && get(table, name, is_policy, &f) && f.tag == 'S')
        *value = f.bytes;
}

struct choices {
    struct span overflow, retry;
};

static void take(struct queue_config *c, struct choices *ch, struct span table, bool is_policy)
{
    number(table, is_policy, "x-message-ttl", &c->ttl_ms);
    number(table, is_policy, "x-expires", &c->expires_ms);
    number(table, is_policy, "x-max-length", &c->max_length);
    number(table, is_policy, "x-max-length-bytes", &c->max_bytes);
    number(table, is_policy, "x-delivery-limit", &c->delivery_limit);
    number(table, is_policy, "x-max-retries", &c->max_retries);
    number(table, is_policy, "x-delayed-retry-min", &c->retry_min_ms);
    number(table, is_policy, "x-delayed-retry-max", &c->retry_max_ms);
    number(table, is_policy, "x-consumer-timeout", &c->consumer_timeout_ms);
    text(table, is_policy, "x-dead-letter-exchange", &c->dead_letter_exchange);
    text(table, is_policy, "x-dead-letter-routing-key", &c->dead_letter_key);
    text(table, is_policy, "x-overflow", &ch->overflow);
    text(table, is_policy, "x-delayed-retry-type", &ch->retry);
}

/* RabbitMQ 4.3: all, failed (reject, a consumer that is lost), returned (requeue); disabled. With a type but
 * no times, the delays are those of x-max-retries. */
static void choose_retry(struct queue_config *c, struct span type)
{
    enum { FIRST_DELAY_MS = 1000, LAST_DELAY_MS = 300000 };
    bool asked = !span_is_null(type) && !span_eq_str(type, "disabled");
    c->retry_type = span_eq_str(type, "all")        ? RETRY_ALL
                    : span_eq_str(type, "returned") ? RETRY_RETURNED
                                                    : RETRY_REJECTED;
    if (span_eq_str(type, "disabled"))
        c->retry_min_ms = c->retry_max_ms = -1;
    if (asked && c->retry_min_ms < 0)
        c->retry_min_ms = FIRST_DELAY_MS;
    if (c->retry_min_ms >= 0 && c->retry_max_ms < 0)
        c->retry_max_ms = LAST_DELAY_MS;
    if (c->retry_max_ms < c->retry_min_ms)
        c->retry_max_ms = c->retry_min_ms;
}

unsigned queue_arg_max_priority(struct span args)
{
    struct field f;
    bool is_set = get(args, "x-max-priority", false, &f) && field_is_integer(&f);
    return is_set && f.integer > 0 && f.integer <= UINT8_MAX ? (unsigned)f.integer : 0;
}

/* Most queues set nothing: theirs is this one. */
static const struct queue_config nothing_set = {
    .ttl_ms = -1,
    .expires_ms = -1,
    .max_length = -1,
    .max_bytes = -1,
    .delivery_limit = -1,
    .max_retries = -1,
    .retry_min_ms = -1,
    .retry_max_ms = -1,
    .consumer_timeout_ms = -1,
};

void queue_config_free(struct queue_info *q)
{
    if (q->config && q->config != &nothing_set)
        mem_free((void *)q->config);
    q->config = NULL;
}

void queue_config_compute(struct queue_info *q, struct span policy, struct span operator_policy)
{
    struct choices ch = {SPAN_NULL, SPAN_NULL};
    struct field f;
    struct queue_config *c = mem_alloc(sizeof(*c));
    queue_config_free(q);
    q->config = &nothing_set;
    memcpy(c, &nothing_set, sizeof(*c));
    take(c, &ch, q->args, false);
    take(c, &ch, operator_policy, true); /* an operator's overflow is before the policy's */
    take(c, &ch, policy, true);
    c->max_priority = (uint8_t)queue_arg_max_priority(q->args);
    c->single_active = get(q->args, "x-single-active-consumer", false, &f) && f.integer;
    c->overflow = span_eq_str(ch.overflow, "reject-publish")       ? OVERFLOW_REJECT
                  : span_eq_str(ch.overflow, "reject-publish-dlx") ? OVERFLOW_REJECT_DEAD_LETTER
                                                                   : OVERFLOW_DROP_HEAD;
    choose_retry(c, ch.retry);
    if (memcmp(c, &nothing_set, sizeof(*c)) == 0)
        mem_free(c);
    else
        q->config = c;
}

void queue_set_policy(struct shard *s, struct queue_info *q, struct span name, struct span policy,
                      struct span operator_policy)
{
    q->policy = name;
    queue_config_compute(q, policy, operator_policy);
    s->spaces->generation++;
    if (q->live)
        queue_config_changed(s, q);
}

void exchange_set_policy(struct shard *s, struct exchange *x, struct span policy)
{
    struct span alternate = SPAN_NULL;
    text(x->args, false, "alternate-exchange", &alternate);
    text(policy, false, "alternate-exchange", &alternate); /* the same word in both */
    exchange_set_alternate(x, alternate);
    s->spaces->generation++;
}
