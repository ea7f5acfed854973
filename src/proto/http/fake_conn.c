#include "proto/http/fake_conn.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"

static struct fake_conn *fake_of(struct conn *c)
{
    return container_of(c, struct fake_conn, conn);
}

void conn_take_credit(struct conn *c, size_t bytes)
{
    c->ops_left--;
    c->bytes_left -= (int64_t)bytes;
}

void conn_give_credit(struct conn *c, size_t bytes)
{
    assert(c->ops_left < c->ops_max);
    c->ops_left++;
    c->bytes_left += (int64_t)bytes;
}

bool conn_can_read(const struct conn *c)
{
    return c->ops_left > 0 && c->bytes_left > 0 && !c->closing && !c->aborted;
}

void conn_wake_output(struct conn *c)
{
}

void conn_fail(struct conn *c, int err, const char *why)
{
    fake_of(c)->failed = true;
    snprintf(fake_of(c)->reason, sizeof(fake_of(c)->reason), "%s", why);
    c->closing = true;
}

void conn_finish(struct conn *c)
{
    c->closing = true;
}

void conn_abort(struct conn *c)
{
    c->aborted = true;
}

void conn_set_deadline(struct conn *c, uint64_t deadline_mono_ns)
{
    fake_of(c)->deadline_ns = deadline_mono_ns;
}

void fake_conn_open(struct fake_conn *f, const struct http_server *server)
{
    memset(f, 0, sizeof(*f));
    chunk_pool_init(&f->pool, "fake", 4096, 4);
    f->shard.now_ns = 1000000000;
    f->shard.now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
    f->listener.name = "http";
    f->listener.front = server;
    f->conn.shard = &f->shard;
    f->conn.listener = &f->listener;
    f->conn.proto = &http_proto;
    f->conn.proto_state = mem_zalloc(http_proto.state_bytes);
    f->conn.peer = "127.0.0.1:50000";
    f->conn.local = "127.0.0.1:15672";
    f->conn.ops_left = f->conn.ops_max = 8;
    f->conn.bytes_left = 16 << 20;
    outq_init(&f->conn.out, &f->pool);
    http_proto.open(&f->conn, f->conn.proto_state);
}

static size_t call_input(struct fake_conn *f)
{
    size_t need = 0;
    uint8_t *fresh = mem_alloc(f->input_len + 1);
    memcpy(fresh, f->input, f->input_len);
    int64_t used = http_proto.input(&f->conn, f->conn.proto_state, span_of(fresh, f->input_len), NULL, &need);
    mem_free(fresh);
    assert(used >= 0 && (size_t)used <= f->input_len);
    f->input_len -= (size_t)used;
    memmove(f->input, f->input + used, f->input_len);
    return (size_t)used;
}

void fake_conn_feed(struct fake_conn *f, struct span bytes)
{
    f->input = mem_realloc(f->input, f->input_len + bytes.len + 1);
    memcpy(f->input + f->input_len, bytes.ptr, bytes.len);
    f->input_len += bytes.len;
    while (f->input_len && conn_can_read(&f->conn) && call_input(f) > 0) {
    }
}

void fake_conn_tick(struct fake_conn *f)
{
    if (f->deadline_ns == UINT64_MAX)
        return;
    f->shard.now_ns = f->deadline_ns;
    http_proto.tick(&f->conn, f->conn.proto_state, f->deadline_ns);
}

const char *fake_conn_output(struct fake_conn *f)
{
    while (f->conn.out.len) {
        struct span s;
        outq_peek(&f->conn.out, &s, 1);
        f->output = mem_realloc(f->output, f->output_len + s.len + 1);
        memcpy(f->output + f->output_len, s.ptr, s.len);
        f->output_len += s.len;
        f->output[f->output_len] = 0;
        f->conn.bytes_out += s.len;
        outq_consume(&f->conn.out, s.len);
    }
    return f->output ? f->output : "";
}

void fake_conn_close(struct fake_conn *f)
{
    http_proto.closed(&f->conn, f->conn.proto_state);
    mem_free(f->conn.proto_state);
    outq_fini(&f->conn.out);
    chunk_pool_fini(&f->pool);
    mem_free(f->input);
    mem_free(f->output);
}
