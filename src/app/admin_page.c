/* /: one page that says what runs here. No script, nothing from elsewhere; every text from the broker is
 * escaped. */
#include "app/admin_impl.h"
#include "core/shard.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--ink:#1d2327;--soft:#5c6770;--line:#d9dfe3;--back:#fbfbf9;--ok:#1a7f4b;--degraded:"
    "#9a6700;--failed:#b42318}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9eb;--soft:#9aa5ad;--line:#333b41;--back:#15191c;--ok:"
    "#4cc38a;"
    "--degraded:#e0a93b;--failed:#f0716a}}"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;margin:2.5rem auto;"
    "padding:0 1.25rem}"
    "h1{font-size:1.6rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}p{margin:.25rem "
    "0}.soft{color:var(--soft)}"
    ".state{display:inline-block;border:1px solid;border-radius:1rem;padding:0 "
    ".7rem;margin-left:.6rem;font-size:.85rem;"
    "vertical-align:middle}.ok{color:var(--ok)}.degraded{color:var(--degraded)}.failed{color:var(--failed)}"
    "table{border-collapse:collapse;width:100%}th{font-weight:600;color:var(--soft)}"
    "th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}a{color:inherit}nav "
    "a{margin-right:1rem;display:inline-block}"
    "code{font:.9em ui-monospace,monospace}td{vertical-align:top}td a,td div{overflow-wrap:anywhere}td "
    "a{display:inline-block;min-width:6rem}.n{white-space:nowrap}"
    ".wide{overflow-x:auto}.tall{overflow:auto;max-height:24rem;margin-bottom:.75rem}"
    ".mark{font-size:.75rem;border:1px solid var(--line);border-radius:.25rem;padding:0 "
    ".3rem;margin-right:.25rem;"
    "text-decoration:none;cursor:help;white-space:nowrap;color:var(--soft)}.key{color:var(--soft)}"
    ".alarm{border:1px solid;border-radius:.4rem;padding:.4rem .8rem;margin-top:1rem}"
    "@media(max-width:45rem){body{margin:1.25rem auto}th,td{padding:.3rem .35rem}}";

enum {
    PAGE_TOPICS = 1000,
    PAGE_GROUPS = 1000,
    NAME_BYTES = 200, /* of a group's name that are shown: it may be long */
};

static void put_uptime(struct text *out, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s >= 86400)
        text_printf(out, "%llu d %llu h", (unsigned long long)(s / 86400),
                    (unsigned long long)(s / 3600 % 24));
    else if (s >= 3600)
        text_printf(out, "%llu h %llu min", (unsigned long long)(s / 3600),
                    (unsigned long long)(s / 60 % 60));
    else
        text_printf(out, "%llu min %llu s", (unsigned long long)(s / 60), (unsigned long long)(s % 60));
}

static void put_head(struct text *out, const struct admin_call *call, const struct shard *s)
{
    const struct admin *a = call->admin;
    struct admin_health h = {0};
    a->backend.health(a->backend.broker, &h);
    const char *status = admin_status_name(h.status);
    text_printf(out,
                "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Colobus</title>"
                "<meta name=\"viewport\" "
                "content=\"width=device-width,initial-scale=1\"><style>%s</style></head><body>"
                "<h1>Colobus<span class=\"state %s\">%s</span></h1><p class=\"soft\">version ",
                style, status, status);
    text_put_html(out, span_str(a->version));
    text_put(out, " &middot; up ");
    put_uptime(out, admin_uptime_ms(a, s));
    text_put(out, " &middot; ");
    text_put_bytes(out, os_rss_bytes());
    text_put(out, " of memory</p>");
    if (h.reason[0]) {
        text_printf(out, "<p class=\"%s\">", status);
        text_put_html(out, span_str(h.reason));
        text_put(out, "</p>");
    }
    if (call->alarm)
        text_printf(
            out, "<p class=\"alarm degraded\">Publishers to queues are held back: %s. Consumers go on.</p>",
            call->alarm);
}

static void put_listeners(struct text *out, const char *protocol, const struct config_listeners *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        text_printf(out, "<tr><td>%s</td><td>", protocol);
        text_put_html(out, span_str(list->items[i].name));
        text_put(out, list->items[i].tls ? "</td><td><code>tls://" : "</td><td><code>");
        text_put_html(out, span_str(list->items[i].address));
        text_put(out, "</code></td></tr>");
    }
}

static void put_topic(struct text *out, const struct admin_topic *t)
{
    uint64_t bytes = 0, records = 0;
    for (size_t i = 0; i < t->partition_count; i++) {
        bytes += t->partitions[i].bytes;
        records += t->partitions[i].end - t->partitions[i].start;
    }
    text_put(out, "<tr><td><a href=\"/api/topics/"); /* names are [a-zA-Z0-9._-]; escaped all the same */
    text_put_html(out, t->name);
    text_put(out, "\">");
    text_put_html(out, t->name);
    text_printf(out, "</a></td><td class=\"n\">%zu</td><td class=\"n\">%llu</td><td class=\"n\">",
                t->partition_count, (unsigned long long)records);
    text_put_bytes(out, bytes);
    text_put(out, "</td></tr>");
}

static void put_topics(struct text *out, const struct admin_call *call)
{
    text_printf(out, "<h2>Topics (%zu)</h2>", call->topic_count);
    if (call->topic_count == 0) {
        text_put(out, "<p class=\"soft\">None yet. A producer makes one by using it, or "
                      "<code>colobus topic create NAME</code>.</p>");
        return;
    }
    text_put(out, "<table><tr><th>Name</th><th class=\"n\">Partitions</th><th class=\"n\">Records</th>"
                  "<th class=\"n\">Size</th></tr>");
    for (size_t i = 0; i < call->topic_count && i < PAGE_TOPICS; i++)
        put_topic(out, &call->topics[i]);
    text_put(out, "</table>");
    if (call->topic_count > PAGE_TOPICS)
        text_printf(out, "<p class=\"soft\">The first %d; <a href=\"/api/topics\">all of them</a>.</p>",
                    PAGE_TOPICS);
}

void admin_put_path(struct text *out, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                     c == '_';
        text_printf(out, plain ? "%c" : "%%%02X", c);
    }
}

void admin_put_name(struct text *out, struct span s)
{
    size_t n = s.len;
    if (n > NAME_BYTES)
        for (n = NAME_BYTES; n > 0 && (s.ptr[n] & 0xc0) == 0x80; n--)
            ;
    text_put_html(out, span_of(s.ptr, n));
    if (n < s.len)
        text_put(out, "&hellip;");
}

/* In words, and with the colour of a state of the broker: being divided is nothing bad, only not at work. */
static void put_group_state(struct text *out, const char *state)
{
    if (strcmp(state, "Stable") == 0)
        text_put(out, "<span class=\"ok\">stable</span>");
    else if (strcmp(state, "Empty") == 0)
        text_put(out, "<span class=\"soft\">no members</span>");
    else
        text_put(out, "<span class=\"degraded\">rebalancing</span>");
}

static void put_group(struct text *out, const struct admin_group *g)
{
    text_put(out, "<tr><td><a href=\"/api/groups/");
    admin_put_path(out, g->name);
    text_put(out, "\">");
    admin_put_name(out, g->name);
    text_put(out, "</a></td><td>");
    put_group_state(out, g->state);
    text_printf(out, "</td><td class=\"n\">%u</td><td class=\"n\">%zu</td><td class=\"n\">%llu</td></tr>",
                g->member_count, g->offset_count, (unsigned long long)g->lag);
}

static void put_groups(struct text *out, const struct admin_call *call)
{
    text_printf(out, "<h2>Consumer groups (%zu)</h2>", call->group_count);
    if (call->group_count == 0) {
        text_put(out,
                 "<p class=\"soft\">None yet. A consumer makes one by joining it: <code>group.id</code> and "
                 "<code>subscribe()</code>.</p>");
        return;
    }
    text_put(out, "<table><tr><th>Name</th><th>State</th><th class=\"n\">Members</th>"
                  "<th class=\"n\">Partitions</th><th class=\"n\">Lag</th></tr>");
    for (size_t i = 0; i < call->group_count && i < PAGE_GROUPS; i++)
        put_group(out, &call->groups[i]);
    text_put(out, "</table>");
    if (call->group_count > PAGE_GROUPS)
        text_printf(out, "<p class=\"soft\">The first %d; <a href=\"/api/groups\">all of them</a>.</p>",
                    PAGE_GROUPS);
}

static void answer_page(struct conn *c, struct admin_call *call)
{
    struct text page = {0};
    const struct config *cfg = call->admin->config;
    put_head(&page, call, c->shard);
    text_put(&page, "<h2>Listeners</h2><table><tr><th>Protocol</th><th>Name</th><th>Address</th></tr>");
    put_listeners(&page, "Kafka", &cfg->kafka_listen);
    put_listeners(&page, "AMQP", &cfg->amqp_listen);
    put_listeners(&page, "Redis", &cfg->redis_listen);
    put_listeners(&page, "HTTP", &cfg->http_listen);
    text_put(&page, "</table>");
    admin_put_queues(&page, call);
    admin_put_exchanges(&page, call);
    admin_put_heard(&page, call);
    put_topics(&page, call);
    put_groups(&page, call);
    text_put(&page, "<h2>More</h2><nav><a href=\"/healthz\">/healthz</a><a href=\"/metrics\">/metrics</a>"
                    "<a href=\"/api/topics\">/api/topics</a><a href=\"/api/groups\">/api/groups</a>"
                    "<a href=\"/api/overview\">/api/overview</a><a href=\"/api/queues\">/api/queues</a>"
                    "<a href=\"/api/exchanges\">/api/exchanges</a><a href=\"/api/bindings\">/api/bindings</a>"
                    "<a href=\"/api/subscriptions\">/api/subscriptions</a></nav>"
                    "</body></html>\n");
    struct http_header policy = {span_str("Content-Security-Policy"),
                                 span_str("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                                          "form-action 'none'; frame-ancestors 'none'")};
    http_respond(c, call->ticket.seq,
                 &(struct http_response){.status = 200,
                                         .content_type = "text/html; charset=utf-8",
                                         .body = text_span(&page),
                                         .extra = &policy,
                                         .extra_count = 1});
    text_free(&page);
}

void admin_page(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(admin_call_new(c, ticket, ADMIN_PAGE, answer_page));
}
