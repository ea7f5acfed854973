#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/metrics.h"

static struct metrics *reg;
static struct metrics_shard *one, *two;
static struct chunk_pool pool;

static int start(void **state)
{
    reg = metrics_new();
    one = metrics_shard_new(reg);
    two = metrics_shard_new(reg);
    chunk_pool_init(&pool, "output", 4096, 4);
    return 0;
}

static int stop(void **state)
{
    metrics_free(reg);
    chunk_pool_fini(&pool);
    return 0;
}

/* All that is exposed, as a string; the caller frees it. */
static char *render(void)
{
    struct outq q;
    struct metrics_writer w;
    outq_init(&q, &pool);
    metrics_writer_init(&w, &q);
    metrics_render(reg, &w);
    assert_int_equal(metrics_writer_finish(&w), 0);
    char *text = mem_alloc(q.len + 1);
    size_t len = 0, total = q.len;
    while (q.len) {
        struct span s;
        outq_peek(&q, &s, 1);
        memcpy(text + len, s.ptr, s.len);
        len += s.len;
        outq_consume(&q, s.len);
    }
    assert_int_equal(len, total);
    text[len] = 0;
    outq_fini(&q);
    return text;
}

static void shows(const char *line)
{
    char *text = render();
    if (!strstr(text, line))
        fail_msg("not found: %s\nin:\n%s", line, text);
    mem_free(text);
}

static void hides(const char *piece)
{
    char *text = render();
    assert_null(strstr(text, piece));
    mem_free(text);
}

static void counters_of_all_shards_are_summed(void **state)
{
    metrics_add(one, METRIC_TURNS, 2);
    metrics_add(two, METRIC_TURNS, 40);
    assert_int_equal(metrics_sum(reg, METRIC_TURNS, 0), 42);
    shows("# TYPE colobus_shard_turns_total counter\ncolobus_shard_turns_total 42\n");
}

static void gauges_may_go_up_on_one_shard_and_down_on_another(void **state)
{
    struct metrics_label labels[] = {{"protocol", span_str("kafka")}, {"listener", span_str("docker")}};
    metrics_name_slot(reg, METRICS_DIM_LISTENER, 1, labels, 2);
    metrics_gauge_add_at(one, METRIC_CONNECTIONS, 1, 3);
    metrics_gauge_add_at(two, METRIC_CONNECTIONS, 1, -1);
    shows("\ncolobus_connections{protocol=\"kafka\",listener=\"docker\"} 2\n");
}

static void named_listeners_show_from_the_start_and_unused_apis_do_not(void **state)
{
    metrics_name_slot(reg, METRICS_DIM_LISTENER, 0, (struct metrics_label[]){{"listener", span_str("http")}},
                      1);
    metrics_name_slot(reg, METRICS_DIM_KAFKA_API, 1, (struct metrics_label[]){{"api", span_str("Fetch")}}, 1);
    shows("\ncolobus_connections{listener=\"http\"} 0\n");
    hides("Fetch");
    metrics_add_at(one, METRIC_KAFKA_REQUESTS, 1, 1);
    shows("\ncolobus_kafka_requests_total{api=\"Fetch\"} 1\n");
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    metrics_name_slot(reg, METRICS_DIM_KAFKA_API, 0, (struct metrics_label[]){{"api", span_str("Produce")}},
                      1);
    metrics_observe_at(one, METRIC_KAFKA_REQUEST_TIME, 0, 16); /* the bound itself belongs to its bucket */
    metrics_observe_at(two, METRIC_KAFKA_REQUEST_TIME, 0, 17);
    metrics_observe_at(two, METRIC_KAFKA_REQUEST_TIME, 0, 3600000000); /* an hour: above all buckets */
    shows("colobus_kafka_request_seconds_bucket{api=\"Produce\",le=\"1.6e-05\"} 1\n");
    shows("colobus_kafka_request_seconds_bucket{api=\"Produce\",le=\"3.2e-05\"} 2\n");
    shows("colobus_kafka_request_seconds_bucket{api=\"Produce\",le=\"33.554432\"} 2\n");
    shows("colobus_kafka_request_seconds_bucket{api=\"Produce\",le=\"+Inf\"} 3\n");
    shows("colobus_kafka_request_seconds_count{api=\"Produce\"} 3\n");
    shows("colobus_kafka_request_seconds_sum{api=\"Produce\"} 3600.00003\n");
}

static const char *error_name(int code)
{
    return code == 3 ? "UNKNOWN_TOPIC_OR_PARTITION" : NULL;
}

static void errors_are_counted_by_api_and_code(void **state)
{
    metrics_name_slot(reg, METRICS_DIM_KAFKA_API, 0, (struct metrics_label[]){{"api", span_str("Produce")}},
                      1);
    metrics_name_kafka_errors(reg, error_name);
    metrics_kafka_error(one, 0, 3);
    metrics_kafka_error(two, 0, 3);
    metrics_kafka_error(two, 0, -1);
    shows("\ncolobus_kafka_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"} 2\n");
    shows("\ncolobus_kafka_errors_total{api=\"Produce\",error=\"-1\"} 1\n");
}

static void more_kinds_of_errors_than_there_is_room_for_are_counted_together(void **state)
{
    for (int code = 1; code <= METRICS_ERRORS + 9; code++)
        metrics_kafka_error(one, 5, code);
    shows("\ncolobus_kafka_errors_total{api=\"other\",error=\"other\"} 10\n");
}

static void a_slot_out_of_range_is_counted_in_the_last_one(void **state)
{
    metrics_add_at(one, METRIC_KAFKA_REQUESTS, 30000, 7);
    assert_int_equal(metrics_sum(reg, METRIC_KAFKA_REQUESTS, METRICS_SLOTS_KAFKA_API - 1), 7);
}

static void collect(void *arg, struct metrics_writer *w)
{
    metrics_family(w, "colobus_log_bytes", "gauge", "Bytes.");
    struct metrics_label labels[] = {{"topic", span_str("a\"b\\c\nd")}, {"partition", span_str("0")}};
    metrics_sample(w, "colobus_log_bytes", labels, 2, 123456789012345ULL);
}

static void labels_are_escaped(void **state)
{
    metrics_add_collector(reg, collect, NULL);
    shows("\ncolobus_log_bytes{topic=\"a\\\"b\\\\c\\nd\",partition=\"0\"} 123456789012345\n");
}

static void pools_show_what_they_have_given_out(void **state)
{
    metrics_add_pool(reg, 2, &pool);
    metrics_add_limit(reg, "tail", 1 << 20);
    shows("\ncolobus_memory_pool_bytes{pool=\"output\",shard=\"2\"} ");
    shows("\ncolobus_memory_limit_bytes{pool=\"tail\"} 1048576\n");
}

static void cells_of_the_table_do_not_overlap(void **state)
{
    size_t at = 0;
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        assert_int_equal(metric_infos[m].at, at);
        assert_true(metric_infos[m].slots <= METRICS_SLOTS_MAX);
        at += (size_t)metric_infos[m].cells * metric_infos[m].slots;
    }
    assert_int_equal(at, METRICS_CELLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters_of_all_shards_are_summed, start, stop),
        cmocka_unit_test_setup_teardown(gauges_may_go_up_on_one_shard_and_down_on_another, start, stop),
        cmocka_unit_test_setup_teardown(named_listeners_show_from_the_start_and_unused_apis_do_not, start,
                                        stop),
        cmocka_unit_test_setup_teardown(histograms_are_cumulative_and_in_seconds, start, stop),
        cmocka_unit_test_setup_teardown(errors_are_counted_by_api_and_code, start, stop),
        cmocka_unit_test_setup_teardown(more_kinds_of_errors_than_there_is_room_for_are_counted_together,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_slot_out_of_range_is_counted_in_the_last_one, start, stop),
        cmocka_unit_test_setup_teardown(labels_are_escaped, start, stop),
        cmocka_unit_test_setup_teardown(pools_show_what_they_have_given_out, start, stop),
        cmocka_unit_test(cells_of_the_table_do_not_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
