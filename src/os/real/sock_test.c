/* Sockets over loopback: an echo server on one or more loops, clients on threads of their own. */
#include "os/real/real_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

enum { BIG = 24 << 20, PIECE = 1 << 16, CLIENTS = 8, MESSAGES = 300 };

/* One connection: reads into `room`, writes it back, and reads on when that is done. */
struct echo {
    struct os_sock *sock;
    struct server *server;
    uint8_t room[PIECE];
    bool paused;
};

/* Ends when all expected connections were closed. */
struct server {
    struct os_loop *loops[3];
    unsigned loop_count;
    struct os_listener *listener;
    atomic_int expected; /* connections still to be closed */
    atomic_int partial;  /* writes that did not finish at once */
    atomic_int ends, breaks;
    bool answers_end;       /* say "bye" and close some turns later */
    struct echo *half_open; /* the connection that does so */
    int late_turns;
    atomic_int on_loop[3];
    int accepted;
    pthread_t thread;
    char address[64];
};

static void server_turn(void *arg)
{
}

static void server_stop(struct server *s)
{
    for (unsigned i = 0; i < s->loop_count; i++)
        os_loop_stop(s->loops[i]);
}

/* ---- the echo ---- */

static void echo_room(void *user, uint8_t **ret_ptr, size_t *ret_len)
{
    struct echo *e = user;
    *ret_ptr = e->room;
    *ret_len = e->paused ? 0 : sizeof(e->room);
}

/* Reading on after the end must not tell the end again. */
static void echo_answer_end(struct echo *e)
{
    struct span bye = span_str("bye");
    assert(os_sock_write(e->sock, &bye, 1) == 1);
    os_sock_read_start(e->sock);
    e->server->half_open = e;
}

static void echo_input(void *user, int64_t n)
{
    struct echo *e = user;
    if (n <= 0) {
        atomic_fetch_add(n == 0 ? &e->server->ends : &e->server->breaks, 1);
        if (e->server->answers_end)
            echo_answer_end(e);
        else
            os_sock_close(e->sock);
        return;
    }
    size_t half = (size_t)n / 2;
    struct span spans[2] = {span_of(e->room, half), span_of(e->room + half, (size_t)n - half)};
    int done = os_sock_write(e->sock, spans, 2);
    if (done == 0) {
        e->paused = true; /* room() says so */
        atomic_fetch_add(&e->server->partial, 1);
    } else if (done < 0) {
        os_sock_close(e->sock);
    }
}

static void echo_written(void *user, int status)
{
    struct echo *e = user;
    e->paused = false;
    if (status < 0)
        os_sock_close(e->sock);
    else
        os_sock_read_start(e->sock);
}

static void echo_closed(void *user)
{
    struct echo *e = user;
    struct server *s = e->server;
    free(e);
    atomic_fetch_sub(&s->expected, 1);
    os_loop_wake(s->loops[0]);
}

/* The listener goes when nothing more is expected; its loop is the first. */
static void first_turn(void *arg)
{
    struct server *s = arg;
    if (s->half_open) {
        if (++s->late_turns == 50) {
            os_sock_close(s->half_open->sock);
            s->half_open = NULL;
        }
        os_loop_wake(s->loops[0]);
    }
    if (!s->listener || atomic_load(&s->expected) > 0)
        return;
    os_listener_close(s->listener);
    s->listener = NULL;
    server_stop(s);
}

static void echo_accept(void *user, struct os_sock *sock)
{
    static const struct os_sock_ops ops = {echo_room, echo_input, echo_written, echo_closed};
    struct echo *e = calloc(1, sizeof(*e));
    e->sock = sock;
    e->server = user;
    os_sock_start(sock, &ops, e);
}

static void echo_accept_answering(void *user, struct os_sock *sock)
{
    ((struct server *)user)->answers_end = true;
    echo_accept(user, sock);
}

/* What a moved socket takes along. */
struct journey {
    struct server *server;
    int to;
};

static void echo_arrive(void *user, struct os_sock *sock)
{
    struct journey j = *(struct journey *)user;
    free(user);
    atomic_fetch_add(&j.server->on_loop[j.to], 1);
    echo_accept(j.server, sock);
}

static void spread_accept(void *user, struct os_sock *sock)
{
    struct server *s = user;
    struct journey *j = malloc(sizeof(*j));
    *j = (struct journey){s, s->accepted++ % 3};
    os_sock_move(sock, s->loops[j->to], echo_arrive, j);
}

static struct os_loop *never_run;

static void lose_accept(void *user, struct os_sock *sock)
{
    struct server *s = user;
    os_sock_move(sock, never_run, NULL, NULL);
    atomic_fetch_sub(&s->expected, 1);
}

/* ---- running it ---- */

static void *server_thread(void *arg)
{
    struct server *s = arg;
    os_loops_run(s->loops, s->loop_count);
    return NULL;
}

static void server_start(struct server *s, unsigned loops, int expected,
                         void (*accept)(void *user, struct os_sock *sock))
{
    memset(s, 0, sizeof(*s));
    s->loop_count = loops;
    atomic_store(&s->expected, expected);
    for (unsigned i = 0; i < loops; i++)
        s->loops[i] = os_loop_new(i ? server_turn : first_turn, s);
    assert_int_equal(os_listen(s->loops[0], "127.0.0.1:0", 64, accept, s, &s->listener), 0);
    snprintf(s->address, sizeof(s->address), "%s", os_listener_address(s->listener));
    pthread_create(&s->thread, NULL, server_thread, s);
}

static void server_end(struct server *s)
{
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->loop_count; i++)
        os_loop_free(s->loops[i]);
}

/* ---- tests ---- */

static void *client_sender(void *arg)
{
    int fd = *(int *)arg;
    uint8_t *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (uint8_t)(i * 131 >> 5);
    assert(client_write(fd, bytes, BIG));
    free(bytes);
    return NULL;
}

static void a_slow_reader_gets_every_byte(void **state)
{
    struct server s;
    pthread_t sender;
    uint8_t *bytes = malloc(BIG);
    server_start(&s, 1, 1, echo_accept);
    int fd = client_connect(s.address);
    assert_true(fd >= 0);
    pthread_create(&sender, NULL, client_sender, &fd);
    for (int i = 0; i < 10000 && atomic_load(&s.partial) == 0; i++)
        usleep(1000); /* until all buffers are full */
    assert_true(client_read(fd, bytes, BIG));
    pthread_join(sender, NULL);
    for (size_t i = 0; i < BIG; i++)
        if (bytes[i] != (uint8_t)(i * 131 >> 5))
            fail_msg("byte %zu", i);
    close(fd);
    server_end(&s);
    assert_true(atomic_load(&s.partial) > 0);
    assert_int_equal(atomic_load(&s.ends), 1);
    free(bytes);
}

static void *chatting_client(void *arg)
{
    const char *address = arg;
    char text[64], got[64];
    int fd = client_connect(address);
    assert(fd >= 0);
    for (int i = 0; i < MESSAGES; i++) {
        int len = snprintf(text, sizeof(text), "message %d of %d", i, fd);
        assert(client_write(fd, text, (size_t)len) && client_read(fd, got, (size_t)len));
        assert(memcmp(text, got, (size_t)len) == 0);
    }
    close(fd);
    return NULL;
}

static void many_clients_on_moved_sockets(void **state)
{
    struct server s;
    pthread_t clients[CLIENTS];
    server_start(&s, 3, CLIENTS, spread_accept);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, chatting_client, s.address);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    server_end(&s);
    assert_int_equal(atomic_load(&s.on_loop[0]), 3);
    assert_int_equal(atomic_load(&s.on_loop[1]), 3);
    assert_int_equal(atomic_load(&s.on_loop[2]), 2);
}

static void a_reset_is_a_broken_connection(void **state)
{
    struct server s;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    char got;
    server_start(&s, 1, 1, echo_accept);
    int fd = client_connect(s.address);
    assert_true(client_write(fd, "x", 1) && client_read(fd, &got, 1));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
    server_end(&s);
    assert_int_equal(atomic_load(&s.breaks), 1);
}

static void a_peer_that_stops_reading_and_goes_breaks_the_write(void **state)
{
    struct server s;
    static uint8_t bytes[PIECE];
    server_start(&s, 1, 1, echo_accept);
    int fd = client_connect(s.address);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 200; i++) {
        while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
            ;
        usleep(1000);
    }
    assert_true(atomic_load(&s.partial) > 0); /* it waits, with everything full */
    close(fd);
    server_end(&s); /* ends because written() told */
}

static void the_end_is_told_once_and_writing_goes_on(void **state)
{
    struct server s;
    char got[3];
    server_start(&s, 1, 1, echo_accept_answering);
    int fd = client_connect(s.address);
    shutdown(fd, SHUT_WR);
    assert_true(client_read(fd, got, 3));
    assert_memory_equal(got, "bye", 3);
    assert_false(client_read(fd, got, 1));
    close(fd);
    server_end(&s);
    assert_int_equal(atomic_load(&s.ends), 1);
}

static void refuse_accept(void *user, struct os_sock *sock)
{
    struct server *s = user;
    os_sock_close(sock);
    atomic_fetch_sub(&s->expected, 1);
}

static void an_accepted_socket_may_be_closed_at_once(void **state)
{
    struct server s;
    char got;
    server_start(&s, 1, 1, refuse_accept);
    int fd = client_connect(s.address);
    assert_false(client_read(fd, &got, 1));
    close(fd);
    server_end(&s);
}

static void listen_says_why_it_cannot(void **state)
{
    struct os_listener *a, *b;
    struct os_loop *loop = os_loop_new(server_turn, NULL);
    assert_int_equal(os_listen(loop, "nowhere:1", 1, echo_accept, NULL, &a), ERR_INVALID);
    assert_int_equal(os_listen(loop, "192.0.2.1:0", 1, echo_accept, NULL, &a), ERR_INVALID); /* RFC 5737 */
    assert_int_equal(os_listen(loop, "127.0.0.1:0", 1, echo_accept, NULL, &a), 0);
    assert_int_equal(os_listen(loop, os_listener_address(a), 1, echo_accept, NULL, &b), ERR_EXISTS);
    assert_string_not_equal(os_listener_address(a), "127.0.0.1:0");
    os_listener_close(a);
    os_loop_free(loop);
}

static void what_never_arrived_is_closed_with_its_loop(void **state)
{
    struct server s;
    char got;
    never_run = os_loop_new(server_turn, NULL);
    server_start(&s, 1, 1, lose_accept);
    int fd = client_connect(s.address);
    server_end(&s);
    os_loop_free(never_run);
    assert_false(client_read(fd, &got, 1));
    close(fd);
}

/* ---- out of descriptors ---- */

static void limit_files(rlim_t files)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = files;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A socket made while there still are descriptors, to be connected when there are none. */
static int client_prepare(const char *address, struct sockaddr_in *ret_sa)
{
    struct address a;
    assert_int_equal(address_parse(address, &a), 0);
    *ret_sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a.port)};
    inet_pton(AF_INET, "127.0.0.1", &ret_sa->sin_addr);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* Not even the reserve helps: nothing is accepted for a while, at no cost, and then again. */
static void without_any_descriptor_accepting_pauses(void **state)
{
    struct server s;
    struct rlimit before;
    struct sockaddr_in sa;
    char got;
    getrlimit(RLIMIT_NOFILE, &before);
    server_start(&s, 1, 2, echo_accept);
    int first = client_connect(s.address), second = client_prepare(s.address, &sa);
    assert_true(client_write(first, "x", 1) && client_read(first, &got, 1));
    limit_files(4); /* below every number in use */
    uint64_t cpu = os_cpu_time_us();
    assert_int_equal(connect(second, (struct sockaddr *)&sa, sizeof(sa)), 0);
    usleep(300000);
    assert_true(os_cpu_time_us() - cpu < 100000); /* a spinning loop would use all 300000 */
    assert_true(client_write(first, "y", 1) && client_read(first, &got, 1));
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(client_write(second, "z", 1) && client_read(second, &got, 1));
    close(first);
    close(second);
    server_end(&s);
}

static void the_reserve_refuses_who_cannot_be_served(void **state)
{
    enum { FILES = 100 };
    struct server s;
    struct rlimit before;
    struct sockaddr_in sa;
    int files[FILES], count = 0;
    char got;
    getrlimit(RLIMIT_NOFILE, &before);
    server_start(&s, 1, 2, echo_accept);
    int first = client_connect(s.address), refused = client_prepare(s.address, &sa);
    assert_true(client_write(first, "x", 1) && client_read(first, &got, 1));
    limit_files(FILES);
    while (count < FILES && (files[count] = dup(first)) >= 0)
        count++;
    assert_true(count > 0 && count < FILES);
    assert_int_equal(connect(refused, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_false(client_read(refused, &got, 1));
    while (count > 0)
        close(files[--count]);
    int third = client_connect(s.address);
    assert_true(client_write(third, "z", 1) && client_read(third, &got, 1));
    close(first);
    close(refused);
    close(third);
    setrlimit(RLIMIT_NOFILE, &before);
    server_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_reader_gets_every_byte),
        cmocka_unit_test(many_clients_on_moved_sockets),
        cmocka_unit_test(a_reset_is_a_broken_connection),
        cmocka_unit_test(a_peer_that_stops_reading_and_goes_breaks_the_write),
        cmocka_unit_test(the_end_is_told_once_and_writing_goes_on),
        cmocka_unit_test(an_accepted_socket_may_be_closed_at_once),
        cmocka_unit_test(listen_says_why_it_cannot),
        cmocka_unit_test(what_never_arrived_is_closed_with_its_loop),
        cmocka_unit_test(without_any_descriptor_accepting_pauses),
        cmocka_unit_test(the_reserve_refuses_who_cannot_be_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
