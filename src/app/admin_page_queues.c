/* The page's tables of queues and exchanges. */
#include "app/admin_impl.h"
#include "app/queue_features.h"

static void put_mark(struct text *out, const char *mark, const char *title)
{
    text_printf(out, "<abbr class=\"mark\" title=\"%s\">%s</abbr>", title, mark);
}

static void put_number(struct text *out, uint64_t n, const char *more)
{
    text_printf(out, "<td class=\"n\">%s%llu%s</td>", more ? more : "", (unsigned long long)n,
                more ? "</span>" : "");
}

/* The column of virtual hosts is there if it says something. */
static void put_vhost(struct text *out, bool several, struct span vhost)
{
    if (!several)
        return;
    text_put(out, "<td>");
    admin_put_name(out, vhost);
    text_put(out, "</td>");
}

/* "/api/queues/{vhost}/{name}", and the name. */
static void put_link(struct text *out, const char *kind, struct span vhost, struct span name)
{
    text_printf(out, "<td><a href=\"/api/%s/", kind);
    admin_put_path(out, vhost);
    text_put(out, "/");
    admin_put_path(out, name);
    text_put(out, "\">");
    admin_put_name(out, name);
    text_put(out, "</a></td>");
}

static void put_rest(struct text *out, size_t shown, size_t total, const char *kind)
{
    if (total > shown)
        text_printf(out, "<p class=\"soft\">The first %zu; <a href=\"/api/%s\">all of them</a>.</p>", shown,
                    kind);
}

/* ---- queues ---------------------------------------------------------------------------------------------
 */

static void put_queue(struct text *out, const struct admin_queue *q, bool several)
{
    text_put(out, "<tr>");
    put_vhost(out, several, q->vhost);
    put_link(out, "queues", q->vhost, q->name);
    text_printf(out, "<td>%s</td><td>", q->type);
    for (unsigned i = 0; i < QUEUE_FEATURE_COUNT; i++)
        if (q->features & 1u << i)
            put_mark(out, queue_feature_marks[i], queue_feature_texts[i]);
    if (!span_is_null(q->policy)) {
        text_put(out, "<abbr class=\"mark\" title=\"policy\">");
        admin_put_name(out, q->policy);
        text_put(out, "</abbr>");
    }
    text_put(out, "</td>");
    put_number(out, q->ready, NULL);
    put_number(out, q->unacked, NULL);
    put_number(out, q->consumers, q->ready && !q->consumers ? "<span class=\"degraded\">" : NULL);
    put_number(out, q->in, NULL);
    put_number(out, q->out, NULL);
    text_put(out, "</tr>");
}

static void put_sums(struct text *out, const struct admin_call *call)
{
    uint64_t ready = 0, unacked = 0;
    for (size_t i = 0; i < call->queue_count; i++) {
        ready += call->queues[i].ready;
        unacked += call->queues[i].unacked;
    }
    if (call->queue_total == call->queue_count)
        text_printf(out, "<p class=\"soft\">%llu messages ready, %llu unacknowledged</p>",
                    (unsigned long long)ready, (unsigned long long)unacked);
}

void admin_put_queues(struct text *out, const struct admin_call *call)
{
    bool several = false;
    text_printf(out, "<h2>Queues (%zu)</h2>", call->queue_total);
    if (call->queue_count == 0) {
        text_put(out, "<p class=\"soft\">None yet. A client of AMQP makes one by declaring it.</p>");
        return;
    }
    for (size_t i = 0; i < call->queue_count; i++)
        several |= !span_eq_str(call->queues[i].vhost, "/");
    put_sums(out, call);
    text_printf(out,
                "<div class=\"wide\"><table><tr>%s<th>Name</th><th>Type</th><th>Features</th><th "
                "class=\"n\">Ready</th>"
                "<th class=\"n\">Unacked</th><th class=\"n\">Consumers</th><th class=\"n\" title=\"messages "
                "since the broker started\">In</th>"
                "<th class=\"n\" title=\"messages since the broker started\">Out</th></tr>",
                several ? "<th>Virtual host</th>" : "");
    for (size_t i = 0; i < call->queue_count; i++)
        put_queue(out, &call->queues[i], several);
    text_put(out, "</table></div>");
    put_rest(out, call->queue_count, call->queue_total, "queues");
}

/* ---- exchanges ------------------------------------------------------------------------------------------
 */

static void put_binding(struct text *out, const struct admin_binding *b)
{
    text_put(out, "<div>");
    if (b->key.len) {
        text_put(out, "<code class=\"key\">");
        admin_put_name(out, b->key);
        text_put(out, "</code> ");
    }
    text_put(out, "&rarr; ");
    if (strcmp(b->kind, "queue") != 0)
        text_printf(out, "%s ", b->kind);
    admin_put_name(out, b->dest);
    text_put(out, b->has_args ? " <span class=\"soft\">with arguments</span></div>" : "</div>");
}

static void put_exchange(struct text *out, const struct admin_exchange *x, bool several)
{
    text_put(out, "<tr>");
    put_vhost(out, several, x->vhost);
    put_link(out, "exchanges", x->vhost, x->name);
    text_printf(out, "<td>%s</td><td>", x->type);
    if (x->durable)
        put_mark(out, "D", "durable");
    if (x->auto_delete)
        put_mark(out, "AD", "deleted with its last binding");
    if (x->internal)
        put_mark(out, "I", "internal: clients do not publish to it");
    if (!span_is_null(x->alternate))
        put_mark(out, "AE", "has an alternate exchange");
    text_put(out, "</td><td>");
    for (size_t i = 0; i < x->binding_count; i++)
        put_binding(out, &x->bindings[i]);
    if (x->binding_total > x->binding_count)
        text_printf(out, "<div class=\"soft\">and %zu more</div>", x->binding_total - x->binding_count);
    else if (x->binding_total == 0)
        text_put(out, "<span class=\"soft\">none</span>");
    text_put(out, "</td></tr>");
}

void admin_put_exchanges(struct text *out, const struct admin_call *call)
{
    bool several = false;
    text_printf(out, "<h2>Exchanges (%zu)</h2>", call->exchange_total);
    text_put(
        out,
        "<p class=\"soft\">The default exchange leads to each queue by its name. Those of AMQP's own are "
        "shown when something is bound to them.</p>");
    if (call->exchange_count == 0)
        return;
    for (size_t i = 0; i < call->exchange_count; i++)
        several |= !span_eq_str(call->exchanges[i].vhost, "/");
    text_printf(
        out,
        "<div class=\"wide\"><table><tr>%s<th>Name</th><th>Type</th><th>Features</th><th>Bindings</th></tr>",
        several ? "<th>Virtual host</th>" : "");
    for (size_t i = 0; i < call->exchange_count; i++)
        put_exchange(out, &call->exchanges[i], several);
    text_put(out, "</table></div>");
    put_rest(out, call->exchange_count, call->exchange_total, "exchanges");
}
