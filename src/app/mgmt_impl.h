/* What the files of RabbitMQ's management API share. */
#ifndef COLOBUS_APP_MGMT_IMPL_H
#define COLOBUS_APP_MGMT_IMPL_H

#include <jansson.h>

#include "app/admin_impl.h"
#include "app/mgmt.h"
#include "core/access.h"
#include "core/space.h"

/* Tools branch on the version: RabbitMQ's that the broker behaves like. */
#define MGMT_RABBIT_VERSION "3.13.7"
#define MGMT_NODE           "colobus@localhost"

/* ---- answers, as RabbitMQ words them --------------------------------------------------------------------
 */

void mgmt_answer_error(struct conn *c, uint64_t seq, int status, const char *error, const char *reason);
void mgmt_unauthorised(struct conn *c, uint64_t seq, const char *reason); /* 401 */
void mgmt_denied(struct conn *c, uint64_t seq);                           /* 401, too: not allowed */
void mgmt_not_found(struct conn *c, uint64_t seq);                        /* 404 */
void mgmt_bad_request(struct conn *c, uint64_t seq, const char *reason);  /* 400 */
void mgmt_fail(struct conn *c, uint64_t seq, int err, const char *why);   /* any error of the core */
void mgmt_no_content(struct conn *c, uint64_t seq, int status);           /* 201, 204 */
/* True, or it was answered that the user may not: one of these tags is wanted. */
bool mgmt_needs_tag(struct conn *c, struct http_ticket ticket, unsigned tags);
/* The body as an object (no body: an empty one); NULL: answered. */
json_t *mgmt_take_body(struct conn *c, const struct http_request *req, struct http_ticket ticket);

/* ---- lists (mgmt_list.c) --------------------------------------------------------------------------------
 */

/* What of a list is asked for: columns, order, a page. A copy; NULL: answered that it cannot be read. */
struct mgmt_view;
struct mgmt_view *mgmt_view_new(struct conn *c, const struct http_request *req, struct http_ticket ticket);
void mgmt_view_free(struct mgmt_view *v);
/* Takes the object over and returns its columns. */
json_t *mgmt_view_columns(const struct mgmt_view *v, json_t *o);
/* Takes `v` and `list` over. */
void mgmt_answer_list(struct conn *c, uint64_t seq, struct mgmt_view *v, json_t *list);
/* The same for who has all of it at once. */
void mgmt_answer_list_now(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                          json_t *list);

/* ---- writes ---------------------------------------------------------------------------------------------
 */

/* An op_record for this request, to be filled by core/access.h; its end answers 201, 204 or the error. */
struct op_record *mgmt_record(struct conn *c, struct http_ticket ticket, bool exists);
/* An operation on queues or exchanges of a virtual host: `size` is that of the struct that begins with
 * op_entity. NULL: it was answered that there is no such virtual host, or that the user may not enter it. */
void *mgmt_entity(struct conn *c, struct http_ticket ticket, size_t size, struct span vhost, int status);

void *mgmt_entity_new(struct conn *c, struct http_ticket ticket, size_t size, const struct vhost *vhost,
                      int status);

/* ---- JSON and what it stands for ------------------------------------------------------------------------
 */

struct span mgmt_text(const json_t *o, const char *key); /* null: absent or no text */
bool mgmt_flag(const json_t *o, const char *key, bool otherwise);
/* A table of fields; NULL object: empty. ERR_INVALID: nested too deeply, or a number that does not fit. */
int mgmt_table_of(const json_t *o, struct arena *a, struct span *ret_table);
json_t *mgmt_json_of(struct span table);
struct span mgmt_copy(struct arena *a, struct span s);

/* One user, permission, ... as lists and definitions show it. NULL: damaged. */
json_t *mgmt_user_json(const struct meta_record *r);
json_t *mgmt_permission_json(const struct meta_record *r);
json_t *mgmt_topic_permission_json(const struct meta_record *r);
json_t *mgmt_policy_json(const struct meta_record *r);
json_t *mgmt_parameter_json(const struct meta_record *r);
json_t *mgmt_global_parameter_json(const struct meta_record *r);
/* Reads one into a new operation. NULL, or what is wrong; `name`s null: taken from the object. */
const char *mgmt_fill_permission(struct op_record *r, const json_t *o, struct span vhost, struct span user);
const char *mgmt_fill_topic_permission(struct op_record *r, const json_t *o, struct span vhost,
                                       struct span user);
const char *mgmt_fill_policy(struct op_record *r, enum meta_record_kind kind, const json_t *o,
                             struct span vhost, struct span name);
const char *mgmt_fill_parameter(struct op_record *r, const json_t *o, struct span component,
                                struct span vhost, struct span name);
/* Of a user's object: its tags, in the arena; RabbitMQ takes a text with commas and an array. */
struct span mgmt_tags_of(const json_t *o, struct arena *a);

http_handler mgmt_overview, mgmt_whoami, mgmt_nodes, mgmt_node, mgmt_aliveness;
http_handler mgmt_check_health, mgmt_check_alarms, mgmt_check_port, mgmt_check_protocol;
http_handler mgmt_publish, mgmt_queue_get, mgmt_connection_close;
http_handler mgmt_connections, mgmt_connections_in, mgmt_connection, mgmt_connection_channels;
http_handler mgmt_channels, mgmt_channels_in, mgmt_channel, mgmt_consumers, mgmt_consumers_in;
http_handler mgmt_users, mgmt_user, mgmt_user_put, mgmt_user_delete, mgmt_user_permissions;
http_handler mgmt_vhosts, mgmt_vhost, mgmt_vhost_put, mgmt_vhost_delete, mgmt_vhost_permissions;
http_handler mgmt_permissions, mgmt_permission, mgmt_permission_put, mgmt_permission_delete;
http_handler mgmt_topic_permissions, mgmt_topic_permission, mgmt_topic_permission_put,
    mgmt_topic_permission_delete;
http_handler mgmt_policies, mgmt_policies_in, mgmt_policy, mgmt_policy_put, mgmt_policy_delete;
http_handler mgmt_operator_policies, mgmt_operator_policies_in, mgmt_operator_policy,
    mgmt_operator_policy_put, mgmt_operator_policy_delete;
http_handler mgmt_taps, mgmt_tap, mgmt_tap_put, mgmt_tap_delete;
http_handler mgmt_parameters, mgmt_parameter, mgmt_parameter_put, mgmt_parameter_delete;
http_handler mgmt_queues, mgmt_queues_in, mgmt_queue, mgmt_queue_put, mgmt_queue_delete;
http_handler mgmt_exchanges, mgmt_exchanges_in, mgmt_exchange, mgmt_exchange_put, mgmt_exchange_delete;
http_handler mgmt_bindings, mgmt_bindings_in, mgmt_bind_queue, mgmt_bind_exchange;
http_handler mgmt_bindings_to_queue, mgmt_binding_to_queue, mgmt_unbind_queue, mgmt_bindings_to_exchange,
    mgmt_binding_to_exchange, mgmt_unbind_exchange, mgmt_queue_purge;
http_handler mgmt_definitions, mgmt_definitions_in, mgmt_definitions_put, mgmt_definitions_put_in;

/* Fill an operation; NULL, or what is wrong with the object. */
const char *mgmt_fill_queue(struct op_queue_declare *d, const json_t *o, struct span name);
const char *mgmt_fill_exchange(struct op_exchange_declare *d, const json_t *o, struct span name);
const char *mgmt_fill_binding(struct op_bind *b, const json_t *o, struct span source, struct span dest);
json_t *mgmt_exchange_json(const struct exchange *x);
json_t *mgmt_binding_json(const struct binding *b);
struct span mgmt_properties_key(const struct binding *b, struct arena *a);
/* NULL: answered that there is none, or that the user may not see it. */
/* Virtual hosts that the asker may see: those it may enter, or all for administrators and monitoring. */
bool mgmt_visible(const struct conn *c, const struct vspace *v);
struct vspace *mgmt_space(struct conn *c, struct http_ticket ticket, struct span name);
/* In a path the default exchange is "amq.default", as in RabbitMQ's. */
struct span mgmt_path_name(struct span param);

#endif
