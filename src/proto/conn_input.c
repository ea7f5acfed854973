/* Input of connections: chunks, when to read, and feeding the protocol.
 *
 * A connection owns a chunk only while it has input that is not consumed, or that its requests still refer
 * to. It starts with a small one, and gets a large one when a read has filled what it had. What is left at
 * the end of a chunk moves to a new one, which is at most twice what has arrived (or a standard chunk): a
 * length that a peer announces allocates nothing. But it chooses among the large chunks that the pool keeps,
 * which are there already. */
#include <assert.h>

#include "base/err.h"
#include "base/say.h"
#include "proto/front_impl.h"

/* ---- memory pressure ----------------------------------------------------------------------------------- */

static uint64_t input_bytes(const struct broker *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->shard_count; i++)
        sum += atomic_load_explicit(&b->shards[i].input_pool.used_bytes, memory_order_relaxed) +
               atomic_load_explicit(&b->shards[i].small_input_pool.used_bytes, memory_order_relaxed);
    return sum;
}

static uint64_t output_bytes(const struct front *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < f->broker->shard_count; i++)
        sum += atomic_load_explicit(&f->shards[i].out_bytes, memory_order_relaxed);
    return sum;
}

static bool hysteresis(bool paused, uint64_t used, uint64_t limit)
{
    return used > (paused ? limit / 10 * 6 : limit / 10 * 8);
}

static void look_again(struct shard *s, struct shard_timer *t)
{
    (void)s;
    (void)t; /* the turn itself looks: other shards may have given memory back */
}

/* Everyone who was refused may try again. */
static void retry_all(struct shard *s)
{
    struct conn *c;
    for (uint32_t i = 0; (c = handle_next(&s->conns, &i));)
        if (!list_linked(&c->ready_link))
            list_add_tail(&s->ready, &c->ready_link);
}

static void check_pressure(struct shard *s)
{
    struct front *f = s->broker->front;
    struct front_shard *fs = front_shard_of(s);
    bool input = fs->input_paused, output = fs->out_paused;
    fs->input_paused = hysteresis(input, input_bytes(s->broker), s->config->memory_request_bytes);
    fs->out_paused = hysteresis(output, output_bytes(f), s->config->memory_output_bytes);
    if (fs->input_paused != input)
        say_info("front", fs->input_paused ? "reading paused" : "reading goes on", "shard=%u used=%llu",
                 s->index, (unsigned long long)input_bytes(s->broker));
    if ((input && !fs->input_paused) || (output && !fs->out_paused))
        retry_all(s);
    if (fs->input_paused || fs->out_paused) {
        fs->look_again.fire = look_again;
        shard_timer_set(s, &fs->look_again, s->now_ns + FRONT_PRESSURE_LOOK_MS * 1000000ull);
    }
}

/* ---- when to read -------------------------------------------------------------------------------------- */

static size_t unconsumed(const struct front_conn *fc)
{
    return fc->in ? fc->in->used - fc->at : 0;
}

/* At 80 % of the memory no new request is begun; those that have half arrived go on, since only they can give
 * memory back. */
static bool may_read(const struct front_conn *fc)
{
    const struct shard *s = fc->conn.shard;
    const struct front_shard *fs = front_shard_of(s);
    if (fc->eof || fc->dead || s->stopping || !conn_can_read(&fc->conn))
        return false;
    if (fs->input_paused && unconsumed(fc) == 0)
        return false;
    if (fc->tls && fc->tls->wire.len > 2 * FRONT_WIRE_BYTES)
        return false; /* it makes TLS itself answer, and takes none of the answers */
    return !(fs->out_paused && conn_unsent(fc) > 0);
}

static void resume(struct front_conn *fc)
{
    if (fc->reading || !fc->started || !may_read(fc))
        return;
    fc->reading = true;
    fc->starved = fc->conn.paused = false;
    os_sock_read_start(fc->sock);
}

/* ---- chunks -------------------------------------------------------------------------------------------- */

void conn_drop_input(struct front_conn *fc)
{
    chunk_unref(fc->in);
    fc->in = NULL;
    fc->at = 0;
}

static int take_chunk(struct front_conn *fc)
{
    struct shard *s = fc->conn.shard;
    struct chunk_pool *pool = fc->big ? &s->input_pool : &s->small_input_pool;
    fc->in = chunk_new(pool, pool->chunk_bytes);
    fc->at = 0;
    return fc->in ? 0 : ERR_NO_MEMORY;
}

/* Moves what is not consumed to a new chunk that has room for more. */
static int move_input(struct front_conn *fc)
{
    struct shard *s = fc->conn.shard;
    size_t have = unconsumed(fc), cap = have * 2;
    if (fc->need > have && fc->need < cap)
        cap = fc->need;
    if (cap <= have || cap < s->input_pool.chunk_bytes)
        cap = s->input_pool.chunk_bytes;
    if (cap <= have)
        cap = have + s->input_pool.chunk_bytes;
    cap += -cap % s->input_pool.chunk_bytes; /* whole ones fit the next request, too */
    if (cap > s->input_pool.chunk_bytes && input_bytes(s->broker) + cap > s->config->memory_request_bytes)
        return ERR_NO_MEMORY;
    struct chunk *c = fc->need > cap ? chunk_take_kept(&s->input_pool, fc->need) : NULL;
    if (!c)
        c = chunk_new(&s->input_pool, cap);
    if (!c)
        return ERR_NO_MEMORY;
    memcpy(c->data, fc->in->data + fc->at, have);
    c->used = (uint32_t)have;
    conn_drop_input(fc);
    fc->in = c;
    return 0;
}

static bool has_room(const struct front_conn *fc)
{
    size_t left = fc->in->cap - fc->in->used, have = unconsumed(fc);
    if (have == 0)
        return left >= FRONT_MIN_ROOM;
    return left > 0; /* what does not fit moves when the chunk is full, so bytes are copied a bounded number
                        of times */
}

/* 0: there is room to read into. ERR_AGAIN: only after the protocol has seen what is there. */
static int make_room(struct front_conn *fc)
{
    if (!fc->in)
        return take_chunk(fc);
    if (unconsumed(fc) == 0 && atomic_load_explicit(&fc->in->refs, memory_order_acquire) == 1) {
        fc->in->used = 0;
        fc->at = 0;
    }
    if (has_room(fc))
        return 0;
    if (unconsumed(fc) == 0) {
        conn_drop_input(fc);
        return take_chunk(fc);
    }
    return fc->fresh ? ERR_AGAIN : move_input(fc);
}

/* ---- from the socket, in the poll phase ---------------------------------------------------------------- */

static int find_room(struct front_conn *fc, uint8_t **ret_ptr, size_t *ret_len)
{
    if (!may_read(fc))
        return ERR_AGAIN;
    if (fc->tls)
        return conn_tls_room(fc, ret_ptr, ret_len);
    int err = make_room(fc);
    if (err)
        return err;
    *ret_len = fc->in->cap - fc->in->used;
    *ret_ptr = fc->in->data + fc->in->used;
    return 0;
}

void conn_room(void *user, uint8_t **ret_ptr, size_t *ret_len)
{
    struct front_conn *fc = user;
    *ret_len = 0;
    int err = find_room(fc, ret_ptr, ret_len);
    if (err) {
        fc->reading = false;
        if (!fc->starved && !fc->fresh && !(fc->tls && conn_tls_has_input(fc)))
            metrics_add_at(fc->conn.shard->metrics, METRIC_READ_PAUSES, front_slot(fc), 1);
        fc->starved = fc->conn.paused = true;
    }
    if (err == ERR_NO_MEMORY)
        conn_fail(&fc->conn, err, "memory.request-bytes is used up");
    fc->room = *ret_len;
}

static void make_ready(struct front_conn *fc)
{
    if (!list_linked(&fc->conn.ready_link))
        list_add_tail(&fc->conn.shard->ready, &fc->conn.ready_link);
}

/* n plain bytes stand where make_room() made room. */
static void placed(struct front_conn *fc, size_t n)
{
    fc->in->used += (uint32_t)n;
    fc->fresh = true;
}

void conn_input(void *user, int64_t n)
{
    struct front_conn *fc = user;
    if (fc->dead)
        return;
    if (n < 0) {
        conn_abort(&fc->conn);
        return;
    }
    make_ready(fc);
    if (n == 0) {
        fc->eof = true;
        conn_wake_output(&fc->conn);
        return;
    }
    assert((size_t)n <= fc->room);
    fc->conn.bytes_in += (uint64_t)n;
    metrics_add_at(fc->conn.shard->metrics, METRIC_BYTES_IN, front_slot(fc), (uint64_t)n);
    fc->room -= (size_t)n;
    if (fc->tls)
        conn_tls_came(fc, (size_t)n);
    else
        placed(fc, (size_t)n);
    if (fc->room == 0)
        fc->big = true;
}

/* ---- to the protocol, in the input phase --------------------------------------------------------------- */

static bool may_work(const struct front_conn *fc)
{
    return conn_can_read(&fc->conn) && !fc->conn.shard->stopping;
}

static bool has_plain(const struct front_conn *fc)
{
    size_t have = unconsumed(fc);
    return have > 0 && have >= fc->need && may_work(fc);
}

static bool has_sealed(const struct front_conn *fc)
{
    return fc->tls && conn_tls_has_input(fc) && may_work(fc);
}

static bool has_work(const struct front_conn *fc)
{
    return has_plain(fc) || has_sealed(fc);
}

/* One call. False: it needs more, or has failed. */
static bool call_protocol(struct front_conn *fc)
{
    struct conn *c = &fc->conn;
    size_t need = 0, have = unconsumed(fc);
    int64_t n = c->proto->input(c, c->proto_state, span_of(fc->in->data + fc->at, have), fc->in, &need);
    assert(n <= (int64_t)have);
    if (n < 0) {
        conn_finish(c); /* its own words are queued, or conn_fail() was called */
        return false;
    }
    if (n == 0) {
        fc->need = c->held ? 0 : need > have ? need : have + 1; /* what is held is all here already */
        return false;
    }
    fc->at += (size_t)n;
    fc->need = 0;
    return true;
}

/* Everything was consumed: an idle connection owns no chunk, one with requests in flight goes on filling the
 * chunk that they refer to. */
static void after_feed(struct front_conn *fc)
{
    fc->fresh = false;
    if (!fc->in || unconsumed(fc) > 0)
        return;
    if (fc->in->used <= fc->conn.shard->small_input_pool.chunk_bytes / 2)
        fc->big = false;
    if (atomic_load_explicit(&fc->in->refs, memory_order_acquire) == 1 ||
        fc->in->cap - fc->in->used < FRONT_MIN_ROOM)
        conn_drop_input(fc);
}

/* Decrypts what has come, as far as there is room and the protocol may be given more. */
static void unseal(struct front_conn *fc)
{
    if (!has_sealed(fc) || (!fc->opened && !conn_tls_shake(fc)))
        return;
    while (has_sealed(fc)) {
        int err = make_room(fc);
        if (err == ERR_NO_MEMORY)
            conn_fail(&fc->conn, err, "memory.request-bytes is used up");
        if (err)
            return;
        size_t room = fc->in->cap - fc->in->used;
        size_t n = conn_tls_read(fc, fc->in->data + fc->in->used, room);
        if (n == 0)
            return;
        placed(fc, n);
        if (n == room)
            fc->big = true;
    }
}

static void feed(struct front_conn *fc)
{
    struct conn *c = &fc->conn;

    unseal(fc);
    c->yielding = false;
    for (unsigned calls = 0; has_plain(fc) && call_protocol(fc); calls++)
        if (calls == FRONT_FEED_CALLS || c->yielding) {
            make_ready(fc); /* others first */
            break;
        }
    after_feed(fc);
    if (has_sealed(fc))
        make_ready(fc); /* the rest, when the protocol has made room */
    if (fc->eof || c->closing || c->shard->stopping)
        conn_wake_output(c);
    else
        resume(fc);
}

void conn_feed_ready(struct shard *s)
{
    struct list now;
    check_pressure(s);
    front_shard_of(s)->handshakes = FRONT_HANDSHAKES;
    list_init(&now);
    while (!list_empty(&s->ready)) {
        struct list *l = list_first(&s->ready);
        list_del(l);
        list_add_tail(&now, l);
    }
    while (!list_empty(&now)) {
        struct list *l = list_first(&now);
        list_del(l);
        struct front_conn *fc = front_conn_of(list_entry(l, struct conn, ready_link));
        conn_start_if_new(fc);
        feed(fc);
    }
}

void conn_prune_ready(struct shard *s)
{
    list_each_safe (l, tmp, &s->ready) {
        struct front_conn *fc = front_conn_of(list_entry(l, struct conn, ready_link));
        if (!fc->started || has_work(fc))
            continue;
        list_del(l);
        after_feed(fc);
        resume(fc);
        if (fc->eof || fc->conn.closing || s->stopping)
            conn_settle(fc);
    }
}
