/* Taps as metadata: what they are, and that none closes a circle. */
#include "core/tap.h"

#include "base/err.h"
#include "core/fields.h"
#include "core/space_impl.h"
#include "core/tap_impl.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

/* ---- the record ---------------------------------------------------------------------------------------- */

static struct span text_of(struct span table, const char *name)
{
    struct field f;
    return fields_get_str(table, name, &f) && f.tag == 'S' ? f.bytes : SPAN_NULL;
}

void tap_of_record(const struct meta_record *r, struct tap *ret)
{
    struct field f;
    *ret = (struct tap){.name = r->key,
                        .topic = text_of(r->value, "topic"),
                        .exchange = text_of(r->value, "exchange"),
                        .key = text_of(r->value, "routing-key"),
                        .from_next = fields_get_str(r->value, "from-next", &f) && f.integer};
}

static int refuse(struct op_record *r, int err, const char *what, struct span name)
{
    r->why = arena_printf(&r->arena, "%s '%.*s' in vhost '/'", what, SPAN_ARG(name));
    return err;
}

static int check_put(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    struct meta_record now = {.key = r->key, .value = r->value};
    struct tap tap;
    tap_of_record(&now, &tap);
    if (r->key.len == 0 || r->key.ptr[0] == 0 || r->key.len > META_MAX_NAME || tap.key.len > META_MAX_NAME) {
        r->why = "names and routing keys of taps have 1 to 255 bytes";
        return ERR_ARGUMENT;
    }
    int err = auth_check(&r->op.actor, AUTH_READ, AUTH_TOPIC, tap.topic);
    if (!err)
        err = auth_check(&r->op.actor, AUTH_WRITE, AUTH_EXCHANGE, tap.exchange);
    if (err)
        return err;
    if (!tap.topic.len || !topic_table_find(s, tap.topic))
        return refuse(r, ERR_NOT_FOUND, "no topic", tap.topic);
    if (!tap.exchange.len) {
        r->why = "a tap leads to an exchange that has a name";
        return ERR_ARGUMENT;
    }
    if (!space_exchange(s->spaces->root, tap.exchange))
        return refuse(r, ERR_NOT_FOUND, "no exchange", tap.exchange);
    if (tap_reaches(s, tap.exchange, tap.topic, NULL))
        return refuse(r, ERR_ARGUMENT, "messages would go in a circle, back to topic", tap.topic);
    return old && span_eq(old->value, r->value) ? 1 : 0;
}

static int check_drop(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    struct tap tap;
    (void)s;
    if (!old)
        return ERR_NOT_FOUND;
    tap_of_record(old, &tap);
    return auth_check(&r->op.actor, AUTH_WRITE, AUTH_EXCHANGE, tap.exchange);
}

static struct span keep(struct op_record *r, struct span s)
{
    return span_of(arena_copy(&r->arena, s.ptr, s.len), s.len);
}

void tap_fill_put(struct op_record *r, const struct tap *tap)
{
    struct fields_writer w;
    fields_writer_init(&w, &r->arena);
    fields_put_str(&w, span_str("topic"), tap->topic);
    fields_put_str(&w, span_str("exchange"), tap->exchange);
    if (!span_is_null(tap->key))
        fields_put_str(&w, span_str("routing-key"), tap->key);
    fields_put_bool(&w, span_str("from-next"), tap->from_next);
    r->kind = RECORD_TAP;
    r->key = keep(r, tap->name);
    r->value = fields_done(&w);
    r->check = check_put;
}

void tap_fill_drop(struct op_record *r, struct span name)
{
    r->kind = RECORD_TAP;
    r->key = keep(r, name);
    r->value = SPAN_NULL;
    r->check = check_drop;
}

struct span tap_edges_key(void)
{
    static const uint8_t key[] = {META_KEY_RECORD, RECORD_TAP, 0, 'e', 'd', 'g', 'e', 's'};
    return span_of(key, sizeof(key)); /* no name of a tap begins with a zero */
}

/* ---- circles ------------------------------------------------------------------------------------------- */

struct walk {
    const struct shard *shard;
    struct span topic; /* wanted */
    const struct tap_edge *extra;
    struct map seen; /* exchanges, by name: they may lead to each other in circles */
};

static bool from_exchange(struct walk *w, struct span name);

static bool from_topic(struct walk *w, struct span topic)
{
    const struct meta_record *r;
    struct tap tap;
    if (span_eq(topic, w->topic))
        return true;
    for (size_t i = 0; (r = meta_record_next(w->shard, RECORD_TAP, &i));) {
        tap_of_record(r, &tap);
        if (span_eq(tap.topic, topic) && from_exchange(w, tap.exchange))
            return true;
    }
    return false;
}

static bool from_stream(struct walk *w, struct span queue)
{
    struct topic *t;
    uint32_t partition;
    const struct queue_info *q = space_queue(w->shard->spaces->root, queue);
    return q && q->type == QUEUE_STREAM && topic_of_stream(w->shard, queue, &t, &partition) &&
           from_topic(w, span_of(t->name, t->name_len));
}

static bool from_dest(struct walk *w, enum dest_kind kind, struct span name)
{
    return kind == DEST_EXCHANGE ? from_exchange(w, name)
           : kind == DEST_TOPIC  ? from_topic(w, name)
                                 : from_stream(w, name);
}

static bool from_exchange(struct walk *w, struct span name)
{
    struct exchange *x = space_exchange(w->shard->spaces->root, name);
    bool found = false;
    if (!x || !x->name.len || map_get(&w->seen, x->name))
        return false;
    map_put(&w->seen, x->name, x);
    if (w->extra && span_eq(name, w->extra->source))
        found = from_dest(w, w->extra->kind, w->extra->dest);
    for (struct list *l = x->bindings.next; !found && l != &x->bindings; l = l->next) {
        const struct binding *b = list_entry(l, struct binding, by_source);
        found = from_dest(w, b->dest->kind, b->dest->name);
    }
    return found || (!span_is_null(x->alternate) && from_exchange(w, x->alternate));
}

bool tap_reaches(const struct shard *s, struct span exchange, struct span topic, const struct tap_edge *extra)
{
    struct walk w = {.shard = s, .topic = topic, .extra = extra};
    map_init(&w.seen);
    bool found = from_exchange(&w, exchange);
    map_fini(&w.seen);
    return found;
}

bool tap_closes_cycle(const struct shard *s, struct span source, enum dest_kind kind, struct span dest)
{
    struct tap_edge edge = {source, dest, kind};
    const struct meta_record *r;
    struct tap tap;
    for (size_t i = 0; (r = meta_record_next(s, RECORD_TAP, &i));) {
        tap_of_record(r, &tap);
        if (tap_reaches(s, tap.exchange, tap.topic, &edge))
            return true;
    }
    return false;
}
