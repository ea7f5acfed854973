#include "proto/kafka/conn.h"

#include <assert.h>

#include "base/err.h"
#include "base/say.h"
#include "proto/kafka/fetch_session.h"
#include "proto/kafka/kafka.h"

enum { NS_PER_MS = 1000000 };

static struct kafka_conn *kafka_conn_of(void *state)
{
    struct kafka_conn *kc = state;
    assert(kc->magic == KAFKA_CONN_MAGIC);
    return kc;
}

/* ---- deadlines ---------------------------------------------------------------------------------------- */

static uint64_t silence_ms(const struct kafka_conn *kc)
{
    const struct config *cfg = kc->conn->shard->config;
    return kc->greeted ? cfg->kafka_idle_timeout_ms : cfg->kafka_handshake_timeout_ms;
}

static uint64_t silence_deadline(const struct kafka_conn *kc)
{
    uint64_t ms = silence_ms(kc);
    return ms >= CONFIG_UNLIMITED / NS_PER_MS ? UINT64_MAX : kc->active_ns + ms * NS_PER_MS;
}

static void arm(struct kafka_conn *kc)
{
    uint64_t at = silence_deadline(kc);
    if (kc->receive_deadline_ns && kc->receive_deadline_ns < at)
        at = kc->receive_deadline_ns;
    conn_set_deadline(kc->conn, at);
}

/* A request has begun to arrive: it must end in a time that depends on what it announces. */
static void await_rest(struct kafka_conn *kc, size_t bytes)
{
    if (kc->receive_deadline_ns)
        return;
    uint64_t ms = KAFKA_RECEIVE_GRACE_MS + bytes * 1000 / KAFKA_RECEIVE_BYTES_PER_S;
    kc->receive_deadline_ns = kc->conn->shard->now_ns + ms * NS_PER_MS;
    arm(kc);
}

static void kafka_conn_tick(struct conn *c, void *state, uint64_t now_mono_ns)
{
    struct kafka_conn *kc = kafka_conn_of(state);
    /* Bytes that wait because we do not read are not the client's fault, and a request being worked on is not
     * silence. */
    bool ours = !conn_can_read(c) && c->out.len == 0;
    if (kc->receive_deadline_ns && now_mono_ns >= kc->receive_deadline_ns) {
        if (!ours) {
            conn_fail(c, ERR_TIMEOUT, "a request did not arrive completely in time");
            return;
        }
        kc->receive_deadline_ns = now_mono_ns + (uint64_t)KAFKA_RECEIVE_GRACE_MS * NS_PER_MS;
    }
    if (now_mono_ns >= silence_deadline(kc)) {
        if (!kc->greeted) {
            conn_fail(c, ERR_TIMEOUT, "no complete request within kafka.handshake-timeout");
            return;
        }
        if (list_empty(&kc->requests)) {
            say_debug("kafka", "idle connection closed", "peer=%s", c->peer);
            conn_finish(c);
            return;
        }
        kc->active_ns = now_mono_ns;
    }
    arm(kc);
}

/* ---- requests and answers ----------------------------------------------------------------------------- */

void kafka_conn_advance(struct kafka_conn *kc)
{
    struct conn *c = kc->conn;
    struct list *l;
    while (!kc->failed && (l = list_first(&kc->requests))) {
        struct kafka_request *r = list_entry(l, struct kafka_request, link);
        if (!r->done || r->pending > 0)
            return;
        if (r->fail_err) {
            kc->poisoned = kc->failed = true;
            conn_fail(c, r->fail_err, r->fail_why);
        } else {
            outq_move(&c->out, &r->out);
            kc->active_ns = c->shard->now_ns;
            conn_wake_output(c);
        }
        kafka_request_release(r);
    }
}

static int32_t length_of(const uint8_t *p)
{
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Length of the frame in front, checked; 0: its length field is not complete. */
static int64_t frame_bytes(struct kafka_conn *kc, struct span input)
{
    if (input.len < 4)
        return 0;
    int32_t len = length_of(input.ptr);
    if (len < KAFKA_MIN_HEADER_BYTES) {
        kafka_request_poison(kc, ERR_INVALID,
                             "a request is shorter than its header: not the Kafka protocol?");
        return ERR_INVALID;
    }
    if ((uint64_t)len > kc->conn->shard->config->kafka_max_request_bytes) {
        kafka_request_poison(kc, ERR_TOO_LARGE,
                             "a request is larger than kafka.max-request-bytes, or not the Kafka protocol");
        return ERR_TOO_LARGE;
    }
    return 4 + (int64_t)len;
}

static int64_t need_more(struct kafka_conn *kc, struct span input, size_t need, size_t *ret_need)
{
    if (input.len > 0)
        await_rest(kc, need);
    *ret_need = need;
    return 0;
}

static int64_t kafka_conn_input(struct conn *c, void *state, struct span input, struct chunk *chunk,
                                size_t *ret_need)
{
    struct kafka_conn *kc = kafka_conn_of(state);
    if (kc->poisoned)
        return (int64_t)input.len; /* invariant 3 */
    int64_t len = frame_bytes(kc, input);
    if (len < 0)
        return c->closing ? len : (int64_t)input.len;
    if (len == 0 || (uint64_t)len > input.len)
        return need_more(kc, input, len ? (size_t)len : 4, ret_need);
    kc->receive_deadline_ns = 0;
    kc->greeted = true;
    kc->active_ns = c->shard->now_ns;
    kafka_request_start(kc, span_of(input.ptr + 4, (size_t)len - 4), chunk);
    return len;
}

static void kafka_conn_open(struct conn *c, void *state)
{
    struct kafka_conn *kc = state;
    kc->magic = KAFKA_CONN_MAGIC;
    kc->conn = c;
    list_init(&kc->requests);
    kc->active_ns = c->shard->now_ns;
    arm(kc);
}

static void kafka_conn_closed(struct conn *c, void *state)
{
    struct kafka_conn *kc = kafka_conn_of(state);
    struct list *l;
    while ((l = list_first(&kc->requests)))
        kafka_request_release(list_entry(l, struct kafka_request, link));
    fetch_sessions_expire(c->shard);
    kc->magic = 0;
}

const struct proto kafka_proto = {
    .name = "kafka",
    .state_bytes = sizeof(struct kafka_conn),
    .open = kafka_conn_open,
    .input = kafka_conn_input,
    .tick = kafka_conn_tick,
    .closed = kafka_conn_closed,
};
