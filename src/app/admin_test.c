#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/admin.h"
#include "base/err.h"
#include "base/mem.h"
#include "proto/http/fake_conn.h"

static struct config cfg;
static struct admin admin;
static struct metrics *metrics;
static struct fake_conn f;
static struct admin_health health;
static struct admin_call *waiting; /* held back, if `hold` */
static bool hold;
static int next_err;
static char seen[200]; /* the last call */

static const struct admin_partition partitions[] = {{0, 5, 105, 2048, 0}, {1, 0, 7, 512, ERR_CORRUPT}};
static const struct admin_config configs[] = {
    {{(const uint8_t *)"retention.ms", 12}, {(const uint8_t *)"<1>", 3}, false}};
static const struct admin_topic orders = {
    .name = {(const uint8_t *)"orders", 6},
    .id = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
    .partitions = partitions,
    .partition_count = 2,
    .configs = configs,
    .config_count = 1,
};

static void get_health(void *broker, struct admin_health *ret_health)
{
    *ret_health = health;
}

static void submit(void *broker, struct admin_call *call)
{
    int n = snprintf(seen, sizeof(seen), "%d %.*s %d", call->op, SPAN_ARG(call->name), call->partitions);
    for (size_t i = 0; i < call->config_count; i++)
        n += snprintf(seen + n, sizeof(seen) - (size_t)n, " %.*s=%.*s", SPAN_ARG(call->configs[i].name),
                      SPAN_ARG(call->configs[i].value));
    call->err = next_err;
    call->topics = &orders;
    call->topic_count = call->op == ADMIN_TOPIC_DELETE ? 0 : 1;
    if (hold)
        waiting = call;
    else
        call->done(call);
}

static int start(void **state)
{
    config_init(&cfg);
    metrics = metrics_new();
    health = (struct admin_health){ADMIN_OK, ""};
    hold = false;
    next_err = 0;
    admin_init(&admin, &cfg, &(struct admin_backend){NULL, get_health, submit, metrics}, metrics);
    fake_conn_open(&f, &admin.server);
    f.shard.metrics = metrics_shard_new(metrics);
    handle_table_init(&f.shard.conns, 0);
    f.conn.handle = handle_new(&f.shard.conns, &f.conn);
    return 0;
}

static int stop(void **state)
{
    handle_table_fini(&f.shard.conns);
    fake_conn_close(&f);
    metrics_free(metrics);
    return 0;
}

static const char *ask(const char *method, const char *path, const char *body)
{
    char *text = mem_alloc(1024);
    int n = snprintf(text, 1024,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     method, path, strlen(body), body);
    f.output_len = 0;
    fake_conn_feed(&f, span_of(text, (size_t)n));
    mem_free(text);
    return fake_conn_output(&f);
}

static void expect_in(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        fail_msg("not found: %s\nin: %s", piece, text);
}

static void settings_are_changed_and_told(void **state)
{
    const char *out = ask("PATCH", "/api/topics/orders", "{\"configs\":{\"a\":\"b\",\"n\":5,\"gone\":null}}");
    expect_in(out, "HTTP/1.1 200 ");
    expect_in(out, "\"name\":\"retention.ms\",\"value\":\"<1>\",\"default\":false");
    assert_string_equal(seen, "4 orders -1 a=b n=5 gone=");
    expect_in(ask("PATCH", "/api/topics/orders", "{\"configs\":{\"a\":[]}}"), "HTTP/1.1 400 ");
    expect_in(ask("PATCH", "/api/topics/orders", "{\"configs\":{},\"name\":\"x\"}"), "HTTP/1.1 400 ");
    expect_in(ask("PATCH", "/api/topics/orders", "[]"), "HTTP/1.1 400 ");
    next_err = ERR_NOT_FOUND;
    expect_in(ask("PATCH", "/api/topics/none", "{\"configs\":{}}"), "HTTP/1.1 404 ");
}

static void health_is_told_with_its_reason(void **state)
{
    const char *out = ask("GET", "/healthz", "");
    expect_in(out, "HTTP/1.1 200 ");
    expect_in(out, "{\"status\":\"ok\",\"reason\":\"\",\"version\":\"");
    health = (struct admin_health){ADMIN_DEGRADED, "disk \"full\""};
    out = ask("GET", "/healthz", "");
    expect_in(out, "HTTP/1.1 200 ");
    expect_in(out, "\"status\":\"degraded\",\"reason\":\"disk \\\"full\\\"\"");
    health.status = ADMIN_FAILED;
    expect_in(ask("GET", "/healthz", ""), "HTTP/1.1 503 ");
}

static void topics_are_listed_with_sums(void **state)
{
    expect_in(ask("GET", "/api/topics", ""),
              "{\"topics\":[{\"name\":\"orders\",\"id\":\"____________________AQ\","
              "\"partitions\":2,\"records\":107,\"bytes\":2560}]}");
}

static void a_topic_is_described_with_partitions_and_configs(void **state)
{
    const char *out = ask("GET", "/api/topics/orders", "");
    assert_string_equal(seen, "1 orders -1");
    expect_in(out, "{\"partition\":0,\"shard\":0,\"start_offset\":5,\"end_offset\":105,\"bytes\":2048}");
    expect_in(out, "\"error\":\"stored data is damaged\"");
    expect_in(out, "\"configs\":[{\"name\":\"retention.ms\",\"value\":\"<1>\",\"default\":false}]");
}

static void a_topic_is_created_from_json(void **state)
{
    const char *out = ask("POST", "/api/topics",
                          "{\"name\":\"a b\",\"partitions\":3,\"configs\":{\"x\":1,\"y\":true,"
                          "\"z\":\"t\"}}");
    expect_in(out, "HTTP/1.1 201 Created");
    assert_string_equal(seen, "2 a b 3 x=1 y=true z=t");
}

static void bad_bodies_never_reach_the_broker(void **state)
{
    static const char *const bodies[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"name\":\"\"}",
                                         "{\"name\":1}",
                                         "{\"name\":\"a\",\"partitions\":0}",
                                         "{\"name\":\"a\",\"partitions\":3000000000}",
                                         "{\"name\":\"a\",\"name\":\"b\"}",
                                         "{\"name\":\"a\",\"colour\":1}",
                                         "{\"name\":\"a\",\"configs\":[]}",
                                         "{\"name\":\"a\",\"configs\":{\"x\":null}}",
                                         "{\"name\":\"\xff\"}"};
    seen[0] = 0;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_in(ask("POST", "/api/topics", bodies[i]), "HTTP/1.1 400 ");
    assert_string_equal(seen, "");
}

static void a_form_of_a_web_page_is_refused(void **state)
{
    fake_conn_feed(&f, span_str("POST /api/topics HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                                "Content-Length: 12\r\n\r\n{\"name\":\"a\"}"));
    expect_in(fake_conn_output(&f), "HTTP/1.1 415 ");
}

static void a_topic_is_deleted_without_a_body(void **state)
{
    const char *out = ask("DELETE", "/api/topics/%6frders", "");
    assert_string_equal(seen, "3 orders -1");
    expect_in(out, "HTTP/1.1 204 ");
    assert_null(strstr(out, "Content-"));
}

static void errors_of_the_broker_have_their_status(void **state)
{
    next_err = ERR_NOT_FOUND;
    expect_in(ask("DELETE", "/api/topics/x", ""), "HTTP/1.1 404 ");
    next_err = ERR_EXISTS;
    expect_in(ask("POST", "/api/topics", "{\"name\":\"x\"}"), "HTTP/1.1 409 ");
    expect_in(fake_conn_output(&f), "{\"error\":\"already exists\"}");
}

static void an_answer_may_come_after_the_client_has_gone(void **state)
{
    hold = true;
    ask("GET", "/api/topics", "");
    struct admin_call *call = waiting;
    handle_free(&f.shard.conns, f.conn.handle);
    call->done(call); /* must not touch the connection */
    assert_string_equal(fake_conn_output(&f), "");
}

static void an_answer_may_come_later(void **state)
{
    hold = true;
    assert_string_equal(ask("GET", "/api/topics", ""), "");
    waiting->done(waiting);
    expect_in(fake_conn_output(&f), "HTTP/1.1 200 ");
}

static void metrics_show_the_process_the_table_and_the_logs(void **state)
{
    ask("GET", "/healthz", "");
    const char *out = ask("GET", "/metrics", "");
    expect_in(out, "Content-Type: text/plain; version=0.0.4");
    expect_in(out, "\ncolobus_health{status=\"ok\"} 1\n");
    expect_in(out, "\ncolobus_http_requests_total{code=\"2xx\"} 1\n");
    expect_in(out, "\n# TYPE colobus_log_end_offset "
                   "gauge\ncolobus_log_end_offset{topic=\"orders\",partition=\"0\"} 105\n");
    expect_in(out, "\ncolobus_log_bytes{topic=\"orders\",partition=\"1\"} 512\n");
    expect_in(out, "\nprocess_resident_memory_bytes ");
    expect_in(out, "\ncolobus_journal_commit_seconds_count 0\n");
}

static void the_page_escapes_what_it_shows(void **state)
{
    health = (struct admin_health){ADMIN_DEGRADED, "<script>alert('x')</script>"};
    const char *out = ask("GET", "/", "");
    expect_in(out, "Content-Security-Policy: default-src 'none'");
    expect_in(out, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
    expect_in(out, "<a href=\"/api/topics/orders\">orders</a>");
    assert_null(strstr(out, "<script"));
    assert_null(strstr(out, "http://"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(health_is_told_with_its_reason),
        T(settings_are_changed_and_told),
        T(topics_are_listed_with_sums),
        T(a_topic_is_described_with_partitions_and_configs),
        T(a_topic_is_created_from_json),
        T(bad_bodies_never_reach_the_broker),
        T(a_form_of_a_web_page_is_refused),
        T(a_topic_is_deleted_without_a_body),
        T(errors_of_the_broker_have_their_status),
        T(an_answer_may_come_after_the_client_has_gone),
        T(an_answer_may_come_later),
        T(metrics_show_the_process_the_table_and_the_logs),
        T(the_page_escapes_what_it_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
