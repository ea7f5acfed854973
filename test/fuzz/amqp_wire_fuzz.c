/* The AMQP codec. First byte: what the rest is. 0: a method, which must be the same when encoded and decoded
 * again. 1: properties: the same; then the message dies twice, and all that asks for its headers is asked. */
#include <assert.h>

#include "core/fields.h"
#include "proto/amqp/method.h"
#include "proto/amqp/props.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void method(struct span bytes, struct arena *a)
{
    struct amqp_method m, again;
    if (amqp_method_decode(bytes, &m) != 0)
        return;
    size_t len = amqp_method_bytes(&m);
    uint8_t *p = arena_alloc(a, len), *q = arena_alloc(a, len);
    assert(len <= bytes.len && amqp_method_encode(&m, p) == p + len);
    assert(amqp_method_decode(span_of(p, len), &again) == 0 && amqp_method_bytes(&again) == len);
    amqp_method_encode(&again, q);
    assert(memcmp(p, q, len) == 0);
    assert(amqp_method_name(m.id));
}

static void see_key(void *arg, struct span key)
{
    *(size_t *)arg += key.len;
}

static void ask(const struct message *m)
{
    size_t sum = 0;
    amqp_message_format.more_keys(m, see_key, &sum);
    (void)amqp_message_format.cycles(m, span_str("q"));
    struct span h = amqp_message_format.headers(m);
    assert(h.len == 0 || fields_check(h) == 0);
}

static struct message die(struct message m, enum death_reason reason, int64_t retries, struct span key,
                          struct arena *a)
{
    struct death d = {span_str("q"), reason, 1700000000000, retries, key};
    struct amqp_props p;
    struct field f;
    m.props = amqp_message_format.dead(&m, &d, a);
    assert(amqp_props_decode(m.props, &p) == 0 && !(p.flags & AMQP_EXPIRATION));
    assert(fields_get_str(p.headers, "x-death", &f) && f.tag == 'A');
    ask(&m);
    return m;
}

static void props(struct span bytes, struct arena *a)
{
    struct amqp_props p, again;
    struct message m = {.exchange = span_str("x"), .key = span_str("k"), .props = bytes};
    struct field v = {.tag = 'l', .integer = 7};
    ask(&m);
    m = die(m, DEATH_EXPIRED, -1, SPAN_NULL, a);
    die(m, DEATH_REJECTED, 3, span_str("other"), a);
    if (amqp_props_decode(bytes, &p) != 0)
        return;
    struct span same = amqp_props_encode(&p, a);
    assert(amqp_props_decode(same, &again) == 0 && again.flags == p.flags &&
           span_eq(again.headers, p.headers));
    struct span with = amqp_props_with_header(bytes, "x-delivery-count", &v, a);
    assert(amqp_props_decode(with, &again) == 0);
    if (amqp_props_has_bcc(bytes, &p))
        assert(amqp_props_decode(amqp_props_without_bcc(&p, a), &again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    if (size < 1)
        return 0;
    arena_init(&a);
    if (data[0] & 1)
        props(span_of(data + 1, size - 1), &a);
    else
        method(span_of(data + 1, size - 1), &a);
    arena_fini(&a);
    return 0;
}
