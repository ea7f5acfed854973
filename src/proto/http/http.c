/* The connection: bytes in, requests out to their handlers, deadlines. Rules of this server are in README.md.
 */
#include "proto/http/http.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/shard.h"
#include "proto/http/route.h"
#include "proto/http/state.h"

struct http_conn *http_conn_of(struct conn *c)
{
    struct http_conn *h = c->proto_state;
    assert(c->proto == &http_proto && h->magic == HTTP_CONN_MAGIC);
    return h;
}

static uint64_t after_ms(uint64_t ns, uint64_t ms)
{
    uint64_t span;
    if (__builtin_mul_overflow(ms, 1000000, &span) || __builtin_add_overflow(ns, span, &ns))
        return UINT64_MAX;
    return ns;
}

/* While an answer is being made the clock stands still for the client: the delay is ours. */
void http_update_deadline(struct conn *c, struct http_conn *h)
{
    const struct http_limits *l = &http_server_of(c)->limits;
    uint64_t at;
    if (h->finished && h->exchange_count == 0)
        at = after_ms(h->quiet_ns, l->idle_ms); /* the client has so long to take the last answer */
    else if (h->exchange_count)
        at = UINT64_MAX;
    else if (h->begun_ns)
        at = after_ms(h->begun_ns, l->request_ms);
    else
        at = after_ms(h->quiet_ns, l->idle_ms);
    conn_set_deadline(c, at);
}

static void http_open(struct conn *c, void *state)
{
    struct http_conn *h = state;
    assert(http_server_of(c));
    h->magic = HTTP_CONN_MAGIC;
    h->next_seq = 1;
    h->quiet_ns = c->shard->now_ns;
    list_init(&h->exchanges);
    arena_init(&h->arena);
    http_update_deadline(c, h);
}

static void http_closed(struct conn *c, void *state)
{
    struct http_conn *h = state;
    list_each_safe (it, next, &h->exchanges)
        http_exchange_free(h, list_entry(it, struct http_exchange, link));
    arena_fini(&h->arena);
    h->magic = 0;
}

/* ---- exchanges ----------------------------------------------------------------------------------------- */

struct http_exchange *http_exchange_new(struct conn *c, struct http_conn *h, size_t credit)
{
    struct http_exchange *x = mem_zalloc(sizeof(*x));
    x->seq = h->next_seq++;
    x->started_ns = c->shard->now_ns;
    x->credit = credit;
    outq_init(&x->out, c->out.pool);
    list_add_tail(&h->exchanges, &x->link);
    h->exchange_count++;
    return x;
}

void http_exchange_free(struct http_conn *h, struct http_exchange *x)
{
    list_del(&x->link);
    outq_fini(&x->out);
    h->exchange_count--;
    mem_free(x);
}

static void end(struct conn *c, struct http_conn *h)
{
    h->finished = true;
    list_each_safe (it, next, &h->exchanges) /* requests behind a close are not answered (RFC 9112, 9.6) */
        http_exchange_free(h, list_entry(it, struct http_exchange, link));
    if (h->fault)
        conn_fail(c, ERR_INVALID, h->fault);
    else
        conn_finish(c);
}

/* RFC 9110, 10.1.1. Sent even if the body is here already, so that the answer does not depend on packets. */
static void send_continue(struct conn *c, struct http_conn *h)
{
    h->continue_due = false;
    if (outq_copy(&c->out, span_str("HTTP/1.1 100 Continue\r\n\r\n")))
        conn_abort(c);
}

void http_flush(struct conn *c, struct http_conn *h)
{
    struct list *first;
    bool last = false;
    while (!last && (first = list_first(&h->exchanges))) {
        struct http_exchange *x = list_entry(first, struct http_exchange, link);
        if (!x->answered)
            break;
        outq_move(&c->out, &x->out);
        last = x->close;
        h->quiet_ns = c->shard->now_ns;
        http_exchange_free(h, x);
    }
    if (last)
        end(c, h);
    else if (h->continue_due && h->exchange_count == 0)
        send_continue(c, h);
    http_update_deadline(c, h);
    conn_wake_output(c);
}

/* ---- input --------------------------------------------------------------------------------------------- */

/* Answers with a fixed text, after the requests before it, and reads nothing more. */
static void refuse(struct conn *c, struct http_conn *h, int status, const char *why)
{
    struct http_exchange *x = http_exchange_new(c, h, 0);
    x->close = true;
    h->finished = true;
    h->continue_due = false;
    h->fault = why;
    http_respond_error(c, x->seq, status, why);
}

/* Empty lines before a request are skipped (RFC 9112, 2.2); they don't begin one. */
static size_t empty_lines(struct span in)
{
    size_t n = 0;
    while (n + 1 < in.len && in.ptr[n] == '\r' && in.ptr[n + 1] == '\n')
        n += 2;
    return n;
}

static bool wants_continue(const struct http_conn *h)
{
    const struct http_parser *p = &h->parser;
    return p->phase >= HTTP_BODY && p->expects_continue && !h->continue_sent && (p->has_coding || p->length);
}

static void take_request(struct conn *c, struct http_conn *h, struct span in)
{
    struct span request = span_of(in.ptr, h->parser.pos);
    h->begun_ns = 0;
    h->finished |= h->parser.close;
    http_dispatch(c, h, request);
    arena_fini(&h->arena);
    memset(&h->parser, 0, sizeof(h->parser));
    h->continue_sent = false;
    http_update_deadline(c, h);
}

static int64_t http_input(struct conn *c, void *state, struct span input, struct chunk *chunk,
                          size_t *ret_need)
{
    struct http_conn *h = http_conn_of(c);
    if (h->finished)
        return (int64_t)input.len;
    if (h->exchange_count >= HTTP_MAX_PIPELINE)
        return 0;
    size_t skip = h->parser.phase == HTTP_START_LINE ? empty_lines(input) : 0;
    struct span in = span_of(input.ptr + skip, input.len - skip);
    if (in.len == 0 || (h->parser.phase == HTTP_START_LINE && in.len == 1 && in.ptr[0] == '\r'))
        return (int64_t)skip; /* maybe half an empty line */
    if (!h->begun_ns)
        h->begun_ns = c->shard->now_ns ? c->shard->now_ns : 1;
    int r = http_parse(&h->parser, in, &http_server_of(c)->limits);
    if (r < 0) {
        refuse(c, h, h->parser.status, h->parser.fault);
        return (int64_t)input.len;
    }
    if (wants_continue(h)) {
        h->continue_sent = h->continue_due = true;
        http_flush(c, h);
    }
    if (r == 0) {
        *ret_need = http_parse_need(&h->parser);
        http_update_deadline(c, h);
        return (int64_t)skip;
    }
    size_t used = skip + h->parser.pos;
    take_request(c, h, in);
    return (int64_t)used;
}

static void http_tick(struct conn *c, void *state, uint64_t now_mono_ns)
{
    struct http_conn *h = http_conn_of(c);
    if (h->exchange_count)
        return;
    if (c->out.len && c->bytes_out != h->bytes_out_seen) { /* a slow reader, but it reads */
        h->bytes_out_seen = c->bytes_out;
        h->quiet_ns = now_mono_ns;
        http_update_deadline(c, h);
        return;
    }
    if (h->finished || c->out.len) /* it doesn't even take what it asked for */
        conn_abort(c);
    else if (h->begun_ns)
        refuse(c, h, 408, "the request took too long to arrive");
    else
        end(c, h);
}

const struct proto http_proto = {
    .name = "http",
    .state_bytes = sizeof(struct http_conn),
    .open = http_open,
    .input = http_input,
    .tick = http_tick,
    .closed = http_closed,
};
