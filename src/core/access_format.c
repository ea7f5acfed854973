#include "core/access_format.h"

#include <assert.h>

#include "base/err.h"
#include "base/reader.h"
#include "core/fields.h"

enum { VERSION = 0, LENGTH = 4 };

struct pack {
    uint8_t *bytes;
    size_t len, cap;
};

static struct pack pack_new(struct arena *a, size_t cap)
{
    return (struct pack){arena_alloc(a, cap), 0, cap};
}

static void pack_number(struct pack *p, unsigned bytes, uint32_t v)
{
    assert(p->cap - p->len >= bytes);
    while (bytes-- > 0)
        p->bytes[p->len++] = (uint8_t)(v >> (8 * bytes));
}

static void pack_text(struct pack *p, struct span s)
{
    pack_number(p, LENGTH, (uint32_t)s.len);
    assert(p->cap - p->len >= s.len);
    if (s.len)
        memcpy(p->bytes + p->len, s.ptr, s.len);
    p->len += s.len;
}

static struct span packed(const struct pack *p)
{
    return span_of(p->bytes, p->len);
}

static struct span read_text(struct reader *r)
{
    uint32_t len = read_u32(r);
    if (len > reader_left(r))
        reader_fail(r, ERR_INVALID, "a text longer than the record");
    return read_bytes(r, len);
}

static void read_version(struct reader *r)
{
    if (read_i8(r) != VERSION)
        reader_fail(r, ERR_INVALID, "a version of the future");
}

static int end(struct reader *r)
{
    return r->err || reader_left(r) ? ERR_CORRUPT : 0;
}

struct span access_key(struct arena *a, const struct span *parts, unsigned count)
{
    size_t cap = 0;
    for (unsigned i = 0; i < count; i++)
        cap += LENGTH + parts[i].len;
    struct pack p = pack_new(a, cap);
    for (unsigned i = 0; i < count; i++)
        pack_text(&p, parts[i]);
    return packed(&p);
}

int access_key_read(struct span key, struct span *ret_parts, unsigned count)
{
    struct reader r;
    struct span parts[ACCESS_KEY_PARTS];
    assert(count <= ACCESS_KEY_PARTS);
    reader_init(&r, key, NULL);
    for (unsigned i = 0; i < count; i++)
        parts[i] = read_text(&r);
    if (end(&r) < 0)
        return ERR_CORRUPT;
    memcpy(ret_parts, parts, count * sizeof(parts[0]));
    return 0;
}

struct span access_user_write(struct arena *a, const struct password *password, struct span tags)
{
    struct pack p = pack_new(a, 2 + 2 * LENGTH + password->len + tags.len);
    pack_number(&p, 1, VERSION);
    pack_number(&p, 1, password->algorithm);
    pack_text(&p, span_of(password->bytes, password->len));
    pack_text(&p, tags);
    return packed(&p);
}

int access_user_read(struct span value, struct password *ret_password, struct span *ret_tags)
{
    struct reader r;
    struct password p = {0};
    reader_init(&r, value, NULL);
    read_version(&r);
    p.algorithm = (uint8_t)read_i8(&r);
    struct span bytes = read_text(&r), tags = read_text(&r);
    if (end(&r) < 0 || bytes.len > PASSWORD_MAX_BYTES)
        return ERR_CORRUPT;
    p.len = (uint8_t)bytes.len;
    if (bytes.len)
        memcpy(p.bytes, bytes.ptr, bytes.len);
    if (!password_is_valid(&p))
        return ERR_CORRUPT;
    *ret_password = p;
    *ret_tags = tags;
    return 0;
}

struct span access_grant_write(struct arena *a, const struct span patterns[GRANT_PATTERNS], bool topic)
{
    size_t cap = 1;
    for (unsigned i = 0; i < GRANT_PATTERNS; i++)
        cap += LENGTH + patterns[i].len;
    struct pack p = pack_new(a, cap);
    pack_number(&p, 1, VERSION);
    for (unsigned i = topic ? GRANT_WRITE : GRANT_CONFIGURE; i < GRANT_PATTERNS; i++)
        pack_text(&p, patterns[i]);
    return packed(&p);
}

int access_grant_read(struct span value, bool topic, struct span ret_patterns[GRANT_PATTERNS])
{
    struct reader r;
    struct span patterns[GRANT_PATTERNS] = {span_str("")};
    reader_init(&r, value, NULL);
    read_version(&r);
    for (unsigned i = topic ? GRANT_WRITE : GRANT_CONFIGURE; i < GRANT_PATTERNS; i++)
        patterns[i] = read_text(&r);
    if (end(&r) < 0)
        return ERR_CORRUPT;
    memcpy(ret_patterns, patterns, sizeof(patterns));
    return 0;
}

struct span access_policy_write(struct arena *a, const struct policy_text *p)
{
    struct pack out = pack_new(a, 2 + 3 * LENGTH + p->pattern.len + p->definition.len);
    pack_number(&out, 1, VERSION);
    pack_text(&out, p->pattern);
    pack_number(&out, 1, p->apply_to);
    pack_number(&out, 4, (uint32_t)p->priority);
    pack_text(&out, p->definition);
    return packed(&out);
}

int access_policy_read(struct span value, struct policy_text *ret)
{
    struct reader r;
    struct policy_text p = {0};
    reader_init(&r, value, NULL);
    read_version(&r);
    p.pattern = read_text(&r);
    unsigned apply_to = (uint8_t)read_i8(&r);
    p.apply_to = (enum policy_apply_to)apply_to;
    p.priority = read_i32(&r);
    p.definition = read_text(&r);
    if (end(&r) < 0 || apply_to >= POLICY_APPLY_TOS || fields_check(p.definition) < 0)
        return ERR_CORRUPT;
    *ret = p;
    return 0;
}
