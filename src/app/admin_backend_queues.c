/* What the page for people asks about queues and exchanges: names from this shard's replica, figures from the
 * shards where queues live; then groups and topics as their list has them. */
#include "app/admin_backend.h"
#include "app/figures.h"
#include "app/queue_features.h"
#include "core/alarm.h"
#include "core/user.h"

bool admin_sees(const struct admin_call *call, const struct vspace *v)
{
    const struct principal *p = call->actor.principal;
    return auth_has_tag(p, USER_ADMINISTRATOR | USER_MONITORING) ||
           auth_may_enter(p, span_str(v->vhost.name)) == 0;
}

static struct span keep(struct arena *a, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_copy(a, s.ptr, s.len), s.len);
}

/* ---- exchanges ------------------------------------------------------------------------------------------
 */

static const char *kind_name(enum dest_kind k)
{
    return k == DEST_EXCHANGE ? "exchange" : k == DEST_TOPIC ? "topic" : "queue";
}

static void put_bindings(struct arena *a, const struct exchange *x, struct admin_exchange *ret)
{
    size_t n = x->binding_count < ADMIN_PAGE_BINDINGS ? x->binding_count : ADMIN_PAGE_BINDINGS, i = 0;
    struct admin_binding *out = arena_array(a, n + 1, sizeof(*out));
    list_each (l, &x->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_source);
        if (i == n)
            break;
        out[i++] = (struct admin_binding){keep(a, b->key), keep(a, b->dest->name), kind_name(b->dest->kind),
                                          b->args.len > 0};
    }
    ret->bindings = out;
    ret->binding_count = i;
    ret->binding_total = x->binding_count;
}

/* Those that are there from the start are shown when something is bound to them. */
static bool is_shown(const struct exchange *x)
{
    bool ours = x->name.len == 0 || (x->name.len > 4 && memcmp(x->name.ptr, "amq.", 4) == 0);
    return !ours || x->binding_count > 0;
}

static void add_exchanges(struct admin_call *call, struct vspace *v, struct admin_exchange *out)
{
    size_t count;
    struct actor everybody = {&auth_operator, &v->vhost};
    struct exchange **list = exchange_list(call->shard, &everybody, &call->arena, &count);
    for (size_t i = 0; i < count; i++) {
        const struct exchange *x = list[i];
        if (!is_shown(x) || call->exchange_total++ >= ADMIN_PAGE_ROWS)
            continue;
        struct admin_exchange *to = &out[call->exchange_count++];
        *to = (struct admin_exchange){.name = keep(&call->arena, x->name),
                                      .vhost = keep(&call->arena, span_str(v->vhost.name)),
                                      .type = exchange_type_name(x->type),
                                      .alternate = keep(&call->arena, x->alternate),
                                      .durable = x->durable,
                                      .auto_delete = x->auto_delete,
                                      .internal = x->internal};
        put_bindings(&call->arena, x, to);
    }
}

/* ---- queues ---------------------------------------------------------------------------------------------
 */

struct asked {
    struct figures figures;
    struct admin_call *call;
    struct admin_queue *queues;
    const struct queue_info *infos[ADMIN_PAGE_ROWS];
};

static const char *type_name(enum queue_type t)
{
    return t == QUEUE_QUORUM ? "quorum" : t == QUEUE_STREAM ? "stream" : "classic";
}

static void add_queues(struct admin_call *call, struct vspace *v, struct asked *to)
{
    size_t count;
    struct actor everybody = {&auth_operator, &v->vhost};
    struct queue_info **list = queue_list(call->shard, &everybody, &call->arena, &count);
    for (size_t i = 0; i < count; i++) {
        const struct queue_info *q = list[i];
        if (call->queue_total++ >= ADMIN_PAGE_ROWS)
            continue;
        to->infos[call->queue_count] = q;
        to->queues[call->queue_count++] =
            (struct admin_queue){.name = keep(&call->arena, q->dest.name),
                                 .vhost = keep(&call->arena, span_str(v->vhost.name)),
                                 .type = type_name(q->type),
                                 .policy = keep(&call->arena, q->policy),
                                 .features = queue_features(q)};
    }
}

static void figures_known(struct figures *f)
{
    struct asked *a = container_of(f, struct asked, figures);
    for (size_t i = 0; i < f->count; i++) {
        const struct queue_figures *from = &f->items[i];
        const struct queue_counts *n = &from->counts;
        struct admin_queue *to = &a->queues[i];
        to->ready = from->ready;
        to->unacked = from->unacked;
        to->consumers = from->consumers;
        to->in = n->published;
        to->out = n->delivered + n->delivered_no_ack + n->got + n->got_no_ack;
    }
    admin_list_groups(a->call);
}

void admin_gather_page(struct admin_call *call)
{
    size_t count;
    struct asked *a = arena_alloc(&call->arena, sizeof(*a));
    struct admin_exchange *exchanges = arena_array(&call->arena, ADMIN_PAGE_ROWS, sizeof(*exchanges));
    *a = (struct asked){.call = call};
    a->queues = arena_array(&call->arena, ADMIN_PAGE_ROWS, sizeof(*a->queues));
    struct vspace **all = space_list(call->shard, &call->arena, &count);
    for (size_t i = 0; i < count; i++) {
        if (!admin_sees(call, all[i]))
            continue;
        add_queues(call, all[i], a);
        add_exchanges(call, all[i], exchanges);
    }
    call->queues = a->queues;
    call->exchanges = exchanges;
    call->limit = ADMIN_HEARD_PAGE;
    admin_gather_heard(call);
    call->alarm = alarm_reason(alarm_state(call->shard));
    a->figures.home = call->shard;
    a->figures.count = call->queue_count;
    a->figures.queues = a->infos;
    a->figures.done = figures_known;
    figures_gather(&a->figures, &call->arena);
}
