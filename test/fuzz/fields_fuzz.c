/* Fuzzes tables of fields. What passes the check is walked, described, written again and routed by; a copy
 * must be equal to the original, field by field. */
#include <stdlib.h>

#include "core/exchange_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 256 * 1024 };

const struct message_format *message_formats[MESSAGE_FORMATS];

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool has_nan(struct span table, bool array)
{
    struct fields_iter it;
    struct span name;
    struct field f;
    bool nan = false;
    if (array)
        fields_begin_array(&it, table);
    else
        fields_begin(&it, table);
    while (!nan && fields_next(&it, &name, &f))
        nan = f.number != f.number || ((f.tag == 'F' || f.tag == 'A') && has_nan(f.bytes, f.tag == 'A'));
    return nan;
}

/* Writes all of the table again. */
static struct span copy(struct span table, struct arena *a)
{
    struct fields_writer w;
    struct fields_iter it;
    struct span name;
    struct field f;
    fields_writer_init(&w, a);
    fields_begin(&it, table);
    while (fields_next(&it, &name, &f)) {
        require(strlen(field_describe(&f, a)) < 512);
        fields_put(&w, name, &f);
    }
    return fields_done(&w);
}

static void compare(struct span table, struct span again, struct arena *a)
{
    struct fields_iter i, k;
    struct span name, other;
    struct field f, g;
    fields_begin(&i, table);
    fields_begin(&k, again);
    while (fields_next(&i, &name, &f)) {
        require(fields_next(&k, &other, &g));
        require(span_eq(name, other) && f.tag == g.tag && field_eq(&f, &g));
    }
    require(!fields_next(&k, &other, &g));
}

static void match_headers(struct span table, struct arena *a)
{
    struct header_list l = {0};
    const char *why;
    headers_collect(&l, table);
    require(l.count == fields_count(table));
    struct span args = fields_sort(table, a);
    require(args.len == table.len && fields_check(args) == 0);
    if (headers_check_args(args, a, &why) == 0)
        headers_match(args, &l);
    header_list_fini(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span table = span_of(data, size);
    struct arena a;
    if (size > MAX_INPUT_BYTES || fields_check(table))
        return 0;
    arena_init(&a);
    struct span again = copy(table, &a);
    require(fields_check(again) == 0 && again.len == table.len);
    if (!has_nan(table, false))
        compare(table, again, &a);
    match_headers(table, &a);
    arena_fini(&a);
    return 0;
}
