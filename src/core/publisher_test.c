/* Publishing for a connection, on the simulated system: routes, runs, batches for topics, subscriptions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/partition.h"
#include "core/publisher.h"
#include "core/queue_testkit.h"
#include "core/topic_table.h"

/* ---- a connection that publishes, and one that subscribes -----------------------------------------------
 */

enum { OPS = 1000, HEARD = 1 << 12 };

static struct conn conn;
static struct publisher publisher;
static char told[HEARD];    /* "tag:error " for each part */
static unsigned told_times; /* parts_told() */

static struct conn subscriber_conn;
static struct subscriber subscriber;
static char heard[HEARD]; /* "text=key:body " for each message */
static bool settled;
static const char *watched_queue; /* what is heard must be durable in it; NULL: nothing is asked */

static void add_text(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_text(char *to, const char *format, ...)
{
    va_list ap;
    size_t len = strlen(to);
    if (HEARD - len < 64)
        return; /* nobody compares so much */
    va_start(ap, format);
    vsnprintf(to + len, HEARD - len, format, ap);
    va_end(ap);
}

static void part(struct conn *c, uint64_t tag, int err)
{
    assert_ptr_equal(c, &conn);
    add_text(told, "%llu:%s ", (unsigned long long)tag, err ? err_name(err) : "ok");
}

static void parts_told(struct conn *c)
{
    assert_ptr_equal(c, &conn);
    told_times++;
}

static const struct publisher_ops ops = {part, parts_told};

static void open_conn(struct conn *c, struct shard *s)
{
    *c = (struct conn){.magic = CONN_MAGIC,
                       .shard = s,
                       .actor = {&auth_operator, &auth_default_vhost},
                       .ops_left = OPS,
                       .ops_max = OPS,
                       .bytes_left = 1 << 30,
                       .peer = "test"};
    list_init(&c->ready_link);
    list_init(&c->flush_link);
    c->handle = handle_new(&s->conns, c);
}

static void close_conn(struct conn *c)
{
    list_del(&c->ready_link);
    list_del(&c->flush_link);
    handle_free(&c->shard->conns, c->handle);
}

static void begin(void **state)
{
    kit_start(state);
    told[0] = heard[0] = 0;
    told_times = 0;
    watched_queue = NULL;
    open_conn(&conn, kit_shard());
    publisher_init(&publisher, &conn, &ops);
}

static void die(void)
{
    publisher_flush(&publisher);
    publisher_fini(&publisher);
    close_conn(&conn);
}

static void end(void)
{
    die();
    kit_check();
    kit_stop();
}

static void deliver(struct subscriber *w, const struct interest *in, const struct subject_message *m,
                    struct subject_wire wires[SUBJECT_WIRES], bool alone)
{
    (void)w;
    (void)wires;
    (void)alone;
    add_text(heard, "%.*s=%.*s:%.*s ", SPAN_ARG(in->text), SPAN_ARG(m->key), SPAN_ARG(m->body));
    if (watched_queue)
        assert_true(log_durable(kit_log(watched_queue)) > 0);
}

static void on_settled(struct subscriber *w)
{
    (void)w;
    settled = true;
}

static const struct subscriber_ops subscriber_ops = {deliver, on_settled};

/* On the first shard: with three of them not the publisher's. */
static void subscribe(const char *exact, const char *glob)
{
    open_conn(&subscriber_conn, &kit_shard()->broker->shards[0]);
    subscriber_init(&subscriber, &subscriber_conn, &subscriber_ops, MESSAGE_FORMAT_REDIS);
    if (exact)
        assert_int_equal(subscriber_add(&subscriber, SUBJECT_SHARED, SUBJECT_EXACT, span_str(exact)), 1);
    if (glob)
        assert_int_equal(subscriber_add(&subscriber, SUBJECT_SHARED, SUBJECT_GLOB, span_str(glob)), 1);
    settled = subscriber_settle(&subscriber);
    for (int i = 0; !settled && i < 100; i++)
        kit_run_ms(10);
    assert_true(settled);
}

static void unsubscribe(void)
{
    subscriber_close(&subscriber);
    kit_run_ms(20);
    close_conn(&subscriber_conn);
}

/* ---- publishing -----------------------------------------------------------------------------------------
 */

static struct exchange *exchange_of(const char *name)
{
    struct exchange *x;
    assert_int_equal(exchange_find(kit_shard(), &conn.actor, AUTH_WRITE, span_str(name), &x), 0);
    return x;
}

static struct routed look_up(const char *exchange, const struct message *m)
{
    struct routed to;
    route_look_up(kit_shard(), space_of(kit_shard(), &conn.actor), exchange_of(exchange), m, false, &to);
    return to;
}

static struct routed look_up_key(const char *exchange, const char *key)
{
    struct message m = {.key = span_str(key), .format = MESSAGE_FORMAT_REDIS};
    return look_up(exchange, &m);
}

static struct span put(struct chunk *c, const char *text)
{
    size_t len = strlen(text);
    uint8_t *at = c->data + c->used;
    memcpy(at, text, len);
    c->used += (uint32_t)len;
    return span_of(at, len);
}

/* Adds it to what is gathered. `props`: in the encoding of test_format, further keys with commas; NULL: none.
 */
static uint64_t publish_with(const char *exchange, const char *key, const char *props, const char *body,
                             bool persistent, uint64_t tag)
{
    struct chunk *c = chunk_new(&kit_shard()->input_pool, 1024 + strlen(body));
    struct message m = {.exchange = put(c, exchange),
                        .key = put(c, key),
                        .props = put(c, props ? props : ""),
                        .body = put(c, body),
                        .ttl_ms = -1,
                        .flags = persistent ? MESSAGE_PERSISTENT : 0};
    struct routed to;
    route_look_up(kit_shard(), space_of(kit_shard(), &conn.actor), exchange_of(exchange), &m, props != NULL,
                  &to);
    uint64_t n = publisher_send(&publisher, &m, &to, c, tag);
    chunk_unref(c);
    os_loop_wake(kit_shard()->loop);
    return n;
}

static uint64_t publish(const char *exchange, const char *key, const char *body, bool persistent,
                        uint64_t tag)
{
    return publish_with(exchange, key, NULL, body, persistent, tag);
}

/* ---- topics ---------------------------------------------------------------------------------------------
 */

static void over(struct conn *c, struct op *op)
{
    (void)c;
    *(bool *)op->user = true;
}

static void await(const bool *done)
{
    for (int i = 0; !*done && i < 1000; i++)
        kit_run_ms(5);
    assert_true(*done);
}

static void create_topic(const char *name)
{
    bool done = false;
    struct op_topic_create *t = op_new_internal(kit_shard(), sizeof(*t), over, &done);
    t->name = span_str(name);
    t->partitions = 1;
    topic_config_default(&t->config);
    op_topic_create_submit(t);
    await(&done);
    assert_int_equal(t->op.err, 0);
    op_topic_create_free(t);
}

static void bind_topic(const char *exchange, const char *topic, const char *key)
{
    bool done = false;
    struct op_bind *b = op_new_internal(kit_shard(), sizeof(*b), over, &done);
    b->source = span_str(exchange);
    b->kind = DEST_TOPIC;
    b->dest = span_str(topic);
    b->key = span_str(key);
    op_bind_submit(b);
    await(&done);
    assert_int_equal(b->e.op.err, 0);
    op_entity_free(&b->e);
}

/* How many records are durable in it. */
static unsigned records_in(const char *name)
{
    const struct topic *t = topic_table_find(kit_shard(), span_str(name));
    const struct topic_partition *p = &t->partitions[0];
    return (unsigned)log_durable(partition_find(&kit_shard()->broker->shards[p->shard], p->log_id)->log);
}

/* ---- runs -----------------------------------------------------------------------------------------------
 */

static void a_message_goes_to_all_queues_and_each_shard_is_a_part(void **state)
{
    begin(state);
    char names[6][4];
    unsigned shards = 0, seen = 0;
    for (unsigned i = 0; i < 6; i++) {
        snprintf(names[i], sizeof(names[i]), "q%u", i);
        kit_declare(names[i], i % 2, "");
        kit_bind("amq.fanout", names[i], "");
        shards += !(seen >> kit_queue(names[i])->shard & 1);
        seen |= 1u << kit_queue(names[i])->shard;
    }
    assert_int_equal(shards, kit_shard()->broker->shard_count); /* else this shows less than it says */
    struct routed to = look_up_key("amq.fanout", "k");
    assert_true(to.found && to.queue_count == 6 && !to.subjects);
    assert_int_equal(publisher_parts_of(&to), shards);
    publish("amq.fanout", "k", "m", true, 7);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_int_equal(strlen(told), shards * strlen("7:ok "));
    for (unsigned i = 0; i < 6; i++)
        assert_string_equal(kit_drain(names[i]), "m");
    end();
}

static void what_one_input_publishes_is_one_run(void **state)
{
    begin(state);
    kit_declare("q", true, "");
    char body[8], wanted[256] = "";
    for (unsigned i = 1; i <= 20; i++) {
        snprintf(body, sizeof(body), "%u", i);
        publish("", "q", body, true, i % 2 ? i : 0);
        add_text(wanted, "%s%u", i > 1 ? " " : "", i);
    }
    assert_int_equal(conn.ops_left, OPS);
    publisher_flush(&publisher);
    assert_int_equal(conn.ops_left, OPS - 1);
    kit_run_ms(50);
    assert_int_equal(conn.ops_left, OPS);
    assert_int_equal(conn.bytes_left, 1 << 30);
    assert_string_equal(told, "1:ok 3:ok 5:ok 7:ok 9:ok 11:ok 13:ok 15:ok 17:ok 19:ok ");
    assert_int_equal(told_times, 1);
    assert_string_equal(kit_drain("q"), wanted);
    end();
}

static void a_run_that_is_full_leaves_early(void **state)
{
    begin(state);
    kit_declare("q", false, "");
    for (unsigned i = 0; i < 4096; i++)
        publish("", "q", "m", false, 0);
    assert_int_equal(conn.ops_left, OPS);
    publish("", "q", "m", false, 0);
    assert_int_equal(conn.ops_left, OPS - 1);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_int_equal(conn.ops_left, OPS);
    assert_int_equal(kit_ready("q"), 4097);
    assert_int_equal(told_times, 0);
    end();
}

static void a_refusal_is_told(void **state)
{
    begin(state);
    kit_declare("q", true, "x-max-length=1;x-overflow=reject-publish");
    publish("", "q", "a", true, 1);
    publish("", "q", "b", true, 2);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(told, "1:ok 2:REFUSED ");
    assert_string_equal(kit_drain("q"), "a");
    end();
}

static void what_was_published_stays_when_its_connection_dies(void **state)
{
    begin(state);
    kit_declare("q", true, "");
    create_topic("t");
    bind_topic("amq.direct", "t", "k");
    publish("", "q", "m", true, 1);
    publish("amq.direct", "k", "m", true, 2);
    die();
    kit_run_ms(50);
    assert_string_equal(told, "");
    assert_string_equal(kit_drain("q"), "m");
    assert_int_equal(records_in("t"), 1);
    open_conn(&conn, kit_shard());
    publisher_init(&publisher, &conn, &ops);
    end();
}

static void a_delayed_message_waits_in_a_queue_of_its_own(void **state)
{
    begin(state);
    kit_declare("q", true, "");
    kit_declare_delayed("x");
    kit_bind("x", "q", "k");
    struct message m = {.exchange = span_str("x"), .key = span_str("k"), .body = span_str("m"), .ttl_ms = -1};
    struct routed to = {.delayed_id = exchange_of("x")->id, .delay_ms = 1000, .found = true};
    struct chunk *c = chunk_new(&kit_shard()->input_pool, 16);
    assert_int_equal(publisher_parts_of(&to), 1);
    publisher_send(&publisher, &m, &to, c, 1);
    chunk_unref(c);
    publisher_flush(&publisher);
    os_loop_wake(kit_shard()->loop);
    kit_run_ms(500);
    assert_string_equal(told, "1:ok ");
    assert_int_equal(kit_ready("q"), 0);
    kit_run_ms(1000);
    assert_string_equal(kit_drain("q"), "m");
    end();
}

/* ---- routes ---------------------------------------------------------------------------------------------
 */

static void a_route_is_remembered_until_bindings_change(void **state)
{
    begin(state);
    kit_declare("q1", false, "");
    kit_declare("q2", false, "");
    kit_bind("amq.topic", "q1", "a.*");
    struct routed to = look_up_key("amq.topic", "a.b");
    assert_int_equal(to.queue_count, 1);
    assert_true(to.subjects && to.found);
    struct binding *b =
        list_entry(list_first(&exchange_of("amq.topic")->bindings), struct binding, by_source);
    b->dest = &kit_queue("q2")->dest; /* a route that is found anew would lead there */
    to = look_up_key("amq.topic", "a.b");
    assert_int_equal(to.queues[0].id, kit_queue("q1")->id);
    assert_true(to.subjects && to.found);
    b->dest = &kit_queue("q1")->dest;
    kit_bind("amq.topic", "q2", "#");
    assert_int_equal(look_up_key("amq.topic", "a.b").queue_count, 2);
    kit_delete("q1");
    to = look_up_key("amq.topic", "a.b");
    assert_int_equal(to.queue_count, 1);
    assert_int_equal(to.queues[0].id, kit_queue("q2")->id);
    kit_delete("q2");
    to = look_up_key("amq.topic", "a.b");
    assert_true(to.queue_count == 0 && !to.found && to.subjects);
    end();
}

static void routes_of_many_keys_are_those_of_their_keys(void **state)
{
    begin(state);
    char key[16];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "q%u", i);
        kit_declare(key, false, "");
    }
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 20000; i++) {
            snprintf(key, sizeof(key), "q%u", i);
            struct routed to = look_up_key("", key);
            assert_int_equal(to.queue_count, i < 10);
            if (i < 10)
                assert_int_equal(to.queues[0].id, kit_queue(key)->id);
        }
    end();
}

/* Wildcards of bindings, which are AMQP's, don't match what Redis publishes to reserved keys. */
static void reserved_keys_are_routed_by_who_publishes(void **state)
{
    begin(state);
    kit_declare("all", false, "");
    kit_declare("one", false, "");
    kit_bind("amq.topic", "all", "#");
    kit_bind("amq.topic", "one", "$SYS.a");
    struct message m = {.key = span_str("$SYS.a")};
    for (unsigned round = 0; round < 3; round++) {
        m.format = MESSAGE_FORMAT_REDIS;
        struct routed to = look_up("amq.topic", &m);
        assert_int_equal(to.queue_count, 1);
        assert_int_equal(to.queues[0].id, kit_queue("one")->id);
        m.format = MESSAGE_FORMAT_AMQP;
        assert_int_equal(look_up("amq.topic", &m).queue_count, 2);
    }
    end();
}

/* ---- topics ---------------------------------------------------------------------------------------------
 */

static void records_are_gathered_and_several_topics_are_one_part(void **state)
{
    begin(state);
    create_topic("t");
    create_topic("u");
    kit_declare("q", true, "");
    bind_topic("amq.direct", "t", "both");
    bind_topic("amq.direct", "u", "both");
    bind_topic("amq.direct", "t", "one");
    kit_bind("amq.direct", "q", "both");
    struct routed to = look_up_key("amq.direct", "both");
    assert_int_equal(publisher_parts_of(&to), 2);
    for (unsigned i = 0; i < 10; i++)
        publish("amq.direct", "one", "m", true, 0);
    publish("amq.direct", "one", "m", true, 1);
    publish("amq.direct", "both", "m", true, 2);
    publisher_flush(&publisher);
    assert_int_equal(conn.ops_left, OPS - 3); /* a batch for t, one for u, a run for q */
    kit_run_ms(50);
    assert_int_equal(conn.ops_left, OPS);
    assert_int_equal(strlen(told), strlen("1:ok 2:ok 2:ok "));
    assert_non_null(strstr(told, "1:ok"));
    assert_int_equal(records_in("t"), 12);
    assert_int_equal(records_in("u"), 1);
    assert_string_equal(kit_drain("q"), "m");
    end();
}

static void a_batch_that_is_full_leaves_early(void **state)
{
    begin(state);
    create_topic("t");
    bind_topic("amq.direct", "t", "k");
    char body[513];
    memset(body, 'x', 512);
    body[512] = 0;
    unsigned n = 0;
    for (; conn.ops_left == OPS; n++)
        publish("amq.direct", "k", body, false, 0);
    assert_true(n > 100 && n < 130); /* 64 KiB */
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_int_equal(records_in("t"), n);
    end();
}

static void delete_topic(const char *name)
{
    bool done = false;
    struct op_topic_delete *t = op_new_internal(kit_shard(), sizeof(*t), over, &done);
    t->name = span_str(name);
    op_topic_delete_submit(t);
    await(&done);
    assert_int_equal(t->op.err, 0);
    op_topic_delete_free(t);
}

static void a_topic_that_cannot_take_it_is_told(void **state)
{
    begin(state);
    create_topic("t");
    create_topic("u");
    bind_topic("amq.direct", "t", "k");
    bind_topic("amq.direct", "u", "k");
    publish("amq.direct", "k", "m", true, 1);
    delete_topic("t"); /* it has its place in a batch by now */
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(told, "1:NOT_FOUND ");
    assert_int_equal(records_in("u"), 1);
    char *large = test_malloc((2 << 20) + 1); /* above max.message.bytes */
    memset(large, 'x', 2 << 20);
    large[2 << 20] = 0;
    told[0] = 0;
    publish("amq.direct", "k", large, true, 2);
    assert_string_equal(told, "2:TOO_LARGE ");
    test_free(large);
    end();
}

/* Routed, but gone when it is sent (a transaction's): no error. */
static void a_topic_that_is_gone_is_no_error(void **state)
{
    begin(state);
    struct topic_way ways[] = {{.name = span_str("t")}, {.name = span_str("gone")}};
    struct routed to = {.topics = ways, .topic_count = 2, .found = true};
    struct message m = {.exchange = span_str("x"), .key = span_str("k"), .body = span_str("m"), .ttl_ms = -1};
    create_topic("t");
    publisher_send(&publisher, &m, &to, NULL, 1);
    assert_string_equal(told, "");
    publisher_flush(&publisher);
    os_loop_wake(kit_shard()->loop);
    kit_run_ms(50);
    assert_string_equal(told, "1:ok ");
    to.topics = &ways[1];
    to.topic_count = 1;
    publisher_send(&publisher, &m, &to, NULL, 2);
    assert_string_equal(told, "1:ok 2:ok ");
    assert_int_equal(conn.ops_left, OPS);
    end();
}

/* ---- subscriptions --------------------------------------------------------------------------------------
 */

static void what_is_not_to_be_on_the_disk_is_heard_at_once(void **state)
{
    begin(state);
    subscribe("a.b", "a.*");
    kit_declare("q", true, "");
    kit_declare("v", false, "");
    kit_bind("amq.topic", "q", "a.b");
    kit_bind("amq.topic", "v", "a.c");
    assert_int_equal(publish("amq.topic", "x", "1", true, 0), 0);
    assert_int_equal(publish("amq.topic", "a.b", "2", false, 0), 2); /* it is transient */
    assert_int_equal(publish("amq.topic", "a.c", "3", true, 0), 1);  /* the queue is */
    assert_int_equal(publish("amq.topic", "a.d", "4", true, 0), 1);  /* it goes nowhere else */
    assert_int_equal(publish("amq.fanout", "a.b", "5", false, 0), 0);
    if (kit_shard()->index == 0)
        assert_string_equal(heard, "a.b=a.b:2 a.*=a.b:2 a.*=a.c:3 a.*=a.d:4 ");
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(heard, "a.b=a.b:2 a.*=a.b:2 a.*=a.c:3 a.*=a.d:4 ");
    assert_string_equal(kit_drain("q"), "2");
    assert_string_equal(kit_drain("v"), "3");
    assert_int_equal(conn.ops_left, OPS);
    unsubscribe();
    end();
}

static void what_is_to_be_on_the_disk_is_heard_when_it_is(void **state)
{
    begin(state);
    subscribe(NULL, "*");
    create_topic("t");
    kit_declare("q", true, "");
    kit_declare("v", false, "");
    kit_bind("amq.topic", "q", "q");
    kit_bind("amq.topic", "v", "q");
    bind_topic("amq.topic", "t", "t");
    watched_queue = "q";
    assert_int_equal(publish("amq.topic", "q", "1", true, 1), 0);
    publisher_flush(&publisher);
    assert_string_equal(heard, "");
    kit_run_ms(50);
    assert_string_equal(heard, "*=q:1 ");
    assert_int_equal(publish("amq.topic", "t", "2", true, 0), 0);
    assert_int_equal(records_in("t"), 0);
    publisher_flush(&publisher);
    assert_string_equal(heard, "*=q:1 ");
    kit_run_ms(50);
    assert_string_equal(heard, "*=q:1 *=t:2 ");
    assert_int_equal(records_in("t"), 1);
    unsubscribe();
    end();
}

/* The first goes to a shard of its own, the second to all of them: it may be durable earlier or later. */
static void what_waits_for_the_disk_keeps_its_order(void **state)
{
    begin(state);
    subscribe(NULL, "*");
    char name[8], body[8], wanted[512] = "";
    create_topic("t");
    bind_topic("amq.topic", "t", "#");
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "k%u", i);
        kit_declare(name, true, "");
        kit_bind("amq.topic", name, name);
    }
    for (unsigned i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "k%u", i * 7 % 6);
        snprintf(body, sizeof(body), "%u", i);
        assert_int_equal(publish("amq.topic", name, body, true, 0), 0);
        add_text(wanted, "*=%s:%s ", name, body);
        if (i % 4 == 3)
            publisher_flush(&publisher);
        if (i % 10 == 9)
            kit_run_ms(1);
    }
    publisher_flush(&publisher);
    kit_run_ms(100);
    assert_string_equal(heard, wanted);
    unsubscribe();
    end();
}

static void it_is_heard_though_its_connection_has_died(void **state)
{
    begin(state);
    subscribe("q", NULL);
    kit_declare("q", true, "");
    kit_bind("amq.topic", "q", "q");
    watched_queue = "q";
    publish("amq.topic", "q", "1", true, 1);
    publish("amq.topic", "q", "2", true, 2);
    die();
    assert_string_equal(heard, "");
    kit_run_ms(50);
    assert_string_equal(heard, "q=q:1 q=q:2 ");
    assert_string_equal(told, "");
    open_conn(&conn, kit_shard());
    publisher_init(&publisher, &conn, &ops);
    unsubscribe();
    end();
}

static void it_is_heard_though_a_queue_refuses_it(void **state)
{
    begin(state);
    subscribe("q", NULL);
    kit_declare("q", true, "x-max-length=0;x-overflow=reject-publish");
    kit_bind("amq.topic", "q", "q");
    publish("amq.topic", "q", "1", true, 1);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(told, "1:REFUSED ");
    assert_string_equal(heard, "q=q:1 ");
    unsubscribe();
    end();
}

/* Its only target is no more: nothing carries it. */
static void it_is_heard_at_once_if_nothing_carries_it(void **state)
{
    begin(state);
    subscribe("k", NULL);
    struct topic_way gone = {.name = span_str("gone")};
    struct routed to = {.topics = &gone,
                        .topic_count = 1,
                        .space = space_of(kit_shard(), &conn.actor),
                        .subjects = true,
                        .found = true};
    struct chunk *c = chunk_new(&kit_shard()->input_pool, 16);
    struct message m = {.key = put(c, "k"), .body = put(c, "m"), .ttl_ms = -1, .flags = MESSAGE_PERSISTENT};
    publisher_send(&publisher, &m, &to, c, 1);
    chunk_unref(c);
    os_loop_wake(kit_shard()->loop);
    kit_run_ms(20);
    assert_string_equal(heard, "k=k:m ");
    assert_string_equal(told, "1:ok ");
    unsubscribe();
    end();
}

/* Properties are keys, with commas between. */
static void keys_in_props(const struct message *m, void (*fn)(void *arg, struct span key), void *arg)
{
    size_t from = 0;
    for (size_t i = 0; i <= m->props.len; i++)
        if (i == m->props.len || m->props.ptr[i] == ',') {
            fn(arg, span_of(m->props.ptr + from, i - from));
            from = i + 1;
        }
}

static void each_key_is_a_subject(void **state)
{
    static const struct message_format format = {.name = "test", .more_keys = keys_in_props};
    begin(state);
    subscribe("b", "*");
    kit_declare("q", true, "");
    kit_bind("amq.topic", "q", "c");
    message_formats[MESSAGE_FORMAT_NONE] = &format;
    assert_int_equal(publish_with("amq.topic", "a", "b", "1", false, 0), 3);
    kit_run_ms(20);
    assert_string_equal(heard, "*=a:1 b=b:1 *=b:1 ");
    assert_int_equal(publish_with("amq.topic", "a", "b,c", "2", true, 0), 0);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(heard, "*=a:1 b=b:1 *=b:1 *=a:2 b=b:2 *=b:2 *=c:2 ");
    message_formats[MESSAGE_FORMAT_NONE] = NULL;
    assert_string_equal(kit_drain("q"), "2");
    unsubscribe();
    end();
}

/* What subscribers get must be written now and then. */
static void a_publisher_yields_when_subscribers_have_had_enough(void **state)
{
    char body[8000]; /* each takes a chunk of its own here: few of them must be enough */
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = 0;
    begin(state);
    subscribe("k", NULL);
    unsigned n = 0;
    for (; !conn.yielding && n < 100000; n++)
        assert_int_equal(publish("amq.topic", "k", body, false, 0), 1);
    assert_true(n > 100 && n < 100000);
    kit_run_ms(20);
    conn.yielding = false; /* the front's */
    publish("amq.topic", "k", "", false, 0);
    assert_false(conn.yielding);
    kit_run_ms(20);
    assert_int_equal(conn.ops_left, OPS);
    unsubscribe();
    end();
}

/* Nobody has ever subscribed: nothing waits for the disk. */
static void without_subscriptions_nothing_is_kept(void **state)
{
    begin(state);
    kit_declare("q", true, "");
    kit_bind("amq.topic", "q", "q");
    assert_int_equal(publish("amq.topic", "q", "1", true, 1), 0);
    assert_null(publisher.echoes);
    publisher_flush(&publisher);
    kit_run_ms(50);
    assert_string_equal(told, "1:ok ");
    end();
}

int main(void)
{
    static char one[] = "1", three[] = "3";
#define BOTH(name)                                                                                           \
    {#name " (1 shard)", name, NULL, NULL, one},                                                             \
    {                                                                                                        \
#name " (3 shards)", name, NULL, NULL, three                                                         \
    }
    const struct CMUnitTest tests[] = {
        BOTH(a_message_goes_to_all_queues_and_each_shard_is_a_part),
        BOTH(what_one_input_publishes_is_one_run),
        BOTH(a_run_that_is_full_leaves_early),
        BOTH(a_refusal_is_told),
        BOTH(what_was_published_stays_when_its_connection_dies),
        BOTH(a_delayed_message_waits_in_a_queue_of_its_own),
        BOTH(a_route_is_remembered_until_bindings_change),
        BOTH(routes_of_many_keys_are_those_of_their_keys),
        BOTH(reserved_keys_are_routed_by_who_publishes),
        BOTH(records_are_gathered_and_several_topics_are_one_part),
        BOTH(a_batch_that_is_full_leaves_early),
        BOTH(a_topic_that_cannot_take_it_is_told),
        BOTH(a_topic_that_is_gone_is_no_error),
        BOTH(what_is_not_to_be_on_the_disk_is_heard_at_once),
        BOTH(what_is_to_be_on_the_disk_is_heard_when_it_is),
        BOTH(what_waits_for_the_disk_keeps_its_order),
        BOTH(it_is_heard_though_its_connection_has_died),
        BOTH(it_is_heard_though_a_queue_refuses_it),
        BOTH(it_is_heard_at_once_if_nothing_carries_it),
        BOTH(each_key_is_a_subject),
        BOTH(a_publisher_yields_when_subscribers_have_had_enough),
        BOTH(without_subscriptions_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
