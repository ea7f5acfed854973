#include "proto/redis/testkit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "proto/front.h"
#include "proto/redis/redis.h"

enum { STEPS = 8000000, STEPS_BETWEEN = 12, TICK_MS = 5, SILENCE_MS = 30 };
#define ADDRESS "127.0.0.1:6379"

struct config kit_config;
static struct broker *broker;
static struct front *front;
static bool ready;
static struct shard_timer ticker; /* so that virtual time moves in small steps */

static void tick(struct shard *s, struct shard_timer *t)
{
    shard_timer_set(s, t, s->now_ns + TICK_MS * 1000000ull);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    (void)arg;
    struct front_listen l = {.proto = &redis_proto,
                             .name = "redis",
                             .address = ADDRESS,
                             .max_ops = REDIS_OPS_IN_FLIGHT,
                             .max_bytes = 8 << 20};
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

static void set(const char *key, const char *value)
{
    struct config_error e;
    assert_int_equal(config_set(&kit_config, key, value, CONFIG_FILE, &e), 0);
}

void kit_start(const char *shards, const char *const *settings)
{
    sim_reset(33);
    config_init(&kit_config);
    set("shards", shards);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    for (; settings && *settings; settings += 2)
        set(settings[0], settings[1]);
    struct broker_options opt = {.config = &kit_config, .hooks = &front_hooks, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    front = front_new(broker);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

void kit_stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
    front_free(front);
}

struct broker *kit_broker(void)
{
    return broker;
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

struct sim_peer *kit_connect(void)
{
    struct sim_peer *p = sim_connect(ADDRESS);
    assert_non_null(p);
    return p;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void kit_send(struct sim_peer *p, struct span bytes, size_t step)
{
    for (size_t at = 0, n; at < bytes.len; at += n) {
        n = step ? step : 1 + sim_random_below(24);
        if (n > bytes.len - at)
            n = bytes.len - at;
        sim_peer_send(p, span_of(bytes.ptr + at, n));
        if (n < bytes.len)
            (void)sim_run_until(never, NULL, STEPS_BETWEEN);
    }
}

/* ":17" behind "id" becomes ":ID". */
static char *masked(struct span in, bool closed)
{
    static const char head[] = "$2\r\nid\r\n:", eof[] = "<EOF>";
    char *text = mem_alloc(in.len * 2 + sizeof(eof) + 1);
    size_t at = 0;
    for (size_t i = 0; i < in.len;) {
        text[at++] = (char)in.ptr[i++];
        if (at < sizeof(head) - 1 || memcmp(text + at - (sizeof(head) - 1), head, sizeof(head) - 1) != 0)
            continue;
        while (i < in.len && in.ptr[i] >= '0' && in.ptr[i] <= '9')
            i++;
        text[at++] = 'I';
        text[at++] = 'D';
    }
    memcpy(text + at, closed ? eof : "", closed ? sizeof(eof) : 1);
    return text;
}

char *kit_hear(struct sim_peer *p)
{
    size_t had;
    do {
        had = sim_peer_received(p).len;
        kit_run_ms(SILENCE_MS);
    } while (sim_peer_received(p).len > had);
    struct span in = sim_peer_received(p);
    char *text = masked(in, sim_peer_closed(p));
    sim_peer_consume(p, in.len);
    return text;
}
