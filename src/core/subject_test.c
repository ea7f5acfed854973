/* Publish and subscribe on the whole broker over the simulated system: subscribers are connections without
 * sockets, on all shards, and what the publisher counts is what they hear. */
#include <stddef.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/glob.h"
#include "core/space_testkit.h"
#include "core/subject.h"
#include "core/user_table.h"
#include "os/sim/sim.h"

enum { HEARD_MAX = 4096, CLIENTS = 7, PUBLISHERS = 3 };

struct heard {
    char by[16], key[16], body[24];
};

struct client {
    struct conn conn;
    struct subscriber sub;
    struct heard *heard;
    uint32_t count;
    unsigned settled;
    bool alive;
    bool keeps; /* its output is not read */
};

static struct client clients[CLIENTS];

/* Until nothing is under way between shards. */
static void run_all(void)
{
    for (unsigned i = 0; i < broker->shard_count; i++)
        os_loop_wake(broker->shards[i].loop);
    for (unsigned i = 0; i < 300; i++)
        sim_step();
}

static void copy_text(char *to, size_t room, struct span text)
{
    assert_true(text.len < room);
    memcpy(to, text.ptr, text.len);
    to[text.len] = 0;
}

static void deliver(struct subscriber *w, const struct interest *in, const struct subject_message *m,
                    struct subject_wire wires[SUBJECT_WIRES], bool alone)
{
    struct client *c = container_of(w, struct client, sub);
    struct subject_wire *wire = &wires[SUBJECT_WIRE_RESP3];
    assert_int_equal(alone, in->sub_count == 1);
    if (!wire->chunk) {
        uint8_t *at = subject_wire_make(w->conn->shard, wire, m->body.len);
        assert_non_null(at);
        memcpy(at, m->body.ptr, m->body.len);
    }
    assert_true(span_eq(wire->bytes, m->body));
    if (c->keeps)
        outq_ref(subscriber_out(w), wire->chunk, wire->bytes);
    if (m->body.len >= sizeof(c->heard->body))
        return;
    assert_true(c->count < HEARD_MAX);
    struct heard *h = &c->heard[c->count++];
    copy_text(h->by, sizeof(h->by), in->text);
    copy_text(h->key, sizeof(h->key), m->key);
    copy_text(h->body, sizeof(h->body), m->body);
}

static void settled(struct subscriber *w)
{
    container_of(w, struct client, sub)->settled++;
}

static const struct subscriber_ops ops = {deliver, settled};

static struct shard *shard_of(unsigned i)
{
    return &broker->shards[i % broker->shard_count];
}

static void open_one(struct client *c, struct shard *s)
{
    *c = (struct client){.alive = true};
    c->heard = mem_zalloc(HEARD_MAX * sizeof(*c->heard));
    c->conn.magic = CONN_MAGIC;
    c->conn.shard = s;
    c->conn.handle = handle_new(&s->conns, &c->conn);
    c->conn.actor = (struct actor){&auth_anonymous, &s->spaces->root->vhost};
    c->conn.ops_left = c->conn.ops_max = 64;
    c->conn.bytes_left = 1 << 20;
    outq_init(&c->conn.out, &s->output_pool);
    list_init(&c->conn.ready_link);
    list_init(&c->conn.flush_link);
    subscriber_init(&c->sub, &c->conn, &ops, MESSAGE_FORMAT_REDIS);
}

static void client_open(unsigned i)
{
    open_one(&clients[i], shard_of(i));
}

static void close_one(struct client *c)
{
    if (!c->alive)
        return;
    c->alive = false;
    handle_free(&c->conn.shard->conns, c->conn.handle);
    subscriber_close(&c->sub);
    outq_fini(&c->conn.out);
    list_del(&c->conn.ready_link);
    list_del(&c->conn.flush_link);
    mem_free(c->heard);
    os_loop_wake(c->conn.shard->loop);
}

static void client_close(unsigned i)
{
    close_one(&clients[i]);
}

static void open_all(void **state)
{
    start(state);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_open(i);
}

static void close_all(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(i);
    run_all();
    for (unsigned i = 0; i < broker->shard_count; i++)
        for (int p = 0; p < SUBJECT_PLANES; p++)
            for (int k = 0; k < SUBJECT_KINDS; k++)
                assert_int_equal(
                    subject_texts(shard_of(i)->spaces->root, (enum subject_plane)p, (enum subject_kind)k), 0);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_SUBSCRIPTIONS, 0), 0);
    finish();
}

static bool is_settled(void *arg)
{
    return !((struct client *)arg)->sub.settling;
}

static void client_settle(unsigned i)
{
    struct client *c = &clients[i];
    unsigned before = c->settled;
    if (subscriber_settle(&c->sub))
        return;
    assert_true(broker->shard_count > 1);
    os_loop_wake(c->conn.shard->loop);
    assert_true(sim_run_until(is_settled, c, 100000));
    assert_int_equal(c->settled, before + 1);
}

static int subscribe(unsigned i, enum subject_kind kind, const char *text)
{
    int r = subscriber_add(&clients[i].sub, SUBJECT_SHARED, kind, span_str(text));
    client_settle(i);
    return r;
}

static int unsubscribe(unsigned i, enum subject_kind kind, const char *text)
{
    int r = subscriber_del(&clients[i].sub, SUBJECT_SHARED, kind, span_str(text));
    client_settle(i);
    return r;
}

static uint64_t publish_as(unsigned shard, uint8_t format, const char *key, const char *body)
{
    struct shard *s = shard_of(shard);
    struct subject_message m = {.key = span_str(key), .body = span_str(body), .format = format};
    uint64_t n = subject_deliver(s, s->spaces->root, SUBJECT_SHARED, &m, NULL);
    os_loop_wake(s->loop);
    return n;
}

static uint64_t publish(unsigned shard, const char *key, const char *body)
{
    return publish_as(shard, MESSAGE_FORMAT_REDIS, key, body);
}

static void assert_heard(unsigned i, uint32_t at, const char *by, const char *key, const char *body)
{
    const struct client *c = &clients[i];
    assert_true(at < c->count);
    assert_string_equal(c->heard[at].by, by);
    assert_string_equal(c->heard[at].key, key);
    assert_string_equal(c->heard[at].body, body);
}

/* ---- one thing at a time ---------------------------------------------------------------------------------
 */

static void who_has_subscribed_hears_and_is_counted(void **state)
{
    open_all(state);
    assert_int_equal(publish(0, "a", "nobody"), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(subscribe(i, SUBJECT_EXACT, "a"), 1);
    assert_int_equal(subscribe(0, SUBJECT_EXACT, "a"), 0);
    for (unsigned i = 0; i < broker->shard_count; i++) {
        assert_int_equal(subject_count(shard_of(i)->spaces->root, SUBJECT_SHARED, SUBJECT_EXACT, str("a")),
                         CLIENTS);
        assert_int_equal(publish(i, "a", "hello"), CLIENTS);
        assert_int_equal(publish(i, "b", "hello"), 0);
    }
    run_all();
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].count, broker->shard_count);
        assert_heard(i, 0, "a", "a", "hello");
    }
    assert_int_equal(unsubscribe(1, SUBJECT_EXACT, "a"), 1);
    assert_int_equal(unsubscribe(1, SUBJECT_EXACT, "a"), 0);
    assert_int_equal(publish(2, "a", "again"), CLIENTS - 1);
    client_close(2);
    run_all();
    assert_int_equal(publish(2, "a", "again"), CLIENTS - 2);
    run_all();
    assert_int_equal(clients[1].count, broker->shard_count);
    assert_int_equal(clients[0].count, broker->shard_count + 2);
    close_all();
}

static void each_text_that_matches_is_heard_once(void **state)
{
    open_all(state);
    subscribe(0, SUBJECT_EXACT, "n.1");
    subscribe(0, SUBJECT_GLOB, "n.*");
    subscribe(0, SUBJECT_GLOB, "*");
    subscribe(0, SUBJECT_GLOB, "n.[0-4]");
    subscribe(1, SUBJECT_GLOB, "n.*");
    subscribe(2, SUBJECT_GLOB, "m*");
    assert_int_equal(publish(1, "n.1", "x"), 5);
    assert_int_equal(publish(1, "n.1", "y"), 5);
    assert_int_equal(publish(1, "n.7", "z"), 3);
    run_all();
    assert_int_equal(clients[0].count, 10);
    assert_heard(0, 0, "n.1", "n.1", "x");
    assert_int_equal(clients[1].count, 3);
    assert_heard(1, 2, "n.*", "n.7", "z");
    assert_int_equal(clients[2].count, 0);
    unsubscribe(1, SUBJECT_GLOB, "n.*");
    assert_int_equal(publish(1, "n.1", "x"), 4);
    assert_int_equal(subject_texts(shard_of(1)->spaces->root, SUBJECT_SHARED, SUBJECT_GLOB), 4);
    close_all();
}

static void the_planes_are_apart(void **state)
{
    open_all(state);
    assert_int_equal(subscriber_add(&clients[0].sub, SUBJECT_SHARDED, SUBJECT_EXACT, str("a")), 1);
    client_settle(0);
    subscribe(1, SUBJECT_GLOB, "*");
    struct subject_message m = {.key = str("a"), .body = str("x"), .format = MESSAGE_FORMAT_REDIS};
    struct shard *s = shard_of(1);
    assert_int_equal(publish(1, "a", "y"), 1);
    assert_int_equal(subject_deliver(s, s->spaces->root, SUBJECT_SHARDED, &m, NULL), 1);
    os_loop_wake(s->loop);
    run_all();
    assert_int_equal(clients[0].count, 1);
    assert_heard(0, 0, "a", "a", "x");
    assert_int_equal(clients[1].count, 1);
    close_all();
}

static void wildcards_of_others_skip_reserved_keys(void **state)
{
    open_all(state);
    subscribe(0, SUBJECT_GLOB, "*");
    subscribe(1, SUBJECT_EXACT, "$a");
    assert_int_equal(publish(0, "$a", "own"), 2);
    assert_int_equal(publish_as(0, MESSAGE_FORMAT_AMQP, "$a", "foreign"), 1);
    assert_int_equal(publish_as(0, MESSAGE_FORMAT_AMQP, "_INBOX.7", "foreign"), 0);
    assert_int_equal(publish_as(0, MESSAGE_FORMAT_AMQP, "a", "foreign"), 1);
    close_all();
}

/* ---- what waits, and what is too much --------------------------------------------------------------------
 */

static void what_is_held_comes_after_the_answer(void **state)
{
    open_all(state);
    struct client *c = &clients[0];
    c->keeps = true;
    subscribe(0, SUBJECT_EXACT, "a");
    subscriber_hold(&c->sub);
    publish(0, "a", "first");
    publish(1, "a", "second");
    run_all();
    assert_int_equal(c->conn.out.len, 0);
    assert_int_equal(outq_copy(&c->conn.out, str("answer,")), 0);
    subscriber_resume(&c->sub);
    char text[32] = {0};
    assert_int_equal(c->conn.out.len, 18);
    outq_copy_to(&c->conn.out, (uint8_t *)text);
    assert_string_equal(text, "answer,firstsecond");
    close_all();
}

static void publishers_get_their_credit_back(void **state)
{
    open_all(state);
    struct client *p = &clients[0];
    for (unsigned i = 1; i < CLIENTS; i++)
        subscribe(i, SUBJECT_EXACT, "a");
    for (unsigned i = 0; i < 10; i++) {
        struct subject_message m = {.key = str("a"), .body = str("x"), .format = MESSAGE_FORMAT_REDIS};
        assert_int_equal(
            subject_deliver(p->conn.shard, p->conn.shard->spaces->root, SUBJECT_SHARED, &m, &p->conn),
            CLIENTS - 1);
    }
    os_loop_wake(p->conn.shard->loop);
    run_all();
    assert_int_equal(p->conn.ops_left, p->conn.ops_max);
    assert_int_equal(p->conn.bytes_left, 1 << 20);
    assert_int_equal(clients[1].count, 10);
    close_all();
}

static void a_slow_subscriber_is_cut(void **state)
{
    static char big[1000];
    memset(big, 'x', sizeof(big) - 1);
    open_all(state);
    atomic_store(&subject_limits(broker)->hard, 100000);
    atomic_store(&subject_limits(broker)->soft, 70000);
    atomic_store(&subject_limits(broker)->soft_ms, 5000);
    clients[0].keeps = clients[3].keeps = true;
    for (unsigned i = 0; i < 4; i++)
        subscribe(i, SUBJECT_EXACT, "a");
    subscribe(3, SUBJECT_EXACT, "b");
    for (unsigned i = 0; i < 90; i++)
        publish(1, "a", big);
    run_all();
    assert_false(clients[0].conn.aborted);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_LATE, 0), 2);
    outq_consume(&clients[3].conn.out, clients[3].conn.out.len); /* it has caught up */
    for (unsigned i = 0; i < 20; i++) {
        sim_advance_ms(1000);
        run_all();
    }
    assert_true(clients[0].conn.aborted);
    assert_false(clients[3].conn.aborted);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_SLOW, 0), 1);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_LATE, 0), 0);
    for (unsigned i = 0; i < 120; i++)
        publish(1, "b", big);
    run_all();
    assert_true(clients[3].conn.aborted);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_SLOW, 0), 2);
    assert_false(clients[1].conn.aborted);
    close_all();
}

/* As the others leave each other room. */
static void who_has_the_most_unread_is_cut_when_memory_runs_short(void **state)
{
    static char big[1000];
    char key[2] = "0";
    memset(big, 'x', sizeof(big) - 1);
    open_all(state);
    config.memory_output_bytes = 2 << 20;
    for (unsigned i = 0; i < 4; i++) {
        clients[i].keeps = true;
        key[0] = (char)('0' + i);
        subscribe(i, SUBJECT_EXACT, key);
    }
    for (unsigned n = 0; n < 3000 && !clients[0].conn.aborted; n++) {
        publish(1, "0", big);
        key[0] = (char)('1' + n % 3);
        if (n < 300)
            publish(2, key, big); /* 100 KB each */
        sim_advance_ms(1);
        if (n % 10 == 0)
            run_all();
    }
    assert_true(clients[0].conn.aborted);
    assert_in_range(clients[0].conn.out.len, 1 << 20, 2 << 20);
    for (unsigned i = 1; i < 4; i++)
        assert_false(clients[i].conn.aborted);
    assert_int_equal(metrics_sum(broker->metrics, METRIC_SUBJECT_SLOW, 0), 1);
    close_all();
}

/* It hears nothing from then on, though it was counted. */
static void who_may_not_hear_any_more_is_disconnected(void **state)
{
    static const struct principal deleted = {"deleted", PRINCIPAL_USER, NULL};
    open_all(state);
    for (unsigned i = 0; i < 3; i++)
        subscribe(i, SUBJECT_EXACT, "a");
    clients[1].conn.actor.principal = &deleted;
    clients[2].conn.actor.principal = &deleted;
    publish(0, "a", "before"); /* nobody has looked again */
    run_all();
    users_applied(broker->users, shard_of(1)->index);
    publish(0, "a", "after");
    run_all();
    assert_int_equal(clients[0].count, 2);
    assert_int_equal(clients[1].count, 1);
    assert_true(clients[1].conn.closing);
    assert_false(clients[0].conn.closing);
    assert_int_equal(clients[2].conn.closing, broker->shard_count == 1);
    close_all();
}

static void long_texts_are_refused_or_count_for_several(void **state)
{
    static char text[SUBJECT_KEY_MAX + 1];
    memset(text, 'x', sizeof(text));
    open_all(state);
    config.pubsub_max_subscriptions = 10;
    struct subscriber *w = &clients[0].sub;
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_EXACT, span_of(text, SUBJECT_KEY_MAX + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_GLOB, span_of(text, SUBJECT_GLOB_MAX + 1)),
                     ERR_TOO_LARGE);
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_GLOB, span_of(text, SUBJECT_GLOB_MAX)),
                     ERR_LIMIT);
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_EXACT, span_of(text, 2000)), 1); /* as 8 */
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_EXACT, span_of(text, 300)), 1);
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_EXACT, str("a")), ERR_LIMIT);
    assert_int_equal(subscriber_del(w, SUBJECT_SHARED, SUBJECT_EXACT, span_of(text, 300)), 1);
    assert_int_equal(subscriber_add(w, SUBJECT_SHARED, SUBJECT_EXACT, str("a")), 1);
    client_settle(0);
    close_all();
}

/* Looking through them is work, too. */
static void very_many_globs_fill_a_turn(void **state)
{
    enum { GLOBS = 4000 };
    char text[32];
    unsigned n = 0;
    open_all(state);
    for (unsigned i = 0; i < GLOBS; i++) {
        snprintf(text, sizeof(text), "a.*%u", i);
        assert_int_equal(subscriber_add(&clients[0].sub, SUBJECT_SHARED, SUBJECT_GLOB, span_str(text)), 1);
    }
    client_settle(0);
    for (; !subject_turn_is_full(shard_of(0)) && n < 10000; n++) {
        snprintf(text, sizeof(text), "a.%u-", n);
        assert_int_equal(publish(0, text, "x"), 0);
    }
    assert_in_range(n, 10, 100);
    close_all();
}

static void a_turn_is_bounded(void **state)
{
    open_all(state);
    for (unsigned i = 0; i < CLIENTS; i++)
        subscribe(i, SUBJECT_EXACT, "a");
    static char big[100000];
    memset(big, 'x', sizeof(big) - 1);
    unsigned n = 0;
    for (; !subject_turn_is_full(shard_of(0)) && n < 10000; n++)
        publish(0, "a", big);
    assert_in_range(n, 5, 200);
    run_all();
    assert_false(subject_turn_is_full(shard_of(0)));
    close_all();
}

/* A write costs the same for one message as for many. */
static void a_turn_gives_many_subscribers_enough_to_write(void **state)
{
    enum { MANY = 300, ENOUGH_BYTES = 32 << 10 };
    static struct client many[MANY];
    static char big[1000];
    memset(big, 'x', sizeof(big) - 1);
    start(state);
    for (unsigned i = 0; i < MANY; i++) {
        open_one(&many[i], shard_of(0));
        many[i].keeps = true;
        assert_int_equal(subscriber_add(&many[i].sub, SUBJECT_SHARED, SUBJECT_EXACT, span_str("a")), 1);
        (void)subscriber_settle(&many[i].sub);
        run_all();
    }
    for (unsigned n = 0; !subject_turn_is_full(shard_of(0)) && n < 10000; n++)
        publish(0, "a", big);
    assert_in_range(many[0].conn.out.len, ENOUGH_BYTES, 4 * ENOUGH_BYTES);
    for (unsigned i = 0; i < MANY; i++)
        close_one(&many[i]);
    run_all();
    finish();
}

/* One slice of a client's output, whatever others hear in between. */
static void what_hears_one_text_lies_together(void **state)
{
    open_all(state);
    clients[0].keeps = clients[3].keeps = true;
    subscribe(0, SUBJECT_EXACT, "a");
    subscribe(3, SUBJECT_EXACT, "a");
    subscribe(3, SUBJECT_EXACT, "b");
    subscribe(6, SUBJECT_EXACT, "b");
    for (unsigned i = 0; i < 10; i++)
        publish(0, i % 2 ? "b" : "a", "0123456789");
    assert_int_equal(clients[0].conn.out.len, 50);
    assert_int_equal(clients[0].conn.out.count, 1);
    assert_int_equal(clients[3].conn.out.count, 10);
    subjects_trim(shard_of(0)); /* it is being read */
    publish(0, "a", "0123456789");
    assert_int_equal(clients[0].conn.out.count, 1);
    outq_consume(&clients[0].conn.out, clients[0].conn.out.len);
    outq_consume(&clients[3].conn.out, clients[3].conn.out.len);
    uint64_t used = atomic_load(&shard_of(0)->output_pool.used_bytes);
    subjects_trim(shard_of(0));
    assert_true(atomic_load(&shard_of(0)->output_pool.used_bytes) < used);
    close_all();
}

static void answers_go_out_before_messages(void **state)
{
    open_all(state);
    struct shard *s = shard_of(0);
    struct conn *subscriber = &clients[0].conn, *both = &clients[1].conn, *publisher = &clients[2].conn;
    subscriber->shard = both->shard = publisher->shard = s;
    conn_wake_output(subscriber);
    conn_wake_output(both);
    conn_wake_answer(publisher);
    conn_wake_answer(both);
    conn_wake_output(both);
    assert_ptr_equal(list_first(&s->flush), &both->flush_link);
    assert_ptr_equal(both->flush_link.next, &publisher->flush_link);
    assert_ptr_equal(publisher->flush_link.next, &subscriber->flush_link);
    for (unsigned i = 0; i < 3; i++) {
        list_del(&clients[i].conn.flush_link);
        clients[i].conn.shard = shard_of(i);
    }
    close_all();
}

/* ---- everything at once ----------------------------------------------------------------------------------
 */

static const char *const KEYS[] = {"a", "ab", "abc", "b", "$a", ""};
static const char *const GLOBS[] = {"*", "a*", "?", "[ab]", "a[^b]*", "ab"};
enum { KEY_COUNT = 6 };

struct world {
    uint64_t promised, sent[PUBLISHERS];
    bool has[CLIENTS][SUBJECT_KINDS][KEY_COUNT]; /* settled or not */
};

static const char *text_of(enum subject_kind kind, unsigned i)
{
    return kind == SUBJECT_EXACT ? KEYS[i] : GLOBS[i];
}

static uint64_t expected(const struct world *w, const char *key)
{
    uint64_t n = 0;
    for (unsigned c = 0; c < CLIENTS; c++)
        for (unsigned i = 0; i < KEY_COUNT; i++) {
            n += w->has[c][SUBJECT_EXACT][i] && !strcmp(KEYS[i], key);
            n += w->has[c][SUBJECT_GLOB][i] && glob_match(span_str(GLOBS[i]), span_str(key), false);
        }
    return n;
}

static void change(struct world *w)
{
    unsigned c = (unsigned)sim_random_below(CLIENTS);
    struct subscriber *sub = &clients[c].sub;
    for (unsigned n = (unsigned)sim_random_below(3); n > 0 && !sub->settling; n--) {
        enum subject_kind kind = (enum subject_kind)sim_random_below(SUBJECT_KINDS);
        unsigned i = (unsigned)sim_random_below(KEY_COUNT);
        bool *has = &w->has[c][kind][i];
        int r = *has ? subscriber_del(sub, SUBJECT_SHARED, kind, span_str(text_of(kind, i)))
                     : subscriber_add(sub, SUBJECT_SHARED, kind, span_str(text_of(kind, i)));
        assert_true(r >= 0);
        *has = r == 1 ? !*has : *has;
        if (r == 0)
            break; /* it is leaving: added again when that is over */
        if (sim_random_below(2))
            break;
    }
    if (!sub->settling && !subscriber_settle(sub))
        os_loop_wake(clients[c].conn.shard->loop);
}

static void say_something(struct world *w)
{
    char body[24];
    unsigned p = (unsigned)sim_random_below(PUBLISHERS);
    snprintf(body, sizeof(body), "%u:%llu", p, (unsigned long long)++w->sent[p]);
    w->promised += publish(p, KEYS[sim_random_below(KEY_COUNT)], body);
}

static void check_order(const struct client *c)
{
    unsigned long long last[PUBLISHERS] = {0};
    for (uint32_t i = 0; i < c->count; i++) {
        unsigned p;
        unsigned long long seq;
        assert_int_equal(sscanf(c->heard[i].body, "%u:%llu", &p, &seq), 2);
        assert_true(p < PUBLISHERS && seq >= last[p]);
        last[p] = seq;
    }
}

static bool all_settled(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (clients[i].sub.settling)
            return false;
    return true;
}

/* Whatever happens in between: who publishes is told exactly how many hear it. */
static void counts_are_what_is_heard(void **state)
{
    for (unsigned round = 0; round < 30; round++) {
        struct world w = {0};
        uint64_t heard = 0;
        open_all(state);
        for (unsigned step = 0; step < round * 7; step++)
            (void)sim_random(); /* another path in each round */
        for (unsigned step = 0; step < 400; step++) {
            switch (sim_random_below(4)) {
            case 0:
                change(&w);
                break;
            case 1:
            case 2:
                say_something(&w);
                break;
            default:
                for (uint64_t n = sim_random_below(8); n > 0; n--)
                    sim_step();
            }
        }
        assert_true(sim_run_until(all_settled, NULL, 100000));
        run_all();
        for (unsigned i = 0; i < CLIENTS; i++) {
            heard += clients[i].count;
            check_order(&clients[i]);
        }
        assert_int_equal(heard, w.promised);
        for (unsigned s = 0; s < broker->shard_count; s++)
            for (unsigned k = 0; k < KEY_COUNT; k++)
                assert_int_equal(publish(s, KEYS[k], "9"), expected(&w, KEYS[k]));
        run_all();
        close_all();
    }
}

#define BOTH(f)                                                                                              \
    {#f ", 1 shard", f, NULL, NULL, "1"},                                                                    \
    {                                                                                                        \
#f ", 3 shards", f, NULL, NULL, "3"                                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(who_has_subscribed_hears_and_is_counted),
        BOTH(each_text_that_matches_is_heard_once),
        BOTH(the_planes_are_apart),
        BOTH(wildcards_of_others_skip_reserved_keys),
        BOTH(what_is_held_comes_after_the_answer),
        BOTH(publishers_get_their_credit_back),
        BOTH(a_slow_subscriber_is_cut),
        BOTH(who_has_the_most_unread_is_cut_when_memory_runs_short),
        BOTH(who_may_not_hear_any_more_is_disconnected),
        BOTH(long_texts_are_refused_or_count_for_several),
        BOTH(very_many_globs_fill_a_turn),
        BOTH(a_turn_is_bounded),
        BOTH(a_turn_gives_many_subscribers_enough_to_write),
        BOTH(what_hears_one_text_lies_together),
        BOTH(answers_go_out_before_messages),
        BOTH(counts_are_what_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
