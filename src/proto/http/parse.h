/* Parser of one HTTP/1.1 request (RFC 9112), incremental by line: the same bytes give the same result however
 * they are split. For this folder only. */
#ifndef COLOBUS_PROTO_HTTP_PARSE_H
#define COLOBUS_PROTO_HTTP_PARSE_H

#include "proto/http/http.h"

enum http_phase {
    HTTP_START_LINE,
    HTTP_FIELDS,
    HTTP_BODY, /* from here on the head is complete */
    HTTP_CHUNK_SIZE,
    HTTP_CHUNK_DATA,
    HTTP_TRAILERS,
    HTTP_COMPLETE,
};

struct http_field { /* offsets from the first byte of the request */
    uint32_t name, name_len, value, value_len;
};

/* All zero: nothing seen yet. The input given to http_parse() always begins at the request's first byte, so
 * the parser keeps offsets and the bytes may move in between. */
struct http_parser {
    enum http_phase phase;
    size_t pos;  /* where the part begins that is parsed next; at the end, the length of the request */
    size_t scan; /* no line feed in [pos, scan) */

    enum http_method method;
    uint32_t target, target_len;
    int minor; /* of HTTP/1.x */
    struct http_field fields[HTTP_MAX_HEADERS];
    size_t field_count;
    int host; /* index of the field + 1; 0: none */
    bool has_length, has_coding, close, keep_alive, expects_continue;
    uint64_t length;     /* Content-Length */
    size_t body;         /* where it begins */
    uint64_t chunk_left; /* bytes of the present chunk, without its line end */
    uint64_t decoded;    /* of all chunks so far */

    int status; /* of the fault */
    const char *fault;
};

/* 1: complete, p->pos bytes long; 0: more bytes are needed; -1: p->status and p->fault say what is wrong. */
int http_parse(struct http_parser *p, struct span in, const struct http_limits *limits);
/* Bytes that must have come before another call makes sense; 0: any. */
size_t http_parse_need(const struct http_parser *p);
/* The body of a complete request: borrowed, or its chunks joined in the arena. */
struct span http_parse_body(const struct http_parser *p, struct span in, struct arena *a);

/* Each sets p->status and p->fault and returns -1. */
int http_parse_fault(struct http_parser *p, int status, const char *text);

/* parse_line.c: the pieces. 0 or -1. */
int http_parse_request_line(struct http_parser *p, struct span in, size_t end);
int http_parse_field(struct http_parser *p, struct span in, size_t end);
int http_parse_head_end(struct http_parser *p, const struct http_limits *limits);

bool http_is_token(uint8_t c);
bool span_eq_nocase(struct span a, const char *b);
struct span http_trim(struct span s);

#endif
