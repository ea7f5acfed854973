#include "core/fields.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

static uint64_t big_endian(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | p[i];
    return v;
}

/* How many bytes a value of this tag has; -1: a u32 length stands before it; -2: there is no such tag. */
static int value_width(uint8_t tag)
{
    switch (tag) {
    case 'V':
        return 0;
    case 't':
    case 'b':
    case 'B':
        return 1;
    case 's':
    case 'u':
        return 2;
    case 'I':
    case 'i':
    case 'f':
        return 4;
    case 'D':
        return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
        return 8;
    case 'S':
    case 'x':
    case 'F':
    case 'A':
        return -1;
    default:
        return -2;
    }
}

static double double_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static double float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* scale u8, then an unsigned number that is to be divided by 10^scale */
static double decimal_of(const uint8_t *p)
{
    double d = (double)big_endian(p + 1, 4);
    for (int i = 0; i < p[0]; i++)
        d /= 10;
    return d;
}

static void decode(struct field *f, const uint8_t *p, size_t len)
{
    uint64_t v = len <= 8 ? big_endian(p, len) : 0;
    switch (f->tag) {
    case 't':
        f->integer = v != 0;
        break;
    case 'b':
        f->integer = (int8_t)v;
        break;
    case 's':
        f->integer = (int16_t)v;
        break;
    case 'I':
        f->integer = (int32_t)v;
        break;
    case 'f':
        f->number = float_of((uint32_t)v);
        break;
    case 'd':
        f->number = double_of(v);
        break;
    case 'D':
        f->number = decimal_of(p);
        f->bytes = span_of(p, len);
        break;
    default: /* unsigned ones, and those of 64 bits */
        f->integer = (int64_t)v;
    }
}

/* One tag and its value; false: it does not fit. */
static bool take_value(struct fields_iter *it, struct field *ret)
{
    struct field f = {0};
    if (it->p == it->end)
        return false;
    f.tag = (char)*it->p;
    int width = value_width(*it->p++);
    size_t left = (size_t)(it->end - it->p), len = (size_t)width;
    if (width == -2 || left < (width < 0 ? 4 : len))
        return false;
    if (width == -1) {
        len = big_endian(it->p, 4);
        it->p += 4;
        if (left - 4 < len)
            return false;
        f.bytes = span_of(it->p, len);
    } else {
        decode(&f, it->p, len);
    }
    it->p += len;
    *ret = f;
    return true;
}

static bool take_name(struct fields_iter *it, struct span *ret_name)
{
    size_t len = *it->p++;
    if ((size_t)(it->end - it->p) < len)
        return false;
    *ret_name = span_of(it->p, len);
    it->p += len;
    return true;
}

static void begin(struct fields_iter *it, struct span s, bool array)
{
    *it = (struct fields_iter){s.ptr, s.ptr ? s.ptr + s.len : NULL, array};
}

static int check(struct span s, bool array, int depth)
{
    struct fields_iter it;
    struct span name;
    struct field f;
    if (depth > FIELDS_MAX_DEPTH)
        return ERR_INVALID;
    begin(&it, s, array);
    while (it.p != it.end) {
        if ((!array && !take_name(&it, &name)) || !take_value(&it, &f))
            return ERR_INVALID;
        if ((f.tag == 'F' || f.tag == 'A') && check(f.bytes, f.tag == 'A', depth + 1))
            return ERR_INVALID;
    }
    return 0;
}

int fields_check(struct span table)
{
    return check(table, false, 1);
}

void fields_begin(struct fields_iter *it, struct span table)
{
    begin(it, table, false);
}

void fields_begin_array(struct fields_iter *it, struct span array)
{
    begin(it, array, true);
}

bool fields_next(struct fields_iter *it, struct span *ret_name, struct field *ret)
{
    struct span name = SPAN_NULL;
    if (it->p == it->end || (!it->array && !take_name(it, &name)) || !take_value(it, ret)) {
        it->p = it->end;
        return false;
    }
    *ret_name = name;
    return true;
}

bool fields_get(struct span table, struct span name, struct field *ret)
{
    struct fields_iter it;
    struct span found;
    struct field f;
    fields_begin(&it, table);
    while (fields_next(&it, &found, &f))
        if (span_eq(found, name)) {
            *ret = f;
            return true;
        }
    return false;
}

bool fields_get_str(struct span table, const char *name, struct field *ret)
{
    return fields_get(table, span_str(name), ret);
}

size_t fields_count(struct span table)
{
    struct fields_iter it;
    struct span name;
    struct field f;
    size_t n = 0;
    fields_begin(&it, table);
    while (fields_next(&it, &name, &f))
        n++;
    return n;
}

/* ---- equality ------------------------------------------------------------------------------------------ */

/* RabbitMQ's terms have no tag: what counts is which kind of term a tag becomes. */
enum kind {
    KIND_BOOL,
    KIND_INTEGER,
    KIND_FLOAT,
    KIND_DECIMAL,
    KIND_BYTES,
    KIND_TABLE,
    KIND_ARRAY,
    KIND_VOID
};

static enum kind kind_of(char tag)
{
    switch (tag) {
    case 't':
        return KIND_BOOL;
    case 'f':
    case 'd':
        return KIND_FLOAT;
    case 'D':
        return KIND_DECIMAL;
    case 'S':
    case 'x':
        return KIND_BYTES;
    case 'F':
        return KIND_TABLE;
    case 'A':
        return KIND_ARRAY;
    case 'V':
        return KIND_VOID;
    default:
        return KIND_INTEGER;
    }
}

static char one_long(char tag)
{
    return tag == 'L' ? 'l' : tag;
}

/* Inside of tables and arrays the types are part of the value. */
static bool same_inside(struct span a, struct span b, bool array)
{
    struct fields_iter ia, ib;
    struct span na, nb;
    struct field fa, fb;
    begin(&ia, a, array);
    begin(&ib, b, array);
    for (;;) {
        bool more = fields_next(&ia, &na, &fa);
        if (more != fields_next(&ib, &nb, &fb))
            return false;
        if (!more)
            return true;
        if (!span_eq(na, nb) || one_long(fa.tag) != one_long(fb.tag) || !field_eq(&fa, &fb))
            return false;
    }
}

static bool same_integer(const struct field *a, const struct field *b)
{
    if ((a->tag == 'T') != (b->tag == 'T') && a->integer < 0)
        return false; /* a timestamp is unsigned: beyond all others */
    return a->integer == b->integer;
}

bool field_eq(const struct field *a, const struct field *b)
{
    enum kind k = kind_of(a->tag);
    if (k != kind_of(b->tag)) /* an empty list is an empty list */
        return (a->tag == 'F' || a->tag == 'A') && (b->tag == 'F' || b->tag == 'A') && a->bytes.len == 0 &&
               b->bytes.len == 0;
    switch (k) {
    case KIND_BOOL:
        return a->integer == b->integer;
    case KIND_INTEGER:
        return same_integer(a, b);
    case KIND_FLOAT:
        return a->number == b->number;
    case KIND_TABLE:
    case KIND_ARRAY:
        return same_inside(a->bytes, b->bytes, k == KIND_ARRAY);
    case KIND_VOID:
        return true;
    default:
        return span_eq(a->bytes, b->bytes);
    }
}

/* ---- sorting ------------------------------------------------------------------------------------------- */

struct sorted_field {
    struct span name, whole; /* whole: name, tag and value as they stand */
};

static int compare_fields(const void *va, const void *vb)
{
    const struct sorted_field *a = va, *b = vb;
    int c = span_cmp(a->name, b->name);
    return c ? c : (a->whole.ptr > b->whole.ptr) - (a->whole.ptr < b->whole.ptr);
}

static bool is_sorted(struct span table)
{
    struct fields_iter it;
    struct span name, last = SPAN_NULL;
    struct field f;
    fields_begin(&it, table);
    while (fields_next(&it, &name, &f)) {
        if (last.ptr && span_cmp(last, name) > 0)
            return false;
        last = name;
    }
    return true;
}

struct span fields_sort(struct span table, struct arena *a)
{
    if (is_sorted(table))
        return table;
    size_t n = fields_count(table), at = 0;
    struct sorted_field *all = arena_array(a, n, sizeof(*all));
    struct fields_iter it;
    struct field f;
    fields_begin(&it, table);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = it.p;
        fields_next(&it, &all[i].name, &f);
        all[i].whole = span_of(from, (size_t)(it.p - from));
    }
    qsort(all, n, sizeof(*all), compare_fields);
    uint8_t *bytes = arena_alloc(a, table.len);
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + at, all[i].whole.ptr, all[i].whole.len);
        at += all[i].whole.len;
    }
    assert(at <= table.len);
    return span_of(bytes, at);
}
