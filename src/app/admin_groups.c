/* /api/groups: consumer groups, JSON in, JSON out. */
#include <stdio.h>

#include "app/admin_impl.h"
#include "base/date.h"
#include "base/err.h"

/* ---- answers ------------------------------------------------------------------------------------------- */

static json_t *nullable(struct span s)
{
    return span_is_null(s) ? json_null() : admin_json_span(s);
}

static json_t *summary(const struct admin_group *g)
{
    return json_pack("{s:o, s:s, s:o, s:I, s:I, s:I}", "name", admin_json_span(g->name), "state", g->state,
                     "protocol_type", nullable(g->protocol_type), "members", (json_int_t)g->member_count,
                     "offsets", (json_int_t)g->offset_count, "lag", (json_int_t)g->lag);
}

static json_t *member(const struct group_member_info *m)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "id", admin_json_span(m->id), "instance_id",
                     nullable(m->instance_id), "client_id", nullable(m->client_id), "host",
                     admin_json_span(m->client_host));
}

static json_t *offset(const struct admin_offset *o)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "topic", admin_json_span(o->topic->name),
                     "partition", (json_int_t)o->partition, "offset", (json_int_t)o->offset, "start_offset",
                     (json_int_t)o->start, "end_offset", (json_int_t)o->end, "lag", (json_int_t)o->lag,
                     "metadata", admin_json_span(span_is_null(o->metadata) ? span_of("", 0) : o->metadata));
}

static json_t *details(const struct admin_group *g)
{
    json_t *members = json_array(), *offsets = json_array();
    for (uint32_t i = 0; i < g->member_count; i++)
        json_array_append_new(members, member(&g->members[i]));
    for (size_t i = 0; i < g->offset_count; i++)
        if (g->offsets[i].topic)
            json_array_append_new(offsets, offset(&g->offsets[i]));
    return json_pack("{s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o}", "name", admin_json_span(g->name), "state",
                     g->state, "protocol_type", nullable(g->protocol_type), "protocol", nullable(g->protocol),
                     "generation", (json_int_t)g->generation, "lag", (json_int_t)g->lag, "members", members,
                     "offsets", offsets);
}

static void answer_list(struct conn *c, struct admin_call *call)
{
    json_t *all = json_array();
    for (size_t i = 0; i < call->group_count; i++)
        json_array_append_new(all, summary(&call->groups[i]));
    admin_answer_json(c, call->ticket.seq, 200, json_pack("{s:o}", "groups", all));
}

static void answer_one(struct conn *c, struct admin_call *call)
{
    admin_answer_json(c, call->ticket.seq, 200, details(&call->groups[0]));
}

static void answer_deleted(struct conn *c, struct admin_call *call)
{
    http_respond(c, call->ticket.seq, &(struct http_response){.status = 204});
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static struct admin_call *new_call(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                                   enum admin_op op, void (*answer)(struct conn *c, struct admin_call *call))
{
    struct admin_call *call = admin_call_new(c, ticket, op, answer);
    struct span name = req->params[0];
    call->name = span_of(arena_copy(&call->arena, name.ptr, name.len), name.len);
    return call;
}

void admin_groups_list(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(admin_call_new(c, ticket, ADMIN_GROUP_LIST, answer_list));
}

void admin_group_describe(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(new_call(c, req, ticket, ADMIN_GROUP_DESCRIBE, answer_one));
}

void admin_group_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(new_call(c, req, ticket, ADMIN_GROUP_DELETE, answer_deleted));
}

/* "earliest", "latest", an offset, {"time_ms": ...}. */
static bool take_target(struct admin_reset *r, const json_t *to)
{
    const json_t *time = json_object_get(to, "time_ms");
    const char *word = json_string_value(to);
    if (word && strcmp(word, "earliest") == 0)
        r->to = ADMIN_TO_EARLIEST;
    else if (word && strcmp(word, "latest") == 0)
        r->to = ADMIN_TO_LATEST;
    else if (json_is_integer(to) && json_integer_value(to) >= 0)
        r->to = ADMIN_TO_OFFSET;
    else if (json_is_integer(time) && json_integer_value(time) >= 0 && json_object_size(to) == 1)
        r->to = ADMIN_TO_TIME;
    else
        return false;
    r->value = json_integer_value(json_is_integer(to) ? to : time);
    return true;
}

/* Fills the call from {"topic", "partition", "to"}. NULL, or what is wrong. Nothing else is let pass: a
 * partition that is misspelt would be all of them. */
static const char *take_reset(struct admin_call *call, const json_t *body)
{
    const json_t *topic = json_object_get(body, "topic"), *partition = json_object_get(body, "partition");
    call->reset.partition = -1;
    if (!json_is_string(topic))
        return "topic is missing: a text";
    size_t len = json_string_length(topic);
    call->reset.topic = span_of(arena_copy(&call->arena, json_string_value(topic), len), len);
    if (partition && (!json_is_integer(partition) || json_integer_value(partition) < 0 ||
                      json_integer_value(partition) > INT32_MAX))
        return "partition must be a number from 0";
    if (partition)
        call->reset.partition = (int32_t)json_integer_value(partition);
    if (!take_target(&call->reset, json_object_get(body, "to")))
        return "to must be \"earliest\", \"latest\", an offset, or {\"time_ms\": milliseconds since 1970}";
    if (json_object_size(body) != (partition ? 3 : 2))
        return "expected topic, partition, to, and nothing else";
    return NULL;
}

void admin_group_reset(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *body;
    if (!admin_take_json(c, req, ticket, &body))
        return;
    struct admin_call *call = new_call(c, req, ticket, ADMIN_GROUP_RESET, answer_one);
    const char *why = body ? take_reset(call, body) : "the body is not JSON";
    json_decref(body);
    if (why) {
        http_respond_error(c, ticket.seq, 400, why);
        admin_call_free(call);
        return;
    }
    admin_submit(call);
}
