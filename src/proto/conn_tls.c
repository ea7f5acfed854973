/* TLS between a connection and its socket: ciphertext comes into chunks of its own and is decrypted in the
 * input phase; output is encrypted in pieces, just ahead of the socket. The protocol sees plain bytes, from
 * after the handshake on. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/front_impl.h"

void conn_tls_start(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    struct conn_tls *t = fc->tls;
    outq_init(&t->wire, &c->shard->output_pool);
    t->session = tls_session_new(t->context, &t->wire);
    conn_set_deadline(c, os_mono_ns() + c->shard->config->tls_handshake_timeout_ms * 1000000ull);
    if (!t->session)
        conn_abort(c);
}

/* ---- input --------------------------------------------------------------------------------------------- */

static void drop_input(struct conn_tls *t)
{
    chunk_unref(t->in);
    t->in = NULL;
    t->at = 0;
}

int conn_tls_room(struct front_conn *fc, uint8_t **ret_ptr, size_t *ret_len)
{
    struct shard *s = fc->conn.shard;
    struct conn_tls *t = fc->tls;
    struct chunk_pool *pool = fc->big ? &s->input_pool : &s->small_input_pool;
    if (!t->in)
        t->in = chunk_new(pool, pool->chunk_bytes);
    if (!t->in)
        return ERR_NO_MEMORY;
    *ret_ptr = t->in->data + t->in->used;
    *ret_len = t->in->cap - t->in->used;
    return *ret_len ? 0 : ERR_AGAIN;
}

void conn_tls_came(struct front_conn *fc, size_t n)
{
    fc->tls->in->used += (uint32_t)n;
}

bool conn_tls_has_input(const struct front_conn *fc)
{
    const struct conn_tls *t = fc->tls;
    return t->session && ((t->in && t->at < t->in->used) || tls_pending(t->session) > 0);
}

static struct span waiting(const struct conn_tls *t)
{
    return t->in ? span_of(t->in->data + t->at, t->in->used - t->at) : SPAN_NULL;
}

/* The session has left so much of what waited, and may have something to say. */
static void used(struct front_conn *fc, struct span rest)
{
    struct conn_tls *t = fc->tls;
    if (rest.len == 0)
        drop_input(t);
    else
        t->at = t->in->used - rest.len;
    if (t->wire.len > 0)
        conn_wake_output(&fc->conn);
}

static void fail(struct front_conn *fc, int err, const char *why)
{
    drop_input(fc->tls);
    conn_fail(&fc->conn, err, why);
}

static void shaken(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    struct conn_tls *t = fc->tls;
    t->shaken = true;
    c->secure = true;
    c->peer_identity = tls_identity(t->session);
    conn_set_deadline(c, UINT64_MAX);
    conn_open(fc);
}

bool conn_tls_shake(struct front_conn *fc)
{
    char why[TLS_WHY_BYTES];
    struct conn_tls *t = fc->tls;
    struct front_shard *fs = front_shard_of(fc->conn.shard);
    if (fs->handshakes == 0)
        return false; /* it stays ready: others first */
    fs->handshakes--;
    struct span in = waiting(t);
    int r = tls_handshake(t->session, &in, why);
    used(fc, in);
    if (r < 0)
        fail(fc, r, why);
    if (r == 1)
        shaken(fc);
    return r == 1 && !fc->conn.closing;
}

size_t conn_tls_read(struct front_conn *fc, uint8_t *ret, size_t len)
{
    char why[TLS_WHY_BYTES];
    struct conn_tls *t = fc->tls;
    struct span in = waiting(t);
    int64_t n = tls_read(t->session, &in, ret, len, why);
    used(fc, in);
    if (n > 0)
        return (size_t)n;
    if (n == ERR_EOF) {
        drop_input(t);
        fc->eof = true; /* as if the socket had ended: answers in flight still go out */
    } else if (n < 0) {
        fail(fc, (int)n, why);
    }
    return 0;
}

/* ---- output -------------------------------------------------------------------------------------------- */

/* The next bytes, enough for a record if there are, so that small answers share one. */
static struct span next_piece(const struct outq *q, uint8_t record[TLS_RECORD_BYTES])
{
    struct span spans[FRONT_SPANS];
    size_t count = outq_peek(q, spans, FRONT_SPANS), len = 0;
    if (spans[0].len >= TLS_RECORD_BYTES || count == 1)
        return span_of(spans[0].ptr, spans[0].len < TLS_RECORD_BYTES ? spans[0].len : TLS_RECORD_BYTES);
    for (size_t i = 0; i < count && len < TLS_RECORD_BYTES; i++) {
        size_t n = spans[i].len < TLS_RECORD_BYTES - len ? spans[i].len : TLS_RECORD_BYTES - len;
        memcpy(record + len, spans[i].ptr, n);
        len += n;
    }
    return span_of(record, len);
}

bool conn_tls_seal(struct front_conn *fc)
{
    uint8_t record[TLS_RECORD_BYTES];
    struct conn_tls *t = fc->tls;
    while (fc->conn.out.len > 0 && t->wire.len < FRONT_WIRE_BYTES) {
        assert(t->shaken && !t->closed);
        struct span piece = next_piece(&fc->conn.out, record);
        if (tls_write(t->session, piece))
            return false;
        conn_out_consume(fc, piece.len);
    }
    return true;
}

void conn_tls_close(struct front_conn *fc)
{
    struct conn_tls *t = fc->tls;
    t->closed = true;
    if (t->session)
        tls_close(t->session);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

void conn_tls_forget(struct front_conn *fc)
{
    drop_input(fc->tls);
    fc->conn.peer_identity = NULL;
    tls_session_free(fc->tls->session);
    fc->tls->session = NULL;
}

void conn_tls_free(struct conn_tls *t)
{
    if (!t)
        return;
    assert(!t->session);
    tls_unref(t->context);
    outq_fini(&t->wire);
    mem_free(t);
}
