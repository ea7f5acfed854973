/* Bindings between two ends, one of them by its properties key; and what a queue holds. */
#include <stdio.h>

#include "app/mgmt_impl.h"
#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/queue.h"

static bool is_plain(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._", c);
}

static size_t put_escaped(char *at, struct span key)
{
    size_t n = 0;
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] && is_plain(key.ptr[i]))
            at[n++] = (char)key.ptr[i];
        else
            n += (size_t)sprintf(at + n, "%%%02X", key.ptr[i]);
    return n;
}

/* RabbitMQ's name for one of several bindings between the same ends: the routing key, escaped as in a URL,
 * and a hash of the arguments if there are any ("~" alone: neither). The hash is our own, stable between
 * answers. */
struct span mgmt_properties_key(const struct binding *b, struct arena *a)
{
    if (b->args.len == 0 && b->key.len == 0)
        return span_str("~");
    char *text = arena_alloc(a, 3 * b->key.len + 16);
    size_t n = put_escaped(text, b->key);
    if (b->args.len)
        n += (size_t)sprintf(text + n, "~%08x", crc32c(b->args.ptr, b->args.len));
    return span_of(text, n);
}

/* Clients put it into a path escaped once more, or as it is: then it has been decoded. */
static bool is_called(const struct binding *b, struct span properties, struct arena *a)
{
    struct span name = mgmt_properties_key(b, a), plain;
    if (span_eq(name, properties))
        return true;
    return http_percent_decode(a, name, false, &plain) == 0 && span_eq(plain, properties);
}

/* ---- between two ends -----------------------------------------------------------------------------------
 */

struct ends {
    struct exchange *source;
    struct dest *dest;
};

/* False: answered. params: virtual host, source, destination. */
static bool find_ends(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                      enum dest_kind kind, struct ends *ret)
{
    struct vspace *v = mgmt_space(c, ticket, req->params[0]);
    if (!v)
        return false;
    ret->source = map_get(&v->exchanges, mgmt_path_name(req->params[1]));
    struct queue_info *q = kind == DEST_QUEUE ? space_queue(v, req->params[2]) : NULL;
    struct exchange *x = kind == DEST_EXCHANGE ? map_get(&v->exchanges, req->params[2]) : NULL;
    ret->dest = q ? &q->dest : x ? &x->dest : NULL;
    if (ret->source && ret->dest)
        return true;
    mgmt_not_found(c, ticket.seq);
    return false;
}

static void list_between(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                         enum dest_kind kind)
{
    struct ends e;
    json_t *out;
    if (!find_ends(c, req, ticket, kind, &e))
        return;
    out = json_array();
    list_each (l, &e.dest->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_dest);
        if (b->source == e.source)
            json_array_append_new(out, mgmt_binding_json(b));
    }
    admin_answer_json(c, ticket.seq, 200, out);
}

static const struct binding *find_binding(const struct ends *e, struct span properties, struct arena *a)
{
    list_each (l, &e->dest->bindings) {
        const struct binding *b = list_entry(l, struct binding, by_dest);
        if (b->source == e->source && is_called(b, properties, a))
            return b;
    }
    return NULL;
}

static void show_one(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                     enum dest_kind kind)
{
    struct ends e;
    if (!find_ends(c, req, ticket, kind, &e))
        return;
    const struct binding *b = find_binding(&e, req->params[3], req->arena);
    if (b)
        admin_answer_json(c, ticket.seq, 200, mgmt_binding_json(b));
    else
        mgmt_not_found(c, ticket.seq);
}

static void unbind(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                   enum dest_kind kind)
{
    struct ends e;
    if (!find_ends(c, req, ticket, kind, &e))
        return;
    const struct binding *b = find_binding(&e, req->params[3], req->arena);
    if (!b) {
        mgmt_not_found(c, ticket.seq);
        return;
    }
    struct op_bind *op = mgmt_entity(c, ticket, sizeof(*op), req->params[0], 204);
    if (!op)
        return;
    op->source = mgmt_copy(&op->e.arena, e.source->name);
    op->kind = kind;
    op->dest = mgmt_copy(&op->e.arena, e.dest->name);
    op->key = mgmt_copy(&op->e.arena, b->key);
    op->args = mgmt_copy(&op->e.arena, b->args);
    op->unbind = true;
    op_bind_submit(op);
}

#define BETWEEN(kind, list, one, remove)                                                                     \
    void list(struct conn *c, const struct http_request *req, struct http_ticket ticket)                     \
    {                                                                                                        \
        list_between(c, req, ticket, kind);                                                                  \
    }                                                                                                        \
    void one(struct conn *c, const struct http_request *req, struct http_ticket ticket)                      \
    {                                                                                                        \
        show_one(c, req, ticket, kind);                                                                      \
    }                                                                                                        \
    void remove(struct conn *c, const struct http_request *req, struct http_ticket ticket)                   \
    {                                                                                                        \
        unbind(c, req, ticket, kind);                                                                        \
    }

BETWEEN(DEST_QUEUE, mgmt_bindings_to_queue, mgmt_binding_to_queue, mgmt_unbind_queue)
BETWEEN(DEST_EXCHANGE, mgmt_bindings_to_exchange, mgmt_binding_to_exchange, mgmt_unbind_exchange)

/* ---- purge: /api/queues/{vhost}/{name}/contents ---------------------------------------------------------
 */

struct purge {
    struct op_purge op;
    uint64_t seq;
};

static void purged(struct conn *c, struct op *op)
{
    struct purge *p = (struct purge *)container_of(op, struct op_purge, op);
    if (c && op->err)
        mgmt_fail(c, p->seq, op->err, NULL);
    else if (c)
        mgmt_no_content(c, p->seq, 204);
    op_free(p);
}

void mgmt_queue_purge(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct vspace *v = space_find(c->shard, req->params[0]);
    struct queue_info *q = NULL;
    struct actor actor = {c->actor.principal, v ? &v->vhost : NULL};
    int err = v ? queue_find(c->shard, &actor, c->handle, AUTH_READ, req->params[1], &q) : ERR_NOT_FOUND;
    if (err) {
        mgmt_fail(c, ticket.seq, err, NULL);
        return;
    }
    struct purge *p = op_new(c, sizeof(*p), purged, NULL);
    p->op.queue_id = q->id;
    p->op.shard = q->shard;
    p->seq = ticket.seq;
    op_purge_submit(&p->op);
}
