/* The connection: from input to commands, one after the other. */
#include <stdatomic.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/redis/redis_impl.h"

enum {
    MAX_INLINE = 64 << 10,   /* PROTO_INLINE_MAX_SIZE */
    COMMAND_EXTRA = 8 << 20, /* a whole command may be so much larger than its largest argument */
    LOGIN_LOOK_NS = 500000000,
};

static struct redis_conn *conn_of(void *state)
{
    struct redis_conn *rc = redis_conn_of(state);
    assert(rc->magic == REDIS_CONN_MAGIC);
    return rc;
}

/* ---- one command --------------------------------------------------------------------------------------- */

static void command_begins(struct redis_conn *rc)
{
    rc->running = true;
    subscriber_hold(&rc->sub);
}

/* networking.c, resetClient(): CLIENT REPLY SKIP is about the next command. */
static void next_reply_mode(struct redis_conn *rc)
{
    if (rc->reply_mode == REDIS_REPLY_SKIP_NEXT)
        rc->reply_mode = REDIS_REPLY_SKIP;
    else if (rc->reply_mode == REDIS_REPLY_SKIP)
        rc->reply_mode = REDIS_REPLY_ON;
}

static void count_errors(struct redis_conn *rc)
{
    uint32_t errors = rc->out.errors + rc->nowhere.errors;
    if (errors == 0)
        return;
    metrics_add(rc->conn->shard->metrics, METRIC_REDIS_ERRORS, errors);
    rc->out.errors = rc->nowhere.errors = 0;
}

static void command_ends(struct redis_conn *rc)
{
    rc->pushing = false;
    if (rc->reply_mode != REDIS_REPLY_ON)
        next_reply_mode(rc);
    count_errors(rc);
    if (!rc->running)
        return;
    rc->running = false;
    subscriber_resume(&rc->sub);
}

void redis_wait(struct redis_conn *rc)
{
    assert(!rc->waiting);
    rc->waiting = true;
    conn_hold(rc->conn);
    conn_take_credit(rc->conn, 0);
}

/* Answers that found no memory are lost, and the client cannot know which. */
static void check_output(struct redis_conn *rc)
{
    if (rc->out.failed)
        conn_fail(rc->conn, ERR_NO_MEMORY, "no memory for answers");
    if (rc->conn->out.len > 0)
        conn_wake_answer(rc->conn);
}

void redis_command_over(struct redis_conn *rc)
{
    assert(rc->waiting);
    rc->waiting = false;
    conn_give_credit(rc->conn, 0);
    if (rc->executing && !redis_multi_next(rc)) {
        redis_wait(rc);
    } else {
        conn_release(rc->conn);
        command_ends(rc);
    }
    redis_publish_flush(rc);
    check_output(rc);
}

/* ---- input --------------------------------------------------------------------------------------------- */

/* Quoted words of an inline command don't lie in the input: they move to a chunk, as all expect who borrow.
 */
static struct chunk *chunk_of_words(struct redis_conn *rc)
{
    struct resp_parser *p = &rc->parser;
    struct chunk *c = chunk_new(&rc->conn->shard->input_pool, p->words_len + 1);
    if (!c)
        return NULL;
    if (p->words_len)
        memcpy(c->data, p->words, p->words_len);
    c->used = (uint32_t)p->words_len;
    for (size_t i = 0; i < p->count; i++)
        p->args[i].ptr = c->data + (p->args[i].ptr - p->words);
    return c;
}

static void process_words(struct redis_conn *rc)
{
    struct chunk *c = chunk_of_words(rc);
    if (!c) {
        conn_fail(rc->conn, ERR_NO_MEMORY, "memory is used up");
        rc->closing = true;
        return;
    }
    if (redis_process(rc, rc->parser.args, rc->parser.count, c) == REDIS_WAIT)
        redis_wait(rc);
    chunk_unref(c);
}

/* The parser has a whole command. */
static void process(struct redis_conn *rc, struct chunk *chunk)
{
    struct resp_parser *p = &rc->parser;
    if (p->count == 0) { /* an empty line or array */
        command_ends(rc);
        return;
    }
    command_begins(rc);
    if (p->words)
        process_words(rc);
    else if (redis_process(rc, p->args, p->count, chunk) == REDIS_WAIT)
        redis_wait(rc);
    if (!rc->waiting)
        command_ends(rc);
}

static int64_t protocol_error(struct redis_conn *rc, const char *why)
{
    resp_error(redis_reply(rc), "ERR %s", why);
    count_errors(rc);
    conn_fail(rc->conn, ERR_INVALID, why);
    rc->closing = true;
    return ERR_INVALID;
}

static bool goes_on(struct redis_conn *rc)
{
    if (rc->closing || rc->waiting || !conn_can_read(rc->conn))
        return false;
    if (!subject_turn_is_full(rc->conn->shard))
        return true;
    conn_yield(rc->conn);
    return false;
}

static struct resp_limits limits_of(const struct redis_conn *rc)
{
    const struct config *cfg = rc->conn->shard->config;
    return (struct resp_limits){
        .max_args = (size_t)cfg->redis_max_arguments,
        .max_bulk = cfg->redis_max_bulk_bytes,
        .max_bytes = cfg->redis_max_bulk_bytes + COMMAND_EXTRA,
        .max_inline = MAX_INLINE,
        .known = !rc->may_do_nothing,
    };
}

static int64_t redis_input(struct conn *c, void *state, struct span input, struct chunk *chunk,
                           size_t *ret_need)
{
    struct redis_conn *rc = conn_of(state);
    struct resp_limits limits = limits_of(rc);
    const char *why = NULL;
    size_t at = 0;
    int64_t n = 1;
    rc->last_ms = (uint64_t)c->shard->now_ms;
    while (at < input.len && n > 0 && (at == 0 || goes_on(rc))) {
        n = resp_parse(&rc->parser, span_of(input.ptr + at, input.len - at), &limits, ret_need, &why);
        if (n < 0)
            n = protocol_error(rc, why);
        if (n <= 0)
            break;
        at += (size_t)n;
        process(rc, chunk);
        limits.known = !rc->may_do_nothing;
    }
    redis_publish_flush(rc);
    check_output(rc);
    return n < 0 ? n : rc->closing ? (int64_t)input.len : (int64_t)at;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static uint64_t next_id(void)
{
    static _Atomic uint64_t ids;
    return atomic_fetch_add_explicit(&ids, 1, memory_order_relaxed) + 1;
}

static void redis_open(struct conn *c, void *state)
{
    struct redis_conn *rc = state;
    rc->magic = REDIS_CONN_MAGIC;
    rc->conn = c;
    rc->id = next_id();
    rc->opened_ms = rc->last_ms = (uint64_t)c->shard->now_ms;
    rc->out = (struct resp_writer){.out = &c->out, .version = 2};
    resp_parser_init(&rc->parser);
    list_init(&rc->link);
    redis_pubsub_begin(rc);
    redis_clients_add(rc);
    redis_auth_begin(rc);
}

static void redis_tick(struct conn *c, void *state, uint64_t now_mono_ns)
{
    struct redis_conn *rc = conn_of(state);
    if (rc->may_do_nothing &&
        rc->waiting) /* for the logins of others, which are looked at one after the other */
        conn_set_deadline(c, now_mono_ns + LOGIN_LOOK_NS);
    else if (rc->may_do_nothing)
        conn_fail(c, ERR_TIMEOUT, "the client did not log in within redis.handshake-timeout");
}

static void redis_closed(struct conn *c, void *state)
{
    struct redis_conn *rc = conn_of(state);
    (void)c;
    redis_multi_drop(rc);
    redis_pubsub_end(rc);
    redis_clients_del(rc);
    redis_auth_end(rc);
    resp_parser_fini(&rc->parser);
    mem_free(rc->name);
    mem_free(rc->lib_name);
    mem_free(rc->lib_version);
    rc->magic = 0;
}

const struct proto redis_proto = {
    .name = "redis",
    .state_bytes = sizeof(struct redis_conn),
    .open = redis_open,
    .input = redis_input,
    .tick = redis_tick,
    .closed = redis_closed,
};
