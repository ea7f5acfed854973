/* Fuzzes the HTTP server. Input: the size of the pieces, then the stream. The same bytes in one piece and in
 * many must give the same answers, in the order of the requests, and all credit must come back. */
#include <stdlib.h>

#include "base/mem.h"
#include "proto/http/fake_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 64 * 1024, WAITING = 64 };

static struct http_ticket waiting[WAITING];
static size_t waiting_count;

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void echo(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    struct span q = SPAN_NULL;
    http_query_value(req, "q", &q);
    http_find_header(req, "x");
    char *text = arena_printf(req->arena, "%zu %d %zu %zu", req->param_count, http_body_is(req, "a/b"),
                              req->body.len, q.len);
    http_respond(c, ticket.seq,
                 &(struct http_response){.status = 200, .content_type = "a/b", .body = span_str(text)});
}

static void later(struct conn *c, const struct http_request *req, struct http_ticket ticket)
{
    require(waiting_count < WAITING);
    waiting[waiting_count++] = ticket;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/", echo, 0},          {HTTP_POST, "/", echo, 0},
    {HTTP_GET, "/a/{x}/{y}", echo, 0}, {HTTP_PUT, "/a/{x}", echo, HTTP_NEEDS_LENGTH},
    {HTTP_GET, "/later", later, 0},
};
static const struct http_server server = {
    .routes = routes,
    .route_count = sizeof(routes) / sizeof(routes[0]),
    .limits = {.header_bytes = 2048, .body_bytes = 8192, .request_ms = 1000, .idle_ms = 5000},
    .allowed_hosts = "a, b",
};

/* Answers what waits, the newest first, until nothing does. */
static void answer_all(struct fake_conn *f)
{
    while (waiting_count) {
        struct http_ticket ticket = waiting[--waiting_count];
        http_respond_error(&f->conn, ticket.seq, 404, "later");
        if (waiting_count == 0)
            fake_conn_feed(f, span_str(""));
    }
}

/* All output; the caller's. */
static char *run(struct span in, size_t step)
{
    struct fake_conn f;
    waiting_count = 0;
    fake_conn_open(&f, &server);
    for (size_t at = 0; at < in.len; at += step)
        fake_conn_feed(&f, span_of(in.ptr + at, in.len - at < step ? in.len - at : step));
    answer_all(&f);
    if (!f.conn.closing)
        require(f.conn.ops_left == f.conn.ops_max);
    fake_conn_tick(&f);
    fake_conn_output(&f);
    char *out = mem_strndup(f.output ? f.output : "", f.output_len);
    fake_conn_close(&f);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MAX_INPUT_BYTES)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    char *whole = run(in, in.len), *pieces = run(in, 1 + data[0] % 64);
    require(strcmp(whole, pieces) == 0);
    mem_free(whole);
    mem_free(pieces);
    return 0;
}
