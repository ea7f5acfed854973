/* /api/overview, nodes, and what tools ask to know whether the broker is well. */
#include <stdlib.h>

#include "app/mgmt_impl.h"
#include "base/err.h"
#include "core/alarm.h"
#include "core/broker.h"
#include "core/user.h"

static void put(json_t *o, const char *key, uint64_t n)
{
    json_object_set_new(o, key, json_integer((json_int_t)n));
}

static uint64_t sum(const struct shard *s, enum metric m)
{
    return metrics_sum(s->broker->metrics, m, 0);
}

/* ---- overview -------------------------------------------------------------------------------------------
 */

/* What all shards' replicas agree on, and gauges. */
static json_t *object_totals(struct shard *s, struct arena *a)
{
    size_t count, queues = 0, exchanges = 0;
    struct vspace **all = space_list(s, a, &count);
    for (size_t i = 0; i < count; i++) {
        queues += all[i]->queues.count;
        exchanges += all[i]->exchanges.count;
    }
    json_t *o = json_object();
    put(o, "queues", queues);
    put(o, "exchanges", exchanges);
    put(o, "connections", s->broker->open_conns);
    put(o, "channels", sum(s, METRIC_AMQP_CHANNELS));
    put(o, "consumers", sum(s, METRIC_QUEUE_CONSUMERS));
    return o;
}

static json_t *queue_totals(const struct shard *s)
{
    json_t *o = json_object();
    uint64_t ready = sum(s, METRIC_QUEUE_READY), unacked = sum(s, METRIC_QUEUE_UNACKED);
    put(o, "messages", ready + unacked);
    put(o, "messages_ready", ready);
    put(o, "messages_unacknowledged", unacked);
    return o;
}

static json_t *message_stats(const struct shard *s)
{
    json_t *o = json_object();
    uint64_t acked = sum(s, METRIC_QUEUE_DELIVERED), not_acked = sum(s, METRIC_QUEUE_DELIVERED_NO_ACK);
    uint64_t returned = sum(s, METRIC_AMQP_RETURNED), unroutable = sum(s, METRIC_AMQP_UNROUTABLE);
    put(o, "publish", sum(s, METRIC_AMQP_PUBLISHED));
    put(o, "deliver", acked);
    put(o, "deliver_no_ack", not_acked);
    put(o, "deliver_get", acked + not_acked);
    put(o, "redeliver", sum(s, METRIC_QUEUE_REDELIVERED));
    put(o, "ack", sum(s, METRIC_QUEUE_ACKNOWLEDGED));
    put(o, "return_unroutable", returned);
    put(o, "drop_unroutable", unroutable > returned ? unroutable - returned : 0);
    return o;
}

static json_t *exchange_types(void)
{
    json_t *all = json_array();
    for (int t = EXCHANGE_DIRECT; t <= EXCHANGE_MODULUS_HASH; t++)
        json_array_append_new(
            all, json_pack("{s:s, s:b}", "name", exchange_type_name((enum exchange_type)t), "enabled", 1));
    return all;
}

static void put_listeners(json_t *all, const char *protocol, const struct config_listeners *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const char *address = list->items[i].address, *colon = strrchr(address, ':');
        size_t n = colon ? (size_t)(colon - address) : strlen(address);
        json_array_append_new(all, json_pack("{s:s, s:s, s:o, s:i, s:b}", "node", MGMT_NODE, "protocol",
                                             protocol, "ip_address", admin_json_span(span_of(address, n)),
                                             "port", colon ? atoi(colon + 1) : 0, "tls", list->items[i].tls));
    }
}

static json_t *listeners(const struct config *cfg)
{
    json_t *all = json_array();
    put_listeners(all, "amqp", &cfg->amqp_listen);
    put_listeners(all, "http", &cfg->http_listen);
    put_listeners(all, "kafka", &cfg->kafka_listen);
    put_listeners(all, "redis", &cfg->redis_listen);
    return all;
}

void mgmt_overview(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct admin *admin = req->server->user;
    struct mgmt_view *view = mgmt_view_new(c, req, ticket);
    if (!view)
        return;
    json_t *o = json_object();
    json_object_set_new(o, "management_version", json_string(MGMT_RABBIT_VERSION));
    json_object_set_new(o, "rabbitmq_version", json_string(MGMT_RABBIT_VERSION));
    json_object_set_new(o, "product_name", json_string("Colobus"));
    json_object_set_new(o, "product_version", json_string(admin->version));
    json_object_set_new(o, "cluster_name", json_string(c->shard->broker->cluster_id));
    json_object_set_new(o, "node", json_string(MGMT_NODE));
    json_object_set_new(o, "erlang_version", json_string(""));
    json_object_set_new(o, "rates_mode", json_string("none"));
    json_object_set_new(o, "exchange_types", exchange_types());
    json_object_set_new(o, "object_totals", object_totals(c->shard, req->arena));
    json_object_set_new(o, "queue_totals", queue_totals(c->shard));
    json_object_set_new(o, "message_stats", message_stats(c->shard));
    json_object_set_new(o, "listeners", listeners(admin->config));
    json_object_set_new(o, "contexts", json_array());
    admin_answer_json(c, ticket.seq, 200, mgmt_view_columns(view, o));
    mgmt_view_free(view);
}

/* ---- the node -------------------------------------------------------------------------------------------
 */

static json_t *node_json(struct conn *c, const struct admin *admin)
{
    const struct broker *b = c->shard->broker;
    unsigned alarms = alarm_state(c->shard);
    uint64_t rss = os_rss_bytes(), queues = sum(c->shard, METRIC_QUEUE_BYTES),
             rest = rss > queues ? rss - queues : 0;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(MGMT_NODE));
    json_object_set_new(o, "type", json_string("disc"));
    json_object_set_new(o, "running", json_true());
    json_object_set_new(o, "partitions", json_array());
    json_object_set_new(o, "rates_mode", json_string("none"));
    put(o, "uptime", admin_uptime_ms(admin, c->shard));
    put(o, "processors", os_cpu_count());
    put(o, "run_queue", 0);
    put(o, "sockets_used", b->open_conns);
    put(o, "sockets_total", b->config->max_connections);
    /* The alarm looks at memory of messages in queues only; the rest stands in both, so that they meet when
     * it comes. */
    put(o, "mem_used", rest + queues);
    put(o, "mem_limit", rest + b->config->memory_queue_bytes / 10 * 8);
    json_object_set_new(o, "mem_alarm", json_boolean(alarms & ALARM_MEMORY));
    put(o, "disk_free_limit", b->config->disk_free_limit);
    json_object_set_new(o, "disk_free_alarm", json_boolean(alarms & ALARM_DISK));
    return o;
}

void mgmt_nodes(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *all = json_array();
    json_array_append_new(all, node_json(c, req->server->user));
    mgmt_answer_list_now(c, req, ticket, all);
}

void mgmt_node(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct mgmt_view *view;
    if (!span_eq_str(req->params[0], MGMT_NODE)) {
        mgmt_not_found(c, ticket.seq);
    } else if ((view = mgmt_view_new(c, req, ticket))) {
        admin_answer_json(c, ticket.seq, 200, mgmt_view_columns(view, node_json(c, req->server->user)));
        mgmt_view_free(view);
    }
}

/* ---- is it well? ----------------------------------------------------------------------------------------
 */

static void well(struct conn *c, struct http_ticket ticket)
{
    admin_answer_json(c, ticket.seq, 200, json_pack("{s:s}", "status", "ok"));
}

static void unwell(struct conn *c, struct http_ticket ticket, const char *reason)
{
    admin_answer_json(c, ticket.seq, 503, json_pack("{s:s, s:s}", "status", "failed", "reason", reason));
}

/* True, or it was answered that it is not. */
static bool is_well(struct conn *c, struct http_ticket ticket)
{
    const char *reason;
    if (broker_health(c->shard->broker, &reason) != BROKER_FAILED)
        return true;
    unwell(c, ticket, reason);
    return false;
}

void mgmt_check_health(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    (void)req;
    if (is_well(c, ticket))
        well(c, ticket);
}

void mgmt_check_alarms(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const char *reason = alarm_reason(alarm_state(c->shard));
    (void)req;
    if (reason)
        unwell(c, ticket, reason);
    else if (is_well(c, ticket))
        well(c, ticket);
}

static bool listens(const struct config_listeners *list, int port)
{
    for (unsigned i = 0; i < list->count; i++) {
        const char *colon = strrchr(list->items[i].address, ':');
        if (colon && atoi(colon + 1) == port)
            return true;
    }
    return false;
}

void mgmt_check_port(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct config *cfg = ((const struct admin *)req->server->user)->config;
    int port = 0;
    for (size_t i = 0; i < req->params[0].len && port < 100000; i++)
        port = port * 10 + (req->params[0].ptr[i] - '0');
    if (listens(&cfg->amqp_listen, port) || listens(&cfg->http_listen, port) ||
        listens(&cfg->kafka_listen, port) || listens(&cfg->redis_listen, port))
        well(c, ticket);
    else
        unwell(c, ticket, "no listener on this port");
}

static unsigned count_listeners(const struct config_listeners *list, bool tls)
{
    unsigned n = 0;
    for (unsigned i = 0; i < list->count; i++)
        n += list->items[i].tls == tls;
    return n;
}

void mgmt_check_protocol(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct config *cfg = ((const struct admin *)req->server->user)->config;
    const struct {
        const char *name;
        unsigned count;
    } rows[] = {
        {"amqp", count_listeners(&cfg->amqp_listen, false)},
        {"amqp091", count_listeners(&cfg->amqp_listen, false)},
        {"amqps", count_listeners(&cfg->amqp_listen, true)},
        {"amqp/ssl", count_listeners(&cfg->amqp_listen, true)},
        {"http", count_listeners(&cfg->http_listen, false)},
        {"https", count_listeners(&cfg->http_listen, true)},
        {"kafka", cfg->kafka_listen.count},
        {"redis", cfg->redis_listen.count},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (span_eq_str(req->params[0], rows[i].name) && rows[i].count) {
            well(c, ticket);
            return;
        }
    unwell(c, ticket, "no listener for this protocol");
}

/* RabbitMQ 3.13 sends a message through a queue; here being served in the virtual host says as much, and
 * whether the store is well. */
void mgmt_aliveness(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    if (mgmt_space(c, ticket, req->params[0]) && is_well(c, ticket))
        well(c, ticket);
}
