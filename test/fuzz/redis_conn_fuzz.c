/* A whole broker on the simulated system, and Redis's clients that say what the input tells them: commands of
 * the table with any words, raw bytes, in pieces; who reads slowly, goes, and comes again.
 *
 * First byte: bit 0: three shards; bit 1: clients must log in; bit 2: low limits for slow subscribers. Then
 * operations: a number and its arguments, a byte each, zeros behind the end. What clients hear must be whole
 * RESP values. When all have left nobody may be subscribed, and a broker without clients must not be busy. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "core/broker.h"
#include "core/space.h"
#include "core/subject.h"
#include "os/sim/sim.h"
#include "proto/amqp/amqp.h"
#include "proto/front.h"
#include "proto/redis/redis_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CLIENTS = 3,
    STEPS = 2000000,
    STEPS_PER_OP = 200,
    STEPS_BETWEEN = 30,
    IDLE_MS = 2000,
    IDLE_STEPS = 4000,
    OPS_MAX = 300,
    TEXT_BYTES = 64 << 10,
    NESTING_MAX = 16,
};
#define ADDRESS "127.0.0.1:6379"

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
static uint8_t text[TEXT_BYTES];
static size_t text_len;
static struct sim_peer *clients[CLIENTS];
static bool holes[CLIENTS]; /* CLIENT REPLY inside EXEC leaves holes in its array, in Redis, too */

static unsigned next(unsigned limit)
{
    return in < in_end ? *in++ % limit : 0;
}

/* ---- the broker ---------------------------------------------------------------------------------------- */

static void on_ready(void *arg, struct broker *b, int err)
{
    struct front_listen l = {.proto = &redis_proto,
                             .name = "redis",
                             .address = ADDRESS,
                             .max_ops = REDIS_OPS_IN_FLIGHT,
                             .max_bytes = 64 << 10};
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

static void set(const char *key, const char *value)
{
    struct config_error e;
    REQUIRE(config_set(&config, key, value, CONFIG_FILE, &e) == 0);
}

static void boot(unsigned how)
{
    sim_reset(1);
    sim_disk_log(false);
    config_init(&config);
    set("shards", how & 1 ? "3" : "1");
    set("auth.anonymous", how & 2 ? "none" : "any");
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    if (how & 4) {
        set("pubsub.soft-limit", "1KiB");
        set("pubsub.hard-limit", "16KiB");
        set("pubsub.soft-limit-time", "1s");
    }
    struct broker_options opt = {.config = &config, .hooks = &front_hooks, .ready = on_ready};
    ready = false;
    message_formats[MESSAGE_FORMAT_AMQP] = &amqp_message_format;
    REQUIRE(broker_open(&opt, &broker) == 0);
    front = front_new(broker);
    REQUIRE(sim_run_until(is_ready, NULL, STEPS));
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

/* ---- what is heard: whole values ----------------------------------------------------------------------- */

/* The number behind the type up to CRLF; false: it is not all there. */
static bool line_at(struct span s, size_t *at, int64_t *ret)
{
    const uint8_t *from = s.ptr + *at, *cr = memchr(from, '\r', s.len - *at);
    if (!cr || cr + 1 == s.ptr + s.len)
        return false;
    REQUIRE(cr[1] == '\n');
    REQUIRE(resp_parse_integer(span_of(from + 1, (size_t)(cr - from) - 1), ret));
    *at = (size_t)(cr - s.ptr) + 2;
    return true;
}

/* Moves *at behind a value. False: it is not all there. */
static bool value_at(struct span s, size_t *at, unsigned depth);

static bool values_at(struct span s, size_t *at, int64_t count, unsigned depth)
{
    for (int64_t i = 0; i < count; i++)
        if (!value_at(s, at, depth + 1))
            return false;
    return true;
}

static bool text_at(struct span s, size_t *at)
{
    const uint8_t *lf = memchr(s.ptr + *at, '\n', s.len - *at);
    if (!lf)
        return false;
    REQUIRE(lf[-1] == '\r');
    REQUIRE(!memchr(s.ptr + *at, '\r', (size_t)(lf - s.ptr) - 1 - *at));
    *at = (size_t)(lf - s.ptr) + 1;
    return true;
}

static bool value_at(struct span s, size_t *at, unsigned depth)
{
    int64_t n = 0;
    REQUIRE(depth < NESTING_MAX);
    if (*at >= s.len)
        return false;
    char type = (char)s.ptr[*at];
    if (strchr("+-,#_", type))
        return text_at(s, at);
    REQUIRE(strchr(":$*%~>=", type));
    if (!line_at(s, at, &n))
        return false;
    if (type == '*' || type == '~' || type == '>' || type == '%')
        return values_at(s, at, type == '%' ? 2 * n : n, depth);
    if (type == ':' || n < 0)
        return true;
    if (s.len - *at < (size_t)n + 2)
        return false;
    REQUIRE(memcmp(s.ptr + *at + n, "\r\n", 2) == 0);
    *at += (size_t)n + 2;
    return true;
}

static void listen(unsigned i, bool all)
{
    struct span s = sim_peer_received(clients[i]);
    size_t at = 0, good = 0;
    while (value_at(s, &at, 0))
        good = at;
    REQUIRE(!all || good == s.len || holes[i] || sim_peer_closed(clients[i]));
    sim_peer_consume(clients[i], good);
}

/* ---- operations ---------------------------------------------------------------------------------------- */

static void add(const void *bytes, size_t len)
{
    if (text_len + len > sizeof(text))
        return;
    memcpy(text + text_len, bytes, len);
    text_len += len;
}

static void add_arg(const char *arg, size_t len)
{
    char head[32];
    add(head, (size_t)snprintf(head, sizeof(head), "$%zu\r\n", len));
    add(arg, len);
    add("\r\n", 2);
}

static void add_word(void)
{
    static const char *const words[] = {"a",     "b",         "c",         "a*",       "?",    "[ab]", "*",
                                        "",      "1",         "2",         "3",        "0",    "-1",   "ON",
                                        "OFF",   "SKIP",      "ID",        "YES",      "NO",   "HELP", "AUTH",
                                        "guest", "default",   "SETNAME",   "LIB-NAME", "info", "get",  "docs",
                                        "\r\n",  "amq.topic", "maxmemory", "x"};
    static const char large[3000];
    unsigned n = next(33);
    if (n == 32)
        add_arg(large, sizeof(large));
    else
        add_arg(words[n], strlen(words[n]));
}

static void add_command(void)
{
    const struct redis_command *c = &redis_commands[next((unsigned)redis_command_count)],
                               *sub = c->subcommands;
    unsigned how = next(32), words = how % 4;
    char head[32];
    for (unsigned n = next(8); sub && n > 0 && sub[1].name; n--)
        sub++;
    if (how < 16 && c->arity > 0) /* mostly as many as it wants */
        words = (unsigned)c->arity - 1 - (sub != NULL);
    add(head, (size_t)snprintf(head, sizeof(head), "*%u\r\n", 1 + (sub != NULL) + words));
    add_arg(c->name, strlen(c->name));
    if (sub)
        add_arg(sub->name, strlen(sub->name));
    for (unsigned i = 0; i < words; i++)
        add_word();
}

/* Those that matter most, with few channels. */
static void add_usual(void)
{
    static const char *const usual[] = {"SUBSCRIBE a\r\n",
                                        "SUBSCRIBE a b\r\n",
                                        "UNSUBSCRIBE\r\n",
                                        "UNSUBSCRIBE a\r\n",
                                        "PSUBSCRIBE a*\r\n",
                                        "PSUBSCRIBE * ?\r\n",
                                        "PUNSUBSCRIBE\r\n",
                                        "PUNSUBSCRIBE *\r\n",
                                        "PUBLISH a x\r\n",
                                        "PUBLISH b yy\r\n",
                                        "SSUBSCRIBE a\r\n",
                                        "SUNSUBSCRIBE a\r\n",
                                        "SPUBLISH a z\r\n",
                                        "MULTI\r\n",
                                        "EXEC\r\n",
                                        "DISCARD\r\n",
                                        "RESET\r\n",
                                        "HELLO 3\r\n",
                                        "HELLO 2\r\n",
                                        "PING\r\n",
                                        "QUIT\r\n",
                                        "AUTH guest guest\r\n",
                                        "HELLO 3 AUTH guest guest\r\n",
                                        "CLIENT REPLY OFF\r\n",
                                        "CLIENT REPLY ON\r\n",
                                        "CLIENT REPLY SKIP\r\n",
                                        "AUTH a b\r\n",
                                        "PUBSUB CHANNELS\r\n",
                                        "PUBSUB NUMSUB a b\r\n",
                                        "CLIENT LIST\r\n",
                                        "CLIENT KILL TYPE pubsub\r\n",
                                        "PUBLISH \"a\\x00\" 'q'\r\n"};
    const char *s = usual[next(32)];
    add(s, strlen(s));
}

static void send_text(unsigned i, unsigned step)
{
    holes[i] |= memmem(text, text_len, "REPLY", 5) || memmem(text, text_len, "reply", 5);
    for (size_t at = 0, n; at < text_len; at += n) {
        n = step && step < text_len - at ? step : text_len - at;
        sim_peer_send(clients[i], span_of(text + at, n));
        if (n < text_len)
            (void)sim_run_until(never, NULL, STEPS_BETWEEN);
    }
}

static void come(unsigned i)
{
    clients[i] = sim_connect(ADDRESS);
    holes[i] = false;
    REQUIRE(clients[i]);
}

static void leave(unsigned i)
{
    sim_peer_close(clients[i]);
    clients[i] = NULL;
}

static void operate(void)
{
    static const unsigned ms[] = {1, 5, 20, 100, 600, 1200, 3000, 11000};
    unsigned op = next(256), i = next(CLIENTS);
    text_len = 0;
    switch (op % 8) {
    case 0:
    case 1:
        add_command();
        break;
    case 2:
    case 3:
    case 4: /* several at once */
        for (unsigned n = 1 + next(8); n > 0; n--)
            add_usual();
        break;
    case 5:
        for (unsigned n = next(64); n > 0 && in < in_end; n--)
            add(in++, 1);
        holes[i] = true; /* it may be anything */
        break;
    case 6:
        sim_peer_window(clients[i], op & 0x40 ? 64 : 1 << 20);
        run_ms(ms[next(8)]);
        break;
    default:
        leave(i);
        come(i);
    }
    send_text(i, op & 0x20 ? 1 + op / 64 * 5 : 0);
    (void)sim_run_until(never, NULL, op & 0x80 ? 1 : STEPS_PER_OP);
}

/* ---- what must hold ------------------------------------------------------------------------------------ */

static void check_nobody_subscribed(void)
{
    for (unsigned k = 0; k < broker->shard_count; k++) {
        const struct vspace *v = space_find(&broker->shards[k], span_str("/"));
        for (unsigned i = 0; i < SUBJECT_PLANES * SUBJECT_KINDS; i++)
            REQUIRE(subject_texts(v, i / SUBJECT_KINDS, i % SUBJECT_KINDS) == 0);
    }
}

static void check_idle(void)
{
    uint64_t target = os_mono_ns() + (uint64_t)IDLE_MS * 1000000;
    for (unsigned steps = 0; os_mono_ns() < target; steps++) {
        REQUIRE(steps < IDLE_STEPS);
        if (!sim_step())
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    in = data + 1;
    in_end = data + size;
    boot(data[0]);
    for (unsigned i = 0; i < CLIENTS; i++)
        come(i);
    for (unsigned n = 0; n < OPS_MAX && in < in_end; n++) {
        operate();
        for (unsigned i = 0; i < CLIENTS; i++)
            listen(i, false);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        sim_peer_window(clients[i], 1 << 24);
    run_ms(3000);
    for (unsigned i = 0; i < CLIENTS; i++) {
        listen(i, true);
        leave(i);
    }
    run_ms(4000);
    check_idle();
    check_nobody_subscribed();
    REQUIRE(metrics_sum(broker->metrics, METRIC_CONNECTIONS, 0) == 0);
    broker_stop(broker);
    REQUIRE(broker_run(broker) == 0);
    broker_close(broker);
    front_free(front);
    return 0;
}
