/* A message as a record: how it stands in a queue's batches, in memory and on the disk. Little-endian.
 *
 *    offset  type  field
 *         0  u32   bytes of the whole record
 *         4  u8    flags (enum message_flags)
 *         5  u8    priority
 *         6  u8    format of the properties
 *         7  u8    length of the exchange's name
 *         8  u8    length of the key
 *         9  u8    which of the optional fields follow: 1 ttl, 2 expires, 4 due
 *        10  u16   0
 *        12  u32   length of the properties
 *        16  i64   when it was queued, ms
 *        24  i64   ttl, expires, due, as the bits say
 *            exchange, key, properties, body
 */
#include "core/message.h"

#include "base/err.h"
#include "store/le.h"

enum { FIXED_BYTES = 24, HAS_TTL = 1, HAS_EXPIRES = 2, HAS_DUE = 4 };

const struct message_format *message_formats[MESSAGE_FORMATS];

const char *death_reason_name(enum death_reason r)
{
    static const char *const names[] = {[DEATH_REJECTED] = "rejected",
                                        [DEATH_EXPIRED] = "expired",
                                        [DEATH_MAXLEN] = "maxlen",
                                        [DEATH_DELIVERY_LIMIT] = "delivery_limit"};
    return names[r];
}

static unsigned options(const struct message *m)
{
    return (m->ttl_ms >= 0 ? HAS_TTL : 0u) | (m->expires_ms ? HAS_EXPIRES : 0u) | (m->due_ms ? HAS_DUE : 0u);
}

size_t message_record_bytes(const struct message *m)
{
    return FIXED_BYTES + 8u * (unsigned)__builtin_popcount(options(m)) + m->exchange.len + m->key.len +
           m->props.len + m->body.len;
}

static uint8_t *put(uint8_t *at, struct span s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static uint8_t *put64(uint8_t *at, int64_t v)
{
    le_put_u64(at, (uint64_t)v);
    return at + 8;
}

void message_write(uint8_t *at, const struct message *m, int64_t queued_ms)
{
    unsigned opt = options(m);
    le_put_u32(at, (uint32_t)message_record_bytes(m));
    at[4] = m->flags;
    at[5] = m->priority;
    at[6] = m->format;
    at[7] = (uint8_t)m->exchange.len;
    at[8] = (uint8_t)m->key.len;
    at[9] = (uint8_t)opt;
    at[10] = at[11] = 0;
    le_put_u32(at + 12, (uint32_t)m->props.len);
    le_put_u64(at + 16, (uint64_t)queued_ms);
    at += FIXED_BYTES;
    if (opt & HAS_TTL)
        at = put64(at, m->ttl_ms);
    if (opt & HAS_EXPIRES)
        at = put64(at, m->expires_ms);
    if (opt & HAS_DUE)
        at = put64(at, m->due_ms);
    at = put(at, m->exchange);
    at = put(at, m->key);
    at = put(at, m->props);
    (void)put(at, m->body);
}

static struct span take(const uint8_t **p, size_t len)
{
    struct span s = span_of(*p, len);
    *p += len;
    return s;
}

static int64_t take64(const uint8_t **p, bool present, int64_t otherwise)
{
    if (!present)
        return otherwise;
    int64_t v = (int64_t)le_u64(*p);
    *p += 8;
    return v;
}

int message_read(struct span record, struct message *ret, int64_t *ret_queued_ms, size_t *ret_len)
{
    const uint8_t *p = record.ptr;
    if (record.len < FIXED_BYTES)
        return ERR_CORRUPT;
    uint32_t len = le_u32(p), props = le_u32(p + 12);
    unsigned opt = p[9];
    uint64_t before =
        FIXED_BYTES + 8u * (unsigned)__builtin_popcount(opt & 7) + (uint64_t)p[7] + p[8] + props;
    if (len > record.len || before > len || opt > 7 || p[6] >= MESSAGE_FORMATS)
        return ERR_CORRUPT;
    struct message m = {.flags = p[4], .priority = p[5], .format = p[6]};
    size_t exchange = p[7], key = p[8];
    *ret_queued_ms = (int64_t)le_u64(p + 16);
    p += FIXED_BYTES;
    m.ttl_ms = take64(&p, opt & HAS_TTL, -1);
    m.expires_ms = take64(&p, opt & HAS_EXPIRES, 0);
    m.due_ms = take64(&p, opt & HAS_DUE, 0);
    m.exchange = take(&p, exchange);
    m.key = take(&p, key);
    m.props = take(&p, props);
    m.body = take(&p, (size_t)(len - before));
    *ret = m;
    if (ret_len)
        *ret_len = len;
    return 0;
}
