/* /api/connections, channels, consumers: each shard writes down its own, and the asking one answers with all.
 * Connections are those of AMQP and Redis; only AMQP has channels and consumers. */
#include <stdio.h>
#include <stdlib.h>

#include "app/mgmt_impl.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/user.h"
#include "proto/amqp/amqp.h"
#include "proto/redis/redis.h"

/* ---- one shard's part -----------------------------------------------------------------------------------
 */

enum what { CONNECTIONS, CHANNELS, CONSUMERS };

struct clients;

struct clients_ask {
    struct msg msg;
    struct clients *clients;
    json_t *list; /* this shard's */
};

struct clients {
    struct shard *home;
    struct http_ticket ticket;
    struct mgmt_view *view;
    enum what what;
    char *vhost, *user, *name, *channel_of; /* only these; NULL: any */
    char reason[200];
    bool single, close; /* close: those told are closed */
    unsigned waiting;
    struct clients_ask asks[];
};

/* While a connection is being told. */
struct telling {
    const struct clients *what;
    json_t *list;
    const struct conn *conn;
    const struct amqp_conn_info *info;
    char name[160];
    struct amqp_channel_info channel; /* whose consumers come */
};

static void put(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer(n));
}

static void put_text(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, admin_json_span(span_str(text ? text : "")));
}

/* "127.0.0.1:5672" as host and port. */
static void put_address(json_t *o, const char *host, const char *port, const char *address)
{
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : strlen(address);
    json_object_set_new(o, host, admin_json_span(span_of(address, n)));
    put(o, port, colon ? strtol(colon + 1, NULL, 10) : 0);
}

/* What connections of all protocols have. */
static json_t *connection_json(const struct telling *t, const char *protocol, const char *user,
                               const char *vhost)
{
    const struct conn *c = t->conn;
    json_t *o = json_object();
    put_text(o, "name", t->name);
    put_text(o, "user", user);
    put_text(o, "vhost", vhost);
    put_text(o, "node", MGMT_NODE);
    put_text(o, "type", "network");
    put_text(o, "protocol", protocol);
    put_address(o, "peer_host", "peer_port", c->peer);
    put_address(o, "host", "port", c->local);
    json_object_set_new(o, "ssl", json_boolean(c->secure));
    put(o, "recv_oct", (int64_t)c->bytes_in);
    put(o, "send_oct", (int64_t)c->bytes_out);
    return o;
}

static void put_connection(struct telling *t)
{
    const struct amqp_conn_info *i = t->info;
    json_t *o = connection_json(t, "AMQP 0-9-1", i->user, i->vhost);
    json_t *properties = mgmt_json_of(i->client_properties);
    const char *given = json_string_value(json_object_get(properties, "connection_name"));
    if (given)
        put_text(o, "user_provided_name", given);
    put_text(o, "state", i->state);
    put(o, "channels", i->channels);
    put(o, "channel_max", i->channel_max);
    put(o, "frame_max", i->frame_max);
    put(o, "timeout", i->heartbeat_s);
    put(o, "connected_at", i->opened_ms);
    json_object_set_new(o, "client_properties", properties);
    json_array_append_new(t->list, o);
}

/* With zeros where tools of RabbitMQ's expect numbers; `subscriptions` and `unread_bytes` are ours. */
static void put_redis_connection(struct telling *t, const struct redis_conn_info *i)
{
    json_t *properties = json_object();
    json_t *o = connection_json(t, i->resp == 3 ? "Redis RESP3" : "Redis RESP2",
                                i->user ? i->user : "anonymous", i->vhost);
    if (i->name)
        put_text(o, "user_provided_name", i->name);
    put_text(o, "state", "running");
    put(o, "channels", 0);
    put(o, "channel_max", 0);
    put(o, "frame_max", 0);
    put(o, "timeout", 0);
    put(o, "connected_at", i->opened_ms);
    put(o, "subscriptions", i->subscriptions);
    put(o, "unread_bytes", (int64_t)i->unread);
    if (i->library)
        put_text(properties, "product", i->library);
    if (i->library_version)
        put_text(properties, "version", i->library_version);
    json_object_set_new(o, "client_properties", properties);
    json_array_append_new(t->list, o);
}

static void put_connection_details(json_t *o, const struct telling *t)
{
    json_t *details = json_object();
    put_text(details, "name", t->name);
    put_address(details, "peer_host", "peer_port", t->conn->peer);
    json_object_set_new(o, "connection_details", details);
}

static bool is_of(const char *wanted, const char *it)
{
    return !wanted || strcmp(wanted, it ? it : "") == 0;
}

static bool is_wanted_connection(const struct telling *t, const char *vhost, const char *user)
{
    const struct clients *w = t->what;
    return w->what == CONNECTIONS && is_of(w->vhost, vhost) && is_of(w->user, user) &&
           is_of(w->name, t->name);
}

static void tell_connection(void *arg, const struct amqp_conn_info *i)
{
    struct telling *t = arg;
    t->info = i;
    snprintf(t->name, sizeof(t->name), "%s -> %s", t->conn->peer, t->conn->local);
    if (is_wanted_connection(t, i->vhost, i->user))
        put_connection(t);
}

/* False: it is of another protocol. Who has not logged in has no name, and is nobody's own. */
static bool tell_redis_connection(struct telling *t)
{
    struct redis_conn_info i;
    if (!redis_describe(t->conn, &i))
        return false;
    snprintf(t->name, sizeof(t->name), "%s -> %s", t->conn->peer, t->conn->local);
    if (is_wanted_connection(t, i.vhost, i.user))
        put_redis_connection(t, &i);
    return true;
}

static bool is_wanted(const struct telling *t, enum what what)
{
    const struct clients *w = t->what;
    return w->what == what && is_of(w->vhost, t->info->vhost) && is_of(w->user, t->info->user) &&
           is_of(w->channel_of, t->name);
}

static void tell_channel(void *arg, const struct amqp_channel_info *i)
{
    struct telling *t = arg;
    char name[200];
    t->channel = *i;
    snprintf(name, sizeof(name), "%s (%u)", t->name, i->number);
    if (!is_wanted(t, CHANNELS) || !is_of(t->what->name, name))
        return;
    json_t *o = json_object();
    put_text(o, "name", name);
    put(o, "number", i->number);
    put_text(o, "user", t->info->user);
    put_text(o, "vhost", t->info->vhost);
    put_text(o, "node", MGMT_NODE);
    put_text(o, "state", "running");
    json_object_set_new(o, "confirm", json_boolean(i->confirming));
    json_object_set_new(o, "transactional", json_boolean(i->transactional));
    put(o, "prefetch_count", i->prefetch);
    put(o, "global_prefetch_count", i->global_prefetch);
    put(o, "consumer_count", i->consumers);
    put(o, "messages_unacknowledged", (int64_t)i->unacked);
    put(o, "messages_unconfirmed", (int64_t)i->unconfirmed);
    put_connection_details(o, t);
    json_array_append_new(t->list, o);
}

static void tell_consumer(void *arg, const struct amqp_consumer_info *i)
{
    struct telling *t = arg;
    char name[200];
    if (!is_wanted(t, CONSUMERS))
        return;
    json_t *o = json_object(), *channel = json_object();
    snprintf(name, sizeof(name), "%s (%u)", t->name, i->channel);
    json_object_set_new(o, "consumer_tag", admin_json_span(i->tag));
    json_object_set_new(o, "queue",
                        json_pack("{s:o, s:s}", "name", admin_json_span(i->queue), "vhost", t->info->vhost));
    json_object_set_new(o, "ack_required", json_boolean(!i->no_ack));
    json_object_set_new(o, "exclusive", json_boolean(i->exclusive));
    put(o, "prefetch_count", i->prefetch);
    put_text(channel, "name", name);
    put(channel, "number", i->channel);
    put_text(channel, "connection_name", t->name);
    put_text(channel, "user", t->info->user);
    put_text(channel, "node", MGMT_NODE);
    put_address(channel, "peer_host", "peer_port", t->conn->peer);
    json_object_set_new(o, "channel_details", channel);
    json_array_append_new(t->list, o);
}

/* ---- all shards' ----------------------------------------------------------------------------------------
 */

static void clients_free(struct clients *w)
{
    mgmt_view_free(w->view);
    mem_free(w->vhost);
    mem_free(w->user);
    mem_free(w->name);
    mem_free(w->channel_of);
    mem_free(w);
}

static void answer(struct conn *c, struct clients *w, json_t *all)
{
    json_t *first = w->single ? json_array_get(all, 0) : NULL;
    if (w->single && !first) {
        mgmt_not_found(c, w->ticket.seq);
    } else if (w->close) {
        mgmt_no_content(c, w->ticket.seq, 204);
    } else if (w->single) {
        admin_answer_json(c, w->ticket.seq, 200, mgmt_view_columns(w->view, json_incref(first)));
    } else {
        mgmt_answer_list(c, w->ticket.seq, w->view, json_incref(all));
        w->view = NULL;
    }
}

static void came_back(struct shard *home, struct msg *m)
{
    struct clients *w = container_of(m, struct clients_ask, msg)->clients;
    json_t *all = json_array();
    if (--w->waiting > 0) {
        json_decref(all);
        return;
    }
    for (unsigned i = 0; i < home->broker->shard_count; i++) {
        json_array_extend(all, w->asks[i].list);
        json_decref(w->asks[i].list);
    }
    struct conn *c = handle_get(&home->conns, w->ticket.conn);
    if (c)
        answer(c, w, all);
    json_decref(all);
    clients_free(w);
}

static void end(struct conn *c, const char *reason)
{
    if (c->proto == &redis_proto)
        conn_abort(c); /* as CLIENT KILL does */
    else
        amqp_close(c, reason);
}

static void look(struct shard *s, struct msg *m)
{
    static const struct amqp_observer observer = {tell_connection, tell_channel, tell_consumer};
    struct clients_ask *ask = container_of(m, struct clients_ask, msg);
    struct telling t = {.what = ask->clients, .list = json_array()};
    uint32_t cursor = 0;
    struct conn *c;
    while ((c = handle_next(&s->conns, &cursor))) {
        size_t before = json_array_size(t.list);
        t.conn = c;
        if (!tell_redis_connection(&t))
            amqp_describe(c, &observer, &t);
        if (ask->clients->close && json_array_size(t.list) > before)
            end(c, ask->clients->reason);
    }
    ask->list = t.list;
    m->run = came_back;
    msg_send(s, ask->clients->home, m);
}

static char *dup(struct span s)
{
    return span_is_null(s) ? NULL : mem_strndup(s.ptr, s.len);
}

/* What is asked for; NULL: it was answered. Who is not of monitoring sees the own ones, as in RabbitMQ. */
static struct clients *clients_new(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                                   enum what what)
{
    struct mgmt_view *view = mgmt_view_new(c, req, ticket);
    if (!view)
        return NULL;
    struct clients *w = mem_zalloc(sizeof(*w) + c->shard->broker->shard_count * sizeof(struct clients_ask));
    w->home = c->shard;
    w->ticket = ticket;
    w->view = view;
    w->what = what;
    if (!auth_has_tag(c->actor.principal, USER_ADMINISTRATOR | USER_MONITORING))
        w->user = dup(span_str(c->actor.principal->name));
    return w;
}

static void clients_gather(struct clients *w)
{
    struct broker *b = w->home->broker;
    w->waiting = b->shard_count;
    for (unsigned i = 0; i < b->shard_count; i++) {
        w->asks[i].clients = w;
        w->asks[i].msg.run = look;
        msg_send(w->home, &b->shards[i], &w->asks[i].msg);
    }
}

static void all_of(struct conn *c, const struct http_request *req, struct http_ticket ticket, enum what what)
{
    struct clients *w = clients_new(c, req, ticket, what);
    if (w)
        clients_gather(w);
}

static void in_vhost(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                     enum what what)
{
    struct clients *w = mgmt_space(c, ticket, req->params[0]) ? clients_new(c, req, ticket, what) : NULL;
    if (!w)
        return;
    w->vhost = dup(req->params[0]);
    clients_gather(w);
}

static void one_named(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                      enum what what)
{
    struct clients *w = clients_new(c, req, ticket, what);
    if (!w)
        return;
    w->single = true;
    w->name = dup(req->params[0]);
    clients_gather(w);
}

void mgmt_connections(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    all_of(c, req, ticket, CONNECTIONS);
}

void mgmt_connections_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    in_vhost(c, req, ticket, CONNECTIONS);
}

void mgmt_connection(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    one_named(c, req, ticket, CONNECTIONS);
}

/* The header X-Reason is what the client hears, as with RabbitMQ. */
void mgmt_connection_close(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span reason = http_find_header(req, "X-Reason");
    struct clients *w = clients_new(c, req, ticket, CONNECTIONS);
    if (!w)
        return;
    w->single = w->close = true;
    w->name = dup(req->params[0]);
    if (reason.len)
        snprintf(w->reason, sizeof(w->reason), "%.*s", SPAN_ARG(reason));
    else
        snprintf(w->reason, sizeof(w->reason), "Closed via management plugin");
    if (!auth_has_tag(c->actor.principal, USER_ADMINISTRATOR) && !w->user) /* monitoring: the own ones */
        w->user = dup(span_str(c->actor.principal->name));
    clients_gather(w);
}

void mgmt_connection_channels(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct clients *w = clients_new(c, req, ticket, CHANNELS);
    if (!w)
        return;
    w->channel_of = dup(req->params[0]);
    clients_gather(w);
}

void mgmt_channels(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    all_of(c, req, ticket, CHANNELS);
}

void mgmt_channels_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    in_vhost(c, req, ticket, CHANNELS);
}

void mgmt_channel(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    one_named(c, req, ticket, CHANNELS);
}

void mgmt_consumers(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    all_of(c, req, ticket, CONSUMERS);
}

void mgmt_consumers_in(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    in_vhost(c, req, ticket, CONSUMERS);
}
