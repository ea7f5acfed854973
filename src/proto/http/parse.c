#include "proto/http/parse.h"

#include <assert.h>

enum { CHUNK_LINE_BYTES = 1024 };

int http_parse_fault(struct http_parser *p, int status, const char *text)
{
    p->status = status;
    p->fault = text;
    return -1;
}

/* Finds the line that begins at p->pos and must end before `limit`. 1: *ret_end is its length without CR LF;
 * 0: not all of it is there; -1: it is not a line. A line feed alone does not end a line: recipients that
 * disagree on that can be played against each other (RFC 9112, 2.2 allows either, and 11.2 says why not). */
static int find_line(struct http_parser *p, struct span in, size_t limit, int status, const char *too_long,
                     size_t *ret_end)
{
    size_t from = p->scan > p->pos ? p->scan : p->pos, to = in.len < limit ? in.len : limit;
    const uint8_t *lf = from < to ? memchr(in.ptr + from, '\n', to - from) : NULL;
    if (!lf) {
        p->scan = to;
        return in.len >= limit ? http_parse_fault(p, status, too_long) : 0;
    }
    size_t end = (size_t)(lf - in.ptr);
    if (end == p->pos || in.ptr[end - 1] != '\r')
        return http_parse_fault(p, 400, "a line ends without CR");
    end--;
    for (size_t i = p->pos; i < end; i++) {
        uint8_t c = in.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return http_parse_fault(p, 400, "control character in the head or framing");
    }
    *ret_end = end;
    return 1;
}

static void next_line(struct http_parser *p, size_t end)
{
    p->pos = p->scan = end + 2;
}

static int parse_start(struct http_parser *p, struct span in, const struct http_limits *limits)
{
    size_t end;
    int r = find_line(p, in, limits->header_bytes, 414, "the request line is too long", &end);
    if (r <= 0)
        return r;
    if (http_parse_request_line(p, in, end))
        return -1;
    next_line(p, end);
    p->phase = HTTP_FIELDS;
    return 1;
}

static int parse_fields(struct http_parser *p, struct span in, const struct http_limits *limits)
{
    size_t end;
    int r = find_line(p, in, limits->header_bytes, 431, "the header fields are too large", &end);
    if (r <= 0)
        return r;
    bool last = end == p->pos;
    if (last ? http_parse_head_end(p, limits) : http_parse_field(p, in, end))
        return -1;
    next_line(p, end);
    if (last) {
        p->body = p->pos;
        p->phase = p->has_coding ? HTTP_CHUNK_SIZE : HTTP_BODY;
    }
    return 1;
}

static int parse_body(struct http_parser *p, struct span in)
{
    if (in.len - p->body < p->length)
        return 0;
    p->pos = p->body + p->length;
    p->phase = HTTP_COMPLETE;
    return 1;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size [ chunk-ext ], RFC 9112, 7.1. Extensions are skipped. False: malformed. */
static bool chunk_size(struct span line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.len && hex_digit(line.ptr[i]) >= 0; i++) {
        if (i == 15)
            return false;
        size = size << 4 | (uint64_t)hex_digit(line.ptr[i]);
    }
    struct span rest = http_trim(span_of(line.ptr + i, line.len - i));
    if (i == 0 || (rest.len && rest.ptr[0] != ';'))
        return false;
    *ret_size = size;
    return true;
}

static int parse_chunk_size(struct http_parser *p, struct span in, const struct http_limits *limits)
{
    size_t end;
    uint64_t size;
    int r = find_line(p, in, p->pos + CHUNK_LINE_BYTES, 400, "the line before a chunk is too long", &end);
    if (r <= 0)
        return r;
    if (!chunk_size(span_of(in.ptr + p->pos, end - p->pos), &size))
        return http_parse_fault(p, 400, "malformed chunk size");
    next_line(p, end);
    /* The frames around small chunks may not be many times what they carry. */
    uint64_t raw = p->pos - p->body;
    if (size > limits->body_bytes - p->decoded || raw > 2 * (uint64_t)limits->body_bytes + CHUNK_LINE_BYTES)
        return http_parse_fault(p, 413, "the body is too large");
    p->chunk_left = size;
    p->decoded += size;
    p->phase = size ? HTTP_CHUNK_DATA : HTTP_TRAILERS;
    return 1;
}

static int parse_chunk_data(struct http_parser *p, struct span in)
{
    if (in.len - p->pos < p->chunk_left + 2)
        return 0;
    const uint8_t *end = in.ptr + p->pos + p->chunk_left;
    if (end[0] != '\r' || end[1] != '\n')
        return http_parse_fault(p, 400, "a chunk is longer than its size");
    p->pos += p->chunk_left + 2;
    p->scan = p->pos;
    p->phase = HTTP_CHUNK_SIZE;
    return 1;
}

/* Trailer fields are read over: nothing here has a use for them. */
static int parse_trailers(struct http_parser *p, struct span in, const struct http_limits *limits)
{
    size_t end;
    /* chunk_left is 0 here; it counts what the trailers took. */
    size_t limit = p->pos + (limits->header_bytes - (size_t)p->chunk_left);
    int r = find_line(p, in, limit, 431, "the trailer fields are too large", &end);
    if (r <= 0)
        return r;
    bool last = end == p->pos;
    p->chunk_left += end + 2 - p->pos;
    next_line(p, end);
    if (last)
        p->phase = HTTP_COMPLETE;
    return 1;
}

int http_parse(struct http_parser *p, struct span in, const struct http_limits *limits)
{
    int r = 1;
    while (r > 0 && p->phase != HTTP_COMPLETE) {
        switch (p->phase) {
        case HTTP_START_LINE:
            r = parse_start(p, in, limits);
            break;
        case HTTP_FIELDS:
            r = parse_fields(p, in, limits);
            break;
        case HTTP_BODY:
            r = parse_body(p, in);
            break;
        case HTTP_CHUNK_SIZE:
            r = parse_chunk_size(p, in, limits);
            break;
        case HTTP_CHUNK_DATA:
            r = parse_chunk_data(p, in);
            break;
        case HTTP_TRAILERS:
            r = parse_trailers(p, in, limits);
            break;
        case HTTP_COMPLETE:
            break;
        }
    }
    assert(p->pos <= in.len || r < 0);
    return r;
}

size_t http_parse_need(const struct http_parser *p)
{
    if (p->phase == HTTP_BODY)
        return p->body + (size_t)p->length;
    if (p->phase == HTTP_CHUNK_DATA)
        return p->pos + (size_t)p->chunk_left + 2;
    return 0;
}

struct span http_parse_body(const struct http_parser *p, struct span in, struct arena *a)
{
    assert(p->phase == HTTP_COMPLETE);
    if (!p->has_coding)
        return span_of(in.ptr + p->body, (size_t)p->length);
    uint8_t *joined = arena_alloc(a, (size_t)p->decoded + 1);
    size_t used = 0, pos = p->body;
    uint64_t size = 0;
    do { /* all of it was checked before */
        size_t line = (size_t)((const uint8_t *)memchr(in.ptr + pos, '\n', in.len - pos) - in.ptr) + 1;
        chunk_size(span_of(in.ptr + pos, line - 2 - pos), &size);
        memcpy(joined + used, in.ptr + line, (size_t)size);
        used += (size_t)size;
        pos = line + (size_t)size + 2;
    } while (size);
    assert(used == p->decoded);
    return span_of(joined, used);
}
