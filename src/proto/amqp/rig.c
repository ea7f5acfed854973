#include "proto/amqp/rig.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/amqp/be.h"

struct rig *rig;

const struct principal auth_anonymous = {.name = "anonymous"};
const struct vhost auth_default_vhost = {"/", 0};
static const struct principal guest = {.name = "guest"};

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    size_t left = sizeof(rig->transcript) - rig->transcript_len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(rig->transcript + rig->transcript_len, left, fmt, args);
    va_end(args);
    if ((size_t)n < left) /* what does not fit is left out */
        rig->transcript_len += (size_t)n;
    rig->transcript[rig->transcript_len] = 0;
}

/* ---- in place of the channels ------------------------------------------------------------------------- */

void amqp_conn_opened(struct amqp_conn *ac)
{
    note("connection opened\n");
}

void amqp_conn_closed(struct amqp_conn *ac)
{
    note("connection closed\n");
}

void amqp_channel_opened(struct amqp_channel *ch)
{
    note("%u opened\n", ch->number);
}

void amqp_channel_closed(struct amqp_channel *ch)
{
    note("%u closed\n", ch->number);
}

/* recover ends the channel, recover-async the connection: somebody must be wrong in the tests. */
void amqp_channel_method(struct amqp_channel *ch, const struct amqp_method *m, struct chunk *chunk)
{
    note("%u %s\n", ch->number, amqp_method_name(m->id));
    if (m->id == AMQP_QUEUE_DECLARE && rig->wait_at_declare)
        amqp_channel_wait(ch);
    else if (m->id == AMQP_BASIC_RECOVER)
        amqp_channel_exception(ch, AMQP_NOT_FOUND, m->id, "no queue '%s' in vhost '%s'", "q", "/");
    else if (m->id == AMQP_BASIC_RECOVER_ASYNC)
        amqp_channel_exception(ch, AMQP_NOT_IMPLEMENTED, m->id, "recover");
}

bool amqp_channel_must_wait(struct amqp_channel *ch, uint32_t method)
{
    return false;
}

bool amqp_held_full(struct amqp_conn *ac)
{
    return true; /* all of it stays unread */
}

bool amqp_conn_must_wait(struct amqp_conn *ac)
{
    return false;
}

void amqp_output_written(struct amqp_conn *ac)
{
    note("written\n");
}

static bool lies_in(struct span s, const struct chunk *c)
{
    return s.len == 0 || (s.ptr >= c->data && s.ptr + s.len <= c->data + c->cap);
}

void amqp_channel_content(struct amqp_channel *ch, const struct amqp_method *m, const struct amqp_content *c)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < c->body.len; i++)
        sum = sum * 31 + c->body.ptr[i];
    assert(lies_in(c->raw, c->chunk) && lies_in(c->body, c->chunk) &&
           lies_in(m->basic_publish.exchange, c->chunk));
    note("%u publish '%.*s' '%.*s' props=%zu body=%zu sum=%x\n", ch->number,
         SPAN_ARG(m->basic_publish.exchange), SPAN_ARG(m->basic_publish.routing_key), c->raw.len, c->body.len,
         sum);
}

void amqp_input_ended(struct amqp_conn *ac)
{
    rig->heard++;
}

/* ---- in place of the core ----------------------------------------------------------------------------- */

void *op_new(struct conn *c, size_t size, void (*complete)(struct conn *c, struct op *op), void *user)
{
    struct op *op = mem_zalloc(size);
    op->home = c->shard;
    op->conn = c->handle;
    op->complete = complete;
    op->user = user;
    return op;
}

void login_set(struct op_login *l, struct span user, struct span password)
{
    arena_init(&l->arena);
    l->user = span_of(arena_copy(&l->arena, user.ptr, user.len), user.len);
    l->password = span_of(arena_copy(&l->arena, password.ptr, password.len), password.len);
}

void op_login_submit(struct op_login *l)
{
    assert(!rig->login);
    rig->login = l;
}

void op_login_free(struct op_login *l)
{
    arena_fini(&l->arena);
    mem_free(l);
}

bool auth_is_loopback(const char *address)
{
    return true;
}

int auth_may_enter(const struct principal *p, struct span vhost)
{
    return p == &guest ? 0 : ERR_DENIED;
}

struct vspace *space_find(struct shard *s, struct span name)
{
    return span_eq_str(name, "/") ? &rig->space : NULL;
}

void space_ref(struct vspace *v)
{
    v->refs++;
}

void space_unref(struct vspace *v)
{
    v->refs--;
}

void space_conn_gone(struct shard *s, struct handle conn)
{
    rig->conns_gone++;
}

static void answer_login(void)
{
    struct op_login *l = rig->login;
    if (!l)
        return;
    rig->login = NULL;
    bool good = span_eq_str(l->user, "guest") &&
                (l->mechanism == LOGIN_EXTERNAL || span_eq_str(l->password, "guest"));
    l->op.err = good ? 0 : ERR_DENIED;
    l->ret_refusal = good ? LOGIN_GRANTED : LOGIN_BAD_CREDENTIALS;
    l->ret_principal = good ? &guest : NULL;
    l->op.complete(rig->closed ? NULL : &rig->conn, &l->op);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void open_shard(struct shard *s)
{
    s->broker = &rig->broker;
    s->config = &rig->config;
    s->now_ns = 1000000000;
    s->now_ms = 1700000000000;
    s->metrics = metrics_shard_new(rig->broker.metrics);
    heap_init(&s->conn_deadlines);
    list_init(&s->ready);
    list_init(&s->flush);
    handle_table_init(&s->conns, 0);
    chunk_pool_init(&s->input_pool, "input", 64 << 10, 2);
    chunk_pool_init(&s->small_input_pool, "small", 4 << 10, 2);
    chunk_pool_init(&s->output_pool, "output", 16 << 10, 2);
}

static void open_conn(struct conn *c)
{
    c->magic = CONN_MAGIC;
    c->shard = &rig->shard;
    c->handle = handle_new(&rig->shard.conns, c);
    c->actor = (struct actor){&auth_anonymous, &auth_default_vhost};
    c->proto = &amqp_proto;
    c->listener = &rig->listener;
    c->peer = "127.0.0.1:50000";
    c->local = "127.0.0.1:5672";
    c->ops_left = c->ops_max = 100;
    c->bytes_left = 16 << 20;
    outq_init(&c->out, &rig->shard.output_pool);
    list_init(&c->flush_link);
    list_init(&c->ready_link);
    c->proto_state = mem_zalloc(amqp_proto.state_bytes);
    amqp_proto.open(c, c->proto_state);
}

void rig_open(void)
{
    rig = mem_zalloc(sizeof(*rig));
    config_init(&rig->config);
    rig->broker.metrics = metrics_new();
    rig->broker.config = &rig->config;
    rig->listener = (struct listener_info){.name = "amqp", .bound = "127.0.0.1:5672"};
    open_shard(&rig->shard);
    rig->input = chunk_new(&rig->shard.input_pool, RIG_INPUT_BYTES);
    open_conn(&rig->conn);
}

void rig_close(void)
{
    struct conn *c = &rig->conn;
    if (rig->closed)
        return;
    rig->closed = true;
    handle_free(&rig->shard.conns, c->handle);
    amqp_proto.closed(c, c->proto_state);
    answer_login();
    conn_set_deadline(c, UINT64_MAX);
    outq_fini(&c->out);
    list_del(&c->flush_link);
    list_del(&c->ready_link);
    mem_free(c->proto_state);
}

void rig_free(void)
{
    struct shard *s = &rig->shard;
    rig_close();
    assert(rig->space.refs == 0);
    chunk_unref(rig->input);
    heap_fini(&s->conn_deadlines);
    handle_table_fini(&s->conns);
    chunk_pool_fini(&s->input_pool);
    chunk_pool_fini(&s->small_input_pool);
    chunk_pool_fini(&s->output_pool);
    metrics_free(rig->broker.metrics);
    mem_free(rig);
    rig = NULL;
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

static bool feed(void)
{
    struct conn *c = &rig->conn;
    size_t have = rig->input->used - rig->taken, need = 0;
    if (have == 0 || have < rig->need || !conn_can_read(c))
        return false;
    struct span rest = span_of(rig->input->data + rig->taken, have);
    int64_t n = amqp_proto.input(c, c->proto_state, rest, rig->input, &need);
    assert(n <= (int64_t)have);
    if (n < 0)
        conn_finish(c);
    if (n <= 0) {
        assert(n < 0 || c->held || need > have);
        rig->need = c->held ? 0 : need;
        return false;
    }
    rig->taken += (size_t)n;
    rig->need = 0;
    return true;
}

void rig_pump(void)
{
    for (;;) {
        bool fed = feed();
        if (rig->login)
            answer_login();
        else if (!fed)
            return;
    }
}

/* The input lies in one chunk from its begin, as long as there is room. */
void rig_send(struct span bytes)
{
    if (rig->taken == rig->input->used && rig->input->cap - rig->input->used < bytes.len)
        rig->taken = rig->input->used = 0;
    assert(rig->input->cap - rig->input->used >= bytes.len);
    if (bytes.len)
        memcpy(rig->input->data + rig->input->used, bytes.ptr, bytes.len);
    rig->input->used += (uint32_t)bytes.len;
    rig->conn.bytes_in += bytes.len;
    rig_pump();
}

void rig_advance_ms(uint64_t ms)
{
    struct shard *s = &rig->shard;
    struct heap_node *n;
    s->now_ns += ms * 1000000;
    s->now_ms += (int64_t)ms;
    while ((n = heap_first(&s->conn_deadlines)) && n->key <= s->now_ns && !rig->conn.closing) {
        heap_remove(&s->conn_deadlines, n);
        amqp_proto.tick(&rig->conn, rig->conn.proto_state, s->now_ns);
    }
    rig_pump();
}

struct span rig_frame(struct arena *a, uint8_t type, uint16_t channel, struct span payload)
{
    uint8_t *p = arena_alloc(a, payload.len + AMQP_FRAME_EXTRA_BYTES);
    p[0] = type;
    be_put_u16(p + 1, channel);
    be_put_u32(p + 3, (uint32_t)payload.len);
    if (payload.len)
        memcpy(p + AMQP_FRAME_HEAD_BYTES, payload.ptr, payload.len);
    p[AMQP_FRAME_HEAD_BYTES + payload.len] = AMQP_FRAME_END;
    return span_of(p, payload.len + AMQP_FRAME_EXTRA_BYTES);
}

struct span rig_method(struct arena *a, uint16_t channel, const struct amqp_method *m)
{
    size_t len = amqp_method_bytes(m);
    uint8_t *p = arena_alloc(a, len);
    assert(amqp_method_encode(m, p) == p + len);
    return rig_frame(a, AMQP_FRAME_METHOD, channel, span_of(p, len));
}

struct span rig_header(struct arena *a, uint16_t channel, uint64_t body_size, struct span props)
{
    uint8_t *p = arena_alloc(a, 12 + props.len);
    be_put_u16(p, 60);
    be_put_u64(p + 4, body_size);
    memcpy(p + 12, props.ptr, props.len);
    return rig_frame(a, AMQP_FRAME_HEADER, channel, span_of(p, 12 + props.len));
}

struct span rig_join(struct arena *a, const struct span *parts, size_t count)
{
    size_t len = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    uint8_t *p = arena_alloc(a, len);
    for (size_t i = 0; i < count; at += parts[i].len, i++)
        if (parts[i].len)
            memcpy(p + at, parts[i].ptr, parts[i].len);
    return span_of(p, len);
}

bool rig_next(struct arena *a, struct amqp_frame *ret)
{
    struct outq *q = &rig->conn.out;
    if (q->len == 0)
        return false;
    uint8_t *all = arena_alloc(a, q->len);
    outq_copy_to(q, all);
    assert(q->len >= AMQP_FRAME_EXTRA_BYTES);
    size_t len = be_u32(all + 3);
    assert(q->len >= len + AMQP_FRAME_EXTRA_BYTES && all[len + 7] == AMQP_FRAME_END);
    *ret = (struct amqp_frame){all[0], be_u16(all + 1), span_of(all + AMQP_FRAME_HEAD_BYTES, len),
                               len + AMQP_FRAME_EXTRA_BYTES};
    outq_consume(q, ret->bytes);
    rig->conn.bytes_out += ret->bytes;
    return true;
}

void rig_handshake(uint32_t frame_max, uint16_t heartbeat_s)
{
    struct arena a;
    arena_init(&a);
    struct amqp_method start_ok = {.id = AMQP_CONNECTION_START_OK,
                                   .connection_start_ok = {.mechanism = span_str("PLAIN"),
                                                           .response = span_of("\0guest\0guest", 12),
                                                           .locale = span_str("en_US")}};
    struct amqp_method tune_ok = {.id = AMQP_CONNECTION_TUNE_OK,
                                  .connection_tune_ok = {2047, frame_max, heartbeat_s}};
    struct amqp_method open = {.id = AMQP_CONNECTION_OPEN,
                               .connection_open = {.virtual_host = span_str("/")}};
    struct fields_writer caps, props;
    fields_writer_init(&caps, &a);
    fields_put_bool(&caps, span_str("connection.blocked"), true);
    fields_put_bool(&caps, span_str("authentication_failure_close"), true);
    fields_writer_init(&props, &a);
    fields_put_table(&props, span_str("capabilities"), fields_done(&caps));
    start_ok.connection_start_ok.client_properties = fields_done(&props);
    rig_send(span_of("AMQP\0\0\x09\x01", 8));
    rig_send(rig_method(&a, 0, &start_ok));
    rig_send(rig_method(&a, 0, &tune_ok));
    rig_send(rig_method(&a, 0, &open));
    outq_consume(&rig->conn.out, rig->conn.out.len);
    arena_fini(&a);
}
