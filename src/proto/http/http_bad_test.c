/* Requests that must be refused, each with its status; and the same bytes split everywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/http/fake_conn.h"

static void echo(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    http_respond(c, ticket.seq,
                 &(struct http_response){.status = 200, .content_type = "text/plain", .body = req->body});
}

static const struct http_route routes[] = {
    {HTTP_GET, "/", echo, 0},
    {HTTP_GET, "/t/{a}/{b}", echo, 0},
    {HTTP_POST, "/p", echo, HTTP_NEEDS_LENGTH},
};
static const struct http_server server = {
    .routes = routes,
    .route_count = sizeof(routes) / sizeof(routes[0]),
    .limits = {.header_bytes = 1024, .body_bytes = 4096, .request_ms = 1000, .idle_ms = 5000},
    .allowed_hosts = "colobus, broker.example",
};

struct outcome {
    int status; /* of the first answer that is not 100; 0: none */
    bool closing, failed;
    char *text;
};

/* Feeds the bytes cut at `cut`; or each by itself if cut is SIZE_MAX. */
static struct outcome run(const char *local, struct span bytes, size_t cut)
{
    struct fake_conn f;
    fake_conn_open(&f, &server);
    f.conn.local = local;
    size_t step = cut == SIZE_MAX ? 1 : cut ? cut : bytes.len;
    for (size_t at = 0; at < bytes.len;) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        fake_conn_feed(&f, span_of(bytes.ptr + at, n));
        at += n;
        step = cut == SIZE_MAX ? 1 : bytes.len;
    }
    struct outcome o = {.closing = f.conn.closing, .failed = f.failed};
    o.text = mem_strndup(fake_conn_output(&f), strlen(fake_conn_output(&f)));
    const char *first = o.text;
    while (strncmp(first, "HTTP/1.1 100", 12) == 0)
        first = strstr(first, "\r\n\r\n") + 4;
    o.status = strlen(first) > 12 ? atoi(first + 9) : 0;
    fake_conn_close(&f);
    return o;
}

#define H "Host: localhost\r\n"
#define P "POST /p HTTP/1.1\r\n" H
#define C P "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    int status;
    const char *request;
} cases[] = {
    {200, "GET / HTTP/1.1\r\n" H "\r\n"},
    {200, "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"},
    {200, "GET http://localhost/?x HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
    {200, "GET / HTTP/1.9\r\n" H "\r\n"},
    {200, "GET / HTTP/1.1\r\nHost:\tBROKER.example:80 \r\nX: \xc3\xa4\r\n\r\n"},
    {200, P "Content-Length: 0\r\n\r\n"},
    {200, P "Content-Length: 0003\r\n\r\nabc"},
    {200, C "3\r\nabc\r\n0\r\n\r\n"},
    {200, P "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"},
    /* the request line */
    {400, "GET /\r\n\r\n"},
    {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
    {400, "GET / http/1.1\r\n" H "\r\n"},
    {400, " GET / HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /#x HTTP/1.1\r\n" H "\r\n"},
    {400, "GET x HTTP/1.1\r\n" H "\r\n"},
    {400, "GET * HTTP/1.1\r\n" H "\r\n"},
    {400, "GET http://u@localhost/ HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /t/%zz/b HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /t/a/%00 HTTP/1.1\r\n" H "\r\n"},
    {400, "GET /t/a/b% HTTP/1.1\r\n" H "\r\n"},
    {400, "\x16\x03\x01\x02\x01\x01\n"},
    {404, "GET /t/a HTTP/1.1\r\n" H "\r\n"},
    {404, "GET /t/a/ HTTP/1.1\r\n" H "\r\n"},
    {404, "GET /t/a/b/c HTTP/1.1\r\n" H "\r\n"},
    {404, "GET //t/a/b HTTP/1.1\r\n" H "\r\n"},
    {405, "DELETE / HTTP/1.1\r\n" H "\r\n"},
    {411, P "\r\n"},
    {501, "BREW / HTTP/1.1\r\n" H "\r\n"},
    {501, "CONNECT localhost:80 HTTP/1.1\r\n" H "\r\n"},
    {505, "GET / HTTP/2.0\r\n" H "\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    /* fields */
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H " X: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H ": empty\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: \x01\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"},
    {400, "GET / HTTP/1.1\n" H "\r\n"},
    {400, "GET / HTTP/1.1\r\n" H "\n"},
    {417, "GET / HTTP/1.1\r\n" H "Expect: miracles\r\n\r\n"},
    /* smuggling */
    {400, P "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, P "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
    {400, P "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
    {400, P "Content-Length: 3, 3\r\n\r\nabc"},
    {400, P "Content-Length: +3\r\n\r\nabc"},
    {400, P "Content-Length: -1\r\n\r\n"},
    {400, P "Content-Length: 0x3\r\n\r\nabc"},
    {400, P "Content-Length:\r\n\r\n"},
    {400, P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {501, P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
    {501, P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    {501, P "Transfer-Encoding:\r\n\r\n"},
    /* chunks */
    {400, C "\r\n"},
    {400, C "x\r\n"},
    {400, C "-1\r\n"},
    {400, C "3 3\r\nabc\r\n"},
    {400, C "3\nabc\r\n0\r\n\r\n"},
    {400, C "3\r\nabcd\r\n0\r\n\r\n"},
    {400, C "0000000000000001\r\na\r\n"},
    {413, C "fffffffffffffff\r\n"},
    {413, C "1001\r\n"},
    {413, P "Content-Length: 4097\r\n\r\n"},
    {413, P "Content-Length: 99999999999999999999999999\r\n\r\n"},
    {413, P "Expect: 100-continue\r\nContent-Length: 4097\r\n\r\n"},
    /* hosts */
    {403, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
    {403, "GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n"},
    {403, "GET http://evil.example/ HTTP/1.1\r\n" H "\r\n"},
};

static void each_request_gets_its_status(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = run("127.0.0.1:15672", span_str(cases[i].request), 0);
        if (o.status != cases[i].status)
            fail_msg("expected %d for:\n%s\ngot:\n%s", cases[i].status, cases[i].request, o.text);
        mem_free(o.text);
    }
}

static void a_request_whose_end_is_in_doubt_closes_the_connection(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct outcome o = run("127.0.0.1:15672", span_str(cases[i].request), 0);
        bool framing =
            strstr(cases[i].request, "Transfer-Encoding") || strstr(cases[i].request, "Content-Length");
        if (framing && o.status != 200)
            assert_true(o.closing && o.failed && strstr(o.text, "Connection: close\r\n"));
        mem_free(o.text);
    }
}

static void same_everywhere(struct span bytes)
{
    struct outcome whole = run("127.0.0.1:15672", bytes, 0);
    for (size_t cut = 1; cut <= bytes.len; cut++) {
        struct outcome o = run("127.0.0.1:15672", bytes, cut == bytes.len ? SIZE_MAX : cut);
        if (strcmp(o.text, whole.text) || o.closing != whole.closing || o.failed != whole.failed)
            fail_msg("cut at %zu of:\n%.*s\n%s\ninstead of\n%s", cut, SPAN_ARG(bytes), o.text, whole.text);
        mem_free(o.text);
    }
    mem_free(whole.text);
}

static void the_same_bytes_split_anywhere_give_the_same_result(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        same_everywhere(span_str(cases[i].request));
}

static void a_pipeline_split_anywhere_gives_the_same_result(void **state)
{
    same_everywhere(span_str("GET / HTTP/1.1\r\n" H "\r\n" C "2\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n\r\n" P
                             "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
                             "GET /nothing HTTP/1.1\r\n" H "\r\nBREW / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" H
                             "\r\n"));
}

/* `prefix`, then `fill` repeated up to `len` bytes, then `suffix`. */
static int status_of_long(const char *prefix, const char *fill, size_t len, const char *suffix)
{
    size_t n = strlen(prefix), step = strlen(fill);
    char *text = mem_alloc(len + step + strlen(suffix) + n + 1);
    memcpy(text, prefix, n);
    for (; n < len; n += step)
        memcpy(text + n, fill, step);
    strcpy(text + n, suffix);
    struct outcome o = run("127.0.0.1:15672", span_str(text), 0);
    struct outcome bytewise = run("127.0.0.1:15672", span_str(text), SIZE_MAX);
    assert_string_equal(o.text, bytewise.text);
    mem_free(o.text);
    mem_free(bytewise.text);
    mem_free(text);
    return o.status;
}

static void everything_has_a_limit(void **state)
{
    assert_int_equal(status_of_long("GET /", "a", 2000, " HTTP/1.1\r\n" H "\r\n"), 414);
    assert_int_equal(status_of_long("GET /", "a", 2000, ""), 414);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\n" H "X: ", "a", 1100, "\r\n\r\n"), 431);
    assert_int_equal(status_of_long("GET / HTTP/1.1\r\n" H, "a:\r\n", 500, "\r\n"), 431);
    assert_int_equal(status_of_long(C "1;", "x", 1500, "\r\n"), 400);
    assert_int_equal(status_of_long(C "0\r\n", "T: x\r\n", 3000, "\r\n"), 431);
    assert_int_equal(status_of_long(C, "1\r\na\r\n", 30000, "0\r\n\r\n"), 413);
    assert_int_equal(status_of_long(C, "1\r\na\r\n", 6000, "0\r\n\r\n"), 200);
}

static void hosts_are_only_checked_on_loopback(void **state)
{
    struct span request = span_str("GET / HTTP/1.1\r\nHost: web.example\r\n\r\n");
    struct outcome out = run("192.0.2.7:15672", request, 0), in = run("[::1]:15672", request, 0);
    assert_int_equal(out.status, 200);
    assert_int_equal(in.status, 403);
    mem_free(out.text);
    mem_free(in.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_gets_its_status),
        cmocka_unit_test(a_request_whose_end_is_in_doubt_closes_the_connection),
        cmocka_unit_test(the_same_bytes_split_anywhere_give_the_same_result),
        cmocka_unit_test(a_pipeline_split_anywhere_gives_the_same_result),
        cmocka_unit_test(everything_has_a_limit),
        cmocka_unit_test(hosts_are_only_checked_on_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
