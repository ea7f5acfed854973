/* Headers exchanges: rabbit_exchange_type_headers of RabbitMQ 3.13.
 *
 * x-match says whether all or any of a binding's arguments must match; without -with-x those whose names
 * begin with x- don't count. A void argument asks for a header of that name with any value. Otherwise the
 * values must be equal as terms (field_eq()): integers of all widths are one type, strings and bytes, too.
 * All of nothing matches, any of nothing does not. Unlike RabbitMQ 3.13, which multiplies a message's
 * timestamps by 1000 and not those of bindings, timestamps are compared as they are. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/exchange_impl.h"

static const struct mode {
    const char *name;
    bool any, with_x;
} modes[] = {
    {"all", false, false}, {"any", true, false}, {"all-with-x", false, true}, {"any-with-x", true, true}};

static const struct mode *find_mode(struct span name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (span_eq_str(name, modes[i].name))
            return &modes[i];
    return NULL;
}

int headers_check_args(struct span args, struct arena *a, const char **ret_reason)
{
    struct field f;
    if (!fields_get_str(args, "x-match", &f) || (f.tag == 'S' && find_mode(f.bytes)))
        return 0;
    if (f.tag == 'S')
        *ret_reason = arena_printf(a,
                                   "Invalid x-match field value %s; "
                                   "expected all, any, all-with-x, or any-with-x",
                                   field_term(&f, a));
    else
        *ret_reason = arena_printf(a, "Invalid x-match field type %s (value %s); expected longstr",
                                   field_type_name(f.tag), field_term(&f, a));
    return ERR_ARGUMENT;
}

static int compare_headers(const void *va, const void *vb)
{
    const struct header *a = va, *b = vb;
    int c = span_cmp(a->name, b->name);
    return c ? c : (a->name.ptr > b->name.ptr) - (a->name.ptr < b->name.ptr); /* as they came */
}

void headers_collect(struct header_list *l, struct span table)
{
    struct fields_iter it;
    struct header h;
    l->count = 0;
    fields_begin(&it, table);
    while (fields_next(&it, &h.name, &h.value)) {
        if (l->count == l->cap) {
            l->cap = l->cap ? l->cap * 2 : 16;
            l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
        }
        l->items[l->count++] = h;
    }
    if (l->count > 1)
        qsort(l->items, l->count, sizeof(*l->items), compare_headers);
}

void header_list_fini(struct header_list *l)
{
    mem_free(l->items);
    *l = (struct header_list){0};
}

/* The last of that name: in RabbitMQ they go into a map one after the other. NULL: none. */
static const struct header *find_header(const struct header_list *l, struct span name)
{
    uint32_t from = 0, to = l->count; /* the first that is greater */
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (span_cmp(l->items[middle].name, name) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from > 0 && span_eq(l->items[from - 1].name, name) ? &l->items[from - 1] : NULL;
}

static bool counts(struct span name, bool with_x)
{
    if (with_x)
        return !span_eq_str(name, "x-match");
    return !(name.len >= 2 && name.ptr[0] == 'x' && name.ptr[1] == '-');
}

static const struct mode *mode_of(struct span args)
{
    struct field f;
    if (!fields_get_str(args, "x-match", &f))
        return &modes[0];
    const struct mode *mode = find_mode(f.bytes);
    assert(mode); /* headers_check_args() */
    return mode;
}

bool headers_match(struct span args, const struct header_list *l)
{
    const struct mode *mode = mode_of(args);
    struct fields_iter it;
    struct span name;
    struct field f;
    fields_begin(&it, args);
    while (fields_next(&it, &name, &f)) {
        if (!counts(name, mode->with_x))
            continue;
        const struct header *h = find_header(l, name);
        bool same = h && (f.tag == 'V' || field_eq(&f, &h->value));
        if (same == mode->any)
            return same;
    }
    return !mode->any;
}
