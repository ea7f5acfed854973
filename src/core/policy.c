/* Which policy is in force for what. Every shard has its own replica of the policies, as of queues and
 * exchanges. */
#include "core/policy.h"

#include <assert.h>

#include "base/mem.h"
#include "core/access.h"
#include "core/access_format.h"
#include "core/policy_impl.h"

/* ---- matching -------------------------------------------------------------------------------------------
 */

static bool applies(enum policy_apply_to to, bool exchange, enum queue_type type)
{
    switch (to) {
    case POLICY_ALL:
        return true;
    case POLICY_EXCHANGES:
        return exchange;
    case POLICY_QUEUES:
        return !exchange;
    case POLICY_CLASSIC:
        return !exchange && type == QUEUE_CLASSIC;
    case POLICY_QUORUM:
        return !exchange && type == QUEUE_QUORUM;
    case POLICY_STREAMS:
        return !exchange && type == QUEUE_STREAM;
    case POLICY_APPLY_TOS:
        break;
    }
    return false;
}

static bool beats(const struct policy *p, const struct policy *best)
{
    if (!best || p->text.priority != best->text.priority)
        return !best || p->text.priority > best->text.priority;
    return span_cmp(p->name, best->name) < 0;
}

/* What a policy may be put on. */
struct target {
    struct span vhost, name;
    bool exchange;
    enum queue_type type; /* of a queue */
};

static bool matches(const struct policy *p, const struct target *t)
{
    return span_eq(p->vhost, t->vhost) && applies(p->text.apply_to, t->exchange, t->type) &&
           regex_match(p->regex, t->name);
}

static const struct policy *best_of(const struct shard *s, enum meta_record_kind kind, const struct target *t)
{
    const struct policy *best = NULL;
    struct meta_record *r;
    for (size_t i = 0; (r = meta_record_next(s, kind, &i));) {
        const struct policy *p = r->user;
        if (p && beats(p, best) && matches(p, t))
            best = p;
    }
    return best;
}

static struct target target_of_queue(const struct queue_info *q)
{
    return (struct target){.vhost = span_str(q->space->vhost.name), .name = q->dest.name, .type = q->type};
}

static struct target target_of_exchange(const struct exchange *x)
{
    const struct vspace *v = x->user;
    return (struct target){.vhost = span_str(v->vhost.name), .name = x->name, .exchange = true};
}

void policy_of_queue(struct shard *s, struct queue_info *q)
{
    struct target t = target_of_queue(q);
    if (q->delays)
        return; /* nobody knows it */
    const struct policy *p = best_of(s, RECORD_POLICY, &t), *op = best_of(s, RECORD_OPERATOR_POLICY, &t);
    queue_set_policy(s, q, p ? p->name : SPAN_NULL, p ? p->text.definition : SPAN_NULL,
                     op ? op->text.definition : SPAN_NULL);
}

void policy_of_exchange(struct shard *s, struct exchange *x)
{
    struct target t = target_of_exchange(x);
    const struct policy *p = best_of(s, RECORD_POLICY, &t);
    exchange_set_policy(s, x, p ? p->text.definition : SPAN_NULL);
}

void policy_names(struct shard *s, const struct queue_info *q, struct span *ret_policy,
                  struct span *ret_operator)
{
    struct target t = target_of_queue(q);
    const struct policy *p = best_of(s, RECORD_POLICY, &t), *op = best_of(s, RECORD_OPERATOR_POLICY, &t);
    *ret_policy = p ? p->name : SPAN_NULL;
    *ret_operator = op ? op->name : SPAN_NULL;
}

/* ---- changes --------------------------------------------------------------------------------------------
 */

/* What `a` or `b` (either may be NULL) is about looks for its policy again. Bytes of what was in force before
 * are freed after this. */
static void look_again(struct shard *s, struct span vhost, const struct policy *a, const struct policy *b)
{
    struct vspace *v = space_find(s, vhost);
    struct queue_info *q;
    struct exchange *x;
    for (size_t i = 0; v && (q = ptrset_next(&v->queues, &i));) {
        struct target t = target_of_queue(q);
        if ((a && matches(a, &t)) || (b && matches(b, &t)))
            policy_of_queue(s, q);
    }
    for (size_t i = 0; v && (x = map_next(&v->exchanges, &i));) {
        struct target t = target_of_exchange(x);
        if ((a && matches(a, &t)) || (b && matches(b, &t)))
            policy_of_exchange(s, x);
    }
}

static void policy_free(struct policy *p)
{
    if (!p)
        return;
    regex_free(p->regex);
    mem_free(p);
}

/* NULL: damaged, or its pattern does not compile; such a policy applies to nothing. */
static struct policy *policy_new(const struct meta_record *r)
{
    struct policy *p = mem_zalloc(sizeof(*p));
    struct span parts[2];
    char why[REGEX_WHY];
    if (access_key_read(r->key, parts, 2) == 0 && access_policy_read(r->value, &p->text) == 0 &&
        regex_new(p->text.pattern, why, &p->regex) == 0) {
        p->vhost = parts[0];
        p->name = parts[1];
        return p;
    }
    policy_free(p);
    return NULL;
}

static void put(struct shard *s, struct meta_record *r, struct span old, bool live)
{
    struct policy *before = r->user, *now = policy_new(r);
    (void)old; /* `before` refers to it: it is freed when this returns */
    (void)live;
    r->user = now;
    if (before || now)
        look_again(s, now ? now->vhost : before->vhost, before, now);
    policy_free(before);
}

static void drop(struct shard *s, struct meta_record *r, bool live)
{
    struct policy *before = r->user;
    (void)live;
    r->user = NULL;
    if (before)
        look_again(s, before->vhost, before, NULL);
    policy_free(before);
}

static void fini(struct shard *s, struct meta_record *r)
{
    (void)s;
    policy_free(r->user);
}

static void vhost_drop(struct shard *s, struct span vhost)
{
    access_remove_all(s, RECORD_POLICY, 2, 0, vhost);
}

static void operator_vhost_drop(struct shard *s, struct span vhost)
{
    access_remove_all(s, RECORD_OPERATOR_POLICY, 2, 0, vhost);
}

const struct meta_record_ops policy_record_ops = {put, drop, vhost_drop, fini};
const struct meta_record_ops operator_policy_record_ops = {put, drop, operator_vhost_drop, fini};
