/* What is listened to: /api/subscriptions, and the page's part of it. */
#include "app/admin_impl.h"
#include "base/base64.h"
#include "base/err.h"
#include "core/metrics.h"

enum { LIMIT_DEFAULT = 1000, PATTERN_BYTES = 255, SHOWN_BYTES = 200 };

static uint64_t sum(const struct admin_call *call, enum metric m)
{
    return metrics_sum(call->admin->backend.metrics, m, 0);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static const char *const kind_names[ADMIN_HEARD_KINDS] = {
    [ADMIN_CHANNELS] = "channel", [ADMIN_PATTERNS] = "pattern", [ADMIN_SHARD_CHANNELS] = "shard-channel"};

/* Many readers of JSON stop at a NUL. */
static bool is_text(struct span s)
{
    json_t *text = memchr(s.ptr, 0, s.len) ? NULL : json_stringn((const char *)s.ptr, s.len);
    bool is = text != NULL;
    json_decref(text);
    return is;
}

/* "name"; and where it is no text, or not all of it, what else one must know. */
static void put_name(json_t *o, const struct admin_heard *h, struct arena *a)
{
    bool whole = h->text.len == h->bytes;
    struct span name = whole ? h->text : text_cut(h->text, ADMIN_HEARD_BYTES - 1);
    if (is_text(name)) {
        json_object_set_new(o, "name", admin_json_span(name));
    } else {
        struct text shown = {0};
        char *coded = arena_alloc(a, base64_len(name.len) + 1);
        text_put_shown(&shown, name);
        base64_write(name, coded);
        json_object_set_new(o, "name", json_stringn(shown.ptr, shown.len));
        json_object_set_new(o, "name_base64", json_string(coded));
        text_free(&shown);
    }
    if (!whole)
        json_object_set_new(o, "name_bytes", json_integer((json_int_t)h->bytes));
}

static void put_all(json_t *to, enum admin_heard_kind kind, const struct admin_heard_list *list,
                    struct arena *a)
{
    for (size_t i = 0; i < list->count; i++) {
        json_t *o = json_object();
        put_name(o, &list->items[i], a);
        json_object_set_new(o, "vhost", admin_json_span(list->items[i].vhost));
        json_object_set_new(o, "kind", json_string(kind_names[kind]));
        json_object_set_new(o, "subscriptions", json_integer((json_int_t)list->items[i].subscriptions));
        json_array_append_new(to, o);
    }
}

static void answer(struct conn *c, struct admin_call *call)
{
    json_t *all = json_array();
    uint64_t texts = 0, shown = 0;
    for (int k = 0; k < ADMIN_HEARD_KINDS; k++) {
        put_all(all, (enum admin_heard_kind)k, &call->heard[k], &call->arena);
        texts += call->heard[k].texts;
        shown += call->heard[k].count;
    }
    json_t *totals = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "subscriptions",
                               (json_int_t)sum(call, METRIC_SUBJECT_SUBSCRIPTIONS), "published",
                               (json_int_t)sum(call, METRIC_SUBJECT_PUBLISHED), "delivered",
                               (json_int_t)sum(call, METRIC_SUBJECT_DELIVERED), "skipped",
                               (json_int_t)sum(call, METRIC_SUBJECT_SKIPPED), "late_subscribers",
                               (json_int_t)sum(call, METRIC_SUBJECT_LATE), "slow_subscribers",
                               (json_int_t)sum(call, METRIC_SUBJECT_SLOW));
    admin_answer_json(c, call->ticket.seq, 200,
                      json_pack("{s:o, s:I, s:o}", "totals", totals, "more", (json_int_t)(texts - shown),
                                "subscriptions", all));
}

/* Query parameters, copied. NULL, or what is wrong with them. */
static const char *take_query(struct admin_call *call, const struct http_request *req)
{
    struct span limit = SPAN_NULL;
    if (http_query_value(req, "vhost", &call->vhost) || http_query_value(req, "pattern", &call->pattern) ||
        http_query_value(req, "limit", &limit))
        return "the query is not well escaped";
    if (call->pattern.len > PATTERN_BYTES)
        return "pattern may have 255 bytes";
    if (!span_is_null(call->vhost))
        call->vhost = span_of(arena_copy(&call->arena, call->vhost.ptr, call->vhost.len), call->vhost.len);
    if (!span_is_null(call->pattern))
        call->pattern =
            span_of(arena_copy(&call->arena, call->pattern.ptr, call->pattern.len), call->pattern.len);
    call->limit = span_is_null(limit) ? LIMIT_DEFAULT : 0;
    for (size_t i = 0; i < limit.len; i++) {
        if (limit.ptr[i] < '0' || limit.ptr[i] > '9' || call->limit > ADMIN_HEARD_MAX)
            return "limit is a number from 1 to 10000";
        call->limit = call->limit * 10 + (limit.ptr[i] - '0');
    }
    return call->limit < 1 || call->limit > ADMIN_HEARD_MAX ? "limit is a number from 1 to 10000" : NULL;
}

void admin_heard_list(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct admin_call *call = admin_call_new(c, ticket, ADMIN_HEARD, answer);
    const char *why = take_query(call, req);
    if (why) {
        http_respond_error(c, ticket.seq, 400, why);
        admin_call_free(call);
        return;
    }
    admin_submit(call);
}

/* ---- the page ------------------------------------------------------------------------------------------ */

static void put_row(struct text *out, const struct admin_heard *h, bool several)
{
    struct text shown = {0};
    struct span name = text_cut(h->text, SHOWN_BYTES);
    text_put_shown(&shown, name);
    text_put(out, "<tr>");
    if (several) {
        text_put(out, "<td>");
        admin_put_name(out, h->vhost);
        text_put(out, "</td>");
    }
    text_put(out, "<td><div><code>");
    text_put_html(out, text_span(&shown));
    text_put(out, name.len < h->bytes ? "&hellip;</code></div></td>" : "</code></div></td>");
    text_printf(out, "<td class=\"n\">%llu</td></tr>", (unsigned long long)h->subscriptions);
    text_free(&shown);
}

static void put_kind(struct text *out, const struct admin_heard_list *list, const char *title, bool several)
{
    if (list->texts == 0)
        return;
    text_printf(out,
                "<div class=\"tall\" tabindex=\"0\"><table><tr>%s<th>%s (%zu)</th><th "
                "class=\"n\">Subscriptions (%llu)</th></tr>",
                several ? "<th>Virtual host</th>" : "", title, list->texts,
                (unsigned long long)list->subscriptions);
    for (size_t i = 0; i < list->count; i++)
        put_row(out, &list->items[i], several);
    text_put(out, "</table></div>");
    if (list->texts > list->count)
        text_printf(out,
                    "<p class=\"soft\">Those with most subscriptions, and %zu more: <a "
                    "href=\"/api/subscriptions?limit=%d\">/api/subscriptions</a>, <code>colobus subscription "
                    "list</code>.</p>",
                    list->texts - list->count, ADMIN_HEARD_MAX);
}

static void put_totals(struct text *out, const struct admin_call *call)
{
    uint64_t slow = sum(call, METRIC_SUBJECT_SLOW), late = sum(call, METRIC_SUBJECT_LATE);
    text_printf(
        out,
        "<p class=\"soft\">%llu subscriptions; since the start %llu messages published, %llu given to "
        "subscriptions",
        (unsigned long long)sum(call, METRIC_SUBJECT_SUBSCRIPTIONS),
        (unsigned long long)sum(call, METRIC_SUBJECT_PUBLISHED),
        (unsigned long long)sum(call, METRIC_SUBJECT_DELIVERED));
    if (late)
        text_printf(out, ", <span class=\"degraded\">%llu subscribers late</span>", (unsigned long long)late);
    if (slow)
        text_printf(out, ", <span class=\"degraded\">%llu slow subscribers disconnected</span>",
                    (unsigned long long)slow);
    text_put(out, "</p>");
}

void admin_put_heard(struct text *out, const struct admin_call *call)
{
    static const char *const titles[ADMIN_HEARD_KINDS] = {[ADMIN_CHANNELS] = "Channel",
                                                          [ADMIN_PATTERNS] = "Pattern",
                                                          [ADMIN_SHARD_CHANNELS] = "Sharded channel"};
    bool several = false;
    size_t texts = 0;
    text_put(out, "<h2>Publish and subscribe</h2>");
    put_totals(out, call);
    for (int k = 0; k < ADMIN_HEARD_KINDS; k++) {
        texts += call->heard[k].texts;
        for (size_t i = 0; i < call->heard[k].count; i++)
            several |= !span_eq_str(call->heard[k].items[i].vhost, "/");
    }
    if (texts == 0)
        text_put(out,
                 "<p class=\"soft\">Nobody listens now. A Redis client does by <code>SUBSCRIBE</code>, and "
                 "hears what is published to the exchange <code>amq.topic</code>, too.</p>");
    for (int k = 0; k < ADMIN_HEARD_KINDS; k++)
        put_kind(out, &call->heard[k], titles[k], several);
}
