/* What one HTTP connection remembers. For this folder only. */
#ifndef COLOBUS_PROTO_HTTP_STATE_H
#define COLOBUS_PROTO_HTTP_STATE_H

#include "base/list.h"
#include "proto/http/parse.h"

/* One request from its last byte until its answer is queued. In http_conn.exchanges, in the order of the
 * requests; only finished ones at the front leave the list. */
struct http_exchange {
    struct list link;
    uint64_t seq;
    uint64_t started_ns;
    size_t credit;  /* bytes taken from the connection's */
    bool head_only; /* HEAD: no body */
    bool old;       /* HTTP/1.0, which is told that the connection stays open */
    bool close;     /* the connection ends with this answer */
    bool has_credit;
    bool answered;
    struct outq out; /* the answer, while an earlier one is missing */
};

enum { HTTP_CONN_MAGIC = 0x48545450 };

/* Invariants: (1) `finished` is set once no further request is read: after a fault, a close, or the end.
 * (2) the parser's offsets are relative to the first byte of the next request, which is the first of the
 * input. */
struct http_conn {
    uint32_t magic;
    bool finished;
    bool continue_due;  /* 100 Continue is owed, after the answers before it */
    bool continue_sent; /* of the request being received */
    const char *fault;  /* why the connection is failed when the last answer is out; NULL: in good order */
    uint64_t next_seq;
    uint64_t begun_ns;       /* of the request being received; 0: none has begun */
    uint64_t quiet_ns;       /* when the last answer was queued, or the connection opened */
    uint64_t bytes_out_seen; /* of the connection, at the last deadline */
    struct list exchanges;
    size_t exchange_count;
    struct http_parser parser;
    struct arena arena; /* of the request being dispatched */
};

static inline const struct http_server *http_server_of(const struct conn *c)
{
    return c->listener->front;
}

struct http_conn *http_conn_of(struct conn *c);
/* Queues what is due, in order, and ends the connection if that was its last. */
void http_flush(struct conn *c, struct http_conn *h);
void http_update_deadline(struct conn *c, struct http_conn *h);
struct http_exchange *http_exchange_new(struct conn *c, struct http_conn *h, size_t credit);
void http_exchange_free(struct http_conn *h, struct http_exchange *x);
/* Finds the handler and calls it, or answers itself. */
void http_dispatch(struct conn *c, struct http_conn *h, struct span in);

/* IMF-fixdate (RFC 9110, 5.6.7), 29 characters. */
enum { HTTP_DATE_BYTES = 30 };
void http_date(int64_t unix_ms, char ret_text[HTTP_DATE_BYTES]);

#endif
