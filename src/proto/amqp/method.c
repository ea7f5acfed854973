#include "proto/amqp/method.h"

#include <assert.h>

#include "base/err.h"
#include "core/fields.h"
#include "proto/amqp/be.h"

/* ---- decoder ------------------------------------------------------------------------------------------ */

/* Sticky: after the first error everything read is zero or empty. Inline, since publishes and
 * acknowledgements pass here one by one. */
struct args {
    const uint8_t *p, *end;
    unsigned bits, bits_left; /* octets of bits are shared by neighbours (4.2.5.2) */
    bool bad;
};

static inline const uint8_t *take(struct args *a, size_t n)
{
    a->bits_left = 0;
    if ((size_t)(a->end - a->p) < n) {
        a->bad = true;
        a->p = a->end;
        return NULL;
    }
    const uint8_t *at = a->p;
    a->p += n;
    return at;
}

static inline uint8_t get_octet(struct args *a)
{
    const uint8_t *p = take(a, 1);
    return p ? *p : 0;
}

static inline uint16_t get_short(struct args *a)
{
    const uint8_t *p = take(a, 2);
    return p ? be_u16(p) : 0;
}

static inline uint32_t get_long(struct args *a)
{
    const uint8_t *p = take(a, 4);
    return p ? be_u32(p) : 0;
}

static inline uint64_t get_longlong(struct args *a)
{
    const uint8_t *p = take(a, 8);
    return p ? be_u64(p) : 0;
}

static inline bool get_bit(struct args *a)
{
    if (a->bits_left == 0) {
        a->bits = get_octet(a);
        a->bits_left = 8;
    }
    bool bit = a->bits & 1;
    a->bits >>= 1;
    a->bits_left--;
    return bit;
}

static inline struct span get_bytes(struct args *a, size_t len)
{
    const uint8_t *p = take(a, len);
    return p ? span_of(p, len) : span_of("", 0);
}

static inline struct span get_shortstr(struct args *a)
{
    return get_bytes(a, get_octet(a));
}

static inline struct span get_longstr(struct args *a)
{
    return get_bytes(a, get_long(a));
}

static struct span get_table(struct args *a)
{
    struct span t = get_longstr(a);
    if (!a->bad && t.len > 0 && fields_check(t) != 0)
        a->bad = true;
    return a->bad ? span_of("", 0) : t;
}

#define OCTET(f)    m->f = get_octet(a);
#define SHORT(f)    m->f = get_short(a);
#define LONG(f)     m->f = get_long(a);
#define LONGLONG(f) m->f = get_longlong(a);
#define BIT(f)      m->f = get_bit(a);
#define SHORTSTR(f) m->f = get_shortstr(a);
#define LONGSTR(f)  m->f = get_longstr(a);
#define TABLE(f)    m->f = get_table(a);
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    static void decode_##name(struct args *a, struct amqp_##name *m)                                         \
    {                                                                                                        \
        (void)a;                                                                                             \
        (void)m;                                                                                             \
        __VA_ARGS__                                                                                          \
    }
#include "proto/amqp/methods.def"
#undef METHOD
#undef OCTET
#undef SHORT
#undef LONG
#undef LONGLONG
#undef BIT
#undef SHORTSTR
#undef LONGSTR
#undef TABLE

int amqp_method_decode(struct span payload, struct amqp_method *ret)
{
    struct args a = {payload.ptr, payload.ptr + payload.len, 0, 0, false};
    uint32_t id = get_long(&a);
    ret->id = id;
    switch (id) {
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    case AMQP_##ID:                                                                                          \
        decode_##name(&a, &ret->name);                                                                       \
        break;
#include "proto/amqp/methods.def"
#undef METHOD
    default:
        return a.bad ? ERR_INVALID : ERR_UNSUPPORTED;
    }
    return a.bad ? ERR_INVALID : 0;
}

/* ---- encoder ------------------------------------------------------------------------------------------ */

/* Counts bits: an octet begins with the first, and after each eighth in a row. */
struct sizer {
    size_t len;
    unsigned bits_left;
};

static inline void add(struct sizer *s, size_t n)
{
    s->bits_left = 0;
    s->len += n;
}

static inline void add_bit(struct sizer *s)
{
    if (s->bits_left == 0) {
        s->len++;
        s->bits_left = 8;
    }
    s->bits_left--;
}

#define OCTET(f)    add(s, 1);
#define SHORT(f)    add(s, 2);
#define LONG(f)     add(s, 4);
#define LONGLONG(f) add(s, 8);
#define BIT(f)      add_bit(s);
#define SHORTSTR(f) add(s, 1 + m->f.len);
#define LONGSTR(f)  add(s, 4 + m->f.len);
#define TABLE(f)    add(s, 4 + m->f.len);
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    static inline void size_##name(struct sizer *s, const struct amqp_##name *m)                             \
    {                                                                                                        \
        (void)s;                                                                                             \
        (void)m;                                                                                             \
        __VA_ARGS__                                                                                          \
    }
#include "proto/amqp/methods.def"
#undef METHOD
#undef OCTET
#undef SHORT
#undef LONG
#undef LONGLONG
#undef BIT
#undef SHORTSTR
#undef LONGSTR
#undef TABLE

size_t amqp_method_bytes(const struct amqp_method *m)
{
    struct sizer s = {4, 0};
    switch (m->id) {
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    case AMQP_##ID:                                                                                          \
        size_##name(&s, &m->name);                                                                           \
        break;
#include "proto/amqp/methods.def"
#undef METHOD
    default:
        assert(!"a method that is in methods.def");
    }
    return s.len;
}

struct out {
    uint8_t *p;
    unsigned bits_left;
};

static inline void put_octet(struct out *o, uint8_t v)
{
    o->bits_left = 0;
    *o->p++ = v;
}

static inline void put_short(struct out *o, uint16_t v)
{
    o->bits_left = 0;
    o->p = be_put_u16(o->p, v);
}

static inline void put_long(struct out *o, uint32_t v)
{
    o->bits_left = 0;
    o->p = be_put_u32(o->p, v);
}

static inline void put_longlong(struct out *o, uint64_t v)
{
    o->bits_left = 0;
    o->p = be_put_u64(o->p, v);
}

static inline void put_bit(struct out *o, bool v)
{
    if (o->bits_left == 0) {
        *o->p++ = 0;
        o->bits_left = 8;
    }
    if (v)
        o->p[-1] |= (uint8_t)(1u << (8 - o->bits_left));
    o->bits_left--;
}

static inline void put_bytes(struct out *o, struct span s)
{
    if (s.len > 0)
        memcpy(o->p, s.ptr, s.len);
    o->p += s.len;
}

static inline void put_shortstr(struct out *o, struct span s)
{
    assert(s.len <= 255);
    put_octet(o, (uint8_t)s.len);
    put_bytes(o, s);
}

static inline void put_longstr(struct out *o, struct span s)
{
    put_long(o, (uint32_t)s.len);
    put_bytes(o, s);
}

#define OCTET(f)    put_octet(o, m->f);
#define SHORT(f)    put_short(o, m->f);
#define LONG(f)     put_long(o, m->f);
#define LONGLONG(f) put_longlong(o, m->f);
#define BIT(f)      put_bit(o, m->f);
#define SHORTSTR(f) put_shortstr(o, m->f);
#define LONGSTR(f)  put_longstr(o, m->f);
#define TABLE(f)    put_longstr(o, m->f);
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    static void encode_##name(struct out *o, const struct amqp_##name *m)                                    \
    {                                                                                                        \
        (void)o;                                                                                             \
        (void)m;                                                                                             \
        __VA_ARGS__                                                                                          \
    }
#include "proto/amqp/methods.def"
#undef METHOD
#undef OCTET
#undef SHORT
#undef LONG
#undef LONGLONG
#undef BIT
#undef SHORTSTR
#undef LONGSTR
#undef TABLE

uint8_t *amqp_method_encode(const struct amqp_method *m, uint8_t *at)
{
    struct out o = {be_put_u32(at, m->id), 0};
    switch (m->id) {
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    case AMQP_##ID:                                                                                          \
        encode_##name(&o, &m->name);                                                                         \
        break;
#include "proto/amqp/methods.def"
#undef METHOD
    default:
        assert(!"a method that is in methods.def");
    }
    return o.p;
}

/* ---- what is known of each ---------------------------------------------------------------------------- */

enum { FROM_CLIENT = 1, FROM_BROKER = 2, EITHER = 3, CONTENT = 4 };

static unsigned flags_of(uint32_t id)
{
    switch (id) {
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    case AMQP_##ID:                                                                                          \
        return flags;
#include "proto/amqp/methods.def"
#undef METHOD
    default:
        return 0;
    }
}

const char *amqp_method_name(uint32_t id)
{
    switch (id) {
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    case AMQP_##ID:                                                                                          \
        return #name;
#include "proto/amqp/methods.def"
#undef METHOD
    default:
        return NULL;
    }
}

bool amqp_method_from_client(uint32_t id)
{
    return flags_of(id) & FROM_CLIENT;
}

bool amqp_method_has_content(uint32_t id)
{
    return flags_of(id) & CONTENT;
}
