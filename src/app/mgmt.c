#include "app/mgmt.h"

#include "app/mgmt_impl.h"
#include "core/broker.h"

/* ---- overview -------------------------------------------------------------------------------------------
 */

/* What all shards' replicas agree on. */
static json_t *object_totals(struct shard *s, struct arena *a)
{
    size_t count, queues = 0, exchanges = 0;
    struct vspace **all = space_list(s, a, &count);
    for (size_t i = 0; i < count; i++) {
        queues += all[i]->queues.count;
        exchanges += all[i]->exchanges.count;
    }
    return json_pack("{s:I, s:I, s:i, s:i, s:i}", "queues", (json_int_t)queues, "exchanges",
                     (json_int_t)exchanges, "connections", (int)s->broker->open_conns, "channels", 0,
                     "consumers", 0);
}

static json_t *exchange_types(void)
{
    json_t *all = json_array();
    for (int t = EXCHANGE_DIRECT; t <= EXCHANGE_RANDOM; t++)
        json_array_append_new(
            all, json_pack("{s:s, s:b}", "name", exchange_type_name((enum exchange_type)t), "enabled", 1));
    return all;
}

void mgmt_overview(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    const struct admin *admin = req->server->user;
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
    json_object_set_new(o, "message_stats", json_object());
    json_object_set_new(o, "listeners", json_array());
    json_object_set_new(o, "contexts", json_array());
    admin_answer_json(c, ticket.seq, 200, o);
}

/* ---- routes ---------------------------------------------------------------------------------------------
 */

const struct http_route mgmt_routes[] = {
    {HTTP_GET, "/api/overview", mgmt_overview, 0},
    {HTTP_GET, "/api/whoami", mgmt_whoami, 0},
    {HTTP_GET, "/api/definitions", mgmt_definitions, 0},
    {HTTP_POST, "/api/definitions", mgmt_definitions_put, HTTP_NEEDS_LENGTH},
    {HTTP_GET, "/api/definitions/{vhost}", mgmt_definitions_in, 0},
    {HTTP_POST, "/api/definitions/{vhost}", mgmt_definitions_put_in, HTTP_NEEDS_LENGTH},
    {HTTP_GET, "/api/users", mgmt_users, 0},
    {HTTP_GET, "/api/users/{user}", mgmt_user, 0},
    {HTTP_PUT, "/api/users/{user}", mgmt_user_put, 0},
    {HTTP_DELETE, "/api/users/{user}", mgmt_user_delete, 0},
    {HTTP_GET, "/api/users/{user}/permissions", mgmt_user_permissions, 0},
    {HTTP_GET, "/api/vhosts", mgmt_vhosts, 0},
    {HTTP_GET, "/api/vhosts/{vhost}", mgmt_vhost, 0},
    {HTTP_PUT, "/api/vhosts/{vhost}", mgmt_vhost_put, 0},
    {HTTP_DELETE, "/api/vhosts/{vhost}", mgmt_vhost_delete, 0},
    {HTTP_GET, "/api/vhosts/{vhost}/permissions", mgmt_vhost_permissions, 0},
    {HTTP_GET, "/api/permissions", mgmt_permissions, 0},
    {HTTP_GET, "/api/permissions/{vhost}/{user}", mgmt_permission, 0},
    {HTTP_PUT, "/api/permissions/{vhost}/{user}", mgmt_permission_put, 0},
    {HTTP_DELETE, "/api/permissions/{vhost}/{user}", mgmt_permission_delete, 0},
    {HTTP_GET, "/api/topic-permissions", mgmt_topic_permissions, 0},
    {HTTP_GET, "/api/topic-permissions/{vhost}/{user}", mgmt_topic_permission, 0},
    {HTTP_PUT, "/api/topic-permissions/{vhost}/{user}", mgmt_topic_permission_put, 0},
    {HTTP_DELETE, "/api/topic-permissions/{vhost}/{user}", mgmt_topic_permission_delete, 0},
    {HTTP_GET, "/api/policies", mgmt_policies, 0},
    {HTTP_GET, "/api/policies/{vhost}", mgmt_policies_in, 0},
    {HTTP_GET, "/api/policies/{vhost}/{name}", mgmt_policy, 0},
    {HTTP_PUT, "/api/policies/{vhost}/{name}", mgmt_policy_put, 0},
    {HTTP_DELETE, "/api/policies/{vhost}/{name}", mgmt_policy_delete, 0},
    {HTTP_GET, "/api/operator-policies", mgmt_operator_policies, 0},
    {HTTP_GET, "/api/operator-policies/{vhost}", mgmt_operator_policies_in, 0},
    {HTTP_GET, "/api/operator-policies/{vhost}/{name}", mgmt_operator_policy, 0},
    {HTTP_PUT, "/api/operator-policies/{vhost}/{name}", mgmt_operator_policy_put, 0},
    {HTTP_DELETE, "/api/operator-policies/{vhost}/{name}", mgmt_operator_policy_delete, 0},
    {HTTP_GET, "/api/parameters", mgmt_parameters, 0},
    {HTTP_GET, "/api/parameters/{component}/{vhost}/{name}", mgmt_parameter, 0},
    {HTTP_PUT, "/api/parameters/{component}/{vhost}/{name}", mgmt_parameter_put, 0},
    {HTTP_DELETE, "/api/parameters/{component}/{vhost}/{name}", mgmt_parameter_delete, 0},
    {HTTP_GET, "/api/queues", mgmt_queues, 0},
    {HTTP_GET, "/api/queues/{vhost}", mgmt_queues_in, 0},
    {HTTP_GET, "/api/queues/{vhost}/{name}", mgmt_queue, 0},
    {HTTP_PUT, "/api/queues/{vhost}/{name}", mgmt_queue_put, 0},
    {HTTP_DELETE, "/api/queues/{vhost}/{name}", mgmt_queue_delete, 0},
    {HTTP_GET, "/api/exchanges", mgmt_exchanges, 0},
    {HTTP_GET, "/api/exchanges/{vhost}", mgmt_exchanges_in, 0},
    {HTTP_GET, "/api/exchanges/{vhost}/{name}", mgmt_exchange, 0},
    {HTTP_PUT, "/api/exchanges/{vhost}/{name}", mgmt_exchange_put, 0},
    {HTTP_DELETE, "/api/exchanges/{vhost}/{name}", mgmt_exchange_delete, 0},
    {HTTP_GET, "/api/bindings", mgmt_bindings, 0},
    {HTTP_GET, "/api/bindings/{vhost}", mgmt_bindings_in, 0},
    {HTTP_POST, "/api/bindings/{vhost}/e/{source}/q/{queue}", mgmt_bind_queue, 0},
    {HTTP_POST, "/api/bindings/{vhost}/e/{source}/e/{exchange}", mgmt_bind_exchange, 0},
    {HTTP_GET, "/api/bindings/{vhost}/e/{source}/q/{queue}", mgmt_bindings_to_queue, 0},
    {HTTP_GET, "/api/bindings/{vhost}/e/{source}/e/{exchange}", mgmt_bindings_to_exchange, 0},
    {HTTP_GET, "/api/bindings/{vhost}/e/{source}/q/{queue}/{key}", mgmt_binding_to_queue, 0},
    {HTTP_GET, "/api/bindings/{vhost}/e/{source}/e/{exchange}/{key}", mgmt_binding_to_exchange, 0},
    {HTTP_DELETE, "/api/bindings/{vhost}/e/{source}/q/{queue}/{key}", mgmt_unbind_queue, 0},
    {HTTP_DELETE, "/api/bindings/{vhost}/e/{source}/e/{exchange}/{key}", mgmt_unbind_exchange, 0},
    {HTTP_DELETE, "/api/queues/{vhost}/{name}/contents", mgmt_queue_purge, 0},
};
const size_t mgmt_route_count = sizeof(mgmt_routes) / sizeof(mgmt_routes[0]);
