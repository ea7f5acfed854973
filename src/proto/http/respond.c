#include <assert.h>
#include <stdio.h>

#include "base/date.h"
#include "base/err.h"
#include "core/shard.h"
#include "proto/http/state.h"

const char *http_reason(int status)
{
    switch (status) {
#define REASON(code, text)                                                                                   \
    case code:                                                                                               \
        return text;
        REASON(200, "OK")
        REASON(201, "Created")
        REASON(202, "Accepted")
        REASON(204, "No Content")
        REASON(304, "Not Modified")
        REASON(400, "Bad Request")
        REASON(401, "Unauthorized")
        REASON(403, "Forbidden")
        REASON(404, "Not Found")
        REASON(405, "Method Not Allowed")
        REASON(408, "Request Timeout")
        REASON(409, "Conflict")
        REASON(411, "Length Required")
        REASON(413, "Content Too Large")
        REASON(414, "URI Too Long")
        REASON(415, "Unsupported Media Type")
        REASON(416, "Range Not Satisfiable")
        REASON(417, "Expectation Failed")
        REASON(422, "Unprocessable Content")
        REASON(429, "Too Many Requests")
        REASON(431, "Request Header Fields Too Large")
        REASON(500, "Internal Server Error")
        REASON(501, "Not Implemented")
        REASON(503, "Service Unavailable")
        REASON(504, "Gateway Timeout")
        REASON(505, "HTTP Version Not Supported")
        REASON(507, "Insufficient Storage")
#undef REASON
    }
    return "Unknown";
}

void http_date(int64_t unix_ms, char ret_text[HTTP_DATE_BYTES])
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date d = date_of(unix_ms);
    char text[96];
    snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + d.weekday * 3, d.day,
             months + (d.month - 1) * 3, d.year, d.hour, d.minute, d.second);
    memcpy(ret_text, text, HTTP_DATE_BYTES - 1);
    ret_text[HTTP_DATE_BYTES - 1] = 0;
}

/* ---- writing an answer --------------------------------------------------------------------------------- */

static struct http_exchange *find(struct http_conn *h, uint64_t seq)
{
    list_each (it, &h->exchanges) {
        struct http_exchange *x = list_entry(it, struct http_exchange, link);
        if (x->seq == seq)
            return x;
    }
    return NULL;
}

static int put(struct outq *q, const char *s)
{
    return outq_copy(q, span_str(s));
}

static int put_head(struct conn *c, const struct http_exchange *x, const struct http_response *r,
                    size_t body_len, struct outq *q)
{
    char date[HTTP_DATE_BYTES], text[512];
    const char *name = http_server_of(c)->name;
    http_date(c->shard->now_ms, date);
    snprintf(text, sizeof(text), "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%.64s%s", r->status, http_reason(r->status),
             date, name ? "Server: " : "", name ? name : "", name ? "\r\n" : "");
    int err = put(q, text);
    if (!err && r->content_type) {
        snprintf(text, sizeof(text),
                 "Content-Type: %.200s\r\nX-Content-Type-Options: nosniff\r\n"
                 "Cache-Control: no-store\r\n",
                 r->content_type);
        err = put(q, text);
    }
    if (!err && r->status != 204 && r->status != 304) {
        snprintf(text, sizeof(text), "Content-Length: %zu\r\n", body_len);
        err = put(q, text);
    }
    if (!err && (x->close || x->old))
        err = put(q, x->close ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
    return err;
}

static int put_extra(const struct http_response *r, struct outq *q)
{
    int err = 0;
    for (size_t i = 0; !err && i < r->extra_count; i++) {
        err = outq_copy(q, r->extra[i].name);
        if (!err)
            err = put(q, ": ");
        if (!err)
            err = outq_copy(q, r->extra[i].value);
        if (!err)
            err = put(q, "\r\n");
    }
    return err ? err : put(q, "\r\n");
}

static int put_body(const struct http_exchange *x, const struct http_response *r, struct outq *q)
{
    if (x->head_only) {
        if (r->body_queue)
            outq_consume(r->body_queue, r->body_queue->len);
        return 0;
    }
    if (r->body_queue) {
        outq_move(q, r->body_queue);
        return 0;
    }
    return r->body.len ? outq_copy(q, r->body) : 0;
}

void http_respond(struct conn *c, uint64_t seq, const struct http_response *r)
{
    struct http_conn *h = http_conn_of(c);
    const struct http_server *server = http_server_of(c);
    struct http_exchange *x = find(h, seq);
    if (!x && h->finished)
        return; /* given up: an earlier answer closed the connection */
    assert(x && !x->answered);
    assert(r->content_type || (r->body.len == 0 && (!r->body_queue || r->body_queue->len == 0)));
    x->answered = true;
    x->close |= r->close;
    size_t body_len = r->body_queue ? r->body_queue->len : r->body.len;
    int err = put_head(c, x, r, body_len, &x->out);
    if (!err)
        err = put_extra(r, &x->out);
    if (!err)
        err = put_body(x, r, &x->out);
    if (x->has_credit)
        conn_give_credit(c, x->credit);
    if (server->answered)
        server->answered(c, server, r->status, (c->shard->now_ns - x->started_ns) / 1000);
    if (err)
        conn_abort(c); /* half an answer is none */
    http_flush(c, h);
}

/* JSON's escapes of what may stand in an error text. */
static void quote_json(const char *text, char *ret_json, size_t size)
{
    size_t n = 0;
    for (const char *p = text; *p && n + 8 < size; p++) {
        if (*p == '"' || *p == '\\')
            ret_json[n++] = '\\';
        if ((unsigned char)*p < ' ')
            n += (size_t)snprintf(ret_json + n, size - n, "\\u%04x", *p);
        else
            ret_json[n++] = *p;
    }
    ret_json[n] = 0;
}

void http_respond_error(struct conn *c, uint64_t seq, int status, const char *message)
{
    char quoted[1024], body[1100];
    quote_json(message, quoted, sizeof(quoted));
    int n = snprintf(body, sizeof(body), "{\"error\":\"%s\"}\n", quoted);
    http_respond(c, seq,
                 &(struct http_response){
                     .status = status, .content_type = "application/json", .body = span_of(body, (size_t)n)});
}
