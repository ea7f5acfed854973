#include "app/admin.h"

#include <jansson.h>
#include <stdio.h>

#include "app/admin_impl.h"
#include "app/version.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/shard.h"

const char *admin_status_name(enum admin_status s)
{
    static const char *const names[] = {"ok", "degraded", "failed"};
    return names[s];
}

uint64_t admin_uptime_ms(const struct admin *a, const struct shard *s)
{
    return s->now_ns > a->started_ns ? (s->now_ns - a->started_ns) / 1000000 : 0;
}

void admin_answer_text(struct conn *c, uint64_t seq, int status, const char *type, struct text *text)
{
    http_respond(c, seq,
                 &(struct http_response){.status = status, .content_type = type, .body = text_span(text)});
    text_free(text);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

void admin_answer_json(struct conn *c, uint64_t seq, int status, json_t *o)
{
    struct text text = {0};
    text_put_json(&text, o, JSON_COMPACT);
    json_decref(o);
    admin_answer_text(c, seq, status, "application/json", &text);
}

json_t *admin_json_span(struct span s)
{
    json_t *text = json_stringn((const char *)s.ptr, s.len);
    return text ? text : json_string("(not UTF-8)");
}

/* A web page can send a form anywhere, but JSON only with the consent that this server never gives. */
bool admin_take_json(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                     json_t **ret_body)
{
    json_error_t where;
    if (!http_body_is(req, "application/json")) {
        http_respond_error(c, ticket.seq, 415, "send Content-Type: application/json");
        return false;
    }
    *ret_body = json_loadb((const char *)req->body.ptr, req->body.len, JSON_REJECT_DUPLICATES, &where);
    return true;
}

/* ---- questions to the broker --------------------------------------------------------------------------- */

static void call_done(struct admin_call *call)
{
    struct conn *c = handle_get(&call->shard->conns, call->ticket.conn);
    if (c && call->err)
        http_respond_error(c, call->ticket.seq, err_http(call->err),
                           call->reason ? call->reason : err_text(call->err));
    else if (c)
        call->answer(c, call);
    admin_call_free(call);
}

struct admin_call *admin_call_new(struct conn *c, struct http_ticket ticket, enum admin_op op,
                                  void (*answer)(struct conn *c, struct admin_call *call))
{
    struct admin_call *call = mem_zalloc(sizeof(*call));
    arena_init(&call->arena);
    call->op = op;
    call->shard = c->shard;
    call->actor = c->actor;
    call->partitions = -1;
    call->done = call_done;
    call->ticket = ticket;
    call->admin = ((const struct http_server *)c->listener->front)->user;
    call->answer = answer;
    return call;
}

void admin_submit(struct admin_call *call)
{
    call->admin->backend.submit(call->admin->backend.broker, call);
}

void admin_call_free(struct admin_call *call)
{
    arena_fini(&call->arena);
    mem_free(call);
}

/* ---- health -------------------------------------------------------------------------------------------- */

/* 503 only where a supervisor should act: a degraded broker still serves. */
static void healthz(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct admin *a = req->server->user;
    struct admin_health h = {0};
    struct text text = {0};
    a->backend.health(a->backend.broker, &h);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "status", admin_status_name(h.status), "reason", h.reason,
                          "version", a->version, "uptime_ms", (json_int_t)admin_uptime_ms(a, c->shard));
    text_put_json(&text, o, JSON_COMPACT);
    json_decref(o);
    admin_answer_text(c, ticket.seq, h.status == ADMIN_FAILED ? 503 : 200, "application/json", &text);
}

/* ---- set-up -------------------------------------------------------------------------------------------- */

static const struct http_route routes[] = {
    {HTTP_GET, "/", admin_page, 0},
    {HTTP_GET, "/healthz", healthz, 0},
    {HTTP_GET, "/metrics", admin_metrics, 0},
    {HTTP_GET, "/api/topics", admin_topics_list, 0},
    {HTTP_POST, "/api/topics", admin_topics_create, HTTP_NEEDS_LENGTH},
    {HTTP_GET, "/api/topics/{name}", admin_topic_describe, 0},
    {HTTP_DELETE, "/api/topics/{name}", admin_topic_delete, 0},
    {HTTP_PATCH, "/api/topics/{name}", admin_topic_config, HTTP_NEEDS_LENGTH},
    {HTTP_GET, "/api/groups", admin_groups_list, 0},
    {HTTP_GET, "/api/groups/{name}", admin_group_describe, 0},
    {HTTP_POST, "/api/groups/{name}/reset", admin_group_reset, HTTP_NEEDS_LENGTH},
    {HTTP_DELETE, "/api/groups/{name}", admin_group_delete, 0},
    {HTTP_GET, "/api/subscriptions", admin_heard_list, 0},
};

static void answered(struct conn *c, const struct http_server *server, int status, uint64_t us)
{
    struct metrics_shard *m = c->shard->metrics;
    if (!m)
        return; /* tests without figures */
    metrics_add_at(m, METRIC_HTTP_REQUESTS, (unsigned)status / 100, 1);
    metrics_observe(m, METRIC_HTTP_REQUEST_TIME, us);
}

static void name_codes(struct metrics *metrics)
{
    for (unsigned i = 1; i < METRICS_SLOTS_HTTP_CODE; i++) {
        char code[] = {(char)('0' + i), 'x', 'x', 0};
        metrics_name_slot(metrics, METRICS_DIM_HTTP_CODE, i,
                          (struct metrics_label[]){{"code", span_str(code)}}, 1);
    }
}

void admin_init(struct admin *a, const struct config *cfg, const struct admin_backend *backend,
                struct metrics *metrics)
{
    json_set_alloc_funcs(mem_try, mem_free);
    *a = (struct admin){
        .backend = *backend, .version = COLOBUS_VERSION, .started_ns = os_mono_ns(), .config = cfg};
    a->server = (struct http_server){
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .more_routes = backend->routes,
        .more_route_count = backend->route_count,
        .guard = backend->guard,
        .limits = {cfg->http_max_header_bytes, cfg->http_max_body_bytes, cfg->http_timeout_ms,
                   cfg->http_idle_timeout_ms},
        .name = "colobus",
        .allowed_hosts = cfg->http_allowed_hosts,
        .user = a,
        .answered = answered,
    };
    name_codes(metrics);
}
