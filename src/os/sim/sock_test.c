/* Scripted connections, served by an echo program that also writes a log. */
#include "os/sim/sim_test.h"

#include <stdlib.h>

enum { BIG = 300000 };

/* Echoes; stops reading while a write is in progress. Freed by closed(). */
struct echo {
    struct os_sock *sock;
    uint8_t room[4096];
    int inputs, end;
    bool ended;
};

static struct os_loop *loop, *other;
static struct os_listener *listener;
static int closed_count, log_file, last_end;
static struct echo *latest;

static void turn(void *arg)
{
}

static void echo_room(void *user, uint8_t **ret_ptr, size_t *ret_len)
{
    struct echo *e = user;
    *ret_ptr = e->room;
    *ret_len = sizeof(e->room);
}

static void echo_input(void *user, int64_t n)
{
    struct echo *e = user;
    e->inputs++;
    if (n <= 0) {
        last_end = (int)n;
        os_sock_close(e->sock);
        return;
    }
    struct span s = span_of(e->room, (size_t)n);
    assert_int_equal(os_pwrite(log_file, &s, 1, (uint64_t)os_size(log_file)), 0);
    int done = os_sock_write(e->sock, &s, 1);
    if (done == 0)
        os_sock_read_stop(e->sock);
    if (done < 0)
        os_sock_close(e->sock);
}

static void echo_written(void *user, int status)
{
    struct echo *e = user;
    if (status < 0)
        os_sock_close(e->sock);
    else
        os_sock_read_start(e->sock);
}

static void echo_closed(void *user)
{
    closed_count++;
    free(user);
}

static const struct os_sock_ops echo_ops = {echo_room, echo_input, echo_written, echo_closed};

static void echo_accept(void *user, struct os_sock *s)
{
    struct echo *e = latest = calloc(1, sizeof(*e));
    e->sock = s;
    os_sock_start(s, &echo_ops, e);
}

static void echo_begin(uint64_t seed)
{
    sim_reset(seed);
    closed_count = 0;
    last_end = 1;
    loop = os_loop_new(turn, NULL);
    other = os_loop_new(turn, NULL);
    log_file = file_open("log");
    assert_int_equal(os_listen(loop, "localhost:9092", 16, echo_accept, NULL, &listener), 0);
}

static int setup(void **state)
{
    echo_begin(11);
    return 0;
}

static void run_out(void)
{
    for (int i = 0; i < 1000000 && sim_step(); i++)
        ;
}

static void send_pattern(struct sim_peer *p)
{
    uint8_t *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (uint8_t)(i * i >> 3);
    sim_peer_send(p, span_of(bytes, BIG));
    free(bytes);
}

static bool matches_pattern(struct span got, size_t from)
{
    for (size_t i = 0; i < got.len; i++)
        if (got.ptr[i] != (uint8_t)((from + i) * (from + i) >> 3))
            return false;
    return true;
}

static void bytes_come_back_in_order_and_in_pieces(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    send_pattern(p);
    run_out();
    assert_int_equal(sim_peer_received(p).len, BIG);
    assert_true(matches_pattern(sim_peer_received(p), 0));
    assert_true(latest->inputs > BIG / 4096 + 1);
    sim_peer_close(p);
    run_out();
    assert_int_equal(closed_count, 1);
}

static void a_slow_reader_gets_all_through_its_window(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    size_t got = 0;
    sim_peer_window(p, 100);
    send_pattern(p);
    while (got < BIG) {
        run_out();
        struct span s = sim_peer_received(p);
        assert_int_equal(s.len, BIG - got < 100 ? BIG - got : 100);
        assert_true(matches_pattern(s, got));
        sim_peer_consume(p, s.len);
        got += s.len;
    }
    sim_peer_close(p);
    run_out();
    assert_int_equal(last_end, 0);
}

static void the_end_comes_after_the_bytes(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    sim_peer_send(p, span_str("bye"));
    sim_peer_close(p);
    run_out();
    assert_int_equal(os_size(log_file), 3);
    assert_int_equal(closed_count, 1);
}

static void a_peer_that_leaves_breaks_the_write_in_progress(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    sim_peer_window(p, 10);
    send_pattern(p);
    run_out();
    assert_int_equal(closed_count, 0);
    sim_peer_close(p);
    run_out();
    assert_int_equal(closed_count, 1);
}

static void the_brokers_close_is_seen_with_what_came_before(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    sim_peer_send(p, span_str("hello"));
    while (sim_peer_received(p).len < 5)
        assert_true(sim_step());
    assert_false(sim_peer_closed(p));
    os_sock_close(latest->sock);
    assert_true(sim_peer_closed(p));
    assert_true(span_eq_str(sim_peer_received(p), "hello"));
    run_out();
    assert_int_equal(closed_count, 1);
    sim_peer_send(p, span_str("nobody there"));
    sim_peer_close(p);
    assert_false(sim_step());
}

static void no_room_pauses_reading(void *user, uint8_t **ret_ptr, size_t *ret_len)
{
    ((struct echo *)user)->inputs++;
    *ret_len = 0;
}

static void paused_accept(void *user, struct os_sock *s)
{
    static const struct os_sock_ops ops = {no_room_pauses_reading, echo_input, echo_written, echo_closed};
    struct echo *e = latest = calloc(1, sizeof(*e));
    e->sock = s;
    os_sock_start(s, &ops, e);
}

static void without_room_reading_waits_for_read_start(void **state)
{
    struct os_listener *l;
    assert_int_equal(os_listen(loop, "127.0.0.1:0", 1, paused_accept, NULL, &l), 0);
    struct sim_peer *p = sim_connect(os_listener_address(l));
    sim_peer_send(p, span_str("x"));
    run_out();
    assert_int_equal(latest->inputs, 1);
    os_sock_read_start(latest->sock);
    run_out();
    assert_int_equal(latest->inputs, 2);
    os_sock_close(latest->sock);
    run_out();
}

static void move_accept(void *user, struct os_sock *s)
{
    os_sock_move(s, other, echo_accept, NULL);
}

static void a_moved_socket_lives_on_the_other_loop(void **state)
{
    struct os_listener *l;
    assert_int_equal(os_listen(loop, "127.0.0.1:7000", 1, move_accept, NULL, &l), 0);
    struct sim_peer *p = sim_connect("127.0.0.1:7000");
    sim_peer_send(p, span_str("hi"));
    run_out();
    assert_true(span_eq_str(sim_peer_received(p), "hi"));
    assert_string_equal(os_sock_local(latest->sock), "127.0.0.1:7000");
    assert_int_equal(strncmp(os_sock_peer(latest->sock), "127.0.0.1:5", 11), 0);
    os_sock_close(latest->sock);
    os_loop_stop(loop);
    run_out();
    assert_int_equal(closed_count, 1);
}

static void addresses_are_taken_once(void **state)
{
    struct os_listener *l;
    assert_int_equal(os_listen(loop, "127.0.0.1:9092", 1, echo_accept, NULL, &l), ERR_EXISTS);
    assert_int_equal(os_listen(loop, "example:9092", 1, echo_accept, NULL, &l), ERR_INVALID);
    assert_null(sim_connect("127.0.0.1:9093"));
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    os_listener_close(listener); /* before it was accepted */
    assert_true(sim_peer_closed(p));
    assert_null(sim_connect("127.0.0.1:9092"));
    assert_int_equal(os_listen(loop, "127.0.0.1:9092", 1, echo_accept, NULL, &l), 0);
}

/* Three clients talk over two loops; what happened, as a hash. */
static uint64_t scripted_run(uint64_t seed)
{
    struct sim_peer *p[3];
    echo_begin(seed);
    for (int i = 0; i < 3; i++) {
        p[i] = sim_connect("127.0.0.1:9092");
        sim_peer_window(p[i], (size_t)1000 << i);
        send_pattern(p[i]);
    }
    for (int i = 0; i < 2000 && sim_step(); i++)
        sim_peer_consume(p[i % 3], sim_peer_received(p[i % 3]).len);
    for (int i = 0; i < 3; i++)
        sim_peer_close(p[i]);
    run_out();
    assert_int_equal(closed_count, 3);
    return sim_trace();
}

static void equal_seeds_give_equal_worlds(void **state)
{
    uint64_t first = scripted_run(1);
    free(malloc(12345)); /* the heap looks different */
    assert_int_equal(scripted_run(1), first);
    assert_int_not_equal(scripted_run(2), first);
}

/* LeakSanitizer looks at the end; the echo's own memory is the test's. */
static void a_reset_drops_open_connections(void **state)
{
    struct sim_peer *p = sim_connect("127.0.0.1:9092");
    send_pattern(p);
    for (int i = 0; i < 50; i++)
        sim_step();
    struct echo *mine = latest;
    sim_reset(1);
    assert_int_equal(closed_count, 0);
    assert_false(sim_step());
    free(mine);
}

#undef T
#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bytes_come_back_in_order_and_in_pieces),
        T(a_slow_reader_gets_all_through_its_window),
        T(the_end_comes_after_the_bytes),
        T(a_peer_that_leaves_breaks_the_write_in_progress),
        T(the_brokers_close_is_seen_with_what_came_before),
        T(without_room_reading_waits_for_read_start),
        T(a_moved_socket_lives_on_the_other_loop),
        T(addresses_are_taken_once),
        T(equal_seeds_give_equal_worlds),
        T(a_reset_drops_open_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
