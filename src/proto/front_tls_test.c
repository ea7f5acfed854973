/* TLS connections of the whole front, on the simulated system: pieces cut by the dice, slow and silent
 * clients, new certificate files, and how connections end. The protocol is one of frames that are sent back.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "os/sim/sim.h"
#include "proto/front_impl.h"
#include "proto/tls_testkit.h"

#define ADDRESS "127.0.0.1:5671"
#define PLAIN   "127.0.0.1:5672"

enum { STEPS = 2000000, GIVEN_BYTES = 6 << 20 };

/* ---- a protocol ------------------------------------------------------------------------------------------
 */

/* A frame: its length in 4 bytes, little endian, then as many. It is sent back, copied if its length is odd;
 * an empty one is answered by GIVEN_BYTES bytes; one of a single byte ends the connection. */
static struct {
    unsigned opened, closed;
    bool secure;
    char identity[64];
    struct conn *conn;
} seen;

static void frames_open(struct conn *c, void *state)
{
    seen.opened++;
    seen.secure = c->secure;
    snprintf(seen.identity, sizeof(seen.identity), "%s", c->peer_identity ? c->peer_identity : "none");
    seen.conn = c;
}

static void give(struct conn *c)
{
    uint8_t bytes[4096];
    for (size_t i = 0; i < GIVEN_BYTES; i += sizeof(bytes)) {
        memset(bytes, (int)(i / sizeof(bytes)), sizeof(bytes));
        assert_int_equal(outq_copy(&c->out, span_of(bytes, sizeof(bytes))), 0);
    }
}

static int64_t frames_input(struct conn *c, void *state, struct span in, struct chunk *chunk,
                            size_t *ret_need)
{
    uint32_t len;
    *ret_need = sizeof(len);
    if (in.len < sizeof(len))
        return 0;
    memcpy(&len, in.ptr, sizeof(len));
    *ret_need = sizeof(len) + len;
    if (in.len < *ret_need)
        return 0;
    if (len == 1)
        return ERR_INVALID;
    if (len == 0)
        give(c);
    else if (len % 2)
        assert_int_equal(outq_copy(&c->out, span_of(in.ptr, *ret_need)), 0);
    else
        outq_ref(&c->out, chunk, span_of(in.ptr, *ret_need));
    conn_wake_output(c);
    return (int64_t)*ret_need;
}

static void frames_tick(struct conn *c, void *state, uint64_t now)
{
    conn_fail(c, ERR_TIMEOUT, "tick");
}

static void frames_closed(struct conn *c, void *state)
{
    seen.closed++;
    seen.conn = NULL;
}

static const struct proto frames = {.name = "frames",
                                    .state_bytes = 1,
                                    .open = frames_open,
                                    .input = frames_input,
                                    .tick = frames_tick,
                                    .closed = frames_closed};

/* ---- the broker ------------------------------------------------------------------------------------------
 */

static struct config config;
static struct broker *broker;
static struct front *front;
static bool ready, failed;
static struct kit_pair root;
static char lines[65536];

static void keep_line(enum say_level level, const char *component, const char *line)
{
    size_t used = strlen(lines);
    snprintf(lines + used, sizeof(lines) - used, "%s %s\n", component, line);
}

static unsigned count_lines(const char *text)
{
    unsigned n = 0;
    for (const char *p = lines; (p = strstr(p, text)); p++)
        n++;
    return n;
}

static void write_file(const char *path, const char *text)
{
    struct span s = span_str(text);
    int file = os_open(path, OS_WRITE | OS_CREATE | OS_TRUNC);
    assert_true(file >= 0);
    assert_int_equal(os_pwrite(file, &s, 1, 0), 0);
    os_close(file);
}

static void write_pair(const char *name)
{
    struct kit_pair p = kit_issue(root, name, "localhost");
    write_file("cert.pem", p.certificate);
    write_file("key.pem", p.key);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    struct front_listen l = {
        .proto = &frames, .name = "frames", .address = ADDRESS, .max_ops = 4, .max_bytes = 1 << 20};
    struct front_listen plain = l;
    plain.name = "plain";
    plain.address = PLAIN;
    l.tls = true;
    failed = front_open(front, &l) != 0 || front_open(front, &plain) != 0;
    ready = true;
    if (failed)
        broker_stop(b);
}

static bool is_ready(void *arg)
{
    return ready;
}

static void set(const char *key, const char *value)
{
    struct config_error e;
    assert_int_equal(config_set(&config, key, value, CONFIG_FILE, &e), 0);
}

static void boot(void)
{
    struct broker_options opt = {.config = &config, .hooks = &front_hooks, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    front = front_new(broker);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

static void halt(void)
{
    if (!broker)
        return;
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
    front_free(front);
    broker = NULL;
}

static int setup(void **state)
{
    memset(&seen, 0, sizeof(seen));
    lines[0] = 0;
    say_init(keep_line, SAY_INFO);
    sim_reset(11);
    config_init(&config);
    set("shards", *state);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    set("tls.certificate", "cert.pem");
    set("tls.key", "key.pem");
    set("tls.ca", "ca.pem");
    set("tls.verify-client", "request");
    set("tls.identity-from", "common_name");
    root = kit_authority("root");
    write_pair("first");
    write_file("ca.pem", root.certificate);
    return 0;
}

static int teardown(void **state)
{
    halt();
    kit_free();
    say_init(NULL, SAY_INFO);
    return 0;
}

/* ---- clients ---------------------------------------------------------------------------------------------
 */

struct guest {
    struct kit_client *tls;
    struct sim_peer *peer;
    bool held; /* takes nothing from the socket */
};

static struct guest enter(const struct kit_rules *r)
{
    struct guest g = {kit_connect(r), sim_connect(ADDRESS), false};
    assert_non_null(g.peer);
    return g;
}

static void leave(struct guest *g)
{
    kit_client_free(g->tls);
    sim_peer_close(g->peer);
}

static void exchange(struct guest *g)
{
    sim_peer_send(g->peer, kit_take(g->tls));
    if (g->held)
        return;
    struct span in = sim_peer_received(g->peer);
    kit_feed(g->tls, in);
    sim_peer_consume(g->peer, in.len);
}

static bool step(struct guest *g)
{
    exchange(g);
    return sim_step();
}

/* 1: done, -1: failed, 0: closed before. */
static int shake(struct guest *g)
{
    int r = 0;
    for (int i = 0; i < STEPS && (r = kit_shake(g->tls)) == 0; i++) {
        if (sim_peer_closed(g->peer) && sim_peer_received(g->peer).len == 0)
            return 0;
        step(g);
    }
    exchange(g);
    return r;
}

static struct guest enter_whole(const struct kit_rules *r)
{
    struct guest g = enter(r);
    assert_int_equal(shake(&g), 1);
    for (int i = 0; i < STEPS && !seen.conn; i++)
        step(&g);
    assert_non_null(seen.conn);
    return g;
}

static void say_frame(struct guest *g, uint32_t len)
{
    uint8_t *frame = mem_alloc(4 + len);
    memcpy(frame, &len, 4);
    for (uint32_t i = 0; i < len; i++)
        frame[4 + i] = (uint8_t)(i * 7 + len);
    kit_write(g->tls, span_of(frame, 4 + len));
    mem_free(frame);
}

static void hear(struct guest *g, uint8_t *ret, size_t len)
{
    size_t have = 0;
    for (int i = 0; i < STEPS && have < len; i++) {
        step(g);
        int n;
        while (have < len && (n = kit_read(g->tls, ret + have, len - have)) != 0) {
            assert_true(n > 0);
            have += (size_t)n;
        }
    }
    assert_int_equal(have, len);
}

static void hear_frame(struct guest *g, uint32_t len)
{
    uint8_t *frame = mem_alloc(4 + len);
    hear(g, frame, 4 + len);
    assert_memory_equal(frame, &len, 4);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(frame[4 + i], (uint8_t)(i * 7 + len));
    mem_free(frame);
}

static void run_to_close(struct guest *g)
{
    uint8_t waste[512];
    for (int i = 0; i < STEPS && !(sim_peer_closed(g->peer) && sim_peer_received(g->peer).len == 0); i++) {
        step(g);
        while (kit_read(g->tls, waste, sizeof(waste)) > 0)
            ;
    }
    assert_true(sim_peer_closed(g->peer));
    while (kit_read(g->tls, waste, sizeof(waste)) > 0)
        ;
}

/* ---- tests -----------------------------------------------------------------------------------------------
 */

static void frames_of_all_sizes_come_back(void **state)
{
    static const uint32_t sizes[] = {2, 100, 4090, 4096, 16384, 65536, 300000, 1000000};
    boot();
    for (int v = TLS_1_2; v <= TLS_1_3; v++) {
        struct guest g =
            enter_whole(&(struct kit_rules){.version = (enum tls_version)v, .ca = root.certificate});
        assert_true(seen.secure);
        assert_string_equal(seen.identity, "none");
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            say_frame(&g, sizes[i]);
            hear_frame(&g, sizes[i]);
        }
        for (uint32_t i = 0; i < 500; i++)
            say_frame(&g, 2 + i);
        for (uint32_t i = 0; i < 500; i++)
            hear_frame(&g, 2 + i);
        kit_close(g.tls);
        run_to_close(&g);
        assert_true(kit_ended(g.tls));
        leave(&g);
    }
    assert_int_equal(count_lines("failed"), 0);
}

static void the_protocol_is_told_who_came(void **state)
{
    boot();
    struct guest g =
        enter_whole(&(struct kit_rules){.version = TLS_1_3, .own = kit_issue(root, "alice", NULL)});
    assert_string_equal(seen.identity, "alice");
    leave(&g);
}

static void what_is_left_unsent_is_bounded_when_a_client_reads_slowly(void **state)
{
    uint8_t *got = mem_alloc(GIVEN_BYTES);
    boot();
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3});
    sim_peer_window(g.peer, 5000);
    say_frame(&g, 0);
    g.held = true;
    for (int i = 0; i < 2000; i++)
        step(&g);
    const struct front_conn *fc = front_conn_of(seen.conn);
    assert_true(fc->conn.out.len > GIVEN_BYTES - (1 << 20)); /* still plain */
    assert_in_range(fc->tls->wire.len, 1, 2 * FRONT_WIRE_BYTES);
    assert_false(conn_can_read(&fc->conn));
    g.held = false;
    hear(&g, got, GIVEN_BYTES);
    for (size_t i = 0; i < GIVEN_BYTES; i++)
        if (got[i] != (uint8_t)(i / 4096))
            fail_msg("byte %zu", i);
    say_frame(&g, 10);
    hear_frame(&g, 10);
    leave(&g);
    mem_free(got);
}

static void an_idle_connection_holds_no_chunk(void **state)
{
    boot();
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3});
    say_frame(&g, 200001);
    hear_frame(&g, 200001);
    struct shard *s = seen.conn->shard;
    const struct front_conn *fc = front_conn_of(seen.conn);
    for (int i = 0; i < 1000 && (fc->in || fc->tls->in); i++)
        sim_step();
    assert_null(fc->in);
    assert_null(fc->tls->in);
    assert_int_equal(fc->tls->wire.count, 0);
    assert_int_equal(atomic_load(&s->output_pool.used_bytes), 0);
    assert_int_equal(atomic_load(&s->input_pool.used_bytes) + atomic_load(&s->small_input_pool.used_bytes),
                     0);
    leave(&g);
}

static void plain_bytes_end_in_one_line(void **state)
{
    boot();
    struct sim_peer *p = sim_connect(ADDRESS);
    sim_peer_send(p, span_of("AMQP\0\0\x09\x01", 8));
    for (int i = 0; i < STEPS && !sim_peer_closed(p); i++)
        sim_step();
    assert_true(sim_peer_closed(p));
    assert_int_equal(count_lines("frames msg=\"connection failed\""), 1);
    assert_int_equal(count_lines("does not speak it on this port"), 1);
    assert_int_equal(seen.opened + seen.closed, 0);
    sim_peer_close(p);
}

static void a_stranger_is_refused_in_one_line(void **state)
{
    boot();
    struct kit_pair own = kit_issue(kit_authority("elsewhere"), "mallory", NULL);
    struct guest g = enter(&(struct kit_rules){.version = TLS_1_2, .own = own});
    assert_int_equal(shake(&g), -1); /* got the alert */
    run_to_close(&g);
    assert_int_equal(count_lines("failed"), 1);
    assert_int_equal(count_lines("unable to get local issuer certificate"), 1);
    assert_int_equal(seen.opened, 0);
    leave(&g);
}

static void a_silent_client_is_cut_at_the_timeout(void **state)
{
    boot();
    uint64_t before = os_mono_ns();
    struct sim_peer *p = sim_connect(ADDRESS);
    sim_peer_send(p, span_of("\x16\x03\x01\x02", 4)); /* the beginning of a handshake */
    for (int i = 0; i < STEPS && !sim_peer_closed(p); i++)
        sim_step();
    assert_in_range((os_mono_ns() - before) / 1000000, 9900, 12000);
    assert_int_equal(count_lines("no TLS handshake within tls.handshake-timeout"), 1);
    assert_int_equal(seen.opened + seen.closed, 0);
    sim_peer_close(p);
}

static void a_client_that_vanishes_is_forgotten(void **state)
{
    boot();
    for (int i = 0; i < 20; i++) { /* in the middle of the handshake, and of a frame, without close_notify */
        struct guest g = enter(&(struct kit_rules){.version = i % 2 ? TLS_1_2 : TLS_1_3});
        if (i >= 10) {
            assert_int_equal(shake(&g), 1);
            say_frame(&g, 5000);
        }
        for (int k = 0; k < i * 7; k++)
            step(&g);
        leave(&g);
    }
    for (int i = 0; i < STEPS && broker->open_conns; i++)
        sim_step();
    assert_int_equal(broker->open_conns, 0);
    assert_int_equal(seen.opened, seen.closed);
}

static void the_protocols_last_words_are_followed_by_a_close_notify(void **state)
{
    boot();
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3});
    say_frame(&g, 20);
    say_frame(&g, 1);
    hear_frame(&g, 20);
    run_to_close(&g);
    assert_true(kit_ended(g.tls));
    leave(&g);
}

static void a_stop_says_goodbye(void **state)
{
    boot();
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3}),
                 silent = enter(&(struct kit_rules){0});
    for (int i = 0; i < 100; i++)
        step(&g);
    broker_stop(broker);
    run_to_close(&g);
    assert_true(kit_ended(g.tls));
    leave(&g);
    leave(&silent);
}

static void key_updates_cannot_fill_memory(void **state)
{
    boot();
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3});
    sim_peer_window(g.peer, 100);
    g.held = true;
    for (int i = 0; i < 20000 && seen.conn; i++) {
        kit_update_keys(g.tls);
        exchange(&g);
        if (i % 4 == 0)
            sim_step();
    }
    for (int i = 0; i < 20000; i++) {
        sim_step();
        if (seen.conn)
            assert_true(front_conn_of(seen.conn)->tls->wire.len <= 8 * FRONT_WIRE_BYTES);
    }
    leave(&g);
}

static void many_handshakes_are_spread_over_turns(void **state)
{
    enum { GUESTS = 120 };
    struct guest guests[GUESTS];
    unsigned done = 0;
    bool exhausted = false;
    boot();
    for (unsigned k = 0; k < broker->shard_count; k++)
        front_shard_of(&broker->shards[k])->handshakes = FRONT_HANDSHAKES; /* of before the first turn */
    for (int i = 0; i < GUESTS; i++)
        guests[i] = enter(&(struct kit_rules){.version = TLS_1_3});
    for (int round = 0; round < STEPS && done < GUESTS; round++) {
        done = 0;
        for (int i = 0; i < GUESTS; i++) {
            assert_true(kit_shake(guests[i].tls) >= 0);
            exchange(&guests[i]);
        }
        sim_step();
        for (unsigned k = 0; k < broker->shard_count; k++) {
            unsigned left = front_shard_of(&broker->shards[k])->handshakes;
            assert_true(left <= FRONT_HANDSHAKES); /* never below 0 */
            exhausted |= left == 0;
        }
        done = seen.opened;
    }
    assert_int_equal(done, GUESTS);
    assert_true(exhausted || broker->shard_count > 1);
    for (int i = 0; i < GUESTS; i++)
        leave(&guests[i]);
}

static const char *name_now(void)
{
    static char name[64];
    struct guest g = enter_whole(&(struct kit_rules){.version = TLS_1_3, .ca = root.certificate});
    snprintf(name, sizeof(name), "%s", kit_server_name(g.tls));
    kit_close(g.tls);
    run_to_close(&g);
    leave(&g);
    return name;
}

static void wait_ms(uint64_t ms)
{
    uint64_t end = os_mono_ns() + ms * 1000000;
    while (os_mono_ns() < end && sim_step())
        ;
}

static void changed_files_are_for_new_connections(void **state)
{
    boot();
    assert_string_equal(name_now(), "first");
    struct guest old = enter_whole(&(struct kit_rules){.version = TLS_1_3});
    seen.conn = NULL;
    write_pair("second");
    wait_ms(config.tls_reload_interval_ms + 100);
    assert_string_equal(name_now(), "second");
    say_frame(&old, 100);
    hear_frame(&old, 100);
    assert_int_equal(count_lines("certificate in use"), 2);
    leave(&old);
}

static void bad_new_files_leave_the_old_ones_in_use(void **state)
{
    boot();
    write_file("cert.pem", kit_issue(root, "half", NULL).certificate); /* the key is still the old one */
    wait_ms(5 * config.tls_reload_interval_ms);
    assert_string_equal(name_now(), "first");
    assert_int_equal(count_lines("the old ones stay"), 1);
    assert_int_equal(count_lines("tls.key does not belong to tls.certificate"), 1);
    assert_int_equal(os_unlink("key.pem"), 0);
    wait_ms(5 * config.tls_reload_interval_ms);
    assert_string_equal(name_now(), "first");
    assert_int_equal(count_lines("tls.key: key.pem: not found"), 1);
    write_pair("whole");
    wait_ms(2 * config.tls_reload_interval_ms);
    assert_string_equal(name_now(), "whole");
}

static void without_usable_files_there_is_no_listener(void **state)
{
    write_file("key.pem", "nonsense");
    boot();
    assert_true(failed);
    assert_int_equal(count_lines("the certificate files cannot be used"), 1);
    assert_int_equal(count_lines("tls.key holds no PEM private key"), 1);
    assert_null(sim_connect(ADDRESS));
}

static void plain_listeners_stay_plain(void **state)
{
    boot();
    struct sim_peer *p = sim_connect(PLAIN);
    sim_peer_send(p, span_of("\2\0\0\0ab", 6));
    for (int i = 0; i < STEPS && sim_peer_received(p).len < 6; i++)
        sim_step();
    assert_memory_equal(sim_peer_received(p).ptr, "\2\0\0\0ab", 6);
    assert_false(seen.secure);
    assert_string_equal(seen.identity, "none");
    sim_peer_close(p);
}

/* Somebody else's answers, which are never read, have used up what all may leave unread. */
static void who_takes_its_answers_late_is_read_from_again_while_memory_is_short(void **state)
{
    enum { FRAMES = 40, BYTES = 3000 };
    static const uint8_t give_much[4];
    static uint8_t frame[4 + BYTES] = {BYTES & 0xff, BYTES >> 8};
    size_t got = 0;
    set("memory.output-bytes", "7MiB");
    boot();
    struct sim_peer *hog = sim_connect(PLAIN), *late = sim_connect(PLAIN);
    sim_peer_window(hog, 1000);
    sim_peer_window(late, 1000);
    sim_peer_send(hog, span_of(give_much, sizeof(give_much)));
    for (int i = 0; i < 1000; i++)
        sim_step();
    for (int n = 0; n < FRAMES; n++) {
        sim_peer_send(late, span_of(frame, sizeof(frame)));
        for (int i = 0; i < 20; i++)
            sim_step();
    }
    for (int i = 0; i < 100000 && got < FRAMES * sizeof(frame); i++) {
        size_t len = sim_peer_received(late).len;
        sim_peer_consume(late, len);
        got += len;
        sim_step();
    }
    assert_int_equal(got, FRAMES * sizeof(frame));
    sim_peer_close(late);
    sim_peer_close(hog);
}

#define TEST(f)                                                                                              \
    {#f " [1]", f, setup, teardown, "1"},                                                                    \
    {                                                                                                        \
#f " [3]", f, setup, teardown, "3"                                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_of_all_sizes_come_back),
        TEST(the_protocol_is_told_who_came),
        TEST(what_is_left_unsent_is_bounded_when_a_client_reads_slowly),
        TEST(an_idle_connection_holds_no_chunk),
        TEST(plain_bytes_end_in_one_line),
        TEST(a_stranger_is_refused_in_one_line),
        TEST(a_silent_client_is_cut_at_the_timeout),
        TEST(a_client_that_vanishes_is_forgotten),
        TEST(the_protocols_last_words_are_followed_by_a_close_notify),
        TEST(a_stop_says_goodbye),
        TEST(key_updates_cannot_fill_memory),
        TEST(many_handshakes_are_spread_over_turns),
        TEST(changed_files_are_for_new_connections),
        TEST(bad_new_files_leave_the_old_ones_in_use),
        TEST(without_usable_files_there_is_no_listener),
        TEST(plain_listeners_stay_plain),
        TEST(who_takes_its_answers_late_is_read_from_again_while_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
