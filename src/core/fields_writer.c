#include <assert.h>

#include "core/fields.h"

void fields_writer_init(struct fields_writer *w, struct arena *a)
{
    *w = (struct fields_writer){.arena = a};
}

static uint8_t *room(struct fields_writer *w, size_t len)
{
    if (w->cap - w->len < len) {
        size_t cap = w->cap * 2 > w->len + len ? w->cap * 2 : w->len + len + 64;
        uint8_t *bytes = arena_alloc(w->arena, cap);
        if (w->len)
            memcpy(bytes, w->bytes, w->len);
        w->bytes = bytes;
        w->cap = cap;
    }
    w->len += len;
    return w->bytes + w->len - len;
}

static void put_number(struct fields_writer *w, uint64_t v, size_t len)
{
    uint8_t *p = room(w, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

static void put_raw(struct fields_writer *w, struct span s)
{
    if (s.len)
        memcpy(room(w, s.len), s.ptr, s.len);
}

static void put_name(struct fields_writer *w, struct span name)
{
    assert(name.len <= UINT8_MAX);
    put_number(w, name.len, 1);
    put_raw(w, name);
}

static uint64_t float_bits(double number)
{
    float f = (float)number;
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static uint64_t double_bits(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static void put_value(struct fields_writer *w, const struct field *f)
{
    put_number(w, (uint8_t)f->tag, 1);
    switch (f->tag) {
    case 'V':
        return;
    case 't':
    case 'b':
    case 'B':
        put_number(w, (uint64_t)f->integer, 1);
        return;
    case 's':
    case 'u':
        put_number(w, (uint64_t)f->integer, 2);
        return;
    case 'I':
    case 'i':
        put_number(w, (uint64_t)f->integer, 4);
        return;
    case 'l':
    case 'L':
    case 'T':
        put_number(w, (uint64_t)f->integer, 8);
        return;
    case 'f':
        put_number(w, float_bits(f->number), 4);
        return;
    case 'd':
        put_number(w, double_bits(f->number), 8);
        return;
    case 'D':
        assert(f->bytes.len == 5);
        put_raw(w, f->bytes);
        return;
    default: /* S x F A */
        assert(strchr("SxFA", f->tag) && f->bytes.len <= UINT32_MAX);
        put_number(w, f->bytes.len, 4);
        put_raw(w, f->bytes);
    }
}

void fields_add(struct fields_writer *w, const struct field *f)
{
    put_value(w, f);
}

void fields_put(struct fields_writer *w, struct span name, const struct field *f)
{
    put_name(w, name);
    put_value(w, f);
}

void fields_put_str(struct fields_writer *w, struct span name, struct span value)
{
    fields_put(w, name, &(struct field){.tag = 'S', .bytes = value});
}

void fields_put_int(struct fields_writer *w, struct span name, char tag, int64_t v)
{
    assert(tag == 't' || field_is_integer(&(struct field){.tag = tag}));
    fields_put(w, name, &(struct field){.tag = tag, .integer = v});
}

void fields_put_bool(struct fields_writer *w, struct span name, bool v)
{
    fields_put(w, name, &(struct field){.tag = 't', .integer = v});
}

void fields_put_table(struct fields_writer *w, struct span name, struct span table)
{
    fields_put(w, name, &(struct field){.tag = 'F', .bytes = table});
}

void fields_put_array(struct fields_writer *w, struct span name, struct span array)
{
    fields_put(w, name, &(struct field){.tag = 'A', .bytes = array});
}

void fields_add_str(struct fields_writer *w, struct span value)
{
    fields_add(w, &(struct field){.tag = 'S', .bytes = value});
}

void fields_add_table(struct fields_writer *w, struct span table)
{
    fields_add(w, &(struct field){.tag = 'F', .bytes = table});
}

struct span fields_done(const struct fields_writer *w)
{
    return span_of(w->bytes, w->len);
}
