#include "proto/amqp/record.h"

#include "base/err.h"
#include "proto/amqp/be.h"
#include "proto/amqp/props.h"

/* Properties that are strings, under the names that they have as headers of a record. `both`: a record that
 * came from elsewhere has them as properties, too. */
static const struct string_row {
    const char *name, *rabbit;
    uint16_t flag;
    size_t offset;
    bool both;
} strings[] = {
    {"content-type", "content_type", AMQP_CONTENT_TYPE, offsetof(struct amqp_props, content_type), true},
    {"content-encoding", "content_encoding", AMQP_CONTENT_ENCODING,
     offsetof(struct amqp_props, content_encoding), true},
    {"amqp.correlation-id", "correlation_id", AMQP_CORRELATION_ID,
     offsetof(struct amqp_props, correlation_id), true},
    {"amqp.reply-to", "reply_to", AMQP_REPLY_TO, offsetof(struct amqp_props, reply_to), true},
    {"amqp.message-id", "message_id", AMQP_MESSAGE_ID, offsetof(struct amqp_props, message_id), true},
    {"amqp.type", "type", AMQP_TYPE, offsetof(struct amqp_props, type), true},
    {"amqp.app-id", "app_id", AMQP_APP_ID, offsetof(struct amqp_props, app_id), true},
    {"amqp.expiration", "expiration", AMQP_EXPIRATION, offsetof(struct amqp_props, expiration), false},
    {"amqp.user-id", "user_id", AMQP_USER_ID, offsetof(struct amqp_props, user_id), false},
};
enum { STRINGS = sizeof(strings) / sizeof(*strings), FIXED_HEADERS = 3 + STRINGS + 3 };

static struct span *string_of(struct amqp_props *p, const struct string_row *row)
{
    return (struct span *)(void *)((uint8_t *)p + row->offset);
}

static bool props_of(struct span bytes, struct amqp_props *ret)
{
    return bytes.len >= 2 && amqp_props_decode(bytes, ret) == 0;
}

bool amqp_message_property(const struct message *m, struct span name, struct field *ret)
{
    struct amqp_props p;
    if (!props_of(m->props, &p))
        return false;
    if (span_eq_str(name, "timestamp") && (p.flags & AMQP_TIMESTAMP)) {
        *ret = (struct field){.tag = 'T', .integer = (int64_t)p.timestamp};
        return true;
    }
    for (unsigned i = 0; i < STRINGS; i++) {
        if (!(p.flags & strings[i].flag) || !span_eq_str(name, strings[i].rabbit))
            continue;
        *ret = (struct field){.tag = 'S', .bytes = *string_of(&p, &strings[i])};
        return true;
    }
    return false;
}

/* ---- a message becomes a record ------------------------------------------------------------------------ */

struct headers {
    struct record_header *all;
    uint32_t count;
};

static void put(struct headers *h, struct span name, struct span value)
{
    h->all[h->count++] = (struct record_header){name, value};
}

static struct span never_null(struct span s)
{
    return s.ptr ? s : span_str("");
}

static void put_number(struct headers *h, const char *name, uint64_t v, struct arena *a)
{
    put(h, span_str(name), span_str(arena_printf(a, "%llu", (unsigned long long)v)));
}

static void put_props(struct headers *h, struct amqp_props *p, struct arena *a)
{
    for (unsigned i = 0; i < STRINGS; i++)
        if (p->flags & strings[i].flag)
            put(h, span_str(strings[i].name), never_null(*string_of(p, &strings[i])));
    if (p->flags & AMQP_DELIVERY_MODE)
        put_number(h, "amqp.delivery-mode", p->delivery_mode, a);
    if (p->flags & AMQP_PRIORITY)
        put_number(h, "amqp.priority", p->priority, a);
    if (p->flags & AMQP_TIMESTAMP)
        put_number(h, "amqp.timestamp", p->timestamp, a);
}

/* Scalars as text; what is void is null; tables, arrays and BCC are in the verbatim properties or nowhere. */
static void put_fields(struct headers *h, struct span table, struct arena *a)
{
    struct fields_iter it;
    struct span name;
    struct field f;
    fields_begin(&it, table);
    while (fields_next(&it, &name, &f)) {
        if (f.tag == 'F' || f.tag == 'A' || span_eq_str(name, "BCC"))
            continue;
        struct span value = f.tag == 'V'                   ? SPAN_NULL
                            : f.tag == 'S' || f.tag == 'x' ? never_null(f.bytes)
                                                           : span_str(field_text(&f, a));
        put(h, never_null(name), value);
    }
}

void amqp_message_record(const struct message *m, struct arena *a, struct record_draft *ret)
{
    struct amqp_props p;
    struct headers h = {0};
    struct span raw = m->props;
    bool any = props_of(m->props, &p);
    if (any && amqp_props_has_bcc(m->props, &p))
        raw = amqp_props_without_bcc(&p, a);
    h.all = arena_array(a, FIXED_HEADERS + (any ? fields_count(p.headers) : 0), sizeof(*h.all));
    put(&h, span_str(AMQP_RECORD_EXCHANGE), never_null(m->exchange));
    put(&h, span_str(AMQP_RECORD_ROUTING_KEY), never_null(m->key));
    if (any) {
        put(&h, span_str(AMQP_RECORD_PROPERTIES), raw);
        put_props(&h, &p, a);
        put_fields(&h, p.headers, a);
    }
    ret->headers = h.all;
    ret->header_count = h.count;
}

/* ---- a record becomes a message ------------------------------------------------------------------------ */

bool amqp_record_header(const struct record *r, const char *name, struct span *ret_value)
{
    struct span rest = r->headers, key, wanted = span_str(name);
    while (record_header_next(&rest, &key, ret_value) > 0)
        if (span_eq(key, wanted))
            return true;
    return false;
}

static bool is_claim(struct span name)
{
    static const char *const claims[] = {"x-death",
                                         "x-first-death-reason",
                                         "x-first-death-queue",
                                         "x-first-death-exchange",
                                         "x-last-death-reason",
                                         "x-last-death-queue",
                                         "x-last-death-exchange",
                                         "x-stream-offset",
                                         "CC",
                                         "BCC",
                                         AMQP_RECORD_PROPERTIES,
                                         AMQP_RECORD_EXCHANGE,
                                         AMQP_RECORD_ROUTING_KEY};
    for (unsigned i = 0; i < sizeof(claims) / sizeof(*claims); i++)
        if (span_eq_str(name, claims[i]))
            return true;
    return false;
}

/* 0 to 255 in decimal; -1: it is not. */
static int small_number(struct span s)
{
    int v = 0;
    if (s.len == 0 || s.len > 3)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        v = v * 10 + (s.ptr[i] - '0');
    }
    return v <= UINT8_MAX ? v : -1;
}

/* True: it is a property, not a header. */
static bool take_property(struct amqp_props *p, struct span name, struct span value)
{
    if (span_is_null(value) || value.len > UINT8_MAX)
        return false;
    if (span_eq_str(name, "amqp.priority") && small_number(value) >= 0) {
        p->priority = (uint8_t)small_number(value);
        p->flags |= AMQP_PRIORITY;
        return true;
    }
    for (unsigned i = 0; i < STRINGS; i++) {
        if (!strings[i].both || !span_eq_str(name, strings[i].name))
            continue;
        *string_of(p, &strings[i]) = value;
        p->flags |= strings[i].flag;
        return true;
    }
    return false;
}

/* Of a record that was made elsewhere. */
static struct span foreign_props(const struct record *r, struct arena *a)
{
    struct amqp_props p = {.flags = AMQP_DELIVERY_MODE, .delivery_mode = 2};
    struct span rest = r->headers, key, value;
    struct fields_writer w;
    fields_writer_init(&w, a);
    while (record_header_next(&rest, &key, &value) > 0) {
        if (key.len > UINT8_MAX || is_claim(key) || take_property(&p, key, value))
            continue;
        struct field f = {.tag = span_is_null(value) ? 'V' : 'S', .bytes = value};
        fields_put(&w, key, &f);
    }
    if (!span_is_null(r->key))
        fields_put_str(&w, span_str("kafka-key"), r->key);
    if (span_is_null(r->value))
        fields_put_bool(&w, span_str("kafka-null"), true);
    p.headers = fields_done(&w);
    if (p.headers.len > 0)
        p.flags |= AMQP_HEADERS;
    if (r->timestamp >= 0) {
        p.timestamp = (uint64_t)r->timestamp / 1000;
        p.flags |= AMQP_TIMESTAMP;
    }
    return amqp_props_encode(&p, a);
}

/* Anybody who may write to the topic could have written this header: it says nothing about who sent it. */
static struct span without_user(struct span raw, struct amqp_props *p, struct arena *a)
{
    if (!(p->flags & AMQP_USER_ID))
        return raw;
    p->flags &= (uint16_t)~AMQP_USER_ID;
    return amqp_props_encode(p, a);
}

static struct span without_claims(struct span table, struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    amqp_headers_copy(&w, table, is_claim);
    return fields_done(&w);
}

static int64_t ttl_of(const struct amqp_props *p)
{
    int64_t ms = 0;
    if (!(p->flags & AMQP_EXPIRATION) || p->expiration.len == 0 || p->expiration.len > 10)
        return -1;
    for (size_t i = 0; i < p->expiration.len; i++) {
        if (p->expiration.ptr[i] < '0' || p->expiration.ptr[i] > '9')
            return -1;
        ms = ms * 10 + (p->expiration.ptr[i] - '0');
    }
    return ms <= UINT32_MAX ? ms : -1;
}

static void enter(struct amqp_props *p, struct arena *a, struct message *ret)
{
    if (p->flags & AMQP_HEADERS)
        p->headers = without_claims(p->headers, a);
    ret->props = amqp_props_encode(p, a);
    ret->ttl_ms = ttl_of(p);
}

void amqp_message_of_record(const struct record *r, bool enters, struct arena *a, struct message *ret)
{
    struct span raw, name;
    struct amqp_props p;
    ret->format = MESSAGE_FORMAT_AMQP;
    ret->body = r->value;
    if (!amqp_record_header(r, AMQP_RECORD_PROPERTIES, &raw) || !props_of(raw, &p)) {
        ret->props = foreign_props(r, a);
        if (props_of(ret->props, &p) && (p.flags & AMQP_PRIORITY))
            ret->priority = p.priority;
    } else {
        ret->priority = p.flags & AMQP_PRIORITY ? p.priority : 0;
        ret->props = without_user(raw, &p, a);
        if (enters)
            enter(&p, a, ret);
    }
    if (amqp_record_header(r, AMQP_RECORD_EXCHANGE, &name) && name.ptr && name.len <= UINT8_MAX)
        ret->exchange = name;
    if (amqp_record_header(r, AMQP_RECORD_ROUTING_KEY, &name) && name.ptr && name.len <= UINT8_MAX)
        ret->key = name;
}
