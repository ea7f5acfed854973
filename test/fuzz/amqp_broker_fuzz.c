/* A whole broker on the simulated system, and clients that say what the input tells them: methods of channels
 * in any order, on few names, so that they meet; connections that die, a full disk, stops and power cuts.
 *
 * First byte: bit 0: three shards. Then operations: a number and its arguments, a byte each, zeros behind the
 * end. After the last one everybody leaves. Nothing may be wrong with the queues' books then, and a broker
 * without clients must not be busy. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "core/broker.h"
#include "core/fields.h"
#include "core/message.h"
#include "core/queue_impl.h"
#include "os/sim/sim.h"
#include "proto/amqp/amqp.h"
#include "proto/amqp/amqp_impl.h"
#include "proto/amqp/be.h"
#include "proto/front.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CLIENTS = 3,
    CHANNELS = 3,
    STEPS = 2000000,
    STEPS_PER_OP = 400,
    IDLE_MS = 2000,
    IDLE_STEPS = 4000, /* a busy broker makes one turn in 10 us */
    OPS_MAX = 400,
    BODY_MAX = 40000,
};
#define ADDRESS "127.0.0.1:5672"

#define REQUIRE(what)                                                                                        \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                               \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static struct config config;
static struct broker *broker;
static struct front *front;
static bool ready;
static const uint8_t *in, *in_end;
static struct arena arena; /* of one operation */
static uint8_t body[BODY_MAX];

static struct client {
    struct sim_peer *peer;
    uint64_t tag[CHANNELS + 1]; /* of the last delivery */
} clients[CLIENTS];

static unsigned next(unsigned limit)
{
    return in < in_end ? *in++ % limit : 0;
}

static bool flag(void)
{
    return next(2);
}

/* ---- the broker ---------------------------------------------------------------------------------------- */

static void on_ready(void *arg, struct broker *b, int err)
{
    struct front_listen l = {
        .proto = &amqp_proto, .name = "amqp", .address = ADDRESS, .max_ops = 256, .max_bytes = 1 << 20};
    (void)arg;
    (void)b;
    REQUIRE(err == 0);
    REQUIRE(front_open(front, &l) == 0);
    ready = true;
}

static bool is_ready(void *arg)
{
    (void)arg;
    return ready;
}

static void boot(void)
{
    struct broker_options opt = {.config = &config, .hooks = &front_hooks, .ready = on_ready};
    ready = false;
    message_formats[MESSAGE_FORMAT_AMQP] = &amqp_message_format;
    REQUIRE(broker_open(&opt, &broker) == 0);
    front = front_new(broker);
    REQUIRE(sim_run_until(is_ready, NULL, STEPS));
}

static void set(const char *key, const char *value)
{
    struct config_error e;
    REQUIRE(config_set(&config, key, value, CONFIG_FILE, &e) == 0);
}

static void stop(void)
{
    broker_stop(broker);
    REQUIRE(broker_run(broker) == 0);
    broker_close(broker);
    front_free(front);
}

static bool passed(void *target)
{
    return os_mono_ns() >= *(uint64_t *)target;
}

static void run_ms(uint64_t ms)
{
    uint64_t target = os_mono_ns() + ms * 1000000;
    (void)sim_run_until(passed, &target, STEPS);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* ---- clients ------------------------------------------------------------------------------------------- */

static void send_frame(struct client *c, uint8_t type, unsigned channel, struct span payload)
{
    uint8_t *f = arena_alloc(&arena, payload.len + AMQP_FRAME_EXTRA_BYTES);
    f[0] = type;
    be_put_u16(f + 1, (uint16_t)channel);
    be_put_u32(f + 3, (uint32_t)payload.len);
    if (payload.len)
        memcpy(f + AMQP_FRAME_HEAD_BYTES, payload.ptr, payload.len);
    f[AMQP_FRAME_HEAD_BYTES + payload.len] = AMQP_FRAME_END;
    sim_peer_send(c->peer, span_of(f, payload.len + AMQP_FRAME_EXTRA_BYTES));
}

static void say(struct client *c, unsigned channel, struct amqp_method m)
{
    size_t len = amqp_method_bytes(&m);
    uint8_t *bytes = arena_alloc(&arena, len);
    amqp_method_encode(&m, bytes);
    send_frame(c, AMQP_FRAME_METHOD, channel, span_of(bytes, len));
}

static struct span capabilities(void)
{
    struct fields_writer w, outer;
    fields_writer_init(&w, &arena);
    fields_put_bool(&w, span_str("consumer_cancel_notify"), true);
    fields_put_bool(&w, span_str("connection.blocked"), true);
    fields_writer_init(&outer, &arena);
    fields_put_table(&outer, span_str("capabilities"), fields_done(&w));
    return fields_done(&outer);
}

/* All of the handshake at once. */
static void client_open(struct client *c)
{
    memset(c, 0, sizeof(*c));
    c->peer = sim_connect(ADDRESS);
    REQUIRE(c->peer);
    sim_peer_send(c->peer, span_of("AMQP\0\0\x09\x01", 8));
    say(c, 0,
        (struct amqp_method){.id = AMQP_CONNECTION_START_OK,
                             .connection_start_ok = {.client_properties = capabilities(),
                                                     .mechanism = span_str("PLAIN"),
                                                     .response = span_of("\0guest\0guest", 12),
                                                     .locale = span_str("en_US")}});
    say(c, 0,
        (struct amqp_method){.id = AMQP_CONNECTION_TUNE_OK, .connection_tune_ok = {.frame_max = 16384}});
    say(c, 0,
        (struct amqp_method){.id = AMQP_CONNECTION_OPEN, .connection_open = {.virtual_host = span_str("/")}});
    for (unsigned i = 1; i <= CHANNELS; i++)
        say(c, i, (struct amqp_method){.id = AMQP_CHANNEL_OPEN});
}

static void client_close(struct client *c)
{
    sim_peer_close(c->peer);
    c->peer = NULL;
}

/* A channel that was closed opens again. */
static void heard(struct client *c, unsigned channel, const struct amqp_method *m)
{
    if (m->id == AMQP_CHANNEL_CLOSE) {
        say(c, channel, (struct amqp_method){.id = AMQP_CHANNEL_CLOSE_OK});
        say(c, channel, (struct amqp_method){.id = AMQP_CHANNEL_OPEN});
        c->tag[channel] = 0;
    } else if (m->id == AMQP_CONNECTION_CLOSE) {
        say(c, 0, (struct amqp_method){.id = AMQP_CONNECTION_CLOSE_OK});
    } else if (m->id == AMQP_BASIC_DELIVER && channel <= CHANNELS) {
        REQUIRE(m->basic_deliver.delivery_tag > c->tag[channel]);
        c->tag[channel] = m->basic_deliver.delivery_tag;
    } else if (m->id == AMQP_BASIC_GET_OK && channel <= CHANNELS) {
        REQUIRE(m->basic_get_ok.delivery_tag > c->tag[channel]);
        c->tag[channel] = m->basic_get_ok.delivery_tag;
    }
}

static void client_listen(struct client *c)
{
    struct span s = sim_peer_received(c->peer);
    while (s.len >= AMQP_FRAME_HEAD_BYTES) {
        struct amqp_method m;
        size_t len = be_u32(s.ptr + 3) + AMQP_FRAME_EXTRA_BYTES;
        unsigned channel = be_u16(s.ptr + 1);
        if (s.len < len)
            break;
        REQUIRE(s.ptr[len - 1] == AMQP_FRAME_END);
        if (s.ptr[0] == AMQP_FRAME_METHOD) {
            REQUIRE(amqp_method_decode(span_of(s.ptr + AMQP_FRAME_HEAD_BYTES, len - AMQP_FRAME_EXTRA_BYTES),
                                       &m) == 0);
            heard(c, channel, &m);
        }
        sim_peer_consume(c->peer, len);
        s = sim_peer_received(c->peer);
    }
    if (sim_peer_closed(c->peer)) {
        client_close(c);
        client_open(c);
    }
}

/* ---- names and arguments ------------------------------------------------------------------------------- */

static struct span queue_name(void)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "", "amq.rabbitmq.reply-to", "none"};
    return span_str(names[next(8)]);
}

static struct span exchange_name(void)
{
    static const char *const names[] = {"", "amq.fanout", "x", "y", "late", "amq.topic", "amq.headers", "z"};
    return span_str(names[next(8)]);
}

static struct span key_name(void)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "k.l", "#", "k.*"};
    return span_str(names[next(8)]);
}

static void limits(struct fields_writer *w, unsigned which)
{
    static const char *const overflow[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    if (which & 1)
        fields_put_int(w, span_str("x-max-length"), 'l', next(4));
    if (which & 2)
        fields_put_int(w, span_str("x-max-length-bytes"), 'l', next(4) * 100);
    if (which & 4)
        fields_put_str(w, span_str("x-overflow"), span_str(overflow[next(3)]));
}

static void times(struct fields_writer *w, unsigned which)
{
    if (which & 1)
        fields_put_int(w, span_str("x-message-ttl"), 'l', next(4) * 20);
    if (which & 2)
        fields_put_int(w, span_str("x-expires"), 'l', 1 + next(8) * 50);
    if (which & 4)
        fields_put_int(w, span_str("x-max-priority"), 'l', 1 + next(3));
}

static void retries(struct fields_writer *w, unsigned which)
{
    if (which & 1)
        fields_put_int(w, span_str("x-delivery-limit"), 'l', next(3));
    if (which & 2)
        fields_put_int(w, span_str("x-max-retries"), 'l', next(3));
    if (which & 4) {
        fields_put_int(w, span_str("x-delayed-retry-min"), 'l', 10);
        fields_put_str(w, span_str("x-delayed-retry-type"), span_str("all"));
    }
}

static void dead_letters(struct fields_writer *w, unsigned which)
{
    if (which & 1)
        fields_put_str(w, span_str("x-dead-letter-exchange"), exchange_name());
    if ((which & 3) == 3)
        fields_put_str(w, span_str("x-dead-letter-routing-key"), key_name());
    if (which & 4)
        fields_put_bool(w, span_str("x-single-active-consumer"), true);
}

static struct span queue_args(void)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    limits(&w, next(8));
    times(&w, next(8));
    retries(&w, next(8));
    dead_letters(&w, next(8));
    return fields_done(&w);
}

/* ---- operations ---------------------------------------------------------------------------------------- */

static void declare(struct client *c, unsigned ch)
{
    unsigned bits = next(32);
    say(c, ch,
        (struct amqp_method){.id = AMQP_QUEUE_DECLARE,
                             .queue_declare = {.queue = queue_name(),
                                               .durable = bits & 1,
                                               .exclusive = (bits & 6) == 6,
                                               .auto_delete = (bits & 24) == 24,
                                               .nowait = (bits & 12) == 12,
                                               .arguments = queue_args()}});
}

static void delete_queue(struct client *c, unsigned ch)
{
    struct amqp_method m = {.id = AMQP_QUEUE_DELETE, .queue_delete = {.queue = queue_name()}};
    unsigned bits = next(8);
    m.queue_delete.if_unused = bits & 1;
    m.queue_delete.if_empty = bits & 2;
    m.queue_delete.nowait = bits & 4;
    say(c, ch, m);
}

static void purge(struct client *c, unsigned ch)
{
    say(c, ch, (struct amqp_method){.id = AMQP_QUEUE_PURGE, .queue_purge = {.queue = queue_name()}});
}

static void declare_exchange(struct client *c, unsigned ch)
{
    static const char *const types[] = {"direct", "fanout", "topic", "x-delayed-message"};
    unsigned type = next(4);
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    if (type == 3)
        fields_put_str(&w, span_str("x-delayed-type"), span_str("direct"));
    if (flag())
        fields_put_str(&w, span_str("alternate-exchange"), exchange_name());
    say(c, ch,
        (struct amqp_method){.id = AMQP_EXCHANGE_DECLARE,
                             .exchange_declare = {.exchange = type == 3 ? span_str("late") : exchange_name(),
                                                  .type = span_str(types[type]),
                                                  .durable = flag(),
                                                  .auto_delete = flag(),
                                                  .arguments = fields_done(&w)}});
}

static void delete_exchange(struct client *c, unsigned ch)
{
    say(c, ch,
        (struct amqp_method){.id = AMQP_EXCHANGE_DELETE,
                             .exchange_delete = {.exchange = exchange_name(), .if_unused = flag()}});
}

static void bind(struct client *c, unsigned ch)
{
    struct amqp_method m = {
        .id = AMQP_QUEUE_BIND,
        .queue_bind = {.queue = queue_name(), .exchange = exchange_name(), .routing_key = key_name()}};
    say(c, ch, m);
}

static void unbind(struct client *c, unsigned ch)
{
    struct amqp_method m = {
        .id = AMQP_QUEUE_UNBIND,
        .queue_unbind = {.queue = queue_name(), .exchange = exchange_name(), .routing_key = key_name()}};
    say(c, ch, m);
}

static void bind_exchange(struct client *c, unsigned ch)
{
    struct amqp_method m = {.id = AMQP_EXCHANGE_BIND,
                            .exchange_bind = {.destination = exchange_name(),
                                              .source = exchange_name(),
                                              .routing_key = key_name()}};
    say(c, ch, m);
}

static struct amqp_props props_of(unsigned bits)
{
    struct amqp_props p = {.flags = AMQP_DELIVERY_MODE, .delivery_mode = bits & 1 ? 2 : 1};
    if ((bits & 6) == 6) {
        p.flags |= AMQP_EXPIRATION;
        p.expiration = span_str(flag() ? "0" : "30");
    }
    if (bits & 8) {
        p.flags |= AMQP_PRIORITY;
        p.priority = (uint8_t)next(5);
    }
    if ((bits & 48) == 48) {
        struct fields_writer w;
        fields_writer_init(&w, &arena);
        fields_put_int(&w, span_str("x-delay"), 'l', next(4) * 25);
        p.flags |= AMQP_HEADERS;
        p.headers = fields_done(&w);
    }
    if ((bits & 96) == 96) {
        p.flags |= AMQP_REPLY_TO;
        p.reply_to = span_str("amq.rabbitmq.reply-to");
    }
    return p;
}

static void publish(struct client *c, unsigned ch)
{
    struct amqp_props p = props_of(next(128));
    struct span raw = amqp_props_encode(&p, &arena);
    struct amqp_method m = {
        .id = AMQP_BASIC_PUBLISH,
        .basic_publish = {.exchange = exchange_name(), .routing_key = key_name(), .mandatory = flag()}};
    unsigned count = next(16) + 1, kind = next(16);
    size_t len = kind == 15 ? BODY_MAX : kind == 14 ? 5000 : kind * 10;
    for (unsigned i = 0; i < (kind < 14 ? count : 1); i++) {
        uint8_t *head = arena_alloc(&arena, 12 + raw.len);
        memset(head, 0, 12);
        be_put_u16(head, 60);
        be_put_u64(head + 4, len);
        memcpy(head + 12, raw.ptr, raw.len);
        say(c, ch, m);
        send_frame(c, AMQP_FRAME_HEADER, ch, span_of(head, 12 + raw.len));
        for (size_t at = 0, n; at < len; at += n) {
            n = len - at < 16000 ? len - at : 16000;
            send_frame(c, AMQP_FRAME_BODY, ch, span_of(body + at, n));
        }
    }
}

static void consume(struct client *c, unsigned ch)
{
    static const char *const tags[] = {"", "s", "t", "u"};
    struct fields_writer w;
    unsigned bits = next(32);
    fields_writer_init(&w, &arena);
    if (bits & 16)
        fields_put_int(&w, span_str("x-priority"), 'l', next(3));
    say(c, ch,
        (struct amqp_method){.id = AMQP_BASIC_CONSUME,
                             .basic_consume = {.queue = queue_name(),
                                               .consumer_tag = span_str(tags[next(4)]),
                                               .no_ack = (bits & 3) == 3,
                                               .exclusive = (bits & 12) == 12,
                                               .arguments = fields_done(&w)}});
}

static void cancel(struct client *c, unsigned ch)
{
    static const char *const tags[] = {"s", "t", "u", "none"};
    say(c, ch,
        (struct amqp_method){.id = AMQP_BASIC_CANCEL,
                             .basic_cancel = {.consumer_tag = span_str(tags[next(4)])}});
}

static void get(struct client *c, unsigned ch)
{
    say(c, ch,
        (struct amqp_method){.id = AMQP_BASIC_GET, .basic_get = {.queue = queue_name(), .no_ack = flag()}});
}

static uint64_t some_tag(const struct client *c, unsigned ch)
{
    uint64_t back = next(8);
    return c->tag[ch] > back ? c->tag[ch] - back : c->tag[ch];
}

static void ack(struct client *c, unsigned ch)
{
    say(c, ch,
        (struct amqp_method){.id = AMQP_BASIC_ACK,
                             .basic_ack = {.delivery_tag = some_tag(c, ch), .multiple = flag()}});
}

static void nack(struct client *c, unsigned ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_NACK, .basic_nack = {.delivery_tag = some_tag(c, ch)}};
    m.basic_nack.multiple = flag();
    m.basic_nack.requeue = flag();
    say(c, ch, m);
}

static void settle_all(struct client *c, unsigned ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_NACK, .basic_nack = {.multiple = true}};
    m.basic_nack.requeue = flag();
    if (flag())
        m = (struct amqp_method){.id = AMQP_BASIC_ACK, .basic_ack = {.multiple = true}};
    say(c, ch, m);
}

static void recover(struct client *c, unsigned ch)
{
    say(c, ch, (struct amqp_method){.id = AMQP_BASIC_RECOVER, .basic_recover = {.requeue = true}});
}

static void qos(struct client *c, unsigned ch)
{
    struct amqp_method m = {.id = AMQP_BASIC_QOS, .basic_qos = {.prefetch_count = (uint16_t)next(4)}};
    m.basic_qos.global = flag();
    say(c, ch, m);
}

static void simple(struct client *c, unsigned ch)
{
    static const uint32_t ids[] = {AMQP_CONFIRM_SELECT, AMQP_TX_SELECT,   AMQP_TX_COMMIT,
                                   AMQP_TX_ROLLBACK,    AMQP_TX_COMMIT,   AMQP_CHANNEL_CLOSE,
                                   AMQP_TX_COMMIT,      AMQP_CHANNEL_OPEN};
    struct amqp_method m = {.id = ids[next(8)]};
    say(c, ch, m);
    if (m.id == AMQP_CHANNEL_CLOSE) {
        say(c, ch, (struct amqp_method){.id = AMQP_CHANNEL_OPEN});
        c->tag[ch] = 0;
    }
}

static void leave(struct client *c, unsigned ch)
{
    (void)ch;
    if (flag())
        say(c, 0, (struct amqp_method){.id = AMQP_CONNECTION_CLOSE});
    client_close(c);
    client_open(c);
}

static void wait(struct client *c, unsigned ch)
{
    static const unsigned ms[] = {1, 5, 20, 50, 100, 300, 1000, 3000};
    (void)c;
    (void)ch;
    run_ms(ms[next(8)]);
}

static void fill_disk(struct client *c, unsigned ch)
{
    (void)c;
    (void)ch;
    sim_disk_capacity(flag() ? UINT64_MAX : sim_disk_used() + next(4) * 4096);
}

/* All of the handshakes and what was said before is heard or lost. */
static void restart(struct client *c, unsigned ch)
{
    (void)c;
    (void)ch;
    sim_disk_capacity(UINT64_MAX);
    struct sim_image *image = NULL;
    if (flag())
        image = sim_disk_image(sim_disk_ops(), flag() ? SIM_CRASH_DROP : SIM_CRASH_KEEP);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    stop();
    if (image)
        sim_boot(image, 5);
    boot();
    for (unsigned i = 0; i < CLIENTS; i++)
        client_open(&clients[i]);
}

static void (*const operations[])(struct client *c, unsigned ch) = {
    declare,
    delete_queue,
    purge,
    declare_exchange,
    delete_exchange,
    bind,
    unbind,
    bind_exchange,
    publish,
    publish,
    publish,
    consume,
    cancel,
    get,
    ack,
    nack,
    settle_all,
    recover,
    qos,
    simple,
    leave,
    wait,
    fill_disk,
    restart,
    declare,
    consume,
    wait,
    ack,
    nack,
    publish,
    bind,
    qos,
};

/* ---- what must hold ------------------------------------------------------------------------------------ */

static uint64_t ready_of(struct queue_level *l)
{
    uint64_t n = 0, pos = 0;
    uint32_t loaded = 0;
    list_each (it, &l->ready) {
        struct entry *e = list_entry(it, struct entry, link);
        REQUIRE(n == 0 || e->pos >= pos);
        REQUIRE(e->state == ENTRY_READY);
        pos = e->pos + (e->gap ? gap_end(e) - e->offset : 1);
        n += e->gap ? gap_end(e) - e->offset - acked_count(&l->acked, e->offset, gap_end(e)) : 1;
        loaded += e->record != NULL;
        REQUIRE(e->gap || e->record || e->offset != ENTRY_NO_OFFSET);
    }
    REQUIRE(loaded == l->loaded);
    return n;
}

static void check_queue(struct queue *q)
{
    uint64_t ready_sum = 0, unacked = 0;
    for (unsigned n = 0; n < q->level_count; n++)
        if (queue_level_at(q, n))
            ready_sum += ready_of(queue_level_at(q, n));
    REQUIRE(ready_sum == q->ready);
    REQUIRE(q->ready > 0 || q->ready_bytes == 0);
    list_each (l, &q->consumers) {
        struct consumer *c = list_entry(l, struct consumer, link);
        uint32_t leases = 0;
        for (uint64_t n = 0; leases_next(&c->leases, n, &n); n++)
            leases++;
        REQUIRE(leases == c->unacked);
        unacked += c->unacked;
    }
    REQUIRE(unacked == q->unacked);
}

static void check_queues(bool all_left)
{
    uint64_t waiting = 0, unacked = 0, consumers = 0;
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct queue *q;
        for (size_t k = 0; (q = queue_next(broker->shards[i].queues, &k));) {
            check_queue(q);
            REQUIRE(!all_left || (list_empty(&q->consumers) && q->unacked == 0));
            waiting += q->ready;
            unacked += q->unacked;
            consumers += q->consumer_count;
        }
    }
    REQUIRE(metrics_sum(broker->metrics, METRIC_QUEUE_READY, 0) == waiting);
    REQUIRE(metrics_sum(broker->metrics, METRIC_QUEUE_UNACKED, 0) == unacked);
    REQUIRE(metrics_sum(broker->metrics, METRIC_QUEUE_CONSUMERS, 0) == consumers);
}

static void check_idle(void)
{
    uint64_t target = os_mono_ns() + (uint64_t)IDLE_MS * 1000000;
    REQUIRE(sim_run_until(passed, &target, IDLE_STEPS) || os_mono_ns() < target);
    for (unsigned steps = 0; os_mono_ns() < target; steps++) {
        REQUIRE(steps < IDLE_STEPS);
        if (!sim_step())
            break;
    }
}

/* ---- a run --------------------------------------------------------------------------------------------- */

static void run(void)
{
    for (unsigned i = 0; i < OPS_MAX && in < in_end; i++) {
        unsigned op = next(256), who = next(CLIENTS * CHANNELS);
        arena_init(&arena);
        operations[op % 32](&clients[who % CLIENTS], 1 + who / CLIENTS);
        (void)sim_run_until(never, NULL, op & 0x80 ? 1 : STEPS_PER_OP);
        for (unsigned k = 0; k < CLIENTS; k++)
            client_listen(&clients[k]);
        check_queues(false);
        arena_fini(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    in = data + 1;
    in_end = data + size;
    sim_reset(1);
    sim_disk_log(true);
    config_init(&config);
    set("shards", data[0] & 1 ? "3" : "1");
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    boot();
    arena_init(&arena);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_open(&clients[i]);
    (void)sim_run_until(never, NULL, 2000);
    arena_fini(&arena);
    run();
    sim_disk_capacity(UINT64_MAX);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    run_ms(4000);
    check_idle();
    check_queues(true);
    stop();
    return 0;
}
