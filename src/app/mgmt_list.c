/* Lists as RabbitMQ's management API gives them: ?columns=, ?sort= and sort_reverse=, and pages by ?page=,
 * page_size=, name= and use_regex=. */
#include <stdlib.h>
#include <strings.h>

#include "app/mgmt_impl.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/regex.h"

enum { PAGE_SIZE_DEFAULT = 100, PAGE_SIZE_MAX = 500, PATH_MAX_BYTES = 256 };

struct mgmt_view {
    struct arena arena;
    struct span columns, sort, name; /* null: absent */
    bool reverse, use_regex;
    json_int_t page, page_size; /* page 0: no pages */
};

/* ---- what is asked for ----------------------------------------------------------------------------------
 */

static struct span value_of(const struct http_request *req, const char *name, struct arena *a)
{
    struct span v;
    return http_query_value(req, name, &v) == 0 && v.len > 0 ? mgmt_copy(a, v) : SPAN_NULL;
}

/* 0: absent; -1: no number from 1. */
static json_int_t number_of(const struct http_request *req, const char *name)
{
    struct span v;
    json_int_t n = 0;
    if (http_query_value(req, name, &v) || v.len == 0)
        return 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9' || n > 1000000)
            return -1;
        n = n * 10 + (v.ptr[i] - '0');
    }
    return n ? n : -1;
}

struct mgmt_view *mgmt_view_new(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    json_int_t page = number_of(req, "page"), size = number_of(req, "page_size");
    if (page < 0 || size < 0 || size > PAGE_SIZE_MAX) {
        mgmt_bad_request(c, ticket.seq,
                         page < 0 ? "page must be a number from 1"
                                  : "page_size must be a number from 1 to 500");
        return NULL;
    }
    struct mgmt_view *v = mem_zalloc(sizeof(*v));
    arena_init(&v->arena);
    v->columns = value_of(req, "columns", &v->arena);
    v->sort = value_of(req, "sort", &v->arena);
    v->name = value_of(req, "name", &v->arena);
    v->reverse = span_eq_str(value_of(req, "sort_reverse", &v->arena), "true");
    v->use_regex = span_eq_str(value_of(req, "use_regex", &v->arena), "true");
    v->page = page || !size ? page : 1;
    v->page_size = size ? size : PAGE_SIZE_DEFAULT;
    return v;
}

void mgmt_view_free(struct mgmt_view *v)
{
    if (!v)
        return;
    arena_fini(&v->arena);
    mem_free(v);
}

/* ---- paths: "message_stats.publish" ---------------------------------------------------------------------
 */

/* Cuts off the first part; false: there is none. */
static bool next_part(struct span *path, char separator, struct span *ret_part)
{
    if (path->len == 0)
        return false;
    const uint8_t *end = memchr(path->ptr, separator, path->len);
    size_t n = end ? (size_t)(end - path->ptr) : path->len;
    *ret_part = span_of(path->ptr, n);
    n += end != NULL;
    *path = span_of(path->ptr + n, path->len - n);
    return true;
}

static json_t *get_path(const json_t *o, struct span path)
{
    struct span part;
    while (o && next_part(&path, '.', &part))
        o = json_object_getn(o, (const char *)part.ptr, part.len);
    return (json_t *)o;
}

static void set_path(json_t *o, struct span path, json_t *value)
{
    struct span part;
    while (next_part(&path, '.', &part)) {
        const char *key = (const char *)part.ptr;
        if (path.len == 0) {
            json_object_setn(o, key, part.len, value);
            return;
        }
        json_t *in = json_object_getn(o, key, part.len);
        if (!json_is_object(in)) {
            in = json_object();
            json_object_setn_new(o, key, part.len, in);
        }
        o = in;
    }
}

json_t *mgmt_view_columns(const struct mgmt_view *v, json_t *o)
{
    struct span left = v->columns, path;
    if (span_is_null(left))
        return o;
    json_t *out = json_object();
    while (next_part(&left, ',', &path)) {
        json_t *value = path.len && path.len < PATH_MAX_BYTES ? get_path(o, path) : NULL;
        if (value)
            set_path(out, path, value);
    }
    json_decref(o);
    return out;
}

/* ---- order ----------------------------------------------------------------------------------------------
 */

struct item {
    json_t *o;         /* one reference */
    const json_t *key; /* what is sorted by */
    size_t index;
};

/* Absent ones first, then numbers, then texts, as Erlang orders them. */
static int rank(const json_t *key)
{
    return json_is_number(key) ? 1 : json_is_string(key) ? 3 : key && !json_is_null(key) ? 2 : 0;
}

static int compare_keys(const json_t *a, const json_t *b)
{
    int ra = rank(a), rb = rank(b);
    if (ra != rb)
        return ra - rb;
    if (ra == 3)
        return strcmp(json_string_value(a), json_string_value(b));
    double x = json_number_value(a), y = json_number_value(b);
    if (ra == 2)
        return json_is_true(a) - json_is_true(b);
    return (x > y) - (x < y);
}

static int by_key(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int d = compare_keys(x->key, y->key);
    return d ? d : (x->index > y->index) - (x->index < y->index);
}

static void sort_items(const struct mgmt_view *v, struct item *items, size_t count)
{
    if (span_is_null(v->sort))
        return;
    for (size_t i = 0; i < count; i++) {
        items[i].key = get_path(items[i].o, v->sort);
        items[i].index = i;
    }
    qsort(items, count, sizeof(*items), by_key);
    for (size_t i = 0; v->reverse && i < count / 2; i++) {
        struct item t = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = t;
    }
}

/* ---- pages ----------------------------------------------------------------------------------------------
 */

static bool contains(const char *text, struct span part)
{
    for (; strlen(text) >= part.len; text++)
        if (strncasecmp(text, (const char *)part.ptr, part.len) == 0)
            return true;
    return false;
}

/* Keeps those whose name is asked for; how many. */
static size_t filter(const struct mgmt_view *v, const struct regex *re, struct item *items, size_t count)
{
    size_t kept = 0;
    if (span_is_null(v->name))
        return count;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_object_get(items[i].o, "name"));
        if (name && (re ? regex_match(re, span_str(name)) : contains(name, v->name)))
            items[kept++] = items[i];
    }
    return kept;
}

static json_t *array_of(const struct mgmt_view *v, const struct item *items, size_t from, size_t to)
{
    json_t *out = json_array();
    for (size_t i = from; i < to; i++)
        json_array_append_new(out, mgmt_view_columns(v, json_incref(items[i].o)));
    return out;
}

static void answer_page(struct conn *c, uint64_t seq, const struct mgmt_view *v, const struct item *items,
                        size_t count, size_t total)
{
    size_t size = (size_t)v->page_size, pages = count ? (count + size - 1) / size : 1;
    size_t from = ((size_t)v->page - 1) * size, to = from + size < count ? from + size : count;
    if ((size_t)v->page > pages) {
        mgmt_answer_error(c, seq, 400, "page_out_of_range", "there are not so many pages");
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "total_count", json_integer((json_int_t)total));
    json_object_set_new(o, "filtered_count", json_integer((json_int_t)count));
    json_object_set_new(o, "item_count", json_integer((json_int_t)(to - from)));
    json_object_set_new(o, "page", json_integer(v->page));
    json_object_set_new(o, "page_size", json_integer(v->page_size));
    json_object_set_new(o, "page_count", json_integer((json_int_t)pages));
    json_object_set_new(o, "items", array_of(v, items, from, to));
    admin_answer_json(c, seq, 200, o);
}

void mgmt_answer_list(struct conn *c, uint64_t seq, struct mgmt_view *v, json_t *list)
{
    char why[REGEX_WHY];
    size_t total = json_array_size(list), count = total;
    struct regex *re = NULL;
    struct item *items = mem_zalloc((total + 1) * sizeof(*items));
    for (size_t i = 0; i < total; i++)
        items[i].o = json_array_get(list, i); /* the list's reference */
    if (v->page && v->use_regex && !span_is_null(v->name) && regex_new(v->name, why, &re)) {
        mgmt_bad_request(c, seq, why);
    } else {
        if (v->page)
            count = filter(v, re, items, total);
        sort_items(v, items, count);
        if (v->page)
            answer_page(c, seq, v, items, count, total);
        else
            admin_answer_json(c, seq, 200, array_of(v, items, 0, count));
    }
    regex_free(re);
    mem_free(items);
    json_decref(list);
    mgmt_view_free(v);
}

void mgmt_answer_list_now(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                          json_t *list)
{
    struct mgmt_view *v = mgmt_view_new(c, req, ticket);
    if (v)
        mgmt_answer_list(c, ticket.seq, v, list);
    else
        json_decref(list);
}
