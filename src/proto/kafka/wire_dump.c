/* Dumps of messages as text, for tests, fuzzers and people: the same text that the recorder of the golden
 * bytes (test/golden/java) writes, so that values are compared, not only bytes. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "proto/kafka/wire.h"

void wire_text_fini(struct wire_text *t)
{
    mem_free(t->s);
    *t = (struct wire_text){0};
}

static char *room(struct wire_text *t, size_t n)
{
    if (t->len + n + 1 > t->cap) {
        t->cap = (t->len + n + 1) * 2;
        t->s = mem_realloc(t->s, t->cap);
    }
    return t->s + t->len;
}

__attribute__((format(printf, 2, 3))) static void put(struct wire_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    char *at = room(t, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

static void put_name(struct wire_text *t, const char *name)
{
    put(t, "%*s", 2 * t->depth, "");
    if (name)
        put(t, "%s = ", name);
}

static void put_hex(struct wire_text *t, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        put(t, "%02x", s.ptr[i]);
}

void wire_dump_int(struct wire_text *t, const char *name, int64_t v)
{
    put_name(t, name);
    put(t, "%" PRId64 "\n", v);
}

void wire_dump_bool(struct wire_text *t, const char *name, bool v)
{
    put_name(t, name);
    put(t, "%s\n", v ? "true" : "false");
}

/* By its bits: no two languages print a double alike. */
void wire_dump_f64(struct wire_text *t, const char *name, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    put_name(t, name);
    put(t, "f64:%016" PRIx64 "\n", bits);
}

void wire_dump_string(struct wire_text *t, const char *name, struct span s)
{
    put_name(t, name);
    if (!s.ptr) {
        put(t, "null\n");
        return;
    }
    put(t, "\"");
    for (size_t i = 0; i < s.len; i++) {
        bool plain = s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f && s.ptr[i] != '"' && s.ptr[i] != '\\';
        put(t, plain ? "%c" : "\\x%02x", s.ptr[i]);
    }
    put(t, "\"\n");
}

void wire_dump_bytes(struct wire_text *t, const char *name, struct span s)
{
    put_name(t, name);
    put(t, s.ptr ? "bytes:" : "null");
    put_hex(t, s);
    put(t, "\n");
}

void wire_dump_records(struct wire_text *t, const char *name, const struct rope *records)
{
    put_name(t, name);
    put(t, "bytes:");
    for (size_t i = 0; i < records->count; i++)
        put_hex(t, span_of(records->slices[i].ptr, records->slices[i].len));
    put(t, "\n");
}

void wire_dump_uuid(struct wire_text *t, const char *name, struct kafka_uuid id)
{
    put_name(t, name);
    put(t, "uuid:");
    put_hex(t, span_of(id.bytes, sizeof(id.bytes)));
    put(t, "\n");
}

void wire_dump_count(struct wire_text *t, const char *name, int32_t count)
{
    if (count > 0)
        return;
    put_name(t, name);
    put(t, count < 0 ? "null\n" : "[]\n");
}

void wire_dump_enter(struct wire_text *t, const char *name, int32_t index)
{
    put(t, "%*s%s", 2 * t->depth, "", name);
    if (index >= 0)
        put(t, "[%d]", index);
    put(t, "\n");
    t->depth++;
}

void wire_dump_leave(struct wire_text *t)
{
    assert(t->depth > 0);
    t->depth--;
}
