#include "proto/http/route.h"

#include <strings.h>

#include "base/err.h"
#include "proto/http/parse.h"

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

int http_percent_decode(struct arena *a, struct span raw, bool plus, struct span *ret_text)
{
    uint8_t *out = arena_alloc(a, raw.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.ptr[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? hex(raw.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex(raw.ptr[i + 2]) : -1;
            if (low < 0 || (c = (uint8_t)(high << 4 | low)) == 0)
                return ERR_INVALID;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    *ret_text = span_of(out, n);
    return 0;
}

/* ---- targets ------------------------------------------------------------------------------------------- */

/* origin-form, absolute-form or "*" (RFC 9112, 3.2). False: none of them. */
bool http_split_target(struct span target, struct span *host, struct span *ret_path, struct span *ret_query)
{
    struct span path = target;
    if (target.len > 7 && strncasecmp((const char *)target.ptr, "http://", 7) == 0) {
        path = span_of(target.ptr + 7, target.len - 7);
        size_t n = 0;
        while (n < path.len && path.ptr[n] != '/' && path.ptr[n] != '?')
            n++;
        *host = span_of(path.ptr, n); /* RFC 9112, 3.2.2: it replaces Host */
        path = span_of(path.ptr + n, path.len - n);
        if (n == 0 || memchr(host->ptr, '@', n))
            return false;
        if (path.len == 0)
            path = span_str("/");
    }
    const uint8_t *mark = memchr(path.ptr, '?', path.len);
    *ret_query = mark ? span_of(mark + 1, path.len - (size_t)(mark + 1 - path.ptr)) : SPAN_NULL;
    *ret_path = span_of(path.ptr, mark ? (size_t)(mark - path.ptr) : path.len);
    return (ret_path->len && ret_path->ptr[0] == '/') || span_eq_str(target, "*");
}

/* ---- hosts --------------------------------------------------------------------------------------------- */

static struct span without_port(struct span host)
{
    if (host.len == 0)
        return host;
    const uint8_t *colon = memrchr(host.ptr, ':', host.len);
    const uint8_t *bracket = memrchr(host.ptr, ']', host.len);
    if (colon && (!bracket || colon > bracket))
        host.len = (size_t)(colon - host.ptr);
    return host;
}

static bool is_address(struct span host)
{
    if (host.len && host.ptr[0] == '[')
        return true;
    for (size_t i = 0; i < host.len; i++) {
        if ((host.ptr[i] < '0' || host.ptr[i] > '9') && host.ptr[i] != '.')
            return false;
    }
    return host.len > 0;
}

static bool in_list(struct span host, const char *list)
{
    for (const char *p = list; p && *p;) {
        size_t n = strcspn(p, ",");
        struct span one = http_trim(span_of(p, n));
        if (span_eq_str(one, "*") ||
            (one.len == host.len && strncasecmp((const char *)one.ptr, (const char *)host.ptr, one.len) == 0))
            return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static bool on_loopback(const char *local)
{
    return local && (strncmp(local, "127.", 4) == 0 || strncmp(local, "[::1]", 5) == 0);
}

/* A web page whose DNS name was rebound to 127.0.0.1 sends that name as Host; clients meant for loopback do
 * not. */
bool http_host_allowed(const char *local, struct span host, const char *allowed)
{
    struct span name = without_port(host);
    return !on_loopback(local) || name.len == 0 || is_address(name) || span_eq_nocase(name, "localhost") ||
           in_list(name, allowed);
}

/* ---- routes -------------------------------------------------------------------------------------------- */

/* Cuts one segment, "/x", off the front. */
static struct span cut_segment(struct span *path)
{
    struct span rest = span_of(path->ptr + 1, path->len - 1);
    const uint8_t *slash = memchr(rest.ptr, '/', rest.len);
    size_t n = slash ? (size_t)(slash - rest.ptr) : rest.len;
    *path = span_of(rest.ptr + n, rest.len - n);
    return span_of(rest.ptr, n);
}

static bool is_param(struct span segment)
{
    return segment.len >= 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

/* 1 it matches, 0 not, negative: an escape in the path is broken. */
static int match(const char *pattern, struct span path, struct http_request *req)
{
    struct span want = span_str(pattern);
    size_t params = 0;
    while (want.len && path.len) {
        struct span w = cut_segment(&want), got;
        if (http_percent_decode(req->arena, cut_segment(&path), false, &got))
            return ERR_INVALID;
        if (is_param(w) ? got.len == 0 || params == HTTP_MAX_PARAMS : !span_eq(w, got))
            return 0;
        if (is_param(w))
            req->params[params++] = got;
    }
    req->param_count = params;
    return want.len == 0 && path.len == 0;
}

int http_route_find(const struct http_server *server, struct http_request *req,
                    const struct http_route **ret_route, unsigned *ret_methods)
{
    *ret_route = NULL;
    *ret_methods = 0;
    struct span path = req->path; /* some tools ask for lists with a slash at the end, Flower with two */
    while (req->method == HTTP_GET && path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < server->route_count + server->more_route_count; i++) {
        const struct http_route *r =
            i < server->route_count ? &server->routes[i] : &server->more_routes[i - server->route_count];
        int m = match(r->pattern, path, req);
        if (m < 0)
            return m;
        if (m == 0)
            continue;
        *ret_methods |= 1u << r->method | (r->method == HTTP_GET ? 1u << HTTP_HEAD : 0);
        if (r->method == req->method) {
            *ret_route = r;
            return 0;
        }
    }
    return 0;
}

/* ---- for handlers -------------------------------------------------------------------------------------- */

struct span http_find_header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (span_eq_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    }
    return SPAN_NULL;
}

int http_query_value(const struct http_request *req, const char *name, struct span *ret_value)
{
    struct span q = req->query;
    *ret_value = SPAN_NULL;
    while (q.len) {
        const uint8_t *amp = memchr(q.ptr, '&', q.len);
        size_t n = amp ? (size_t)(amp - q.ptr) : q.len;
        const uint8_t *eq = memchr(q.ptr, '=', n);
        size_t key_len = eq ? (size_t)(eq - q.ptr) : n;
        struct span key;
        if (http_percent_decode(req->arena, span_of(q.ptr, key_len), true, &key))
            return ERR_INVALID;
        if (span_eq_str(key, name))
            return http_percent_decode(req->arena, eq ? span_of(eq + 1, n - key_len - 1) : span_str(""), true,
                                       ret_value);
        q = span_of(q.ptr + n + (amp != NULL), q.len - n - (amp != NULL));
    }
    return 0;
}

bool http_body_is(const struct http_request *req, const char *media_type)
{
    struct span v = http_find_header(req, "content-type");
    const uint8_t *semicolon = v.len ? memchr(v.ptr, ';', v.len) : NULL;
    if (semicolon)
        v.len = (size_t)(semicolon - v.ptr);
    return span_eq_nocase(http_trim(v), media_type);
}
