#include "proto/amqp/channel_testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/message.h"
#include "proto/amqp/amqp.h"
#include "proto/amqp/be.h"
#include "proto/front.h"

enum { STEPS = 8000000, TICK_MS = 5, PATIENCE_MS = 2000, SILENCE_MS = 50 };
#define ADDRESS "127.0.0.1:5672"

struct config kit_config;
static struct broker *broker;
static struct front *front;
static bool ready;
static struct shard_timer ticker; /* so that virtual time moves in small steps */

/* ---- the broker ---------------------------------------------------------------------------------------- */

static void tick(struct shard *s, struct shard_timer *t)
{
    shard_timer_set(s, t, s->now_ns + TICK_MS * 1000000ull);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    (void)arg;
    struct front_listen l = {
        .proto = &amqp_proto, .name = "amqp", .address = ADDRESS, .max_ops = 256, .max_bytes = 16 << 20};
    assert_int_equal(err, 0);
    assert_int_equal(front_open(front, &l), 0);
    ready = true;
    ticker = (struct shard_timer){.fire = tick};
    shard_timer_set(&b->shards[0], &ticker, b->shards[0].now_ns + TICK_MS * 1000000ull);
}

static bool is_ready(void *arg)
{
    (void)arg;
    return ready;
}

static void boot(void)
{
    struct broker_options opt = {.config = &kit_config, .hooks = &front_hooks, .ready = on_ready};
    ready = false;
    message_formats[MESSAGE_FORMAT_AMQP] = &amqp_message_format;
    assert_int_equal(broker_open(&opt, &broker), 0);
    front = front_new(broker);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

void kit_start(void **state)
{
    kit_start_with(state, "shards", *state);
}

void kit_start_with(void **state, const char *key, const char *value)
{
    struct config_error e;
    sim_reset(21);
    config_init(&kit_config);
    assert_int_equal(config_set(&kit_config, "shards", *state, CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&kit_config, "journal.file-bytes", "1MiB", CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&kit_config, "journal.max-bytes", "4MiB", CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&kit_config, key, value, CONFIG_FILE, &e), 0);
    boot();
}

void kit_stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
    front_free(front);
}

void kit_crash(enum sim_crash_mode mode)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), mode);
    kit_stop();
    sim_boot(image, 22);
    boot();
}

struct shard *kit_shard(void)
{
    return &broker->shards[broker->shard_count - 1];
}

static bool passed(void *target)
{
    return os_mono_ns() >= *(uint64_t *)target;
}

void kit_run_ms(uint64_t ms)
{
    uint64_t target = os_mono_ns() + ms * 1000000;
    assert_true(sim_run_until(passed, &target, STEPS));
}

/* ---- frames -------------------------------------------------------------------------------------------- */

static void queue_bytes(struct client *c, const void *bytes, size_t len)
{
    if (c->said_len + len > c->said_cap) {
        c->said_cap = (c->said_len + len) * 2;
        c->said = mem_realloc(c->said, c->said_cap);
    }
    if (len)
        memcpy(c->said + c->said_len, bytes, len);
    c->said_len += len;
}

void client_push(struct client *c)
{
    sim_peer_send(c->peer, span_of(c->said, c->said_len));
    c->said_len = 0;
}

static void frame(struct client *c, uint8_t type, unsigned channel, struct span payload)
{
    uint8_t head[AMQP_FRAME_HEAD_BYTES] = {type};
    be_put_u16(head + 1, (uint16_t)channel);
    be_put_u32(head + 3, (uint32_t)payload.len);
    queue_bytes(c, head, sizeof(head));
    queue_bytes(c, payload.ptr, payload.len);
    queue_bytes(c, "\xce", 1);
}

static void method_frame(struct client *c, unsigned channel, const struct amqp_method *m)
{
    size_t len = amqp_method_bytes(m);
    uint8_t *bytes = arena_alloc(&c->arena, len);
    amqp_method_encode(m, bytes);
    frame(c, AMQP_FRAME_METHOD, channel, span_of(bytes, len));
}

void client_say(struct client *c, unsigned channel, struct amqp_method m)
{
    method_frame(c, channel, &m);
    if (!c->cork)
        client_push(c);
}

static bool has_frame(void *arg)
{
    struct client *c = arg;
    struct span in = sim_peer_received(c->peer);
    return in.len >= AMQP_FRAME_HEAD_BYTES && in.len >= be_u32(in.ptr + 3) + AMQP_FRAME_EXTRA_BYTES;
}

struct wait {
    struct client *c;
    uint64_t until_ns;
};

static bool frame_or_time(void *arg)
{
    struct wait *w = arg;
    return has_frame(w->c) || os_mono_ns() >= w->until_ns;
}

/* False: none came. */
static bool next_frame(struct client *c, uint64_t within_ms, struct amqp_frame *ret)
{
    struct wait w = {c, os_mono_ns() + within_ms * 1000000};
    assert_true(sim_run_until(frame_or_time, &w, STEPS));
    if (!has_frame(c))
        return false;
    struct span in = sim_peer_received(c->peer);
    uint32_t len = be_u32(in.ptr + 3);
    *ret = (struct amqp_frame){in.ptr[0], be_u16(in.ptr + 1),
                               span_of(arena_copy(&c->arena, in.ptr + AMQP_FRAME_HEAD_BYTES, len), len),
                               len + AMQP_FRAME_EXTRA_BYTES};
    assert_int_equal(in.ptr[len + AMQP_FRAME_HEAD_BYTES], AMQP_FRAME_END);
    sim_peer_consume(c->peer, ret->bytes);
    return true;
}

struct amqp_method client_hear_any(struct client *c, unsigned *ret_channel, uint64_t within_ms)
{
    struct amqp_frame f;
    struct amqp_method m = {0};
    if (!next_frame(c, within_ms, &f))
        return m;
    assert_int_equal(f.type, AMQP_FRAME_METHOD);
    assert_int_equal(amqp_method_decode(f.payload, &m), 0);
    *ret_channel = f.channel;
    return m;
}

struct amqp_method client_hear(struct client *c, unsigned channel, uint32_t id)
{
    unsigned on = 0;
    struct amqp_method m = client_hear_any(c, &on, PATIENCE_MS);
    if (m.id == AMQP_CHANNEL_CLOSE && id != m.id)
        fail_msg("channel.close: %.*s", SPAN_ARG(m.channel_close.reply_text));
    if (m.id == AMQP_CONNECTION_CLOSE && id != m.id)
        fail_msg("connection.close: %.*s", SPAN_ARG(m.connection_close.reply_text));
    assert_string_equal(m.id ? amqp_method_name(m.id) : "nothing", amqp_method_name(id));
    assert_int_equal(on, channel);
    return m;
}

void client_hear_nothing(struct client *c)
{
    unsigned on = 0;
    struct amqp_method m = client_hear_any(c, &on, SILENCE_MS);
    assert_string_equal(m.id ? amqp_method_name(m.id) : "nothing", "nothing");
}

const char *client_hear_body(struct client *c, struct amqp_props *ret_props)
{
    struct amqp_frame f = {0};
    assert_true(next_frame(c, PATIENCE_MS, &f));
    assert_int_equal(f.type, AMQP_FRAME_HEADER);
    uint64_t size = be_u64(f.payload.ptr + 4), at = 0;
    assert_int_equal(amqp_props_decode(span_of(f.payload.ptr + 12, f.payload.len - 12), ret_props), 0);
    char *body = arena_alloc(&c->arena, size + 1);
    while (at < size) {
        assert_true(next_frame(c, PATIENCE_MS, &f));
        assert_int_equal(f.type, AMQP_FRAME_BODY);
        memcpy(body + at, f.payload.ptr, f.payload.len);
        at += f.payload.len;
    }
    return body;
}

/* ---- clients ------------------------------------------------------------------------------------------- */

static struct span capabilities(struct client *c)
{
    struct fields_writer w, outer;
    fields_writer_init(&w, &c->arena);
    fields_put_bool(&w, span_str("consumer_cancel_notify"), true);
    fields_put_bool(&w, span_str("connection.blocked"), true);
    fields_writer_init(&outer, &c->arena);
    fields_put_table(&outer, span_str("capabilities"), fields_done(&w));
    return fields_done(&outer);
}

struct client *client_new(unsigned channels)
{
    struct client *c = mem_zalloc(sizeof(*c));
    c->peer = sim_connect(ADDRESS);
    assert_non_null(c->peer);
    arena_init(&c->arena);
    queue_bytes(c, "AMQP\0\0\x09\x01", 8);
    client_push(c);
    client_hear(c, 0, AMQP_CONNECTION_START);
    client_say(c, 0,
               (struct amqp_method){.id = AMQP_CONNECTION_START_OK,
                                    .connection_start_ok = {.client_properties = capabilities(c),
                                                            .mechanism = span_str("PLAIN"),
                                                            .response = span_of("\0guest\0guest", 12),
                                                            .locale = span_str("en_US")}});
    client_hear(c, 0, AMQP_CONNECTION_TUNE);
    client_say(
        c, 0,
        (struct amqp_method){.id = AMQP_CONNECTION_TUNE_OK, .connection_tune_ok = {.frame_max = 131072}});
    client_ask(
        c, 0,
        (struct amqp_method){.id = AMQP_CONNECTION_OPEN, .connection_open = {.virtual_host = span_str("/")}},
        AMQP_CONNECTION_OPEN_OK);
    for (unsigned i = 1; i <= channels; i++)
        client_ask(c, i, (struct amqp_method){.id = AMQP_CHANNEL_OPEN}, AMQP_CHANNEL_OPEN_OK);
    return c;
}

void client_close(struct client *c)
{
    sim_peer_close(c->peer);
    arena_fini(&c->arena);
    mem_free(c->said);
    mem_free(c);
}

void client_ask(struct client *c, unsigned channel, struct amqp_method m, uint32_t answer)
{
    client_say(c, channel, m);
    client_hear(c, channel, answer);
}

/* CC: an array of one text. */
static struct span cc_headers(const char *key, struct arena *a)
{
    struct fields_writer w;
    size_t len = strlen(key);
    uint8_t *array = arena_alloc(a, 5 + len);
    array[0] = 'S';
    be_put_u32(array + 1, (uint32_t)len);
    memcpy(array + 5, key, len);
    fields_writer_init(&w, a);
    fields_put_array(&w, span_str("CC"), span_of(array, 5 + len));
    return fields_done(&w);
}

void client_publish(struct client *c, unsigned channel, struct publish p)
{
    struct amqp_props props = {.flags = AMQP_DELIVERY_MODE, .delivery_mode = p.persistent ? 2 : 1};
    struct amqp_method m = {.id = AMQP_BASIC_PUBLISH,
                            .basic_publish = {.exchange = span_str(p.exchange ? p.exchange : ""),
                                              .routing_key = span_str(p.key),
                                              .mandatory = p.mandatory}};
    if (p.reply_to)
        props.flags |= AMQP_REPLY_TO;
    if (p.expiration)
        props.flags |= AMQP_EXPIRATION;
    if (p.cc) {
        props.flags |= AMQP_HEADERS;
        props.headers = cc_headers(p.cc, &c->arena);
    }
    props.reply_to = span_str(p.reply_to);
    props.expiration = span_str(p.expiration);
    struct span raw = amqp_props_encode(&props, &c->arena), body = span_str(p.body);
    uint8_t *head = arena_alloc(&c->arena, 12 + raw.len);
    be_put_u16(head, 60);
    body.len = p.len ? p.len : body.len;
    be_put_u64(head + 4, body.len);
    memcpy(head + 12, raw.ptr, raw.len);
    method_frame(c, channel, &m);
    frame(c, AMQP_FRAME_HEADER, channel, span_of(head, 12 + raw.len));
    if (body.len)
        frame(c, AMQP_FRAME_BODY, channel, body);
    if (!c->cork)
        client_push(c);
}

void client_declare(struct client *c, unsigned channel, const char *queue, bool durable, struct span args)
{
    client_ask(c, channel,
               (struct amqp_method){
                   .id = AMQP_QUEUE_DECLARE,
                   .queue_declare = {.queue = span_str(queue), .durable = durable, .arguments = args}},
               AMQP_QUEUE_DECLARE_OK);
}

uint32_t client_count(struct client *c, unsigned channel, const char *queue)
{
    client_say(c, channel,
               (struct amqp_method){.id = AMQP_QUEUE_DECLARE,
                                    .queue_declare = {.queue = span_str(queue), .passive = true}});
    return client_hear(c, channel, AMQP_QUEUE_DECLARE_OK).queue_declare_ok.message_count;
}

void client_consume(struct client *c, unsigned channel, const char *queue, bool no_ack)
{
    client_ask(c, channel,
               (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                                    .basic_consume = {.queue = span_str(queue), .no_ack = no_ack}},
               AMQP_BASIC_CONSUME_OK);
}

const char *client_delivery(struct client *c, unsigned channel, struct amqp_basic_deliver *ret)
{
    struct amqp_props p;
    *ret = client_hear(c, channel, AMQP_BASIC_DELIVER).basic_deliver;
    return client_hear_body(c, &p);
}

const char *client_get(struct client *c, unsigned channel, const char *queue, struct amqp_basic_get_ok *ret)
{
    struct amqp_props p;
    unsigned on = 0;
    client_say(c, channel,
               (struct amqp_method){.id = AMQP_BASIC_GET, .basic_get = {.queue = span_str(queue)}});
    struct amqp_method m = client_hear_any(c, &on, PATIENCE_MS);
    if (m.id == AMQP_BASIC_GET_EMPTY)
        return NULL;
    assert_int_equal(m.id, AMQP_BASIC_GET_OK);
    *ret = m.basic_get_ok;
    return client_hear_body(c, &p);
}

void client_hear_close(struct client *c, unsigned channel, int code, const char *text)
{
    struct amqp_channel_close m = client_hear(c, channel, AMQP_CHANNEL_CLOSE).channel_close;
    assert_string_equal(arena_printf(&c->arena, "%.*s", SPAN_ARG(m.reply_text)), text);
    assert_int_equal(m.reply_code, code);
    client_say(c, channel, (struct amqp_method){.id = AMQP_CHANNEL_CLOSE_OK});
}
