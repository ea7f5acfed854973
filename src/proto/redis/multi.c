/* MULTI, EXEC, DISCARD, and WATCH, which never sees a change: there are no keys. See Redis's multi.c. */
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "proto/redis/redis_impl.h"

enum {
    MULTI_MAX_COMMANDS = 1 << 20,
    MULTI_MAX_BYTES = 64 << 20,        /* of arguments and what is kept with them */
    MULTI_MAX_ANSWER_BYTES = 64 << 20, /* that one EXEC may leave unsent */
};

struct queued {
    const struct redis_command *command;
    const struct span *args; /* in the chunk, like what they span */
    size_t count;
    struct chunk *chunk; /* one reference */
};

struct redis_multi {
    bool tainted;
    struct queued *commands;
    size_t count, cap, bytes;
    size_t next; /* that EXEC runs */
};

static void forget_commands(struct redis_multi *m)
{
    for (size_t i = 0; i < m->count; i++)
        chunk_unref(m->commands[i].chunk);
    mem_free(m->commands);
    m->commands = NULL;
    m->count = m->cap = m->bytes = 0;
}

void redis_multi_drop(struct redis_conn *rc)
{
    if (!rc->multi)
        return;
    forget_commands(rc->multi);
    mem_free(rc->multi);
    rc->multi = NULL;
    rc->executing = false;
}

void redis_multi_taint(struct redis_conn *rc)
{
    if (!rc->multi || rc->executing)
        return;
    rc->multi->tainted = true;
    forget_commands(rc->multi); /* which EXEC will not run */
}

size_t redis_multi_count(const struct redis_conn *rc)
{
    return rc->multi ? rc->multi->count : 0;
}

/* ---- queueing ------------------------------------------------------------------------------------------ */

static size_t bytes_of(const struct redis_call *c)
{
    size_t bytes = c->count * sizeof(struct span);
    for (size_t i = 0; i < c->count; i++)
        bytes += c->args[i].len;
    return bytes;
}

static size_t aligned(size_t n)
{
    return n + (-n & (_Alignof(struct span) - 1));
}

/* Transactions take no more than a part of the memory for requests: at 80 % nobody is read from, and so
 * nobody could end one. */
static bool may_take_more(const struct shard *s)
{
    const struct broker *b = s->broker;
    uint64_t used = 0;
    for (unsigned i = 0; i < b->shard_count; i++)
        used += atomic_load_explicit(&b->shards[i].input_pool.used_bytes, memory_order_relaxed) +
                atomic_load_explicit(&b->shards[i].small_input_pool.used_bytes, memory_order_relaxed);
    return used <= s->config->memory_request_bytes / 10 * 4;
}

/* A reference to a chunk with so much room at aligned(used). Small transactions share a small one. */
static struct chunk *room(struct redis_conn *rc, size_t bytes)
{
    struct redis_multi *m = rc->multi;
    struct shard *s = rc->conn->shard;
    struct chunk *last = m->count ? m->commands[m->count - 1].chunk : NULL;
    if (last && aligned(last->used) + bytes <= last->cap)
        return chunk_ref(last);
    if (!may_take_more(s))
        return NULL;
    bool small = m->count == 0 && bytes <= s->small_input_pool.chunk_bytes;
    struct chunk_pool *pool = small ? &s->small_input_pool : &s->input_pool;
    return chunk_new(pool, bytes > pool->chunk_bytes ? bytes : pool->chunk_bytes);
}

static const struct span *copy_args(struct chunk *to, const struct redis_call *c)
{
    to->used = (uint32_t)aligned(to->used);
    struct span *args = (struct span *)(void *)(to->data + to->used);
    to->used += (uint32_t)(c->count * sizeof(*args));
    for (size_t i = 0; i < c->count; i++) {
        uint8_t *at = to->data + to->used;
        args[i] = span_of(at, c->args[i].len);
        if (c->args[i].len)
            memcpy(at, c->args[i].ptr, c->args[i].len);
        to->used += (uint32_t)c->args[i].len;
    }
    return args;
}

static int keep(struct redis_conn *rc, const struct redis_call *c)
{
    struct redis_multi *m = rc->multi;
    size_t bytes = bytes_of(c);
    if (m->count == MULTI_MAX_COMMANDS || m->bytes + bytes > MULTI_MAX_BYTES)
        return ERR_LIMIT;
    struct chunk *chunk = room(rc, bytes);
    if (!chunk)
        return ERR_NO_MEMORY;
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 4;
        m->commands = mem_realloc(m->commands, m->cap * sizeof(*m->commands));
    }
    m->commands[m->count++] = (struct queued){c->command, copy_args(chunk, c), c->count, chunk};
    m->bytes += bytes + sizeof(struct queued);
    return 0;
}

void redis_multi_queue(const struct redis_call *c)
{
    struct redis_conn *rc = c->rc;
    int err = rc->multi->tainted ? 0 : keep(rc, c); /* what EXEC will refuse need not be kept */
    if (err) {
        redis_multi_taint(rc);
        resp_error(redis_reply(rc), err == ERR_LIMIT
                                        ? "ERR the transaction is too large"
                                        : "OOM command not allowed when used memory > 'maxmemory'.");
        return;
    }
    resp_simple(redis_reply(rc), "QUEUED");
}

/* ---- running ------------------------------------------------------------------------------------------- */

bool redis_multi_next(struct redis_conn *rc)
{
    struct redis_multi *m = rc->multi;
    while (m->next < m->count) {
        const struct queued *q = &m->commands[m->next++];
        struct redis_call call = {rc, q->command, q->args, q->count, q->chunk};
        if (redis_run(&call) == REDIS_WAIT)
            return false;
        rc->pushing = false;
        if (rc->conn->out.len > MULTI_MAX_ANSWER_BYTES) {
            conn_fail(rc->conn, ERR_LIMIT, "the answers of one transaction are too large");
            rc->closing = true;
            break;
        }
    }
    redis_multi_drop(rc);
    return true;
}

REDIS_COMMAND(exec)
{
    struct redis_conn *rc = c->rc;
    struct resp_writer *w = redis_reply(rc);
    if (!rc->multi) {
        resp_error(w, "ERR EXEC without MULTI");
        return REDIS_DONE;
    }
    if (rc->multi->tainted) {
        redis_multi_drop(rc);
        resp_error(w, "EXECABORT Transaction discarded because of previous errors.");
        return REDIS_DONE;
    }
    resp_array(w, rc->multi->count);
    rc->executing = true;
    return redis_multi_next(rc) ? REDIS_DONE : REDIS_WAIT;
}

REDIS_COMMAND(multi)
{
    struct redis_conn *rc = c->rc;
    if (rc->multi) {
        resp_error(redis_reply(rc), "ERR MULTI calls can not be nested");
        return REDIS_DONE;
    }
    rc->multi = mem_zalloc(sizeof(*rc->multi));
    resp_simple(redis_reply(rc), "OK");
    return REDIS_DONE;
}

REDIS_COMMAND(discard)
{
    struct redis_conn *rc = c->rc;
    if (!rc->multi) {
        resp_error(redis_reply(rc), "ERR DISCARD without MULTI");
        return REDIS_DONE;
    }
    redis_multi_drop(rc);
    resp_simple(redis_reply(rc), "OK");
    return REDIS_DONE;
}

REDIS_COMMAND(watch)
{
    if (c->rc->multi)
        resp_error(redis_reply(c->rc), "ERR WATCH inside MULTI is not allowed");
    else
        resp_simple(redis_reply(c->rc), "OK");
    return REDIS_DONE;
}

REDIS_COMMAND(unwatch)
{
    resp_simple(redis_reply(c->rc), "OK");
    return REDIS_DONE;
}
