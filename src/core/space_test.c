/* Virtual hosts, exchanges, queues and bindings as metadata: what clients may declare and how they are told,
 * on every shard and across restarts. */
#include "core/space_testkit.h"

#include <malloc.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/err.h"
#include "core/meta_record.h"
#include "os/sim/sim.h"

/* ---- queues -------------------------------------------------------------------------------------------- */

static void a_declared_queue_is_on_every_shard(void **state)
{
    start(state);
    assert_int_equal(declare("q", DURABLE), 0);
    assert_true(queue_on_all("q"));
    assert_int_equal(declare("q", DURABLE | PASSIVE), 0);
    assert_int_equal(delete_queue("q", 0), 0);
    assert_false(queue_on_all("q"));
    assert_int_equal(delete_queue("q", 0), 0); /* no error */
    assert_int_equal(declare("q", PASSIVE), ERR_NOT_FOUND);
    assert_string_equal(why, "no queue 'q' in vhost '/'");
    finish();
}

static void a_queue_declared_otherwise_is_refused_in_rabbitmqs_words(void **state)
{
    start(state);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(declare("q", DURABLE), ERR_INEQUIVALENT);
    assert_string_equal(
        why, "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'");
    assert_int_equal(declare("q", AUTO_DELETE), ERR_INEQUIVALENT);
    assert_string_equal(why, "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but "
                             "current is 'false'");
    assert_int_equal(declare_args("q", 0, int_arg("x-max-priority", 'I', 3), alice), ERR_INEQUIVALENT);
    assert_string_equal(why,
                        "inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received the value "
                        "'3' of type 'signedint' but current is none");
    finish();
}

static void arguments_are_compared_by_what_they_mean(void **state)
{
    start(state);
    assert_int_equal(declare_args("q", 0, int_arg("x-message-ttl", 'l', 10), alice), 0);
    assert_int_equal(declare_args("q", 0, int_arg("x-message-ttl", 's', 10), alice), 0);
    assert_int_equal(declare_args("q", 0, int_arg("x-message-ttl", 'l', 11), alice), ERR_INEQUIVALENT);
    assert_string_equal(why, "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '11' but "
                             "current is '10'");
    assert_int_equal(declare("q", 0), ERR_INEQUIVALENT);
    assert_string_equal(why, "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but "
                             "current is the value '10' of type 'long'");
    assert_int_equal(declare_args("c", 0, str_arg("x-queue-type", "classic"), alice), 0);
    assert_int_equal(declare("c", 0), 0);
    assert_int_equal(declare_args("c", 0, str_arg("x-nobody-knows", "this"), alice), 0);
    finish();
}

static void bad_arguments_are_refused_in_rabbitmqs_words(void **state)
{
    static const struct {
        const char *name;
        int64_t value;
        const char *reason;
    } cases[] = {
        {"x-message-ttl", -1, "{value_negative,-1}"},
        {"x-expires", 0, "{value_zero,0}"},
        {"x-max-priority", 256, "{max_value_exceeded,256}"},
        {"x-message-ttl", 4294967296, "{value_too_big,4294967296}"},
        {"x-overflow", 1, "{unacceptable_type,long}"},
    };
    start(state);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char expected[200];
        snprintf(expected, sizeof(expected), "invalid arg '%s' for queue 'q' in vhost '/': %s", cases[i].name,
                 cases[i].reason);
        assert_int_equal(declare_args("q", 0, int_arg(cases[i].name, 'l', cases[i].value), alice),
                         ERR_ARGUMENT);
        assert_string_equal(why, expected);
    }
    assert_int_equal(declare_args("q", 0, str_arg("x-message-ttl", "soon"), alice), ERR_ARGUMENT);
    assert_string_equal(
        why, "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got longstr\"");
    assert_int_equal(declare_args("q", 0, str_arg("x-overflow", "explode"), alice), ERR_ARGUMENT);
    assert_string_equal(why, "invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow");
    assert_int_equal(declare_args("q", 0, str_arg("x-dead-letter-routing-key", "k"), alice), ERR_ARGUMENT);
    assert_string_equal(why, "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': "
                             "routing_key_but_no_dlx_defined");
    assert_false(queue_on_all("q"));
    finish();
}

static void quorum_queues_are_durable_and_named_by_clients(void **state)
{
    start(state);
    struct span quorum = str_arg("x-queue-type", "quorum");
    assert_int_equal(declare_args("q", DURABLE, quorum, alice), 0);
    assert_int_equal(info("q")->type, QUEUE_QUORUM);
    assert_int_equal(declare("q", DURABLE), ERR_INEQUIVALENT);
    assert_string_equal(why, "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received none but "
                             "current is the value 'quorum' of type 'longstr'");
    assert_int_equal(declare_args("r", 0, quorum, alice), ERR_ARGUMENT);
    assert_string_equal(why, "invalid property 'non-durable' for queue 'r' in vhost '/'");
    assert_int_equal(declare_args("r", DURABLE | EXCLUSIVE, quorum, alice), ERR_ARGUMENT);
    assert_string_equal(why, "invalid property 'exclusive-owner' for queue 'r' in vhost '/'");
    assert_int_equal(declare_args("", DURABLE, quorum, alice), ERR_ARGUMENT);
    assert_string_equal(why, "Cannot declare a server-named queue for type rabbit_quorum_queue");
    finish();
}

static int publish(const char *queue, const char *body)
{
    struct queue_info *q = space_queue(last_shard()->spaces->root, str(queue));
    struct op_publish *p = new_op(sizeof(*p), nobody);
    struct chunk *c = chunk_new(&last_shard()->input_pool, 1024);
    memcpy(c->data, body, strlen(body));
    p->shard = q->shard;
    struct publish_item *it = op_publish_add(p);
    it->msg = (struct message){.body = span_of(c->data, strlen(body)), .ttl_ms = -1};
    op_publish_add_queue(p, q->id);
    op_publish_keep(p, c);
    chunk_unref(c);
    op_publish_submit(p);
    wait_all();
    int err = p->op.err ? p->op.err : p->items[0].err;
    op_publish_free(p);
    return err;
}

static unsigned cancelled;

static void on_run(struct conn *c, struct op *op)
{
    struct delivery_run *r = container_of(op, struct delivery_run, op);
    cancelled += r->event == CONSUMER_CANCELLED;
    delivery_run_free(r);
}

static void consume(const char *queue)
{
    const struct queue_info *q = info(queue);
    struct op_consume *o = new_op(sizeof(*o), nobody);
    o->queue_id = q->id;
    o->shard = q->shard;
    o->deliver = on_run;
    o->window = 1 << 20;
    o->prefetch = 1;
    op_consume_submit(o);
    wait_all();
    assert_int_equal(o->op.err, 0);
    op_free(o);
}

static void a_declaration_tells_how_full_a_queue_is(void **state)
{
    start(state);
    assert_int_equal(declare("q", DURABLE), 0);
    assert_int_equal(publish("q", "one") | publish("q", "two"), 0);
    struct op_queue_declare *d = new_declare("q", DURABLE, SPAN_NULL, alice);
    op_queue_declare_submit(d);
    wait_all();
    assert_false(d->ret_created);
    assert_int_equal(d->ret_ready, 2);
    assert_int_equal(d->ret_consumers, 0);
    op_entity_free(&d->e);
    finish();
}

static void a_queue_in_use_or_not_empty_is_kept_if_asked(void **state)
{
    start(state);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(publish("q", "one"), 0);
    assert_int_equal(delete_queue("q", EMPTY), ERR_NOT_EMPTY);
    assert_string_equal(why, "queue 'q' in vhost '/' not empty");
    assert_int_equal(delete_queue("q", UNUSED), 0);
    assert_int_equal(declare("q", 0), 0);
    consume("q");
    assert_int_equal(delete_queue("q", UNUSED), ERR_IN_USE);
    assert_string_equal(why, "queue 'q' in vhost '/' in use");
    cancelled = 0;
    assert_int_equal(delete_queue("q", EMPTY), 0);
    settle();
    assert_int_equal(cancelled, 1);
    finish();
}

static void names_are_stripped_reserved_and_made(void **state)
{
    start(state);
    assert_int_equal(declare("amq.mine", 0), ERR_RESERVED);
    assert_string_equal(why, "queue name 'amq.mine' contains reserved prefix 'amq.*'");
    assert_int_equal(declare("a\r\nb", 0), 0);
    assert_true(queue_on_all("ab"));
    struct op_queue_declare *d = new_declare("", EXCLUSIVE, SPAN_NULL, alice);
    op_queue_declare_submit(d);
    wait_all();
    assert_int_equal(d->e.op.err, 0);
    assert_true(d->ret_created);
    assert_int_equal(d->ret_name.len, 30);
    assert_memory_equal(d->ret_name.ptr, "amq.gen-", 8);
    op_entity_free(&d->e);
    finish();
}

static void an_exclusive_queue_is_its_connections_and_goes_with_it(void **state)
{
    start(state);
    assert_int_equal(declare("q", EXCLUSIVE | DURABLE), 0);
    assert_int_equal(declare("q", EXCLUSIVE), 0); /* its durability counts for nothing */
    assert_int_equal(info("q")->shard, alice.shard);
    assert_int_equal(declare_args("q", EXCLUSIVE, SPAN_NULL, bob), ERR_LOCKED_OUT);
    assert_string_equal(why, "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be "
                             "originally declared on another connection or the exclusive property value does "
                             "not match that of the original declaration.");
    assert_int_equal(declare("q", 0), ERR_LOCKED_OUT);
    assert_int_equal(declare_args("q", PASSIVE, SPAN_NULL, bob), ERR_LOCKED_OUT);
    struct queue_info *q;
    struct actor actor = {&auth_operator, &auth_default_vhost};
    assert_int_equal(queue_find(last_shard(), &actor, bob, AUTH_READ, str("q"), &q), ERR_LOCKED_OUT);
    assert_int_equal(queue_find(last_shard(), &actor, alice, AUTH_READ, str("q"), &q), 0);
    space_conn_gone(&broker->shards[alice.shard], bob);
    settle();
    assert_true(queue_on_all("q"));
    space_conn_gone(&broker->shards[alice.shard], alice);
    settle();
    assert_false(queue_on_all("q"));
    finish();
}

/* The connection dies while its declarations are still on their way through the rounds. */
static void a_connection_that_dies_leaves_no_queue_behind(void **state)
{
    enum { N = 50 };
    struct op_queue_declare *d[N];
    char names[N][16];
    start(state);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "q%d", i / 2); /* each one twice */
        d[i] = new_declare(names[i], EXCLUSIVE, SPAN_NULL, alice);
        op_queue_declare_submit(d[i]);
    }
    space_conn_gone(last_shard(), alice); /* on the connection's shard, where the declarations came from */
    wait_all();
    settle();
    for (int i = 0; i < N; i++) {
        assert_int_equal(d[i]->e.op.err, 0);
        op_entity_free(&d[i]->e);
        assert_false(queue_on_all(names[i]));
    }
    assert_int_equal(broker->shards[0].spaces->owners.count, 0);
    finish();
}

static void operations_on_a_name_keep_their_order(void **state)
{
    start(state);
    assert_int_equal(declare("q", DURABLE), 0);
    struct op_queue_declare *first = new_declare("another", DURABLE, SPAN_NULL, alice);
    struct op_bind *b1 = new_bind("amq.direct", DEST_QUEUE, "q", "k1");
    struct op_queue_delete *del = new_op(sizeof(*del), alice);
    struct op_queue_declare *again = new_declare("q", DURABLE, SPAN_NULL, alice);
    struct op_bind *b2 = new_bind("amq.direct", DEST_QUEUE, "q", "k2");
    del->name = str("q");
    op_queue_declare_submit(first); /* while its round is on its way, the others gather for the next */
    op_bind_submit(b1);
    op_queue_delete_submit(del);
    op_queue_declare_submit(again);
    op_bind_submit(b2);
    wait_all();
    assert_true(again->ret_created);
    assert_int_equal(end(first) | end(b1) | end(del) | end(again) | end(b2), 0);
    assert_int_equal(bindings_on_all("amq.direct"), 1);
    assert_int_equal(info("q")->dest.kind, DEST_QUEUE);
    finish();
}

static void ids_of_all_levels_are_on_the_queues_shard(void **state)
{
    start(state);
    assert_int_equal(declare_args("p", DURABLE, int_arg("x-max-priority", 'B', 10), alice), 0);
    assert_int_equal(declare("q", DURABLE), 0);
    assert_int_equal(declare("v", 0), 0);
    const struct queue_info *p = info("p"), *q = info("q"), *v = info("v");
    for (unsigned level = 0; level <= 10; level++) {
        assert_int_equal(store_shard_of(broker->store, queue_log_id(p->id, level)), p->shard);
        assert_true(queue_log_id(p->id, level) < q->id);
    }
    assert_int_equal(p->config->max_priority, 10);
    assert_true(v->id > QUEUE_VOLATILE_IDS && q->id < QUEUE_VOLATILE_IDS);
    finish();
}

static void ids_of_durable_queues_are_never_used_again(void **state)
{
    start(state);
    assert_int_equal(declare_args("p", DURABLE, int_arg("x-max-priority", 'B', 3), alice), 0);
    uint64_t old = info("p")->id;
    assert_int_equal(delete_queue("p", 0), 0);
    crash();
    assert_int_equal(declare("p", DURABLE), 0);
    assert_true(info("p")->id > queue_log_id(old, 3));
    finish();
}

static void a_full_catalogue_refuses_more(void **state)
{
    start(state);
    config.amqp_max_queues = 2;
    assert_int_equal(declare("a", 0), 0);
    assert_int_equal(declare("b", 0), 0);
    assert_int_equal(declare("c", 0), ERR_LIMIT);
    assert_int_equal(declare("a", 0), 0);
    finish();
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void declare_many(unsigned count, unsigned flags)
{
    enum { BATCH = 500 };
    struct op_queue_declare *d[BATCH];
    char names[BATCH][24];
    for (unsigned at = 0; at < count; at += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(names[i], sizeof(names[i]), "a-queue-%u", at + i);
            d[i] = new_declare(names[i], flags, SPAN_NULL, alice);
            op_queue_declare_submit(d[i]);
        }
        wait_all();
        for (unsigned i = 0; i < BATCH; i++) {
            assert_int_equal(d[i]->e.op.err, 0);
            op_entity_free(&d[i]->e);
        }
    }
}

/* All shards' replicas and the live part: the mark is 1.5 KiB on two shards. */
static void an_idle_queue_is_small(void **state)
{
    enum { COUNT = 20000, MOST = 1400 };
    start(state);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    declare_many(COUNT, 0);
    size_t each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / COUNT;
    assert_true(each < MOST); /* 0 where the allocator does not tell */
    finish();
}

/* ---- exchanges ----------------------------------------------------------------------------------------- */

static void the_predeclared_exchanges_are_there_and_nobodys(void **state)
{
    static const char *const names[] = {
        "", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"};
    start(state);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_true(exchange_on_all(names[i]));
    assert_int_equal(exchange("amq.topic", "topic", DURABLE), 0); /* it is so */
    assert_int_equal(exchange("amq.mine", "topic", DURABLE), ERR_RESERVED);
    assert_string_equal(why, "exchange name 'amq.mine' contains reserved prefix 'amq.*'");
    assert_int_equal(delete_exchange("amq.topic", 0), ERR_RESERVED);
    assert_int_equal(delete_exchange("", 0), ERR_DENIED);
    assert_int_equal(exchange("", "direct", 0), ERR_DENIED);
    assert_string_equal(why, "operation not permitted on the default exchange");
    finish();
}

static void an_exchange_declared_otherwise_is_refused(void **state)
{
    start(state);
    assert_int_equal(exchange("x", "direct", DURABLE), 0);
    assert_int_equal(exchange("x", "direct", DURABLE), 0);
    assert_int_equal(exchange("x", "topic", DURABLE), ERR_INEQUIVALENT);
    assert_string_equal(
        why,
        "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'");
    assert_int_equal(exchange("x", "direct", 0), ERR_INEQUIVALENT);
    assert_int_equal(exchange("x", "direct", DURABLE | INTERNAL), ERR_INEQUIVALENT);
    assert_int_equal(exchange("y", "x-unheard-of", 0), ERR_ARGUMENT);
    assert_string_equal(why, "unknown exchange type 'x-unheard-of'");
    assert_int_equal(exchange("y", "", PASSIVE), ERR_NOT_FOUND);
    assert_string_equal(why, "no exchange 'y' in vhost '/'");
    assert_int_equal(exchange_args("x", "direct", DURABLE, str_arg("alternate-exchange", "other")),
                     ERR_INEQUIVALENT);
    finish();
}

static void a_delayed_exchange_has_a_hidden_queue(void **state)
{
    start(state);
    struct span args = str_arg("x-delayed-type", "topic");
    assert_int_equal(exchange_args("d", "x-delayed-message", DURABLE, args), 0);
    restart();
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct shard *s = &broker->shards[i];
        struct exchange *x = space_exchange(s->spaces->root, str("d"));
        struct queue_info *q = queue_info_by_id(s, x->id);
        assert_non_null(q);
        assert_ptr_equal(q->delays, x);
        assert_true(q->durable);
        assert_true((q->live != NULL) == (q->shard == i));
    }
    assert_false(queue_on_all("d"));
    uint64_t id = space_exchange(last_shard()->spaces->root, str("d"))->id;
    assert_int_equal(delete_exchange("d", 0), 0);
    assert_null(queue_info_by_id(last_shard(), id));
    finish();
}

/* ---- bindings ------------------------------------------------------------------------------------------ */

static void binding_twice_is_binding_once(void **state)
{
    start(state);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(bind_queue("amq.direct", "q", "k"), 0);
    assert_int_equal(bind_queue("amq.direct", "q", "k"), 0);
    assert_int_equal(bindings_on_all("amq.direct"), 1);
    assert_int_equal(unbind_queue("amq.direct", "q", "other"), 0);
    assert_int_equal(unbind_queue("amq.direct", "q", "k"), 0);
    assert_int_equal(bindings_on_all("amq.direct"), 0);
    assert_int_equal(unbind_queue("amq.direct", "q", "k"), 0);
    assert_int_equal(bind_queue("amq.direct", "none", "k"), ERR_NOT_FOUND);
    assert_string_equal(why, "no queue 'none' in vhost '/'");
    assert_int_equal(bind_queue("none", "q", "k"), ERR_NOT_FOUND);
    assert_string_equal(why, "no exchange 'none' in vhost '/'");
    assert_int_equal(bind_queue("", "q", "k"), ERR_DENIED);
    finish();
}

static void many_bindings_fit_one_round(void **state)
{
    enum { N = 300 };
    struct op_bind *b[N];
    char keys[N][8];
    start(state);
    assert_int_equal(declare("q", 0), 0);
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i % (N / 2)); /* each one twice */
        b[i] = new_bind("amq.topic", DEST_QUEUE, "q", keys[i]);
        op_bind_submit(b[i]);
    }
    wait_all();
    for (int i = 0; i < N; i++)
        assert_int_equal(end(b[i]), 0);
    assert_int_equal(bindings_on_all("amq.topic"), N / 2);
    assert_int_equal(delete_queue("q", 0), 0);
    assert_int_equal(bindings_on_all("amq.topic"), 0);
    finish();
}

static void an_auto_delete_exchange_goes_with_its_last_binding(void **state)
{
    start(state);
    assert_int_equal(exchange("x", "fanout", AUTO_DELETE), 0);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(bind_queue("x", "q", "1"), 0);
    assert_int_equal(bind_queue("x", "q", "2"), 0);
    assert_int_equal(unbind_queue("x", "q", "1"), 0);
    assert_true(exchange_on_all("x"));
    assert_int_equal(unbind_queue("x", "q", "2"), 0);
    assert_false(exchange_on_all("x"));
    finish();
}

/* x -> y -> q: with the queue go both, the durable one for good. */
static void auto_delete_exchanges_go_one_after_the_other(void **state)
{
    start(state);
    assert_int_equal(exchange("x", "fanout", AUTO_DELETE | DURABLE), 0);
    assert_int_equal(exchange("y", "fanout", AUTO_DELETE), 0);
    assert_int_equal(exchange("z", "fanout", AUTO_DELETE), 0);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(declare("r", 0), 0);
    assert_int_equal(bind_to("x", DEST_EXCHANGE, "y", ""), 0);
    assert_int_equal(bind_queue("y", "q", "1"), 0);
    assert_int_equal(bind_queue("y", "q", "2"), 0);
    assert_int_equal(bind_queue("z", "q", ""), 0);
    assert_int_equal(bind_queue("z", "r", ""), 0);
    assert_int_equal(delete_queue("q", 0), 0);
    assert_false(exchange_on_all("x"));
    assert_false(exchange_on_all("y"));
    assert_true(exchange_on_all("z")); /* it still leads to r */
    crash();
    assert_false(exchange_on_all("x"));
    finish();
}

static void an_exchange_in_use_is_not_deleted_if_unused(void **state)
{
    start(state);
    assert_int_equal(exchange("x", "fanout", 0), 0);
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(bind_queue("x", "q", ""), 0);
    assert_int_equal(delete_exchange("x", UNUSED), ERR_IN_USE);
    assert_string_equal(why, "exchange 'x' in vhost '/' in use");
    assert_int_equal(delete_exchange("x", 0), 0);
    assert_true(list_empty(&info("q")->dest.bindings));
    finish();
}

static void a_topic_can_be_bound_and_takes_its_bindings_along(void **state)
{
    start(state);
    assert_int_equal(bind_to("amq.topic", DEST_TOPIC, "t", "a.#"), ERR_NOT_FOUND);
    create_topic("t");
    assert_int_equal(bind_to("amq.topic", DEST_TOPIC, "t", "a.#"), 0);
    restart();
    assert_int_equal(bindings_on_all("amq.topic"), 1);
    delete_topic("t");
    assert_int_equal(bindings_on_all("amq.topic"), 0);
    create_topic("t");
    assert_int_equal(bindings_on_all("amq.topic"), 0);
    finish();
}

/* ---- across restarts ----------------------------------------------------------------------------------- */

static void what_is_durable_stays_and_the_rest_goes(void **state)
{
    start(state);
    assert_int_equal(exchange("dx", "topic", DURABLE), 0);
    assert_int_equal(exchange("vx", "topic", 0), 0);
    assert_int_equal(declare_args("dq", DURABLE, int_arg("x-message-ttl", 'I', 7000), alice), 0);
    assert_int_equal(declare("vq", 0), 0);
    assert_int_equal(bind_queue("dx", "dq", "dd"), 0);
    assert_int_equal(bind_queue("dx", "vq", "dv"), 0);
    assert_int_equal(bind_queue("vx", "dq", "vd"), 0);
    assert_int_equal(bind_queue("amq.topic", "dq", "d"), 0);
    uint64_t id = info("dq")->id;
    for (int i = 0; i < 3; i++) { /* from the log, from a snapshot, and from what that wrote */
        if (i)
            restart();
        else
            crash();
        assert_true(exchange_on_all("dx"));
        assert_false(exchange_on_all("vx"));
        assert_false(queue_on_all("vq"));
        assert_int_equal(info("dq")->id, id);
        assert_int_equal(info("dq")->config->ttl_ms, 7000);
        assert_int_equal(bindings_on_all("dx"), 1);
        assert_int_equal(bindings_on_all("amq.topic"), 1);
    }
    assert_int_equal(declare_args("dq", DURABLE, int_arg("x-message-ttl", 'I', 7000), alice), 0);
    finish();
}

/* The snapshot is applied to another broker: what it says of itself is the same. */
static void a_snapshot_has_everything_durable(void **state)
{
    start(state);
    assert_int_equal(put_vhost("team"), 0);
    assert_int_equal(exchange("x", "x-consistent-hash", DURABLE), 0);
    assert_int_equal(exchange_args("d", "x-delayed-message", DURABLE, str_arg("x-delayed-type", "direct")),
                     0);
    assert_int_equal(declare_args("q", DURABLE, int_arg("x-max-priority", 'B', 9), alice), 0);
    assert_int_equal(bind_queue("x", "q", "3"), 0);
    assert_int_equal(declare("v", 0), 0);
    struct outq out;
    outq_init(&out, &broker->shards[0].output_pool);
    meta_snapshot(broker->meta, &out);
    uint8_t *bytes = arena_alloc(&arena, out.len);
    size_t len = out.len;
    outq_copy_to(&out, bytes);
    outq_fini(&out);
    uint64_t next = broker->meta->next_log_id;
    stop();
    sim_reset(9);
    boot();
    assert_int_equal(meta_restore(broker->meta, span_of(bytes, len)), 0);
    assert_true(exchange_on_all("x") && exchange_on_all("d") && queue_on_all("q"));
    assert_false(queue_on_all("v"));
    assert_int_equal(bindings_on_all("x"), 1);
    assert_int_equal(info("q")->config->max_priority, 9);
    assert_non_null(space_find(last_shard(), str("team")));
    assert_int_equal(broker->meta->next_log_id, next);
    finish(); /* its queues do not live: that is for the recovery of a start */
}

/* What a shard has, as sorted lines. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *dump(const struct shard *s, bool durable_only)
{
    enum { LINES = 2000 };
    const struct vspace *v = s->spaces->root;
    char **lines = arena_array(&arena, LINES, sizeof(char *)), *all = "";
    size_t n = 0;
    struct exchange *x;
    struct queue_info *q;
    for (size_t i = 0; (x = map_next(&v->exchanges, &i));) {
        if (x->durable || !durable_only)
            lines[n++] =
                arena_printf(&arena, "exchange %.*s %d%d", SPAN_ARG(x->name), x->durable, x->auto_delete);
        list_each (l, &x->bindings) {
            const struct binding *b = list_entry(l, struct binding, by_source);
            assert_true(n < LINES - 2);
            if (b->durable || !durable_only)
                lines[n++] = arena_printf(&arena, "binding %.*s %d %.*s %.*s", SPAN_ARG(x->name),
                                          b->dest->kind, SPAN_ARG(b->dest->name), SPAN_ARG(b->key));
        }
    }
    for (size_t i = 0; (q = ptrset_next(&v->queues, &i));)
        if (q->durable || !durable_only)
            lines[n++] =
                arena_printf(&arena, "queue %.*s %llu", SPAN_ARG(q->dest.name), (unsigned long long)q->id);
    qsort(lines, n, sizeof(char *), by_text);
    for (size_t i = 0; i < n; i++)
        all = arena_printf(&arena, "%s%s\n", all, lines[i]);
    return all;
}

/* One of everything at random, on few names, so that they meet. */
static struct op_entity *submit_random(unsigned *dice)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *one = names[rand_r(dice) % 4], *other = names[rand_r(dice) % 4];
    bool durable = *other < 'c';
    switch (rand_r(dice) % 8) {
    case 0:
    case 1: {
        struct op_queue_declare *d = new_declare(one, *one < 'c' ? DURABLE : 0, SPAN_NULL, alice);
        op_queue_declare_submit(d);
        return &d->e;
    }
    case 2: {
        struct op_queue_delete *d = new_op(sizeof(*d), alice);
        d->name = str(one);
        op_queue_delete_submit(d);
        return &d->e;
    }
    case 3:
    case 4: {
        struct op_exchange_declare *d = new_op(sizeof(*d), alice);
        d->name = str(other);
        d->type = str("topic");
        d->durable = durable;
        d->auto_delete = rand_r(dice) % 2;
        op_exchange_declare_submit(d);
        return &d->e;
    }
    default: {
        struct op_bind *b = new_bind(one, rand_r(dice) % 2 ? DEST_QUEUE : DEST_EXCHANGE, other, other);
        b->unbind = rand_r(dice) % 2;
        op_bind_submit(b);
        return &b->e;
    }
    }
}

static void a_random_mixture_is_the_same_everywhere_and_after_a_crash(void **state)
{
    enum { ROUNDS = 300, OPS = 12 };
    struct op_entity *ops[OPS];
    unsigned dice = 4711;
    start(state);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < OPS; i++)
            ops[i] = submit_random(&dice);
        wait_all();
        for (unsigned i = 0; i < OPS; i++)
            op_entity_free(ops[i]);
        const char *all = dump(&broker->shards[0], false), *durable = dump(&broker->shards[0], true);
        for (unsigned i = 1; i < broker->shard_count; i++)
            assert_string_equal(dump(&broker->shards[i], false), all);
        if (round % 3 == 2) {
            if (round % 2)
                crash();
            else
                restart();
            assert_string_equal(dump(last_shard(), false), durable);
        }
        arena_fini(&arena);
    }
    finish();
}

/* ---- virtual hosts ------------------------------------------------------------------------------------- */

static void a_virtual_host_is_a_world_of_its_own(void **state)
{
    start(state);
    assert_int_equal(put_vhost("team"), 0);
    assert_int_equal(put_vhost("team"), 0);
    restart();
    struct vspace *v = space_find(last_shard(), str("team"));
    assert_non_null(v);
    struct op_queue_declare *d = new_declare("q", DURABLE, SPAN_NULL, alice);
    d->e.op.actor.vhost = &v->vhost;
    op_queue_declare_submit(d);
    assert_int_equal(end(d), 0);
    assert_false(queue_on_all("q"));
    assert_non_null(space_queue(v, str("q")));
    assert_int_equal(declare("q", 0), 0);
    assert_int_equal(delete_vhost("team"), 0);
    assert_null(space_find(last_shard(), str("team")));
    assert_true(queue_on_all("q"));
    assert_int_equal(delete_vhost("team"), ERR_NOT_FOUND);
    assert_int_equal(delete_vhost("/"), ERR_RESERVED);
    restart();
    assert_null(space_find(last_shard(), str("team")));
    finish();
}

/* ---- records ------------------------------------------------------------------------------------------- */

static int put_record(const char *key, struct span value)
{
    struct op_record *r = new_op(sizeof(*r), nobody);
    r->kind = RECORD_PARAMETER;
    r->key = str(key);
    r->value = value;
    op_record_submit(r);
    wait_all();
    int err = r->op.err;
    op_record_free(r);
    return err;
}

static void records_are_on_every_shard_and_stay(void **state)
{
    start(state);
    assert_int_equal(put_record("k", str("one")), 0);
    assert_int_equal(put_record("gone", str("x")), 0);
    assert_int_equal(put_record("k", str("two")), 0);
    assert_int_equal(put_record("gone", SPAN_NULL), 0);
    assert_int_equal(put_record("gone", SPAN_NULL), ERR_NOT_FOUND);
    for (int i = 0; i < 3; i++) {
        for (unsigned n = 0; n < broker->shard_count; n++) {
            struct meta_record *r = meta_record_find(&broker->shards[n], RECORD_PARAMETER, str("k"));
            assert_non_null(r);
            assert_true(span_eq_str(r->value, "two"));
            assert_int_equal(meta_record_count(&broker->shards[n], RECORD_PARAMETER), 1);
        }
        if (i == 0)
            crash();
        else
            restart();
    }
    finish();
}

/* ---- settings of queues -------------------------------------------------------------------------------- */

static void a_policy_and_arguments_give_the_smaller_number(void **state)
{
    start(state);
    assert_int_equal(declare_args("q", 0, int_arg("x-message-ttl", 'I', 500), alice), 0);
    struct queue_info *q = info("q");
    struct fields_writer p = table(), o = table();
    fields_put_int(&p, str("message-ttl"), 'I', 900);
    fields_put_int(&p, str("max-length"), 'I', 100);
    fields_put_str(&p, str("dead-letter-exchange"), str("dlx"));
    fields_put_str(&p, str("overflow"), str("reject-publish"));
    fields_put_int(&o, str("max-length"), 'I', 50);
    queue_config_compute(q, fields_done(&p), fields_done(&o));
    assert_int_equal(q->config->ttl_ms, 500);
    assert_int_equal(q->config->max_length, 50);
    assert_true(span_eq_str(q->config->dead_letter_exchange, "dlx"));
    assert_int_equal(q->config->overflow, OVERFLOW_REJECT);
    queue_config_compute(q, SPAN_NULL, SPAN_NULL);
    assert_int_equal(q->config->max_length, -1);
    assert_true(span_is_null(q->config->dead_letter_exchange));
    finish();
}

static void delayed_retries_are_named_as_rabbitmq_does(void **state)
{
    start(state);
    struct fields_writer w = table();
    fields_put_str(&w, str("x-delayed-retry-type"), str("all"));
    fields_put_int(&w, str("x-delayed-retry-min"), 'I', 200);
    fields_put_int(&w, str("x-max-retries"), 'I', 3);
    assert_int_equal(declare_args("q", 0, fields_done(&w), alice), 0);
    assert_int_equal(info("q")->config->retry_type, RETRY_ALL);
    assert_int_equal(info("q")->config->retry_min_ms, 200);
    assert_int_equal(info("q")->config->retry_max_ms, 300000);
    assert_int_equal(info("q")->config->max_retries, 3);
    assert_int_equal(declare_args("r", 0, str_arg("x-delayed-retry-type", "some"), alice), ERR_ARGUMENT);
    assert_int_equal(declare("r", 0), 0);
    assert_int_equal(info("r")->config->retry_min_ms, -1);
    finish();
}

#define BOTH(test)                                                                                           \
    {#test " (1 shard)", test, NULL, NULL, "1"},                                                             \
    {                                                                                                        \
#test " (3 shards)", test, NULL, NULL, "3"                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_declared_queue_is_on_every_shard),
        BOTH(a_queue_declared_otherwise_is_refused_in_rabbitmqs_words),
        BOTH(arguments_are_compared_by_what_they_mean),
        BOTH(bad_arguments_are_refused_in_rabbitmqs_words),
        BOTH(quorum_queues_are_durable_and_named_by_clients),
        BOTH(a_declaration_tells_how_full_a_queue_is),
        BOTH(a_queue_in_use_or_not_empty_is_kept_if_asked),
        BOTH(names_are_stripped_reserved_and_made),
        BOTH(an_exclusive_queue_is_its_connections_and_goes_with_it),
        BOTH(a_connection_that_dies_leaves_no_queue_behind),
        BOTH(operations_on_a_name_keep_their_order),
        BOTH(ids_of_all_levels_are_on_the_queues_shard),
        BOTH(ids_of_durable_queues_are_never_used_again),
        BOTH(a_full_catalogue_refuses_more),
        {"an_idle_queue_is_small (2 shards)", an_idle_queue_is_small, NULL, NULL, "2"},
        BOTH(the_predeclared_exchanges_are_there_and_nobodys),
        BOTH(an_exchange_declared_otherwise_is_refused),
        BOTH(a_delayed_exchange_has_a_hidden_queue),
        BOTH(binding_twice_is_binding_once),
        BOTH(many_bindings_fit_one_round),
        BOTH(an_auto_delete_exchange_goes_with_its_last_binding),
        BOTH(auto_delete_exchanges_go_one_after_the_other),
        BOTH(an_exchange_in_use_is_not_deleted_if_unused),
        BOTH(a_topic_can_be_bound_and_takes_its_bindings_along),
        BOTH(what_is_durable_stays_and_the_rest_goes),
        BOTH(a_snapshot_has_everything_durable),
        BOTH(a_random_mixture_is_the_same_everywhere_and_after_a_crash),
        BOTH(a_virtual_host_is_a_world_of_its_own),
        BOTH(records_are_on_every_shard_and_stay),
        BOTH(a_policy_and_arguments_give_the_smaller_number),
        BOTH(delayed_retries_are_named_as_rabbitmq_does),
    };
    return cmocka_run_group_tests_name("core_space", tests, NULL, NULL);
}
