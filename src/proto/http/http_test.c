#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proto/http/fake_conn.h"
#include "proto/http/state.h"

static struct http_ticket tickets[64];
static size_t ticket_count;
static int last_status;

static void reply(struct conn *c, uint64_t seq, struct span body)
{
    http_respond(c, seq, &(struct http_response){.status = 200, .content_type = "text/plain", .body = body});
}

/* Answers "name|q|body". */
static void echo(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span q = SPAN_NULL;
    if (http_query_value(req, "q", &q)) {
        http_respond_error(c, ticket.seq, 400, "bad query");
        return;
    }
    char *text = arena_printf(req->arena, "%.*s|%.*s|%.*s", SPAN_ARG(req->params[0]), SPAN_ARG(q),
                              SPAN_ARG(req->body));
    reply(c, ticket.seq, span_str(text));
}

static void later(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    tickets[ticket_count++ % 64] = ticket;
}

static void answered(struct conn *c, const struct http_server *server, int status, uint64_t us)
{
    last_status = status;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/echo/{name}", echo, 0},
    {HTTP_POST, "/echo/{name}", echo, HTTP_NEEDS_LENGTH},
    {HTTP_DELETE, "/echo/{name}", echo, 0},
    {HTTP_GET, "/later", later, 0},
};
static const struct http_server server = {
    .routes = routes,
    .route_count = sizeof(routes) / sizeof(routes[0]),
    .limits = {.header_bytes = 1024, .body_bytes = 4096, .request_ms = 1000, .idle_ms = 5000},
    .allowed_hosts = "colobus, broker.example",
    .answered = answered,
};

static struct fake_conn f;

static int open_conn(void **state)
{
    ticket_count = 0;
    fake_conn_open(&f, &server);
    return 0;
}

static int close_conn(void **state)
{
    fake_conn_close(&f);
    return 0;
}

static const char *ask(const char *request)
{
    fake_conn_feed(&f, span_str(request));
    return fake_conn_output(&f);
}

static void expect_in(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fail_msg("not found: %s\nin: %s", piece, text);
}

#define HOST "Host: localhost:15672\r\n"

static void a_get_is_answered_with_its_parameters(void **state)
{
    assert_string_equal(
        ask("GET /echo/a%20b%2Fc?x=1&q=d+e%3d HTTP/1.1\r\n" HOST "\r\n"),
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
        "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: 11\r\n\r\n"
        "a b/c|d e=|");
    assert_false(f.conn.closing);
}

static int count(const char *text, const char *piece)
{
    int n = 0;
    for (; (text = strstr(text, piece)); text++)
        n++;
    return n;
}

static void slashes_at_the_end_of_what_is_read_do_not_count(void **state)
{
    expect_in(ask("GET /echo/n/ HTTP/1.1\r\n" HOST "\r\n"), "200 OK");
    f.output_len = 0;
    expect_in(ask("GET /echo/n// HTTP/1.1\r\n" HOST "\r\n"), "200 OK");
    f.output_len = 0;
    expect_in(ask("GET /echo/ HTTP/1.1\r\n" HOST "\r\n"), "404 Not Found");
    f.output_len = 0;
    expect_in(ask("DELETE /echo/n/ HTTP/1.1\r\n" HOST "\r\n"), "404 Not Found");
}

static void pipelined_requests_are_answered_in_order_whatever_finishes_first(void **state)
{
    ask("GET /later HTTP/1.1\r\n" HOST "\r\nGET /echo/two HTTP/1.1\r\n" HOST
        "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(ticket_count, 2);
    assert_string_equal(fake_conn_output(&f), "");
    reply(&f.conn, tickets[1].seq, span_str("three"));
    assert_string_equal(fake_conn_output(&f), "");
    reply(&f.conn, tickets[0].seq, span_str("one"));
    const char *out = fake_conn_output(&f);
    assert_true(strstr(out, "one") < strstr(out, "two") && strstr(out, "two") < strstr(out, "three"));
    assert_int_equal(f.conn.ops_left, f.conn.ops_max);
}

static void requests_beyond_the_credit_wait_unread(void **state)
{
    for (int i = 0; i < 12; i++)
        ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(ticket_count, 8);
    reply(&f.conn, tickets[0].seq, span_str("x"));
    ask("");
    assert_int_equal(ticket_count, 9);
}

static void chunks_are_joined(void **state)
{
    expect_in(ask("POST /echo/n HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
                  "5;ext=\"x\"\r\nhello\r\n6 \r\n world\r\n00\r\nTrailer: x\r\n\r\n"
                  "GET /echo/next HTTP/1.1\r\n" HOST "\r\n"),
              "n||hello world");
    expect_in(fake_conn_output(&f), "next||");
}

static void head_gets_the_length_but_no_body(void **state)
{
    const char *out = ask("HEAD /echo/n HTTP/1.1\r\n" HOST "\r\n");
    expect_in(out, "Content-Length: 3\r\n");
    assert_string_equal(out + strlen(out) - 4, "\r\n\r\n");
}

static void http_1_0_closes_unless_asked_to_stay(void **state)
{
    expect_in(ask("GET /echo/n HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "Connection: keep-alive\r\n");
    assert_false(f.conn.closing);
    expect_in(ask("GET /echo/m HTTP/1.0\r\n\r\n"), "Connection: close\r\n");
    assert_true(f.conn.closing && !f.failed);
}

static void nothing_after_a_close_is_answered(void **state)
{
    const char *out = ask("GET /echo/n HTTP/1.1\r\n" HOST
                          "Connection: x, Close\r\n\r\nGET /echo/m HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(count(out, "HTTP/1.1 200"), 1);
    assert_true(f.conn.closing && !f.failed);
}

static void a_client_that_waits_for_100_gets_it_after_the_answers_before(void **state)
{
    ask("GET /later HTTP/1.1\r\n" HOST "\r\nPOST /echo/n HTTP/1.1\r\n" HOST
        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(fake_conn_output(&f), "");
    reply(&f.conn, tickets[0].seq, span_str("first"));
    const char *out = fake_conn_output(&f);
    assert_true(strstr(out, "first") && strstr(out, "first") < strstr(out, "HTTP/1.1 100 Continue\r\n\r\n"));
    expect_in(ask("hi"), "n||hi");
    assert_int_equal(count(fake_conn_output(&f), "100 Continue"), 1);
}

static void a_slow_request_is_told_so(void **state)
{
    ask("GET /echo/n HTTP/1.1\r\n");
    assert_int_equal(f.deadline_ns, 2000000000);
    fake_conn_tick(&f);
    expect_in(fake_conn_output(&f), "HTTP/1.1 408 ");
    assert_true(f.conn.closing);
}

static void an_idle_connection_ends_in_silence(void **state)
{
    assert_int_equal(f.deadline_ns, 6000000000);
    ask("\r\n\r\n");
    fake_conn_tick(&f);
    assert_string_equal(fake_conn_output(&f), "");
    assert_true(f.conn.closing && !f.failed);
}

static void a_client_that_takes_no_answer_is_cut(void **state)
{
    fake_conn_feed(&f, span_str("GET /echo/n HTTP/1.1\r\n" HOST "\r\n"));
    fake_conn_tick(&f);
    assert_true(f.conn.aborted);
}

static void no_deadline_runs_while_the_broker_works(void **state)
{
    ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(f.deadline_ns, UINT64_MAX);
    reply(&f.conn, tickets[0].seq, span_str("x"));
    assert_int_equal(f.deadline_ns, 6000000000);
}

static void a_dead_connection_frees_what_waited(void **state)
{
    ask("GET /later HTTP/1.1\r\n" HOST "\r\nGET /echo/n HTTP/1.1\r\n" HOST "\r\nPOST /echo/m HTTP/1.1\r\n");
    /* close_conn() runs http_proto.closed(); the sanitizer and the pool's assertion check the rest */
}

static void options_lists_the_methods(void **state)
{
    expect_in(ask("OPTIONS /echo/n HTTP/1.1\r\n" HOST "\r\n"),
              "204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nAllow: GET, HEAD, POST, DELETE, "
              "OPTIONS\r\n");
    expect_in(ask("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "Allow: GET, HEAD, OPTIONS\r\n");
}

static void an_answer_can_be_moved_from_a_queue(void **state)
{
    struct outq body;
    outq_init(&body, &f.pool);
    outq_copy(&body, span_str("queued body"));
    ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    http_respond(&f.conn, tickets[0].seq,
                 &(struct http_response){.status = 200, .content_type = "text/plain", .body_queue = &body});
    expect_in(fake_conn_output(&f), "Content-Length: 11\r\n\r\nqueued body");
    assert_int_equal(body.len, 0);
    outq_fini(&body);
}

static void dates_are_right(void **state)
{
    char text[HTTP_DATE_BYTES];
    http_date(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date(951782400000, text);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    http_date(1767225599999, text);
    assert_string_equal(text, "Wed, 31 Dec 2025 23:59:59 GMT");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_conn, close_conn)
    const struct CMUnitTest tests[] = {
        T(a_get_is_answered_with_its_parameters),
        T(slashes_at_the_end_of_what_is_read_do_not_count),
        T(pipelined_requests_are_answered_in_order_whatever_finishes_first),
        T(requests_beyond_the_credit_wait_unread),
        T(chunks_are_joined),
        T(head_gets_the_length_but_no_body),
        T(http_1_0_closes_unless_asked_to_stay),
        T(nothing_after_a_close_is_answered),
        T(a_client_that_waits_for_100_gets_it_after_the_answers_before),
        T(a_slow_request_is_told_so),
        T(an_idle_connection_ends_in_silence),
        T(a_client_that_takes_no_answer_is_cut),
        T(no_deadline_runs_while_the_broker_works),
        T(a_dead_connection_frees_what_waited),
        T(options_lists_the_methods),
        T(an_answer_can_be_moved_from_a_queue),
        cmocka_unit_test(dates_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
