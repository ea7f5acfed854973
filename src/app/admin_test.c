#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/admin.h"
#include "app/queue_features.h"
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

#define TEXT(s)                                                                                              \
    {                                                                                                        \
        (const uint8_t *)(s), sizeof(s) - 1                                                                  \
    }
static const struct admin_offset offsets[] = {
    {.topic = &orders, .partition = 1, .offset = 4, .start = 0, .end = 7, .lag = 3, .metadata = TEXT("note")},
    {.topic = NULL, .partition = 0, .offset = 9},
};
static const struct group_member_info members[] = {
    {.id = TEXT("m-1"), .instance_id = TEXT("i"), .client_id = TEXT("c"), .client_host = TEXT("/127.0.0.1")},
    {.id = TEXT("m-2"), .client_host = TEXT("/127.0.0.1")},
};
static struct admin_group group; /* the only one; a test may change it */
static const struct admin_group billing = {
    .name = TEXT("billing <1>"),
    .protocol_type = TEXT("consumer"),
    .protocol = TEXT("range"),
    .state = "Stable",
    .member_count = 2,
    .offsets = offsets,
    .offset_count = 2,
    .lag = 3,
    .generation = 12,
    .members = members,
};

static const struct admin_queue queues[] = {
    {.name = TEXT("mail <1>"),
     .vhost = TEXT("/"),
     .type = "classic",
     .ready = 7,
     .unacked = 2,
     .in = 12,
     .out = 5,
     .features = 1u << QUEUE_FEATURE_DURABLE | 1u << QUEUE_FEATURE_TTL,
     .policy = TEXT("p&q")},
    {.name = TEXT("jobs"), .vhost = TEXT("shop"), .type = "quorum", .consumers = 3},
};
static const struct admin_binding bindings[] = {
    {TEXT("a.<b>"), TEXT("jobs"), "queue", false},
    {TEXT(""), TEXT("next"), "exchange", true},
};
static const struct admin_exchange exchanges[] = {
    {.name = TEXT("x/y"),
     .vhost = TEXT("shop"),
     .alternate = TEXT("other"),
     .type = "topic",
     .durable = true,
     .bindings = bindings,
     .binding_count = 2,
     .binding_total = 30},
    {.name = TEXT("lonely"), .vhost = TEXT("/"), .type = "fanout", .internal = true},
};
static const char *alarm_now;
static struct admin_heard_list heard[ADMIN_HEARD_KINDS]; /* a test may change it */

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
    if (call->op == ADMIN_GROUP_RESET)
        snprintf(seen + n, sizeof(seen) - (size_t)n, " %.*s %d %d %lld", SPAN_ARG(call->reset.topic),
                 call->reset.partition, (int)call->reset.to, (long long)call->reset.value);
    if (call->op == ADMIN_HEARD)
        snprintf(seen, sizeof(seen), "%.*s|%.*s|%zu", SPAN_ARG(call->vhost), SPAN_ARG(call->pattern),
                 call->limit);
    memcpy(call->heard, heard, sizeof(heard));
    call->err = next_err;
    call->groups = &group;
    call->group_count = call->op >= ADMIN_GROUP_LIST && call->op != ADMIN_GROUP_DELETE;
    call->topics = &orders;
    call->topic_count = call->op == ADMIN_TOPIC_DELETE ? 0 : 1;
    call->queues = queues;
    call->queue_count = call->queue_total = sizeof(queues) / sizeof(queues[0]);
    call->exchanges = exchanges;
    call->exchange_count = call->exchange_total = sizeof(exchanges) / sizeof(exchanges[0]);
    call->alarm = alarm_now;
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
    group = billing;
    memset(heard, 0, sizeof(heard));
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

static void groups_are_listed_with_their_lag(void **state)
{
    const char *out = ask("GET", "/api/groups", "");
    expect_in(out, "HTTP/1.1 200 ");
    expect_in(out,
              "{\"groups\":[{\"name\":\"billing <1>\",\"state\":\"Stable\",\"protocol_type\":\"consumer\","
              "\"members\":2,\"offsets\":2,\"lag\":3}]}");
    group.protocol_type = SPAN_NULL;
    expect_in(ask("GET", "/api/groups", ""), "\"protocol_type\":null");
}

/* A position of a topic that is gone is not told: its name is not known any more. */
static void a_group_is_described_with_members_and_offsets(void **state)
{
    const char *out = ask("GET", "/api/groups/billing%20%3C1%3E", "");
    assert_string_equal(seen, "6 billing <1> -1");
    expect_in(out, "{\"name\":\"billing <1>\",\"state\":\"Stable\",\"protocol_type\":\"consumer\","
                   "\"protocol\":\"range\",\"generation\":12,\"lag\":3,\"members\":["
                   "{\"id\":\"m-1\",\"instance_id\":\"i\",\"client_id\":\"c\",\"host\":\"/127.0.0.1\"},"
                   "{\"id\":\"m-2\",\"instance_id\":null,\"client_id\":null,\"host\":\"/127.0.0.1\"}],"
                   "\"offsets\":[{\"topic\":\"orders\",\"partition\":1,\"offset\":4,\"start_offset\":0,"
                   "\"end_offset\":7,\"lag\":3,\"metadata\":\"note\"}]}");
    next_err = ERR_NO_GROUP;
    expect_in(ask("GET", "/api/groups/none", ""), "HTTP/1.1 404 ");
}

static void a_group_is_reset_to_what_the_body_says(void **state)
{
    static const char *const cases[][2] = {
        {"{\"topic\":\"orders\",\"to\":\"earliest\"}", "7 a b -1 orders -1 0 0"},
        {"{\"topic\":\"orders\",\"to\":\"latest\",\"partition\":0}", "7 a b -1 orders 0 1 0"},
        {"{\"topic\":\"x y\",\"to\":1500,\"partition\":3}", "7 a b -1 x y 3 2 1500"},
        {"{\"topic\":\"t\",\"to\":{\"time_ms\":1700000000001}}", "7 a b -1 t -1 3 1700000000001"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *out = ask("POST", "/api/groups/a%20b/reset", cases[i][0]);
        expect_in(out, "HTTP/1.1 200 ");
        expect_in(out, "\"offsets\":[");
        assert_string_equal(seen, cases[i][1]);
    }
}

static void bad_resets_never_reach_the_broker(void **state)
{
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{}",
                                         "{\"topic\":\"t\"}",
                                         "{\"to\":\"latest\"}",
                                         "{\"topic\":1,\"to\":\"latest\"}",
                                         "{\"topic\":\"t\",\"to\":\"newest\"}",
                                         "{\"topic\":\"t\",\"to\":1.5}",
                                         "{\"topic\":\"t\",\"to\":null}",
                                         "{\"topic\":\"t\",\"to\":-1}",
                                         "{\"topic\":\"t\",\"to\":{\"time_ms\":-1}}",
                                         "{\"topic\":\"t\",\"to\":{\"time_ms\":\"now\"}}",
                                         "{\"topic\":\"t\",\"to\":\"latest\",\"partition\":-1}",
                                         "{\"topic\":\"t\",\"to\":\"latest\",\"partition\":3000000000}",
                                         "{\"topic\":\"t\",\"to\":\"latest\",\"partition\":\"0\"}",
                                         "{\"topic\":\"t\",\"to\":\"latest\",\"partitions\":1}"};
    seen[0] = 0;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        expect_in(ask("POST", "/api/groups/g/reset", bodies[i]), "HTTP/1.1 400 ");
    assert_string_equal(seen, "");
}

static void a_group_with_members_is_not_deleted(void **state)
{
    const char *out = ask("DELETE", "/api/groups/g", "");
    assert_string_equal(seen, "8 g -1");
    expect_in(out, "HTTP/1.1 204 ");
    next_err = ERR_GROUP_NOT_EMPTY;
    expect_in(ask("DELETE", "/api/groups/g", ""), "HTTP/1.1 409 ");
    next_err = ERR_NO_GROUP;
    expect_in(ask("DELETE", "/api/groups/g", ""), "HTTP/1.1 404 ");
}

static void metrics_show_the_lag_of_groups(void **state)
{
    const char *out = ask("GET", "/metrics", "");
    expect_in(out,
              "\n# TYPE colobus_group_committed_offset gauge\n"
              "colobus_group_committed_offset{group=\"billing <1>\",topic=\"orders\",partition=\"1\"} 4\n");
    expect_in(out, "\n# TYPE colobus_group_lag gauge\n"
                   "colobus_group_lag{group=\"billing <1>\",topic=\"orders\",partition=\"1\"} 3\n");
    static const struct admin_offset none = {
        .topic = &orders, .partition = 0, .offset = -1, .end = 105, .lag = 105};
    group.offsets = &none;
    group.offset_count = 1;
    assert_null(strstr(ask("GET", "/metrics", ""), "colobus_group_committed_offset{"));
    group = billing;
    group.name = span_str("a\"b\\c\nd"); /* as the format wants them */
    expect_in(ask("GET", "/metrics", ""), "colobus_group_lag{group=\"a\\\"b\\\\c\\nd\",");
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

static void the_page_shows_groups(void **state)
{
    const char *out = ask("GET", "/", "");
    expect_in(out, "<h2>Consumer groups (1)</h2>");
    expect_in(out, "<a href=\"/api/groups/billing%20%3C1%3E\">billing &lt;1&gt;</a></td>"
                   "<td><span class=\"ok\">stable</span></td><td class=\"n\">2</td><td class=\"n\">2</td>"
                   "<td class=\"n\">3</td>");
    group.state = "Empty";
    expect_in(ask("GET", "/", ""), "<span class=\"soft\">no members</span>");
    group.state = "PreparingRebalance";
    expect_in(ask("GET", "/", ""), "<span class=\"degraded\">rebalancing</span>");
}

static void the_page_shows_queues(void **state)
{
    const char *out = ask("GET", "/", "");
    expect_in(out, "<h2>Queues (2)</h2><p class=\"soft\">7 messages ready, 2 unacknowledged</p>");
    expect_in(
        out,
        "<td>/</td><td><a href=\"/api/queues/%2F/mail%20%3C1%3E\">mail &lt;1&gt;</a></td><td>classic</td>");
    expect_in(out, "title=\"durable\">D</abbr><abbr class=\"mark\" title=\"messages expire\">TTL</abbr>"
                   "<abbr class=\"mark\" title=\"policy\">p&amp;q</abbr></td>");
    expect_in(out,
              "<td class=\"n\">7</td><td class=\"n\">2</td><td class=\"n\"><span class=\"degraded\">0</span>"
              "</td><td class=\"n\">12</td><td class=\"n\">5</td>");
    expect_in(out, ">jobs</a></td><td>quorum</td><td></td><td class=\"n\">0</td><td class=\"n\">0</td>"
                   "<td class=\"n\">3</td>");
}

static void the_page_shows_exchanges_with_their_bindings(void **state)
{
    const char *out = ask("GET", "/", "");
    expect_in(out, "<h2>Exchanges (2)</h2>");
    expect_in(out, "<td>shop</td><td><a href=\"/api/exchanges/shop/x%2Fy\">x/y</a></td><td>topic</td>");
    expect_in(out, "title=\"has an alternate exchange\">AE</abbr>");
    expect_in(out, "<div><code class=\"key\">a.&lt;b&gt;</code> &rarr; jobs</div><div>&rarr; exchange next "
                   "<span class=\"soft\">with arguments</span></div><div class=\"soft\">and 28 more</div>");
    expect_in(out, ">I</abbr></td><td><span class=\"soft\">none</span></td>");
}

static void the_page_tells_of_alarms(void **state)
{
    assert_null(strstr(ask("GET", "/", ""), "held back"));
    alarm_now = "low on memory";
    const char *out = ask("GET", "/", "");
    alarm_now = NULL;
    expect_in(out, "<p class=\"alarm degraded\">Publishers to queues are held back: low on memory.");
}

static void the_page_cuts_long_names_between_characters(void **state)
{
    char name[301] = "";
    for (size_t i = 0; i < 100; i++)
        strcat(name, "\u20ac"); /* three bytes each: 200 are no whole number of them */
    group.name = span_str(name);
    const char *out = ask("GET", "/", "");
    name[198] = 0;
    expect_in(out, name);
    expect_in(out, "\u20ac&hellip;</a>");
    name[198] = '\xe2';
    assert_null(strstr(out, name));
}

static const struct admin_heard channels[] = {
    {TEXT("news.<b>"), 8, TEXT("/"), 2000},
    {TEXT("a\xff\x01&"), 4, TEXT("/"), 3},
    {TEXT("n\0l"), 3, TEXT("/"), 2},
    {TEXT(""), 0, TEXT("/"), 1},
};
static const struct admin_heard patterns[] = {{TEXT("news.*"), 6, TEXT("/"), 1}};

static void listened_to(void)
{
    heard[ADMIN_CHANNELS] = (struct admin_heard_list){channels, 4, 1004, 4000};
    heard[ADMIN_PATTERNS] = (struct admin_heard_list){patterns, 1, 1, 1};
    metrics_gauge_add_at(f.shard.metrics, METRIC_SUBJECT_SUBSCRIPTIONS, 0, 4001);
    metrics_add(f.shard.metrics, METRIC_SUBJECT_PUBLISHED, 70);
    metrics_add(f.shard.metrics, METRIC_SUBJECT_DELIVERED, 90);
}

static void subscriptions_are_listed_with_names_of_any_bytes(void **state)
{
    listened_to();
    const char *out = ask("GET", "/api/subscriptions", "");
    assert_string_equal(seen, "||1000");
    expect_in(out, "{\"totals\":{\"subscriptions\":4001,\"published\":70,\"delivered\":90,\"skipped\":0,"
                   "\"late_subscribers\":0,\"slow_subscribers\":0},\"more\":1000,\"subscriptions\":["
                   "{\"name\":\"news.<b>\",\"vhost\":\"/\",\"kind\":\"channel\",\"subscriptions\":2000},"
                   "{\"name\":\"a\\\\xff\\\\x01&\",\"name_base64\":\"Yf8BJg==\",\"vhost\":\"/\","
                   "\"kind\":\"channel\",\"subscriptions\":3},"
                   "{\"name\":\"n\\\\x00l\",\"name_base64\":\"bgBs\",");
    expect_in(out, "{\"name\":\"\",\"vhost\":\"/\",\"kind\":\"channel\",\"subscriptions\":1},"
                   "{\"name\":\"news.*\",\"vhost\":\"/\",\"kind\":\"pattern\",\"subscriptions\":1}]}");
}

static void subscriptions_are_asked_for_by_the_query(void **state)
{
    expect_in(ask("GET", "/api/subscriptions?vhost=%2F&pattern=n%3F%2A&limit=10000", ""),
              "\"subscriptions\":[]}");
    assert_string_equal(seen, "/|n?*|10000");
    static const char *const bad[] = {
        "limit=0", "limit=",     "limit=10001", "limit=-1", "limit=99999999999999999999",
        "limit=x", "pattern=%zz"};
    seen[0] = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char path[80];
        snprintf(path, sizeof(path), "/api/subscriptions?%s", bad[i]);
        expect_in(ask("GET", path, ""), "HTTP/1.1 400 ");
    }
    char path[400] = "/api/subscriptions?pattern=";
    memset(path + strlen(path), '*', 256);
    expect_in(ask("GET", path, ""), "HTTP/1.1 400 ");
    assert_string_equal(seen, "");
    next_err = ERR_NOT_FOUND;
    expect_in(ask("GET", "/api/subscriptions?vhost=none", ""), "HTTP/1.1 404 ");
}

static void a_long_name_is_told_in_part(void **state)
{
    static char name[ADMIN_HEARD_BYTES + 1];
    for (size_t i = 0; i < ADMIN_HEARD_BYTES / 2; i++)
        memcpy(name + 1 + 2 * i, "\u00fc", 2); /* cut within one */
    name[0] = 'x';
    struct admin_heard one = {span_of(name, ADMIN_HEARD_BYTES), 70000, span_str("shop"), 1};
    heard[ADMIN_SHARD_CHANNELS] = (struct admin_heard_list){&one, 1, 1, 1};
    const char *out = ask("GET", "/api/subscriptions", "");
    expect_in(out, "\u00fc\",\"name_bytes\":70000,\"vhost\":\"shop\",\"kind\":\"shard-channel\"");
    assert_null(strstr(out, "name_base64"));
    out = ask("GET", "/", "");
    expect_in(out, "\u00fc&hellip;</code></div></td><td class=\"n\">1</td>");
    expect_in(out, "<th>Virtual host</th><th>Sharded channel (1)</th>");
    assert_null(strstr(out, "\\x"));
}

static void the_page_shows_what_is_listened_to(void **state)
{
    expect_in(ask("GET", "/", ""),
              "<h2>Publish and subscribe</h2><p class=\"soft\">0 subscriptions; since the start "
              "0 messages published, 0 given to subscriptions</p><p class=\"soft\">Nobody listens");
    listened_to();
    metrics_add(f.shard.metrics, METRIC_SUBJECT_SLOW, 2);
    metrics_gauge_add_at(f.shard.metrics, METRIC_SUBJECT_LATE, 0, 1);
    const char *out = ask("GET", "/", "");
    expect_in(out, "4001 subscriptions; since the start 70 messages published, 90 given to subscriptions, "
                   "<span class=\"degraded\">1 subscribers late</span>, <span class=\"degraded\">2 slow "
                   "subscribers disconnected</span></p>");
    expect_in(out, "<th>Channel (1004)</th><th class=\"n\">Subscriptions (4000)</th>");
    expect_in(out, "<code>news.&lt;b&gt;</code></div></td><td class=\"n\">2000</td>");
    expect_in(out, "</table></div><p class=\"soft\">Those with most subscriptions, and 1000 more: ");
    expect_in(out, "<code>a\\xff\\x01&amp;</code>");
    expect_in(out, "<th>Pattern (1)</th>");
    assert_null(strstr(out, "Sharded channel"));
    assert_null(strstr(out, "Nobody listens"));
    expect_in(out, "<tr><td>Redis</td>");
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
        T(the_page_shows_groups),
        T(the_page_shows_queues),
        T(the_page_shows_exchanges_with_their_bindings),
        T(the_page_tells_of_alarms),
        T(the_page_cuts_long_names_between_characters),
        T(the_page_shows_what_is_listened_to),
        T(subscriptions_are_listed_with_names_of_any_bytes),
        T(subscriptions_are_asked_for_by_the_query),
        T(a_long_name_is_told_in_part),
        T(groups_are_listed_with_their_lag),
        T(a_group_is_described_with_members_and_offsets),
        T(a_group_is_reset_to_what_the_body_says),
        T(bad_resets_never_reach_the_broker),
        T(a_group_with_members_is_not_deleted),
        T(metrics_show_the_lag_of_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
