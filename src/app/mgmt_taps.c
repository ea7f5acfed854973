/* /api/taps: topics that go on into exchanges (core/tap.h). */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "core/tap.h"
#include "core/user.h"

static json_t *tap_json(const struct meta_record *r)
{
    struct tap tap;
    tap_of_record(r, &tap);
    return json_pack("{s:o, s:o, s:o, s:o, s:s}", "name", admin_json_span(tap.name), "topic",
                     admin_json_span(tap.topic), "exchange", admin_json_span(tap.exchange), "routing_key",
                     admin_json_span(span_is_null(tap.key) ? tap.topic : tap.key), "from",
                     tap.from_next ? "next" : "first");
}

void mgmt_taps(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct arena a;
    size_t count;
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR | USER_MONITORING | USER_POLICYMAKER))
        return;
    json_t *out = json_array();
    arena_init(&a);
    struct meta_record **all = meta_record_list(c->shard, RECORD_TAP, &a, &count);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, tap_json(all[i]));
    arena_fini(&a);
    admin_answer_json(c, ticket.seq, 200, out);
}

void mgmt_tap(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (!mgmt_needs_tag(c, ticket, USER_ADMINISTRATOR | USER_MONITORING | USER_POLICYMAKER))
        return;
    const struct meta_record *r = meta_record_find(c->shard, RECORD_TAP, req->params[0]);
    if (r)
        admin_answer_json(c, ticket.seq, 200, tap_json(r));
    else
        mgmt_not_found(c, ticket.seq);
}

static struct span text_of(const json_t *o, const char *name)
{
    return span_str(json_string_value(json_object_get(o, name)));
}

/* Why not; NULL: it is well. */
static const char *read_tap(const json_t *o, struct span name, struct tap *ret)
{
    struct span from = text_of(o, "from");
    *ret = (struct tap){.name = name,
                        .topic = text_of(o, "topic"),
                        .exchange = text_of(o, "exchange"),
                        .key = text_of(o, "routing_key"),
                        .from_next = span_eq_str(from, "next")};
    if (span_is_null(ret->topic) || span_is_null(ret->exchange))
        return "topic and exchange are wanted";
    if (!span_is_null(from) && !ret->from_next && !span_eq_str(from, "first"))
        return "from is 'first' or 'next'";
    return NULL;
}

void mgmt_tap_put(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct tap tap;
    json_t *o = mgmt_take_body(c, req, ticket);
    if (!o)
        return;
    const char *why = read_tap(o, req->params[0], &tap);
    if (why) {
        mgmt_bad_request(c, ticket.seq, why);
    } else {
        struct op_record *r =
            mgmt_record(c, ticket, meta_record_find(c->shard, RECORD_TAP, tap.name) != NULL);
        tap_fill_put(r, &tap);
        op_record_submit(r);
    }
    json_decref(o);
}

void mgmt_tap_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct op_record *r = mgmt_record(c, ticket, true);
    tap_fill_drop(r, req->params[0]);
    op_record_submit(r);
}
