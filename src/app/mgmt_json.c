/* Tables of fields as JSON and back, and the records of core/access.h as RabbitMQ's tools write them. */
#include "app/mgmt_impl.h"
#include "base/err.h"
#include "core/access_format.h"
#include "core/user_password.h"

struct span mgmt_copy(struct arena *a, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_copy(a, s.ptr, s.len), s.len);
}

struct span mgmt_text(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? span_of(json_string_value(v), json_string_length(v)) : SPAN_NULL;
}

bool mgmt_flag(const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* ---- tables ---------------------------------------------------------------------------------------------
 */

static int field_of(const json_t *v, struct arena *a, unsigned depth, struct field *ret);

static int table_of(const json_t *o, struct arena *a, unsigned depth, struct span *ret)
{
    struct fields_writer w;
    const char *key;
    json_t *v;
    fields_writer_init(&w, a);
    json_object_foreach((json_t *)o, key, v)
    {
        struct field f;
        if (strlen(key) > UINT8_MAX || field_of(v, a, depth + 1, &f) < 0)
            return ERR_INVALID;
        fields_put(&w, span_str(key), &f);
    }
    *ret = fields_done(&w);
    return 0;
}

static int array_of(const json_t *o, struct arena *a, unsigned depth, struct span *ret)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    for (size_t i = 0; i < json_array_size(o); i++) {
        struct field f;
        if (field_of(json_array_get(o, i), a, depth + 1, &f) < 0)
            return ERR_INVALID;
        fields_add(&w, &f);
    }
    *ret = fields_done(&w);
    return 0;
}

/* With the types that RabbitMQ gives them (rabbit_misc:to_amqp_table/1). */
static int field_of(const json_t *v, struct arena *a, unsigned depth, struct field *ret)
{
    *ret = (struct field){.tag = 'V'};
    if (depth > FIELDS_MAX_DEPTH)
        return ERR_INVALID;
    switch (json_typeof(v)) {
    case JSON_STRING:
        *ret = (struct field){.tag = 'S',
                              .bytes = mgmt_copy(a, span_of(json_string_value(v), json_string_length(v)))};
        return 0;
    case JSON_INTEGER:
        *ret = (struct field){.tag = 'l', .integer = json_integer_value(v)};
        return 0;
    case JSON_REAL:
        *ret = (struct field){.tag = 'd', .number = json_real_value(v)};
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *ret = (struct field){.tag = 't', .integer = json_is_true(v)};
        return 0;
    case JSON_OBJECT:
        ret->tag = 'F';
        return table_of(v, a, depth, &ret->bytes);
    case JSON_ARRAY:
        ret->tag = 'A';
        return array_of(v, a, depth, &ret->bytes);
    case JSON_NULL:
        return 0;
    }
    return ERR_INVALID;
}

int mgmt_table_of(const json_t *o, struct arena *a, struct span *ret_table)
{
    *ret_table = span_str("");
    if (!o || json_is_null(o) ||
        (json_is_array(o) && json_array_size(o) == 0)) /* old tools write [] for {} */
        return 0;
    return json_is_object(o) ? table_of(o, a, 0, ret_table) : ERR_INVALID;
}

static json_t *json_of_field(const struct field *f);

json_t *mgmt_json_of(struct span table)
{
    json_t *o = json_object();
    struct fields_iter it;
    struct span name;
    struct field f;
    for (fields_begin(&it, table); fields_next(&it, &name, &f);) {
        json_t *v = json_of_field(&f);
        json_object_setn_new(o, (const char *)name.ptr, name.len, v);
    }
    return o;
}

static json_t *json_of_array(struct span inside)
{
    json_t *all = json_array();
    struct fields_iter it;
    struct span none;
    struct field f;
    for (fields_begin_array(&it, inside); fields_next(&it, &none, &f);)
        json_array_append_new(all, json_of_field(&f));
    return all;
}

static json_t *json_of_field(const struct field *f)
{
    switch (f->tag) {
    case 't':
        return json_boolean(f->integer);
    case 'f':
    case 'd':
    case 'D':
        return json_real(f->number);
    case 'S':
    case 'x':
        return admin_json_span(f->bytes);
    case 'F':
        return mgmt_json_of(f->bytes);
    case 'A':
        return json_of_array(f->bytes);
    case 'V':
        return json_null();
    default:
        return json_integer(f->integer);
    }
}

/* ---- records --------------------------------------------------------------------------------------------
 */

static json_t *tags_json(struct span tags)
{
    json_t *all = json_array();
    for (size_t at = 0; at < tags.len;) {
        const uint8_t *comma = memchr(tags.ptr + at, ',', tags.len - at);
        size_t end = comma ? (size_t)(comma - tags.ptr) : tags.len;
        if (end > at)
            json_array_append_new(all, admin_json_span(span_of(tags.ptr + at, end - at)));
        at = end + 1;
    }
    return all;
}

json_t *mgmt_user_json(const struct meta_record *r)
{
    struct span name, tags;
    struct password p;
    char hash[PASSWORD_TEXT_BYTES];
    if (access_key_read(r->key, &name, 1) < 0 || access_user_read(r->value, &p, &tags) < 0)
        return NULL;
    password_text(&p, hash);
    return json_pack("{s:o, s:s, s:s, s:o, s:{}}", "name", admin_json_span(name), "password_hash", hash,
                     "hashing_algorithm", password_algorithm_name(&p), "tags", tags_json(tags), "limits");
}

json_t *mgmt_permission_json(const struct meta_record *r)
{
    struct span key[2], p[GRANT_PATTERNS];
    if (access_key_read(r->key, key, 2) < 0 || access_grant_read(r->value, false, p) < 0)
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "user", admin_json_span(key[1]), "vhost",
                     admin_json_span(key[0]), "configure", admin_json_span(p[GRANT_CONFIGURE]), "write",
                     admin_json_span(p[GRANT_WRITE]), "read", admin_json_span(p[GRANT_READ]));
}

json_t *mgmt_topic_permission_json(const struct meta_record *r)
{
    struct span key[3], p[GRANT_PATTERNS];
    if (access_key_read(r->key, key, 3) < 0 || access_grant_read(r->value, true, p) < 0)
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "user", admin_json_span(key[1]), "vhost",
                     admin_json_span(key[0]), "exchange", admin_json_span(key[2]), "write",
                     admin_json_span(p[GRANT_WRITE]), "read", admin_json_span(p[GRANT_READ]));
}

json_t *mgmt_policy_json(const struct meta_record *r)
{
    struct span key[2];
    struct policy_text p;
    if (access_key_read(r->key, key, 2) < 0 || access_policy_read(r->value, &p) < 0)
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:s, s:i, s:o}", "vhost", admin_json_span(key[0]), "name",
                     admin_json_span(key[1]), "pattern", admin_json_span(p.pattern), "apply-to",
                     policy_apply_to_name(p.apply_to), "priority", (int)p.priority, "definition",
                     mgmt_json_of(p.definition));
}

static json_t *value_json(struct span text)
{
    json_t *v = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY, NULL);
    return v ? v : json_null();
}

json_t *mgmt_parameter_json(const struct meta_record *r)
{
    struct span key[3];
    if (access_key_read(r->key, key, 3) < 0)
        return NULL;
    return json_pack("{s:o, s:o, s:o, s:o}", "vhost", admin_json_span(key[0]), "component",
                     admin_json_span(key[1]), "name", admin_json_span(key[2]), "value", value_json(r->value));
}

json_t *mgmt_global_parameter_json(const struct meta_record *r)
{
    struct span name;
    if (access_key_read(r->key, &name, 1) < 0)
        return NULL;
    return json_pack("{s:o, s:o}", "name", admin_json_span(name), "value", value_json(r->value));
}

/* ---- and back -------------------------------------------------------------------------------------------
 */

struct span mgmt_tags_of(const json_t *o, struct arena *a)
{
    const json_t *tags = json_object_get(o, "tags");
    if (!json_is_array(tags)) {
        struct span s = mgmt_text(o, "tags");
        return span_is_null(s) ? span_str("") : mgmt_copy(a, s);
    }
    char *all = arena_strndup(a, "", 0);
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const json_t *one = json_array_get(tags, i);
        if (json_is_string(one))
            all = arena_printf(a, "%s%s%s", all, *all ? "," : "", json_string_value(one));
    }
    return span_str(all);
}

static struct span given(struct span s, const json_t *o, const char *key)
{
    return span_is_null(s) ? mgmt_text(o, key) : s;
}

const char *mgmt_fill_permission(struct op_record *r, const json_t *o, struct span vhost, struct span user)
{
    struct span p[GRANT_PATTERNS] = {mgmt_text(o, "configure"), mgmt_text(o, "write"), mgmt_text(o, "read")};
    vhost = given(vhost, o, "vhost");
    user = given(user, o, "user");
    for (unsigned i = 0; i < GRANT_PATTERNS; i++)
        if (span_is_null(p[i]))
            return "configure, write and read are wanted";
    if (span_is_null(vhost) || span_is_null(user))
        return "vhost and user are wanted";
    access_put_permission(r, vhost, user, p);
    return NULL;
}

const char *mgmt_fill_topic_permission(struct op_record *r, const json_t *o, struct span vhost,
                                       struct span user)
{
    struct span p[GRANT_PATTERNS] = {span_str(""), mgmt_text(o, "write"), mgmt_text(o, "read")};
    struct span exchange = mgmt_text(o, "exchange");
    vhost = given(vhost, o, "vhost");
    user = given(user, o, "user");
    if (span_is_null(p[GRANT_WRITE]) || span_is_null(p[GRANT_READ]) || span_is_null(exchange))
        return "exchange, write and read are wanted";
    if (span_is_null(vhost) || span_is_null(user))
        return "vhost and user are wanted";
    access_put_topic_permission(r, vhost, user, exchange, p);
    return NULL;
}

const char *mgmt_fill_policy(struct op_record *r, enum meta_record_kind kind, const json_t *o,
                             struct span vhost, struct span name)
{
    struct policy_text p = {.pattern = mgmt_text(o, "pattern")};
    const json_t *priority = json_object_get(o, "priority"), *definition = json_object_get(o, "definition");
    struct span to = mgmt_text(o, "apply-to");
    int apply_to = span_is_null(to) ? POLICY_ALL : policy_apply_to_of(to);
    vhost = given(vhost, o, "vhost");
    name = given(name, o, "name");
    if (span_is_null(p.pattern) || !json_is_object(definition))
        return "pattern and definition are wanted";
    if (apply_to < 0)
        return "apply-to is queues, classic_queues, quorum_queues, streams, exchanges or all";
    if (priority && !(json_is_integer(priority) && json_integer_value(priority) >= INT32_MIN &&
                      json_integer_value(priority) <= INT32_MAX))
        return "priority is a number";
    if (span_is_null(vhost) || span_is_null(name))
        return "vhost and name are wanted";
    p.apply_to = (enum policy_apply_to)apply_to;
    p.priority = (int32_t)json_integer_value(priority);
    if (mgmt_table_of(definition, &r->arena, &p.definition) < 0)
        return "the definition cannot be read";
    access_put_policy(r, kind, vhost, name, &p);
    return NULL;
}

const char *mgmt_fill_parameter(struct op_record *r, const json_t *o, struct span component,
                                struct span vhost, struct span name)
{
    const json_t *value = json_object_get(o, "value");
    vhost = given(vhost, o, "vhost");
    name = given(name, o, "name");
    component = given(component, o, "component");
    if (!value || span_is_null(vhost) || span_is_null(name) || span_is_null(component))
        return "vhost, component, name and value are wanted";
    struct text text = {0};
    text_put_json(&text, value, JSON_COMPACT | JSON_ENCODE_ANY);
    access_put_parameter(r, vhost, component, name, text_span(&text));
    text_free(&text);
    return NULL;
}
