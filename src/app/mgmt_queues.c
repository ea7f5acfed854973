/* /api/queues: what queues are, and their figures, which are asked for where they live. */
#include "app/figures.h"
#include "app/mgmt_impl.h"
#include "app/queue_features.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/user.h"

/* ---- one queue ------------------------------------------------------------------------------------------
 */

static const char *const type_names[] = {
    [QUEUE_CLASSIC] = "classic", [QUEUE_QUORUM] = "quorum", [QUEUE_STREAM] = "stream"};

static void put_number(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer(n));
}

static void put_name(json_t *o, const char *key, struct span name)
{
    json_object_set_new(o, key, span_is_null(name) ? json_null() : admin_json_span(name));
}

/* Not RabbitMQ's: what its page makes of the settings. */
static json_t *features_json(const struct queue_info *q)
{
    unsigned bits = queue_features(q);
    json_t *out = json_array();
    for (unsigned i = 0; i < QUEUE_FEATURE_COUNT; i++)
        if (bits & 1u << i)
            json_array_append_new(out, json_string(queue_feature_marks[i]));
    return out;
}

static json_t *queue_json(struct shard *s, const struct queue_info *q)
{
    struct span policy, operator_policy;
    json_t *o = json_object();
    policy_names(s, q, &policy, &operator_policy);
    json_object_set_new(o, "name", admin_json_span(q->dest.name));
    json_object_set_new(o, "vhost", admin_json_span(span_str(q->space->vhost.name)));
    json_object_set_new(o, "type", json_string(type_names[q->type]));
    json_object_set_new(o, "durable", json_boolean(q->durable));
    json_object_set_new(o, "auto_delete", json_boolean(q->auto_delete));
    json_object_set_new(o, "exclusive", json_boolean(q->exclusive));
    json_object_set_new(o, "arguments", mgmt_json_of(q->args));
    json_object_set_new(o, "features", features_json(q));
    put_name(o, "policy", policy);
    put_name(o, "operator_policy", operator_policy);
    json_object_set_new(o, "state", json_string("running"));
    json_object_set_new(o, "node", json_string(MGMT_NODE));
    return o;
}

/* Since the queue or the broker began to live; RabbitMQ forgets with the queue's process, too. */
static json_t *message_stats(const struct queue_counts *n)
{
    json_t *o = json_object();
    put_number(o, "publish", (int64_t)n->published);
    put_number(o, "deliver", (int64_t)n->delivered);
    put_number(o, "deliver_no_ack", (int64_t)n->delivered_no_ack);
    put_number(o, "get", (int64_t)n->got);
    put_number(o, "get_no_ack", (int64_t)n->got_no_ack);
    put_number(o, "deliver_get", (int64_t)(n->delivered + n->delivered_no_ack + n->got + n->got_no_ack));
    put_number(o, "redeliver", (int64_t)n->redelivered);
    put_number(o, "ack", (int64_t)n->acknowledged);
    return o;
}

static void put_figures(json_t *o, const struct queue_figures *f)
{
    put_number(o, "messages", (int64_t)(f->ready + f->unacked));
    put_number(o, "messages_ready", (int64_t)f->ready);
    put_number(o, "messages_unacknowledged", (int64_t)f->unacked);
    put_number(o, "message_bytes_ready", (int64_t)f->bytes);
    put_number(o, "consumers", f->consumers);
    put_number(o, "memory", (int64_t)f->memory);
    json_object_set_new(o, "message_stats", message_stats(&f->counts));
}

/* ---- questions for several ------------------------------------------------------------------------------
 */

struct survey {
    struct figures figures;
    struct arena arena;
    struct http_ticket ticket;
    struct mgmt_view *view;
    bool single;
    json_t *list; /* without figures, in the same order */
};

static void answer_survey(struct conn *c, struct survey *v)
{
    for (size_t i = 0; i < v->figures.count; i++)
        put_figures(json_array_get(v->list, i), &v->figures.items[i]);
    if (v->single) {
        admin_answer_json(c, v->ticket.seq, 200,
                          mgmt_view_columns(v->view, json_incref(json_array_get(v->list, 0))));
        return;
    }
    mgmt_answer_list(c, v->ticket.seq, v->view, json_incref(v->list));
    v->view = NULL;
}

static void surveyed(struct figures *f)
{
    struct survey *v = container_of(f, struct survey, figures);
    struct conn *c = handle_get(&f->home->conns, v->ticket.conn);
    if (c)
        answer_survey(c, v);
    json_decref(v->list);
    mgmt_view_free(v->view);
    arena_fini(&v->arena);
    mem_free(v);
}

/* Asks for the figures of these, and answers then. The queues may go meanwhile. */
static void survey(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                   const struct queue_info **queues, size_t count, bool single)
{
    struct mgmt_view *view = mgmt_view_new(c, req, ticket);
    if (!view)
        return;
    struct survey *v = mem_zalloc(sizeof(*v));
    arena_init(&v->arena);
    v->ticket = ticket;
    v->view = view;
    v->single = single;
    v->list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(v->list, queue_json(c->shard, queues[i]));
    v->figures.home = c->shard;
    v->figures.count = count;
    v->figures.queues = queues;
    v->figures.done = surveyed;
    figures_gather(&v->figures, &v->arena);
}

/* ---- handlers -------------------------------------------------------------------------------------------
 */

void mgmt_queues(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    size_t spaces, total = 0, at = 0, count;
    struct vspace **all = space_list(c->shard, req->arena, &spaces);
    for (size_t i = 0; i < spaces; i++)
        total += all[i]->queues.count;
    const struct queue_info **queues = arena_array(req->arena, total + 1, sizeof(*queues));
    for (size_t i = 0; i < spaces; i++) {
        struct actor everybody = {&auth_operator, &all[i]->vhost};
        if (!mgmt_visible(c, all[i]))
            continue;
        struct queue_info **some = queue_list(c->shard, &everybody, req->arena, &count);
        for (size_t k = 0; k < count && at < total; k++)
            queues[at++] = some[k];
    }
    survey(c, req, ticket, queues, at, false);
}

void mgmt_queues_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *space = mgmt_space(c, ticket, req->params[0]);
    size_t count;
    if (!space)
        return;
    struct actor everybody = {&auth_operator, &space->vhost};
    struct queue_info **queues = queue_list(c->shard, &everybody, req->arena, &count);
    survey(c, req, ticket, (const struct queue_info **)queues, count, false);
}

void mgmt_queue(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *space = mgmt_space(c, ticket, req->params[0]);
    const struct queue_info *q = space ? space_queue(space, req->params[1]) : NULL;
    if (q)
        survey(c, req, ticket, &q, 1, true);
    else if (space)
        mgmt_not_found(c, ticket.seq);
}
