/* Exchanges of all types: from a message to its destinations. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/exchange.h"
#include "core/fields.h"

#include <stdio.h>

#include "base/err.h"

enum { EXCHANGES = 8, QUEUES = 12 };

const struct message_format *message_formats[MESSAGE_FORMATS];

static struct exchange *exchanges[EXCHANGES];
static struct dest queues[QUEUES];
static char names[QUEUES][8];
static struct route route;
static struct arena arena;
static uint64_t dice = 1;
static const char *why;

/* Of the message: its properties are its headers, and these its further keys. */
static const char *further_key;

static struct span headers_of(const struct message *m)
{
    return m->props;
}

static void more_keys(const struct message *m, void (*fn)(void *arg, struct span key), void *arg)
{
    if (further_key)
        fn(arg, span_str(further_key));
}

static bool property_of(const struct message *m, struct span name, struct field *ret)
{
    *ret = (struct field){.tag = 'S', .bytes = m->body};
    return span_eq_str(name, "message_id");
}

static const struct message_format format = {
    .name = "test", .headers = headers_of, .more_keys = more_keys, .property = property_of};

static struct exchange *find_exchange(void *arg, struct span name)
{
    for (int i = 0; i < EXCHANGES; i++)
        if (exchanges[i] && span_eq(exchanges[i]->name, name))
            return exchanges[i];
    return NULL;
}

static struct dest *find_queue(void *arg, struct span name)
{
    for (int i = 0; i < QUEUES; i++)
        if (span_eq(queues[i].name, name))
            return &queues[i];
    return NULL;
}

static const struct route_space space = {find_exchange, find_queue, NULL};

static int setup(void **state)
{
    arena_init(&arena);
    route_init(&route);
    further_key = NULL;
    message_formats[MESSAGE_FORMAT_AMQP] = &format;
    for (int i = 0; i < QUEUES; i++) {
        snprintf(names[i], sizeof(names[i]), "q%d", i);
        dest_init(&queues[i], DEST_QUEUE, span_str(names[i]));
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < EXCHANGES; i++) {
        exchange_free(exchanges[i]);
        exchanges[i] = NULL;
    }
    for (int i = 0; i < QUEUES; i++)
        assert_true(list_empty(&queues[i].bindings));
    route_fini(&route);
    arena_fini(&arena);
    return 0;
}

static struct span table_of(const char *name, const char *value)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    if (name)
        fields_put_str(&w, span_str(name), span_str(value));
    return fields_done(&w);
}

static struct exchange *make(int i, enum exchange_type type, struct span args)
{
    char name[8];
    snprintf(name, sizeof(name), "x%d", i);
    assert_int_equal(exchange_new(span_str(name), type, args, &arena, &why, &exchanges[i]), 0);
    return exchanges[i];
}

static struct binding *lead(struct exchange *x, struct dest *d, const char *key)
{
    assert_int_equal(exchange_check_binding(x, span_str(key), SPAN_NULL, &arena, &why), 0);
    return exchange_bind(x, d, span_str(key), SPAN_NULL, true);
}

static void publish_again(struct exchange *x, const char *key, struct span headers, bool skip_delay)
{
    struct message m = {.key = span_str(key), .props = headers, .format = MESSAGE_FORMAT_AMQP};
    route_message(&route, &space, x, &m, skip_delay, &dice);
}

/* The numbers of the queues found, sorted: "0 3". */
static const char *publish(struct exchange *x, const char *key, struct span headers)
{
    static char found[64];
    route_reset(&route);
    publish_again(x, key, headers, false);
    found[0] = '\0';
    for (int q = 0; q < QUEUES; q++)
        for (uint32_t i = 0; i < route.count; i++)
            if (route.dests[i] == &queues[q])
                snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%d", *found ? " " : "", q);
    return found;
}

static void a_direct_exchange_routes_by_the_whole_key(void **state)
{
    struct exchange *x = make(0, EXCHANGE_DIRECT, SPAN_NULL);
    lead(x, &queues[0], "a");
    lead(x, &queues[1], "a");
    struct binding *b = lead(x, &queues[2], "a");
    lead(x, &queues[3], "a.b");
    assert_string_equal(publish(x, "a", SPAN_NULL), "0 1 2");
    assert_ptr_equal(exchange_find_binding(x, &queues[2], span_str("a"), SPAN_NULL), b);
    exchange_unbind(b);
    assert_null(exchange_find_binding(x, &queues[2], span_str("a"), SPAN_NULL));
    assert_string_equal(publish(x, "a", SPAN_NULL), "0 1");
    assert_string_equal(publish(x, "b", SPAN_NULL), "");
    assert_int_equal(x->binding_count, 3);
}

static void a_queue_is_found_once_however_many_bindings_match(void **state)
{
    struct exchange *x = make(0, EXCHANGE_TOPIC, SPAN_NULL);
    lead(x, &queues[4], "a.#");
    lead(x, &queues[4], "#.b");
    lead(x, &queues[5], "*.b");
    assert_string_equal(publish(x, "a.b", SPAN_NULL), "4 5");
    assert_true(route.cacheable && route_is_cacheable(x));
    further_key = "x.b";
    assert_string_equal(publish(x, "a", SPAN_NULL), "4 5");
    assert_false(route.cacheable);
}

static void the_default_exchange_routes_to_the_queue_of_that_name(void **state)
{
    struct exchange *x;
    assert_int_equal(exchange_new(span_str(""), EXCHANGE_DEFAULT, SPAN_NULL, &arena, &why, &x), 0);
    exchanges[0] = x;
    further_key = "q3";
    assert_string_equal(publish(x, "q2", SPAN_NULL), "2 3");
    assert_null(route.via[0]);
    further_key = NULL;
    assert_string_equal(publish(x, "nobody", SPAN_NULL), "");
}

static void exchanges_bound_in_a_circle_end(void **state)
{
    struct exchange *a = make(0, EXCHANGE_FANOUT, SPAN_NULL), *b = make(1, EXCHANGE_DIRECT, SPAN_NULL);
    lead(a, &b->dest, "");
    lead(b, &a->dest, "k");
    lead(b, &queues[1], "k");
    lead(a, &queues[0], "");
    assert_string_equal(publish(b, "k", SPAN_NULL), "0 1");
    assert_string_equal(publish(a, "other", SPAN_NULL), "0");
    assert_false(route_is_cacheable(a));
    exchange_free(b);
    exchanges[1] = NULL;
    assert_int_equal(a->binding_count, 1);
    assert_true(route_is_cacheable(a));
}

static void an_alternate_exchange_gets_what_goes_nowhere(void **state)
{
    struct exchange *a = make(0, EXCHANGE_DIRECT, table_of("alternate-exchange", "x1"));
    struct exchange *b = make(1, EXCHANGE_FANOUT, table_of("alternate-exchange", "x0"));
    lead(a, &queues[0], "k");
    assert_string_equal(publish(a, "other", SPAN_NULL), ""); /* and the circle ends */
    lead(b, &queues[1], "");
    assert_string_equal(publish(a, "k", SPAN_NULL), "0");
    assert_string_equal(publish(a, "other", SPAN_NULL), "1");
    exchange_set_alternate(a, span_str("nobody"));
    assert_string_equal(publish(a, "other", SPAN_NULL), "");
}

static void an_alternate_must_be_a_string(void **state)
{
    struct fields_writer w;
    struct exchange *x;
    fields_writer_init(&w, &arena);
    fields_put_int(&w, span_str("alternate-exchange"), 'l', 3);
    assert_int_equal(exchange_new(span_str("x"), EXCHANGE_FANOUT, fields_done(&w), &arena, &why, &x),
                     ERR_ARGUMENT);
    assert_string_equal(why, "invalid type 'long' for arg 'alternate-exchange' in exchange 'x'");
}

static struct span delay_of(char tag, int64_t integer, const char *text)
{
    struct fields_writer w;
    fields_writer_init(&w, &arena);
    struct field f = {
        .tag = tag, .integer = integer, .number = (double)integer + 0.5, .bytes = span_str(text)};
    fields_put(&w, span_str("x-delay"), &f);
    return fields_done(&w);
}

static int64_t asked_delay(struct exchange *x, struct span headers)
{
    route_reset(&route);
    publish_again(x, "k", headers, false);
    assert_int_equal(route.delayed != NULL, route.count == 0);
    return route.delayed ? route.delay_ms : 0;
}

static void delays_are_read_as_the_plugin_does(void **state)
{
    struct exchange *x = make(0, EXCHANGE_DELAYED, table_of("x-delayed-type", "direct"));
    lead(x, &queues[0], "k");
    assert_int_equal(asked_delay(x, delay_of('I', 5000, NULL)), 5000);
    assert_int_equal(asked_delay(x, delay_of('l', INT64_C(4294967295), NULL)), INT64_C(4294967295));
    assert_int_equal(asked_delay(x, delay_of('l', INT64_C(4294967296), NULL)), 0);
    assert_int_equal(asked_delay(x, delay_of('I', -5000, NULL)), 0);
    assert_int_equal(asked_delay(x, delay_of('I', 0, NULL)), 0);
    assert_int_equal(asked_delay(x, delay_of('S', 0, "250")), 250);
    assert_int_equal(asked_delay(x, delay_of('S', 0, "soon")), 0);
    assert_int_equal(asked_delay(x, delay_of('d', 7, NULL)), 7);
    assert_int_equal(asked_delay(x, delay_of('T', 7, NULL)), 0);
    assert_int_equal(asked_delay(x, SPAN_NULL), 0);
}

static void a_delay_goes_to_its_exchange_and_elsewhere_at_once(void **state)
{
    struct exchange *a = make(0, EXCHANGE_FANOUT, SPAN_NULL);
    struct exchange *d = make(1, EXCHANGE_DELAYED, table_of("x-delayed-type", "topic"));
    struct span headers = delay_of('I', 9, NULL);
    lead(a, &d->dest, "");
    lead(a, &queues[0], "");
    lead(d, &queues[1], "#");
    assert_string_equal(publish(a, "k", headers), "0");
    assert_ptr_equal(route.delayed, d);
    assert_false(route.cacheable);
    route_reset(&route);
    publish_again(d, "k", headers, true);
    assert_null(route.delayed);
    assert_ptr_equal(route.dests[0], &queues[1]);
}

static void a_delayed_exchange_needs_a_type(void **state)
{
    struct exchange *x;
    assert_int_equal(exchange_new(span_str("x"), EXCHANGE_DELAYED, SPAN_NULL, &arena, &why, &x),
                     ERR_ARGUMENT);
    assert_string_equal(why, "Invalid argument, 'x-delayed-type' must be an existing exchange type");
    assert_int_equal(
        exchange_new(span_str("x"), EXCHANGE_DELAYED, table_of("x-delayed-type", "odd"), &arena, &why, &x),
        ERR_ARGUMENT);
    assert_string_equal(why, "unknown exchange type 'odd'");
}

/* Whom each of 1000 keys goes to; counts[] of each queue. */
static void spread(struct exchange *x, int *owner, int *counts)
{
    char key[16];
    memset(counts, 0, QUEUES * sizeof(*counts));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        route_reset(&route);
        publish_again(x, key, SPAN_NULL, false);
        assert_int_equal(route.count, 1);
        owner[i] = (int)(route.dests[0] - queues);
        counts[owner[i]]++;
    }
}

static void hashing_follows_weights_and_moves_little(void **state)
{
    static int before[1000], after[1000];
    int counts[QUEUES];
    struct exchange *x = make(0, EXCHANGE_HASH, SPAN_NULL);
    lead(x, &queues[0], "1");
    lead(x, &queues[1], "1");
    lead(x, &queues[2], "2");
    spread(x, before, counts);
    assert_in_range(counts[0], 180, 320);
    assert_in_range(counts[1], 180, 320);
    assert_in_range(counts[2], 420, 580);
    lead(x, &queues[3], "1");
    spread(x, after, counts);
    assert_in_range(counts[3], 130, 270);
    for (int i = 0; i < 1000; i++)
        assert_true(after[i] == before[i] || after[i] == 3);
}

static void hashing_by_a_header_or_property_ignores_the_key(void **state)
{
    struct exchange *x = make(0, EXCHANGE_HASH, table_of("hash-header", "user"));
    for (int i = 0; i < 8; i++)
        lead(x, &queues[i], "1");
    char first[8];
    strcpy(first, publish(x, "a", table_of("user", "ann")));
    assert_string_equal(publish(x, "b", table_of("user", "ann")), first);
    int differ = 0;
    for (char name[] = "a"; name[0] <= 'z'; name[0]++)
        differ += strcmp(publish(x, "a", table_of("user", name)), first) != 0;
    assert_in_range(differ, 10, 26);
}

static void hash_arguments_are_checked(void **state)
{
    struct exchange *x;
    assert_int_equal(
        exchange_new(span_str("x"), EXCHANGE_HASH, table_of("hash-property", "age"), &arena, &why, &x),
        ERR_ARGUMENT);
    assert_string_equal(why, "Unsupported property: age");
    x = make(0, EXCHANGE_HASH, table_of("hash-property", "message_id"));
    assert_int_equal(exchange_check_binding(x, span_str("a"), SPAN_NULL, &arena, &why), ERR_ARGUMENT);
    assert_string_equal(why, "The binding key must be an integer: <<\"a\">>");
    assert_int_equal(exchange_check_binding(x, span_str("0"), SPAN_NULL, &arena, &why), ERR_ARGUMENT);
    assert_string_equal(why, "The binding key must be greater than 0");
}

static void chance_reaches_every_queue(void **state)
{
    int owner[1000], counts[QUEUES];
    struct exchange *x = make(0, EXCHANGE_RANDOM, SPAN_NULL);
    assert_string_equal(publish(x, "k", SPAN_NULL), "");
    for (int i = 0; i < 4; i++)
        lead(x, &queues[i], "any");
    spread(x, owner, counts);
    for (int i = 0; i < 4; i++)
        assert_in_range(counts[i], 180, 320);
    assert_false(route_is_cacheable(x));
}

static void arguments_in_another_order_are_the_same_binding(void **state)
{
    struct exchange *x = make(0, EXCHANGE_FANOUT, SPAN_NULL);
    struct fields_writer one, other;
    fields_writer_init(&one, &arena);
    fields_writer_init(&other, &arena);
    fields_put_int(&one, span_str("a"), 'l', 1);
    fields_put_int(&one, span_str("b"), 'l', 2);
    fields_put_int(&other, span_str("b"), 'l', 2);
    fields_put_int(&other, span_str("a"), 'l', 1);
    struct binding *b = exchange_bind(x, &queues[0], span_str("k"), fields_done(&one), false);
    assert_ptr_equal(exchange_find_binding(x, &queues[0], span_str("k"), fields_done(&other)), b);
    assert_null(exchange_find_binding(x, &queues[0], span_str("k"), SPAN_NULL));
}

static void destinations_add_up_until_reset(void **state)
{
    struct exchange *x = make(0, EXCHANGE_DIRECT, SPAN_NULL);
    lead(x, &queues[0], "a");
    lead(x, &queues[1], "b");
    route_reset(&route);
    publish_again(x, "a", SPAN_NULL, false);
    publish_again(x, "b", SPAN_NULL, false);
    publish_again(x, "a", SPAN_NULL, false);
    assert_int_equal(route.count, 2);
}

/* A caller that clears count and delayed itself must not lose what the route before had found. */
static void a_route_cleared_by_hand_begins_anew(void **state)
{
    struct exchange *a = make(0, EXCHANGE_FANOUT, SPAN_NULL);
    struct exchange *d = make(1, EXCHANGE_DELAYED, table_of("x-delayed-type", "fanout"));
    lead(a, &d->dest, "");
    lead(a, &queues[0], "");
    for (int i = 0; i < 3; i++) {
        route.count = 0;
        route.delayed = NULL;
        publish_again(a, "k", delay_of('I', 9, NULL), false);
        assert_int_equal(route.count, 1);
        assert_ptr_equal(route.delayed, d);
    }
}

static void types_have_names(void **state)
{
    assert_int_equal(exchange_type_of(span_str("x-delayed-message")), EXCHANGE_DELAYED);
    assert_int_equal(exchange_type_of(span_str("x-modulus-hash")), EXCHANGE_MODULUS_HASH);
    assert_int_equal(exchange_type_of(span_str("")), -1);
    assert_int_equal(exchange_type_of(span_str("Direct")), -1);
    assert_string_equal(exchange_type_name(EXCHANGE_TOPIC), "topic");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_direct_exchange_routes_by_the_whole_key),
        T(a_queue_is_found_once_however_many_bindings_match),
        T(the_default_exchange_routes_to_the_queue_of_that_name),
        T(exchanges_bound_in_a_circle_end),
        T(an_alternate_exchange_gets_what_goes_nowhere),
        T(an_alternate_must_be_a_string),
        T(delays_are_read_as_the_plugin_does),
        T(a_delay_goes_to_its_exchange_and_elsewhere_at_once),
        T(a_delayed_exchange_needs_a_type),
        T(hashing_follows_weights_and_moves_little),
        T(hashing_by_a_header_or_property_ignores_the_key),
        T(hash_arguments_are_checked),
        T(chance_reaches_every_queue),
        T(arguments_in_another_order_are_the_same_binding),
        T(destinations_add_up_until_reset),
        T(a_route_cleared_by_hand_begins_anew),
        T(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
