#include <strings.h>

#include "proto/http/parse.h"

static const char *const method_names[HTTP_METHODS] = {"GET",    "HEAD",  "POST",   "PUT",
                                                       "DELETE", "PATCH", "OPTIONS"};

struct span http_method_name(enum http_method m)
{
    return span_str(method_names[m]);
}

/* tchar of RFC 9110, 5.6.2 */
bool http_is_token(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool all_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!http_is_token(s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

bool span_eq_nocase(struct span a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *)a.ptr, b, a.len) == 0;
}

struct span http_trim(struct span s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* HTTP-version = "HTTP/" DIGIT "." DIGIT */
static int parse_version(struct http_parser *p, struct span v)
{
    if (v.len != 8 || memcmp(v.ptr, "HTTP/", 5) != 0 || v.ptr[6] != '.' || v.ptr[5] < '0' || v.ptr[5] > '9' ||
        v.ptr[7] < '0' || v.ptr[7] > '9')
        return http_parse_fault(p, 400, "malformed request line");
    if (v.ptr[5] != '1')
        return http_parse_fault(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    p->minor = v.ptr[7] - '0';
    return 0;
}

static int parse_method(struct http_parser *p, struct span m)
{
    for (int i = 0; i < HTTP_METHODS; i++) {
        if (span_eq_str(m, method_names[i])) {
            p->method = (enum http_method)i;
            return 0;
        }
    }
    return http_parse_fault(p, 501, "unknown method");
}

static bool legal_target(struct span t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (t.ptr[i] <= ' ' || t.ptr[i] >= 0x7f || t.ptr[i] == '#')
            return false;
    }
    return t.len > 0;
}

/* method SP request-target SP HTTP-version, RFC 9112, 3: one space each, as lenience here has been an attack.
 */
int http_parse_request_line(struct http_parser *p, struct span in, size_t end)
{
    struct span line = span_of(in.ptr + p->pos, end - p->pos);
    const uint8_t *first = memchr(line.ptr, ' ', line.len), *last = memrchr(line.ptr, ' ', line.len);
    if (!first || first == last)
        return http_parse_fault(p, 400, "malformed request line");
    struct span method = span_of(line.ptr, (size_t)(first - line.ptr));
    struct span target = span_of(first + 1, (size_t)(last - first) - 1);
    if (!all_token(method) || !legal_target(target))
        return http_parse_fault(p, 400, "malformed request line");
    if (parse_version(p, span_of(last + 1, line.len - (size_t)(last + 1 - line.ptr))) ||
        parse_method(p, method))
        return -1;
    p->target = (uint32_t)(target.ptr - in.ptr);
    p->target_len = (uint32_t)target.len;
    return 0;
}

/* ---- fields ------------------------------------------------------------------------------------------- */

/* RFC 9110, 8.6. A list or a repetition, even of equal values, is refused: that is how requests are smuggled.
 */
static int field_length(struct http_parser *p, struct span v)
{
    if (p->has_length)
        return http_parse_fault(p, 400, "more than one Content-Length");
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9')
            return http_parse_fault(p, 400, "malformed Content-Length");
        if (n > UINT64_MAX / 100)
            return http_parse_fault(p, 413, "the body is too large");
        n = n * 10 + (uint64_t)(v.ptr[i] - '0');
    }
    if (v.len == 0)
        return http_parse_fault(p, 400, "malformed Content-Length");
    p->has_length = true;
    p->length = n;
    return 0;
}

static int field_coding(struct http_parser *p, struct span v)
{
    if (p->has_coding)
        return http_parse_fault(p, 400, "more than one Transfer-Encoding");
    if (!span_eq_nocase(v, "chunked"))
        return http_parse_fault(p, 501, "the only transfer coding understood is chunked");
    p->has_coding = true;
    return 0;
}

static int field_host(struct http_parser *p, struct span v)
{
    if (p->host)
        return http_parse_fault(p, 400, "more than one Host");
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] <= ' ' || v.ptr[i] >= 0x7f || strchr("/@?#\\,\"<>", v.ptr[i]))
            return http_parse_fault(p, 400, "malformed Host");
    }
    p->host = (int)p->field_count + 1;
    return 0;
}

static int field_connection(struct http_parser *p, struct span v)
{
    while (v.len) {
        const uint8_t *comma = memchr(v.ptr, ',', v.len);
        size_t n = comma ? (size_t)(comma - v.ptr) : v.len;
        struct span option = http_trim(span_of(v.ptr, n));
        p->close |= span_eq_nocase(option, "close");
        p->keep_alive |= span_eq_nocase(option, "keep-alive");
        v = span_of(v.ptr + n + (comma != NULL), v.len - n - (comma != NULL));
    }
    return 0;
}

static int field_expect(struct http_parser *p, struct span v)
{
    if (!span_eq_nocase(v, "100-continue"))
        return http_parse_fault(p, 417, "the only expectation understood is 100-continue");
    p->expects_continue = p->minor > 0; /* RFC 9110, 10.1.1: ignored from HTTP/1.0 */
    return 0;
}

static const struct {
    const char *name;
    int (*parse)(struct http_parser *p, struct span value);
} known_fields[] = {
    {"content-length", field_length},
    {"transfer-encoding", field_coding},
    {"host", field_host},
    {"connection", field_connection},
    {"expect", field_expect},
};

/* field-name ":" OWS field-value OWS, RFC 9112, 5. No space before the colon, and no folded lines (5.2). */
int http_parse_field(struct http_parser *p, struct span in, size_t end)
{
    struct span line = span_of(in.ptr + p->pos, end - p->pos);
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return http_parse_fault(p, 400, "folded header fields are not accepted");
    if (p->field_count == HTTP_MAX_HEADERS)
        return http_parse_fault(p, 431, "too many header fields");
    const uint8_t *colon = memchr(line.ptr, ':', line.len);
    struct span name = span_of(line.ptr, colon ? (size_t)(colon - line.ptr) : 0);
    if (!all_token(name))
        return http_parse_fault(p, 400, "malformed header field");
    struct span value = http_trim(span_of(colon + 1, line.len - name.len - 1));
    for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++) {
        if (span_eq_nocase(name, known_fields[i].name) && known_fields[i].parse(p, value))
            return -1;
    }
    p->fields[p->field_count++] = (struct http_field){(uint32_t)(name.ptr - in.ptr), (uint32_t)name.len,
                                                      (uint32_t)(value.ptr - in.ptr), (uint32_t)value.len};
    return 0;
}

int http_parse_head_end(struct http_parser *p, const struct http_limits *limits)
{
    if (p->has_coding && p->has_length) /* RFC 9112, 6.1: "ought to be handled as an error" */
        return http_parse_fault(p, 400, "both Content-Length and Transfer-Encoding");
    if (p->has_coding && p->minor == 0)
        return http_parse_fault(p, 400, "Transfer-Encoding in HTTP/1.0");
    if (!p->host && p->minor > 0) /* RFC 9112, 3.2 */
        return http_parse_fault(p, 400, "no Host");
    if (p->length > limits->body_bytes)
        return http_parse_fault(p, 413, "the body is too large");
    p->close |= p->minor == 0 && !p->keep_alive;
    return 0;
}
