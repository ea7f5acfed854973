/* The connection: bytes become frames, frames go to channel 0, to content, or to a channel's methods;
 * heartbeats, deadlines, and the end of it all. */
#include "proto/amqp/amqp.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/amqp/amqp_impl.h"
#include "proto/amqp/be.h"

enum {
    NS_PER_S = 1000000000,
    NS_PER_MS = 1000000,
    HANDSHAKE_FRAME_MAX = 8192, /* before it is known who asks; RabbitMQ's since 4.1: tokens fit in */
};

/* ---- channels ----------------------------------------------------------------------------------------- */

static struct amqp_channel *channel_at(const struct amqp_conn *ac, unsigned number)
{
    return number < ac->channel_cap ? ac->channels[number] : NULL;
}

struct amqp_channel *amqp_channel_find(struct amqp_conn *ac, unsigned number)
{
    struct amqp_channel *ch = channel_at(ac, number);
    return ch && ch->phase == AMQP_CHANNEL_ALIVE ? ch : NULL;
}

static void grow_channels(struct amqp_conn *ac, unsigned number)
{
    uint32_t cap = ac->channel_cap ? ac->channel_cap : 4;
    while (cap <= number)
        cap *= 2;
    ac->channels = mem_realloc(ac->channels, cap * sizeof(struct amqp_channel *));
    memset(ac->channels + ac->channel_cap, 0, (cap - ac->channel_cap) * sizeof(struct amqp_channel *));
    ac->channel_cap = cap;
}

static void open_channel(struct amqp_conn *ac, uint16_t number)
{
    if (number > ac->channel_max) { /* RabbitMQ counts; a number beyond what was agreed is as wrong */
        amqp_connection_exception(
            ac, AMQP_NOT_ALLOWED, AMQP_CHANNEL_OPEN,
            "number of channels opened (%u) has reached the negotiated channel_max (%u)", ac->channel_count,
            ac->channel_max);
        return;
    }
    if (number >= ac->channel_cap)
        grow_channels(ac, number);
    struct amqp_channel *ch = mem_zalloc(sizeof(*ch));
    ch->ac = ac;
    ch->number = number;
    ac->channels[number] = ch;
    ac->channel_count++;
    metrics_gauge_add_at(ac->conn->shard->metrics, METRIC_AMQP_CHANNELS, 0, 1);
    amqp_channel_opened(ch);
    amqp_send(ch, &(struct amqp_method){.id = AMQP_CHANNEL_OPEN_OK});
}

void amqp_channel_ended(struct amqp_channel *ch)
{
    bool waited = ch->waits > 0;
    ch->waits = 0;
    amqp_incoming_drop(ch);
    amqp_channel_closed(ch);
    if (waited)
        amqp_unhold(ch->ac);
}

static void free_channel(struct amqp_channel *ch)
{
    struct amqp_conn *ac = ch->ac;
    ac->channels[ch->number] = NULL;
    ac->channel_count--;
    metrics_gauge_add_at(ac->conn->shard->metrics, METRIC_AMQP_CHANNELS, 0, -1);
    mem_free(ch);
}

static void close_channel(struct amqp_channel *ch)
{
    struct amqp_method ok = {.id = AMQP_CHANNEL_CLOSE_OK};
    amqp_channel_ended(ch);
    amqp_send(ch, &ok);
    free_channel(ch);
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

static int64_t hold(struct amqp_conn *ac)
{
    ac->held = true;
    conn_hold(ac->conn);
    return 0;
}

void amqp_unhold(struct amqp_conn *ac)
{
    if (!ac->held)
        return;
    ac->held = false;
    conn_release(ac->conn);
}

void amqp_channel_wait(struct amqp_channel *ch)
{
    ch->waits++;
}

void amqp_channel_resume(struct amqp_channel *ch)
{
    assert(ch->waits > 0);
    if (--ch->waits == 0)
        amqp_unhold(ch->ac);
}

void amqp_conn_set_blocked(struct amqp_conn *ac, bool blocked, const char *reason)
{
    struct amqp_method m = {.id = blocked ? AMQP_CONNECTION_BLOCKED : AMQP_CONNECTION_UNBLOCKED};
    ac->blocked = blocked;
    if (!blocked)
        amqp_unhold(ac);
    if (ac->phase != AMQP_CONN_OPEN || blocked == ac->told_blocked || !(ac->capabilities & AMQP_CAN_BLOCKED))
        return;
    if (blocked)
        m.connection_blocked.reason = span_str(reason);
    ac->told_blocked = blocked;
    amqp_conn_send(ac, &m);
}

/* ---- frames of channels ------------------------------------------------------------------------------- */

/* Only close and close-ok matter to a channel that was closed from here. */
static void ending_method(struct amqp_channel *ch, const struct amqp_method *m)
{
    if (m->id == AMQP_CHANNEL_CLOSE) {
        struct amqp_method ok = {.id = AMQP_CHANNEL_CLOSE_OK};
        ch->phase = AMQP_CHANNEL_ALIVE; /* the one thing that is still said: both have asked at once */
        amqp_send(ch, &ok);
        ch->phase = AMQP_CHANNEL_ENDING;
    } else if (m->id == AMQP_CHANNEL_CLOSE_OK) {
        free_channel(ch);
    } else if (m->id == AMQP_CHANNEL_OPEN) {
        amqp_connection_exception(ch->ac, AMQP_CHANNEL_ERROR, m->id, "second 'channel.open' seen");
    }
}

static void alive_method(struct amqp_channel *ch, const struct amqp_method *m, struct chunk *chunk)
{
    if (ch->in.phase != AMQP_CONTENT_NONE)
        amqp_connection_exception(
            ch->ac, AMQP_UNEXPECTED_FRAME, AMQP_BASIC_PUBLISH,
            ch->in.phase == AMQP_CONTENT_HEADER
                ? "expected content header for class 60, got non content header frame instead"
                : "expected content body, got non content body frame instead");
    else if (m->id == AMQP_CHANNEL_OPEN)
        amqp_connection_exception(ch->ac, AMQP_CHANNEL_ERROR, m->id, "second 'channel.open' seen");
    else if (m->id == AMQP_CHANNEL_CLOSE)
        close_channel(ch);
    else if (!amqp_method_from_client(m->id) || m->id == AMQP_CHANNEL_CLOSE_OK || m->id >> 16 == 10)
        amqp_connection_exception(ch->ac, AMQP_COMMAND_INVALID, m->id, "unimplemented method");
    else
        amqp_channel_method(ch, m, chunk);
}

/* A frame as RabbitMQ shows it in its errors: "type 3, all octets = <<1,2>>", the first 16 of more. */
struct shown {
    char text[32 + 16 * 4];
};

static const char *show(struct shown *s, uint8_t type, struct span payload)
{
    enum { SHOWN_MAX = 16 };
    size_t max = payload.len < SHOWN_MAX ? payload.len : SHOWN_MAX;
    int n = snprintf(s->text, sizeof(s->text), "type %u, %s octets = <<", type,
                     payload.len <= SHOWN_MAX ? "all" : "first 16");
    for (size_t i = 0; i < max; i++)
        n += snprintf(s->text + n, sizeof(s->text) - (size_t)n, "%s%u", i ? "," : "", payload.ptr[i]);
    snprintf(s->text + n, sizeof(s->text) - (size_t)n, ">>");
    return s->text;
}

static int decode(struct amqp_conn *ac, struct span payload, struct amqp_method *ret)
{
    struct shown s;
    int err = amqp_method_decode(payload, ret);
    if (err == ERR_UNSUPPORTED)
        amqp_connection_exception(ac, AMQP_COMMAND_INVALID, ret->id, "unimplemented method");
    else if (err && payload.len < 4)
        amqp_connection_exception(ac, AMQP_FRAME_ERROR, AMQP_NO_METHOD, "%s: unknown_frame",
                                  show(&s, AMQP_FRAME_METHOD, payload));
    else if (err)
        amqp_connection_exception(ac, AMQP_FRAME_ERROR, ret->id, "cannot decode %s",
                                  amqp_method_name(ret->id) ? amqp_method_name(ret->id) : "a method");
    return err;
}

static void channel_unknown(struct amqp_conn *ac, const struct amqp_frame *f)
{
    struct amqp_method m;
    if (f->type != AMQP_FRAME_METHOD)
        amqp_connection_exception(ac, AMQP_UNEXPECTED_FRAME, AMQP_NO_METHOD,
                                  "expected method frame, got non method frame instead");
    else if (decode(ac, f->payload, &m) != 0)
        return;
    else if (m.id == AMQP_CHANNEL_OPEN)
        open_channel(ac, f->channel);
    else if (m.id != AMQP_CHANNEL_CLOSE_OK) /* which may come late, when both have asked at once */
        amqp_connection_exception(ac, AMQP_CHANNEL_ERROR, m.id, "expected 'channel.open'");
}

static bool is_method(const struct amqp_frame *f, uint32_t id)
{
    return f->type == AMQP_FRAME_METHOD && f->payload.len >= 4 && be_u32(f->payload.ptr) == id;
}

/* Bytes taken; 0: it waits. */
static int64_t channel_frame(struct amqp_channel *ch, const struct amqp_frame *f, struct span input,
                             struct chunk *chunk, size_t *ret_need)
{
    struct amqp_conn *ac = ch->ac;
    struct amqp_method m;
    bool alive = ch->phase == AMQP_CHANNEL_ALIVE;
    if (alive && (ch->waits > 0 || (ac->blocked && is_method(f, AMQP_BASIC_PUBLISH) && amqp_held_full(ac))))
        return hold(ac);
    if (f->type == AMQP_FRAME_METHOD) {
        if (decode(ac, f->payload, &m) != 0)
            return (int64_t)f->bytes;
        if (alive && ch->in.phase == AMQP_CONTENT_NONE && amqp_channel_must_wait(ch, m.id))
            return hold(ac);
        if (!alive)
            ending_method(ch, &m);
        else if (m.id == AMQP_BASIC_PUBLISH && ch->in.phase == AMQP_CONTENT_NONE)
            return amqp_publish_input(ch, f, &m, input, chunk, ret_need);
        else
            alive_method(ch, &m, chunk);
    } else if (!alive) {
        return (int64_t)f->bytes;
    } else if (f->type == AMQP_FRAME_HEADER) {
        amqp_header_frame(ch, f->payload);
    } else {
        amqp_body_frame(ch, f->payload);
    }
    return (int64_t)f->bytes;
}

/* ---- frames ------------------------------------------------------------------------------------------- */

uint32_t amqp_payload_max(const struct amqp_conn *ac)
{
    return ac->frame_max; /* payload and 8 octets more than agreed: RabbitMQ's FRAME_SIZE_FUDGE */
}

/* What is sent cannot be told apart from what comes next any more. */
static int64_t lost_sync(struct amqp_conn *ac)
{
    amqp_conn_over(ac);
    return ERR_INVALID;
}

/* Bytes of the frame in front, 0 if it is not all there, or an error. */
static int64_t next_frame(struct amqp_conn *ac, struct span input, struct amqp_frame *ret, size_t *ret_need)
{
    if (input.len < AMQP_FRAME_HEAD_BYTES) {
        *ret_need = AMQP_FRAME_HEAD_BYTES;
        return 0;
    }
    const uint8_t *p = input.ptr;
    struct shown s;
    uint32_t len = be_u32(p + 3);
    if (len > amqp_payload_max(ac)) {
        amqp_connection_exception(ac, AMQP_FRAME_ERROR, AMQP_NO_METHOD,
                                  "type %u, all octets = <<>>: {frame_too_large,%u,%u}", p[0], len,
                                  ac->frame_max - AMQP_FRAME_EXTRA_BYTES);
        return lost_sync(ac);
    }
    size_t bytes = (size_t)len + AMQP_FRAME_EXTRA_BYTES;
    if (input.len < bytes) {
        *ret_need = bytes;
        return 0;
    }
    *ret = (struct amqp_frame){p[0], be_u16(p + 1), span_of(p + AMQP_FRAME_HEAD_BYTES, len), bytes};
    if (p[bytes - 1] != AMQP_FRAME_END) {
        amqp_connection_exception(ac, AMQP_FRAME_ERROR, AMQP_NO_METHOD, "%s: {invalid_frame_end_marker,%u}",
                                  show(&s, p[0], ret->payload), p[bytes - 1]);
        return lost_sync(ac);
    }
    return (int64_t)bytes;
}

static void frame_of_zero(struct amqp_conn *ac, const struct amqp_frame *f)
{
    struct amqp_method m;
    struct shown s;
    if (f->type == AMQP_FRAME_HEARTBEAT)
        return;
    if (f->type != AMQP_FRAME_METHOD) {
        amqp_connection_exception(ac, AMQP_UNEXPECTED_FRAME, AMQP_NO_METHOD, "%s",
                                  show(&s, f->type, f->payload));
        return;
    }
    if (decode(ac, f->payload, &m) == 0)
        amqp_connection_method(ac, &m);
}

static bool is_known(uint8_t type)
{
    return type == AMQP_FRAME_METHOD || type == AMQP_FRAME_HEADER || type == AMQP_FRAME_BODY ||
           type == AMQP_FRAME_HEARTBEAT;
}

static int64_t handle(struct amqp_conn *ac, const struct amqp_frame *f, struct span input,
                      struct chunk *chunk, size_t *ret_need)
{
    struct shown s;
    if (ac->phase == AMQP_CONN_CLOSING && f->channel != 0)
        return (int64_t)f->bytes;
    if (!is_known(f->type)) {
        amqp_connection_exception(ac, AMQP_FRAME_ERROR, AMQP_NO_METHOD, "%s: unknown_frame",
                                  show(&s, f->type, f->payload));
    } else if (f->channel == 0) {
        if (ac->phase == AMQP_CONN_LOGIN)
            return hold(ac); /* until it is known who it is */
        if (ac->phase == AMQP_CONN_OPEN && is_method(f, AMQP_CONNECTION_CLOSE) && amqp_conn_must_wait(ac))
            return hold(ac);
        frame_of_zero(ac, f);
    } else if (ac->phase != AMQP_CONN_OPEN || f->type == AMQP_FRAME_HEARTBEAT) {
        amqp_connection_exception(ac, AMQP_UNEXPECTED_FRAME, AMQP_NO_METHOD, "%s",
                                  show(&s, f->type, f->payload));
    } else {
        struct amqp_channel *ch = channel_at(ac, f->channel);
        if (ch)
            return channel_frame(ch, f, input, chunk, ret_need);
        channel_unknown(ac, f);
    }
    return (int64_t)f->bytes;
}

static int64_t one_step(struct amqp_conn *ac, struct span input, struct chunk *chunk, size_t *ret_need)
{
    struct amqp_frame f;
    if (ac->phase == AMQP_CONN_OVER)
        return (int64_t)input.len;
    if (ac->phase == AMQP_CONN_HEADER)
        return amqp_protocol_header(ac, input, ret_need);
    int64_t n = next_frame(ac, input, &f, ret_need);
    return n > 0 ? handle(ac, &f, input, chunk, ret_need) : n;
}

static int64_t amqp_input(struct conn *c, void *state, struct span input, struct chunk *chunk,
                          size_t *ret_need)
{
    struct amqp_conn *ac = amqp_conn_of(state);
    size_t at = 0;
    int64_t n = 1;
    while (at < input.len && n > 0 && (at == 0 || (conn_can_read(c) && !c->yielding))) {
        n = one_step(ac, span_of(input.ptr + at, input.len - at), chunk, ret_need);
        if (n > 0)
            at += (size_t)n;
    }
    if (ac->phase == AMQP_CONN_OPEN)
        amqp_input_ended(ac);
    return n < 0 ? n : (int64_t)at;
}

/* ---- time --------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t at, uint64_t other)
{
    return other && other < at ? other : at;
}

void amqp_arm(struct amqp_conn *ac)
{
    uint64_t at = earlier(UINT64_MAX, ac->phase_deadline_ns);
    at = earlier(at, ac->receive_check_ns);
    conn_set_deadline(ac->conn, earlier(at, ac->send_check_ns));
}

void amqp_heartbeats_begin(struct amqp_conn *ac)
{
    uint64_t now = ac->conn->shard->now_ns, s = ac->heartbeat_s;
    ac->in_seen = ac->conn->bytes_in;
    ac->out_seen = ac->conn->bytes_out;
    ac->receive_check_ns = s ? now + s * NS_PER_S : 0;
    ac->send_check_ns = s ? now + s * NS_PER_S / 2 : 0;
}

/* False: the client is dead. Any traffic counts; the second look that sees none is the end
 * (rabbit_heartbeat). What is not read cannot be seen, and then silence is ours. */
static bool check_receive(struct amqp_conn *ac, uint64_t now)
{
    struct conn *c = ac->conn;
    if (!ac->receive_check_ns || now < ac->receive_check_ns)
        return true;
    bool silent = c->bytes_in == ac->in_seen && conn_can_read(c) && !c->paused;
    ac->silent_checks = silent ? ac->silent_checks + 1 : 0;
    ac->in_seen = c->bytes_in;
    ac->receive_check_ns = now + (uint64_t)ac->heartbeat_s * NS_PER_S;
    return ac->silent_checks < 2;
}

static void check_send(struct amqp_conn *ac, uint64_t now)
{
    struct conn *c = ac->conn;
    if (!ac->send_check_ns || now < ac->send_check_ns)
        return;
    if (c->bytes_out == ac->out_seen && c->out.len == 0)
        amqp_send_heartbeat(ac);
    ac->out_seen = c->bytes_out;
    ac->send_check_ns = now + (uint64_t)ac->heartbeat_s * NS_PER_S / 2;
}

/* The handshake or the wait for close-ok took too long. */
static void phase_over(struct amqp_conn *ac)
{
    if (ac->phase < AMQP_CONN_OPEN)
        conn_fail(ac->conn, ERR_TIMEOUT, "the handshake was not complete within amqp.handshake-timeout");
    amqp_conn_over(ac);
}

static void amqp_tick(struct conn *c, void *state, uint64_t now_mono_ns)
{
    struct amqp_conn *ac = amqp_conn_of(state);
    if (ac->phase_deadline_ns && now_mono_ns >= ac->phase_deadline_ns) {
        phase_over(ac);
        return;
    }
    if (!check_receive(ac, now_mono_ns)) {
        conn_fail(c, ERR_TIMEOUT, "missed heartbeats from client");
        amqp_conn_over(ac);
        return;
    }
    check_send(ac, now_mono_ns);
    amqp_arm(ac);
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void amqp_open(struct conn *c, void *state)
{
    struct amqp_conn *ac = state;
    const struct config *cfg = c->shard->config;
    ac->magic = AMQP_CONN_MAGIC;
    ac->conn = c;
    ac->frame_max = HANDSHAKE_FRAME_MAX;
    ac->phase_deadline_ns = c->shard->now_ns + cfg->amqp_handshake_timeout_ms * NS_PER_MS;
    amqp_arm(ac);
}

void amqp_conn_ended(struct amqp_conn *ac)
{
    bool was_open = ac->phase == AMQP_CONN_OPEN;
    ac->receive_check_ns = ac->send_check_ns = 0;
    if (!was_open)
        return;
    ac->phase = AMQP_CONN_CLOSING; /* nothing is sent by the channels any more */
    for (uint32_t i = 0; i < ac->channel_cap; i++)
        if (ac->channels[i] && ac->channels[i]->phase == AMQP_CHANNEL_ALIVE) {
            ac->channels[i]->phase = AMQP_CHANNEL_ENDING;
            amqp_channel_ended(ac->channels[i]);
        }
    amqp_conn_closed(ac);
    space_conn_gone(ac->conn->shard, ac->conn->handle);
}

static void amqp_closed(struct conn *c, void *state)
{
    struct amqp_conn *ac = amqp_conn_of(state);
    amqp_conn_ended(ac);
    ac->phase = AMQP_CONN_OVER;
    for (uint32_t i = 0; i < ac->channel_cap; i++)
        if (ac->channels[i])
            free_channel(ac->channels[i]);
    mem_free(ac->channels);
    mem_free(ac->user);
    mem_free((void *)ac->client_properties.ptr);
    amqp_handshake_free(ac);
    if (ac->space)
        space_unref(ac->space);
    ac->magic = 0;
}

static void amqp_written(struct conn *c, void *state)
{
    (void)c;
    amqp_output_written(amqp_conn_of(state));
}

/* The broker stops: those that are open are told, the others just end. */
static void amqp_stop(struct conn *c, void *state)
{
    struct amqp_conn *ac = amqp_conn_of(state);
    if (ac->phase == AMQP_CONN_OPEN)
        amqp_conn_say_close(ac, AMQP_CONNECTION_FORCED, AMQP_NO_METHOD,
                            "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'");
    conn_wake_output(c);
}

const struct proto amqp_proto = {
    .name = "amqp",
    .state_bytes = sizeof(struct amqp_conn),
    .open = amqp_open,
    .input = amqp_input,
    .tick = amqp_tick,
    .written = amqp_written,
    .stop = amqp_stop,
    .closed = amqp_closed,
};
