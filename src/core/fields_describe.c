/* Fields in words: as rabbit_misc's val() and Erlang's ~tp write them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/fields.h"

enum { TEXT_BYTES = 320 }; /* a reply text of AMQP has 255 bytes */

struct text {
    char s[TEXT_BYTES];
    size_t len;
};

const char *field_type_name(char tag)
{
    static const char *const names[] = {
        ['t'] = "bool",          ['b'] = "byte",      ['B'] = "unsignedbyte", ['s'] = "short",
        ['u'] = "unsignedshort", ['I'] = "signedint", ['i'] = "unsignedint",  ['l'] = "long",
        ['L'] = "long",          ['f'] = "float",     ['d'] = "double",       ['D'] = "decimal",
        ['S'] = "longstr",       ['T'] = "timestamp", ['F'] = "table",        ['A'] = "array",
        ['x'] = "binary",        ['V'] = "void",
    };
    size_t i = (uint8_t)tag;
    return i < sizeof(names) / sizeof(names[0]) && names[i] ? names[i] : "unknown";
}

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        t->len = t->len + (size_t)n < sizeof(t->s) ? t->len + (size_t)n : sizeof(t->s) - 1;
}

static bool full(const struct text *t)
{
    return t->len >= sizeof(t->s) - 1;
}

/* What does not print would end or disturb the line that it is shown in. */
static void add_bytes(struct text *t, struct span s)
{
    for (size_t i = 0; i < s.len && !full(t); i++)
        add(t, "%c", s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ? '?' : s.ptr[i]);
}

/* The shortest digits that read back as the same number; Erlang's floats always have a point. */
static void add_number(struct text *t, double number)
{
    char digits[40];
    int precision = 1;
    while (snprintf(digits, sizeof(digits), "%.*e", precision - 1, number) > 0 && precision < 17 &&
           strtod(digits, NULL) != number)
        precision++;
    char *e = strchr(digits, 'e');
    int exponent = e ? atoi(e + 1) : 0;
    if (!e) /* not finite */
        add(t, "%s", digits);
    else if (exponent >= -4 && exponent < 16)
        add(t, "%.*f", precision - 1 > exponent ? precision - 1 - exponent : 1, number);
    else
        add(t, "%.*s%se%d", (int)(e - digits), digits, precision == 1 ? ".0" : "", exponent);
}

static void add_term(struct text *t, const struct field *f);

static void add_list(struct text *t, const struct field *f)
{
    struct fields_iter it;
    struct span name;
    struct field inner;
    const char *between = "";
    add(t, "[");
    if (f->tag == 'A')
        fields_begin_array(&it, f->bytes);
    else
        fields_begin(&it, f->bytes);
    while (!full(t) && fields_next(&it, &name, &inner)) {
        add(t, "%s{", between);
        if (f->tag == 'F') {
            add(t, "<<\"");
            add_bytes(t, name);
            add(t, "\">>,");
        }
        add(t, "%s,", field_type_name(inner.tag));
        add_term(t, &inner);
        add(t, "}");
        between = ",";
    }
    add(t, "]");
}

/* ~tp */
static void add_term(struct text *t, const struct field *f)
{
    switch (f->tag) {
    case 't':
        add(t, "%s", f->integer ? "true" : "false");
        break;
    case 'T':
        add(t, "%" PRIu64, (uint64_t)f->integer);
        break;
    case 'f':
    case 'd':
        add_number(t, f->number);
        break;
    case 'D':
        add(t, "{%u,%u}", f->bytes.ptr[0],
            (unsigned)f->bytes.ptr[1] << 24 | (unsigned)f->bytes.ptr[2] << 16 |
                (unsigned)f->bytes.ptr[3] << 8 | f->bytes.ptr[4]);
        break;
    case 'S':
    case 'x':
        add(t, "<<\"");
        add_bytes(t, f->bytes);
        add(t, "\">>");
        break;
    case 'F':
    case 'A':
        add_list(t, f);
        break;
    case 'V':
        add(t, "undefined");
        break;
    default:
        add(t, "%" PRId64, f->integer);
    }
}

const char *field_term(const struct field *f, struct arena *a)
{
    struct text t = {.len = 0};
    add_term(&t, f);
    return arena_strndup(a, t.s, t.len);
}

/* Text as it is (~ts), anything else as a term. */
const char *field_text(const struct field *f, struct arena *a)
{
    struct text t = {.len = 0};
    if (f->tag == 'S' || f->tag == 'x')
        add_bytes(&t, f->bytes);
    else
        add_term(&t, f);
    return arena_strndup(a, t.s, t.len);
}

const char *field_describe(const struct field *f, struct arena *a)
{
    if (!f)
        return "none";
    return arena_printf(a, "the value '%s' of type '%s'", field_text(f, a), field_type_name(f->tag));
}

const char *fields_difference(struct span current, struct span received, struct span name, struct arena *a)
{
    struct field c, r;
    bool is_c = fields_get(current, name, &c), is_r = fields_get(received, name, &r);
    if (is_c && is_r)
        return field_eq(&c, &r) ? NULL
                                : arena_printf(a, "received '%s' but current is '%s'", field_text(&r, a),
                                               field_text(&c, a));
    if (!is_c && !is_r)
        return NULL;
    return arena_printf(a, "received %s but current is %s", field_describe(is_r ? &r : NULL, a),
                        field_describe(is_c ? &c : NULL, a));
}
