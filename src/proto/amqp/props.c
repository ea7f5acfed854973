#include "proto/amqp/props.h"

#include "base/err.h"
#include "proto/amqp/be.h"

/* ---- decoder ------------------------------------------------------------------------------------------ */

enum {
    MORE_FLAGS = 1 << 0, /* another word of flags follows (4.2.6.1) */
    NO_SUCH_FLAG = 1 << 1,
};

struct in {
    const uint8_t *p, *end;
    bool bad; /* sticky: what is read then is empty */
};

static const uint8_t *take(struct in *in, size_t n)
{
    if ((size_t)(in->end - in->p) < n) {
        in->bad = true;
        in->p = in->end;
        return NULL;
    }
    const uint8_t *at = in->p;
    in->p += n;
    return at;
}

static uint8_t get_octet(struct in *in)
{
    const uint8_t *p = take(in, 1);
    return p ? *p : 0;
}

static struct span get_bytes(struct in *in, size_t len)
{
    const uint8_t *p = take(in, len);
    return p ? span_of(p, len) : span_of("", 0);
}

static struct span get_shortstr(struct in *in)
{
    return get_bytes(in, get_octet(in));
}

static struct span get_table(struct in *in)
{
    const uint8_t *p = take(in, 4);
    struct span t = p ? get_bytes(in, be_u32(p)) : span_of("", 0);
    if (!in->bad && t.len > 0 && fields_check(t) != 0)
        in->bad = true;
    return t;
}

static uint16_t get_flags(struct in *in)
{
    const uint8_t *p = take(in, 2);
    uint16_t first = p ? be_u16(p) : 0, more = first;
    while (more & MORE_FLAGS) { /* class basic has no property in a second word */
        p = take(in, 2);
        more = p ? be_u16(p) : 0;
        if (more & ~MORE_FLAGS)
            in->bad = true;
    }
    if (first & NO_SUCH_FLAG)
        in->bad = true;
    return first & (uint16_t)~MORE_FLAGS;
}

/* Most messages have none of these, or few. */
static void get_others(struct in *in, uint16_t f, struct amqp_props *ret)
{
    if (f & AMQP_CORRELATION_ID)
        ret->correlation_id = get_shortstr(in);
    if (f & AMQP_REPLY_TO)
        ret->reply_to = get_shortstr(in);
    if (f & AMQP_EXPIRATION)
        ret->expiration = get_shortstr(in);
    if (f & AMQP_MESSAGE_ID)
        ret->message_id = get_shortstr(in);
    if (f & AMQP_TIMESTAMP) {
        const uint8_t *p = take(in, 8);
        ret->timestamp = p ? be_u64(p) : 0;
    }
    if (f & AMQP_TYPE)
        ret->type = get_shortstr(in);
    if (f & AMQP_USER_ID)
        ret->user_id = get_shortstr(in);
    if (f & AMQP_APP_ID)
        ret->app_id = get_shortstr(in);
    if (f & AMQP_CLUSTER_ID)
        ret->cluster_id = get_shortstr(in);
}

int amqp_props_decode(struct span bytes, struct amqp_props *ret)
{
    struct in in = {bytes.ptr, bytes.ptr + bytes.len, false};
    memset(ret, 0, sizeof(*ret));
    uint16_t f = ret->flags = get_flags(&in);
    if (f & AMQP_CONTENT_TYPE)
        ret->content_type = get_shortstr(&in);
    if (f & AMQP_CONTENT_ENCODING)
        ret->content_encoding = get_shortstr(&in);
    if (f & AMQP_HEADERS)
        ret->headers = get_table(&in);
    if (f & AMQP_DELIVERY_MODE)
        ret->delivery_mode = get_octet(&in);
    if (f & AMQP_PRIORITY)
        ret->priority = get_octet(&in);
    if (f & (AMQP_PRIORITY - 1))
        get_others(&in, f, ret);
    return in.bad || in.p != in.end ? ERR_INVALID : 0;
}

/* ---- encoder ------------------------------------------------------------------------------------------ */

struct shortstr_row {
    uint16_t flag;
    size_t offset;
};

/* In the order of their flags; what is no shortstr stands between them. */
static const struct shortstr_row before_headers[] = {
    {AMQP_CONTENT_TYPE, offsetof(struct amqp_props, content_type)},
    {AMQP_CONTENT_ENCODING, offsetof(struct amqp_props, content_encoding)},
};
static const struct shortstr_row before_timestamp[] = {
    {AMQP_CORRELATION_ID, offsetof(struct amqp_props, correlation_id)},
    {AMQP_REPLY_TO, offsetof(struct amqp_props, reply_to)},
    {AMQP_EXPIRATION, offsetof(struct amqp_props, expiration)},
    {AMQP_MESSAGE_ID, offsetof(struct amqp_props, message_id)},
};
static const struct shortstr_row at_end[] = {
    {AMQP_TYPE, offsetof(struct amqp_props, type)},
    {AMQP_USER_ID, offsetof(struct amqp_props, user_id)},
    {AMQP_APP_ID, offsetof(struct amqp_props, app_id)},
    {AMQP_CLUSTER_ID, offsetof(struct amqp_props, cluster_id)},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t *put_bytes(uint8_t *at, struct span s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static uint8_t *put_shortstrs(uint8_t *at, const struct amqp_props *p, const struct shortstr_row *rows,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(p->flags & rows[i].flag))
            continue;
        const struct span *s = (const struct span *)(const void *)((const uint8_t *)p + rows[i].offset);
        *at++ = (uint8_t)s->len;
        at = put_bytes(at, *s);
    }
    return at;
}

static size_t encoded_max(const struct amqp_props *p)
{
    return 2 + 4 + p->headers.len + 2 + 8 + 10 * 256;
}

struct span amqp_props_encode(const struct amqp_props *p, struct arena *a)
{
    uint8_t *begin = arena_alloc(a, encoded_max(p)), *at = be_put_u16(begin, p->flags);
    at = put_shortstrs(at, p, before_headers, COUNT(before_headers));
    if (p->flags & AMQP_HEADERS) {
        at = be_put_u32(at, (uint32_t)p->headers.len);
        at = put_bytes(at, p->headers);
    }
    if (p->flags & AMQP_DELIVERY_MODE)
        *at++ = p->delivery_mode;
    if (p->flags & AMQP_PRIORITY)
        *at++ = p->priority;
    at = put_shortstrs(at, p, before_timestamp, COUNT(before_timestamp));
    if (p->flags & AMQP_TIMESTAMP)
        at = be_put_u64(at, p->timestamp);
    at = put_shortstrs(at, p, at_end, COUNT(at_end));
    return span_of(begin, (size_t)(at - begin));
}

/* ---- headers ------------------------------------------------------------------------------------------ */

void amqp_headers_copy(struct fields_writer *w, struct span headers, bool (*leave_out)(struct span name))
{
    struct fields_iter it;
    struct span name;
    struct field f;
    fields_begin(&it, headers);
    for (;;) {
        const uint8_t *from = it.p;
        if (!fields_next(&it, &name, &f))
            return;
        if (!leave_out(name))
            amqp_headers_put_raw(w, span_of(from, (size_t)(it.p - from)));
    }
}

void amqp_headers_put_raw(struct fields_writer *w, struct span bytes)
{
    if (w->len + bytes.len > w->cap) {
        size_t cap = (w->len + bytes.len) * 2;
        uint8_t *more = arena_alloc(w->arena, cap);
        if (w->len > 0)
            memcpy(more, w->bytes, w->len);
        w->bytes = more;
        w->cap = cap;
    }
    if (bytes.len > 0)
        memcpy(w->bytes + w->len, bytes.ptr, bytes.len);
    w->len += bytes.len;
}

struct span amqp_props_with_header(struct span bytes, const char *name, const struct field *value,
                                   struct arena *a)
{
    struct amqp_props p;
    struct fields_writer w;
    struct fields_iter it;
    struct span key = span_str(name), n;
    struct field f;
    bool done = false;
    if (amqp_props_decode(bytes, &p) != 0)
        return bytes;
    fields_writer_init(&w, a);
    fields_begin(&it, p.headers);
    for (const uint8_t *from = it.p; fields_next(&it, &n, &f); from = it.p) {
        if (!span_eq(n, key))
            amqp_headers_put_raw(&w, span_of(from, (size_t)(it.p - from)));
        else if (!done)
            fields_put(&w, key, value);
        done = done || span_eq(n, key);
    }
    if (!done)
        fields_put(&w, key, value);
    p.flags |= AMQP_HEADERS;
    p.headers = fields_done(&w);
    return amqp_props_encode(&p, a);
}

static bool is_bcc(struct span name)
{
    return span_eq_str(name, "BCC");
}

bool amqp_props_has_bcc(struct span bytes, struct amqp_props *ret)
{
    struct field f;
    if (bytes.len < 2 || !(be_u16(bytes.ptr) & AMQP_HEADERS))
        return false;
    if (!memmem(bytes.ptr, bytes.len, "\3BCC",
                4)) /* before anything is decoded, for every delivery with headers */
        return false;
    return amqp_props_decode(bytes, ret) == 0 && fields_get_str(ret->headers, "BCC", &f);
}

struct span amqp_props_without_bcc(const struct amqp_props *p, struct arena *a)
{
    struct amqp_props q = *p;
    struct fields_writer w;
    fields_writer_init(&w, a);
    amqp_headers_copy(&w, p->headers, is_bcc);
    q.headers = fields_done(&w);
    return amqp_props_encode(&q, a);
}
