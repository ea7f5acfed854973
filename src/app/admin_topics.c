/* /api/topics: JSON in, JSON out. */
#include <jansson.h>
#include <stdio.h>

#include "app/admin_impl.h"
#include "base/err.h"

void admin_id_format(const uint8_t id[16], char ret_text[ADMIN_ID_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < 22; i++) {
        unsigned bit = (unsigned)i * 6, byte = bit / 8;
        unsigned two = (unsigned)id[byte] << 8 | (byte + 1 < 16 ? id[byte + 1] : 0);
        ret_text[i] = digits[two >> (10 - bit % 8) & 63];
    }
    ret_text[22] = 0;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static json_t *head_of(const struct admin_topic *t)
{
    char id[ADMIN_ID_BYTES];
    admin_id_format(t->id, id);
    return json_pack("{s:o, s:s}", "name", admin_json_span(t->name), "id", id);
}

static json_t *summary(const struct admin_topic *t)
{
    uint64_t bytes = 0, records = 0;
    for (size_t i = 0; i < t->partition_count; i++) {
        bytes += t->partitions[i].bytes;
        records += t->partitions[i].end - t->partitions[i].start;
    }
    json_t *o = head_of(t);
    json_object_set_new(o, "partitions", json_integer((json_int_t)t->partition_count));
    json_object_set_new(o, "records", json_integer((json_int_t)records));
    json_object_set_new(o, "bytes", json_integer((json_int_t)bytes));
    return o;
}

static json_t *partition(const struct admin_topic *t, size_t i)
{
    const struct admin_partition *p = &t->partitions[i];
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:I}", "partition", (json_int_t)i, "shard",
                          (json_int_t)p->shard, "start_offset", (json_int_t)p->start, "end_offset",
                          (json_int_t)p->end, "bytes", (json_int_t)p->bytes);
    if (p->err)
        json_object_set_new(o, "error", json_string(err_text(p->err)));
    return o;
}

static json_t *details(const struct admin_topic *t)
{
    json_t *o = head_of(t), *partitions = json_array(), *configs = json_array();
    for (size_t i = 0; i < t->partition_count; i++)
        json_array_append_new(partitions, partition(t, i));
    for (size_t i = 0; i < t->config_count; i++)
        json_array_append_new(
            configs, json_pack("{s:o, s:o, s:b}", "name", admin_json_span(t->configs[i].name), "value",
                               admin_json_span(t->configs[i].value), "default", t->configs[i].is_default));
    json_object_set_new(o, "partitions", partitions);
    json_object_set_new(o, "configs", configs);
    return o;
}

static void answer_list(struct conn *c, struct admin_call *call)
{
    json_t *all = json_array();
    for (size_t i = 0; i < call->topic_count; i++)
        json_array_append_new(all, summary(&call->topics[i]));
    admin_answer_json(c, call->ticket.seq, 200, json_pack("{s:o}", "topics", all));
}

static void answer_one(struct conn *c, struct admin_call *call)
{
    if (call->topic_count == 0)
        http_respond_error(c, call->ticket.seq, 404, err_text(ERR_NOT_FOUND));
    else
        admin_answer_json(c, call->ticket.seq, 200, details(&call->topics[0]));
}

static void answer_created(struct conn *c, struct admin_call *call)
{
    json_t *o = call->topic_count ? summary(&call->topics[0])
                                  : json_pack("{s:o}", "name", admin_json_span(call->name));
    admin_answer_json(c, call->ticket.seq, 201, o);
}

static void answer_deleted(struct conn *c, struct admin_call *call)
{
    http_respond(c, call->ticket.seq, &(struct http_response){.status = 204});
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static void copy_name(struct admin_call *call, struct span name)
{
    call->name = span_of(arena_copy(&call->arena, name.ptr, name.len), name.len);
}

void admin_topics_list(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    admin_submit(admin_call_new(c, ticket, ADMIN_TOPIC_LIST, answer_list));
}

void admin_topic_describe(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct admin_call *call = admin_call_new(c, ticket, ADMIN_TOPIC_DESCRIBE, answer_one);
    copy_name(call, req->params[0]);
    admin_submit(call);
}

void admin_topic_delete(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct admin_call *call = admin_call_new(c, ticket, ADMIN_TOPIC_DELETE, answer_deleted);
    copy_name(call, req->params[0]);
    admin_submit(call);
}

/* A config's value may be written as a number or a boolean too. */
static bool config_text(struct arena *a, const json_t *v, struct span *ret_text)
{
    char *text = NULL;
    if (json_is_string(v))
        text = arena_strndup(a, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        text = arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_boolean(v))
        text = arena_strndup(a, json_is_true(v) ? "true" : "false", json_is_true(v) ? 4 : 5);
    *ret_text = span_str(text);
    return text != NULL;
}

static const char *take_configs(struct admin_call *call, json_t *object)
{
    if (!json_is_object(object))
        return "configs must be an object of names and values";
    struct admin_config *list = arena_array(&call->arena, json_object_size(object) + 1, sizeof(*list));
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        struct admin_config *one = &list[call->config_count];
        one->name = span_str(arena_strndup(&call->arena, name, strlen(name)));
        bool back = json_is_null(value) && call->op == ADMIN_TOPIC_CONFIG; /* to the default */
        if (!back && !config_text(&call->arena, value, &one->value))
            return "a config's value must be a text, a number, true or false";
        call->config_count++;
    }
    call->configs = list;
    return NULL;
}

/* Fills the call from {"name", "partitions", "configs"}. NULL, or what is wrong. */
static const char *take_topic(struct admin_call *call, json_t *body)
{
    const char *key;
    json_t *value;
    if (!json_is_object(body))
        return "the body must be a JSON object";
    json_object_foreach(body, key, value)
    {
        if (strcmp(key, "name") == 0 && json_is_string(value)) {
            copy_name(call, span_of(json_string_value(value), json_string_length(value)));
        } else if (strcmp(key, "partitions") == 0 && json_is_integer(value) &&
                   json_integer_value(value) >= 1 && json_integer_value(value) <= INT32_MAX) {
            call->partitions = (int32_t)json_integer_value(value);
        } else if (strcmp(key, "configs") == 0) {
            const char *why = take_configs(call, value);
            if (why)
                return why;
        } else {
            return "expected name (text), partitions (number from 1), configs (object), and nothing else";
        }
    }
    return call->name.len ? NULL : "name is missing";
}

void admin_topics_create(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *body;
    if (!admin_take_json(c, req, ticket, &body))
        return;
    struct admin_call *call = admin_call_new(c, ticket, ADMIN_TOPIC_CREATE, answer_created);
    const char *why = body ? take_topic(call, body) : "the body is not JSON";
    json_decref(body);
    if (why) {
        http_respond_error(c, ticket.seq, 400, why);
        admin_call_free(call);
        return;
    }
    admin_submit(call);
}

/* Takes {"configs"} alone. NULL, or what is wrong. */
static const char *take_change(struct admin_call *call, json_t *body)
{
    json_t *configs = json_object_get(body, "configs");
    if (!configs || json_object_size(body) != 1)
        return "expected configs (object), and nothing else";
    return take_configs(call, configs);
}

void admin_topic_config(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_t *body;
    if (!admin_take_json(c, req, ticket, &body))
        return;
    struct admin_call *call = admin_call_new(c, ticket, ADMIN_TOPIC_CONFIG, answer_one);
    copy_name(call, req->params[0]);
    const char *why = body ? take_change(call, body) : "the body is not JSON";
    json_decref(body);
    if (why) {
        http_respond_error(c, ticket.seq, 400, why);
        admin_call_free(call);
        return;
    }
    admin_submit(call);
}
