#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/say.h"
#include "core/config.h"

static struct config cfg;
static struct config_error why;

static int fresh(void **state)
{
    config_init(&cfg);
    memset(&why, 0, sizeof(why));
    return 0;
}

static int set(const char *key, const char *value)
{
    return config_set(&cfg, key, value, CONFIG_COMMAND_LINE, &why);
}

static void defaults_agree_with_each_other(void **state)
{
    assert_int_equal(config_check(&cfg, &why), 0);
    assert_string_equal(cfg.kafka_listen.items[0].address, "127.0.0.1:9092");
    assert_string_equal(cfg.kafka_listen.items[0].name, "kafka");
    assert_int_equal(cfg.durability, CONFIG_FSYNC);
    assert_int_equal(cfg.log_level, SAY_INFO);
    assert_int_equal(cfg.shards, 0);
}

static void every_row_is_within_its_own_limits_and_reads_back(void **state)
{
    char text[8192];
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &config_settings[i];
        config_format(&cfg, s, text, sizeof(text));
        assert_int_equal(set(s->key, text), 0);
        assert_true(strlen(s->help) > 20 && s->help[strlen(s->help) - 1] == '.');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(s->key, config_settings[k].key);
    }
}

static void sizes_take_binary_and_decimal_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"65536", 65536}, {"64KiB", 65536},     {"64k", 65536},        {"1MiB", 1 << 20},
                 {"1G", 1 << 30},  {"100MB", 100000000}, {"1024 KiB", 1 << 20}, {"2147483647", 2147483647}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set("segment.bytes", cases[i].text), 0);
        assert_int_equal(cfg.segment_bytes, cases[i].bytes);
    }
}

static void durations_are_kept_in_milliseconds(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {{"1500", 1500},    {"100ms", 100},  {"5s", 5000},
                 {"10min", 600000}, {"10m", 600000}, {"1h", 3600000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set("http.timeout", cases[i].text), 0);
        assert_int_equal(cfg.http_timeout_ms, cases[i].ms);
    }
    assert_int_equal(set("kafka.timestamp.before-max", "unlimited"), 0);
    assert_int_equal(cfg.kafka_timestamp_before_max_ms, INT64_MAX);
}

static void bad_values_name_the_key_and_the_reason_and_change_nothing(void **state)
{
    static const char *const cases[][3] = {
        {"segment.bytes", "", "is not a size"},
        {"segment.bytes", "1 parsec", "is not a size"},
        {"segment.bytes", "-1", "is not a size"},
        {"segment.bytes", "99999999999999999999", "is not a size"},
        {"segment.bytes", "99999999T", "is not a size"},
        {"segment.bytes", "1K", "must be at least 64KiB"},
        {"segment.bytes", "3GiB", "must be at most 2147483647"},
        {"http.timeout", "5 bells", "is not a duration"},
        {"http.timeout", "unlimited", "is not a duration"},
        {"shards", "65", "must be at most 64"},
        {"shards", "many", "is not a number or auto"},
        {"durability", "maybe", "is not one of fsync|os"},
        {"durability", "fsync|os", "is not one of fsync|os"},
        {"kafka.auto-create-topics", "2", "neither true nor false"},
        {"data-dir", "", "must not be empty"},
        {"data-dir", "a\nb", "control character"},
        {"data-dir", "a;b", "begins a comment"},
        {"kafka.listen", "", "is not host:port"},
        {"kafka.listen", "localhost", "has no port"},
        {"kafka.listen", "localhost:65536", "has no valid port"},
        {"kafka.listen", "::1:9092", "is not host:port"},
        {"kafka.listen", "a=localhost:1,a=localhost:2", "two listeners called a"},
        {"kafka.listen", "a b=localhost:1", "is not a listener's name"},
        {"kafka.listen", "localhost:1,", "is not host:port"},
        {"kafka.listen", "tls://", "is not host:port"},
        {"kafka.listen", "tls:localhost:1", "is not host:port"},
        {"kafka.listen", "ssl://localhost:1", "is not host:port"},
        {"kafka.advertised", "tls://localhost:1", "takes no tls://"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config before = cfg;
        assert_int_equal(set(cases[i][0], cases[i][1]), ERR_INVALID);
        if (!strstr(why.text, cases[i][2]) || strncmp(why.text, cases[i][0], strlen(cases[i][0])))
            fail_msg("%s=%s says: %s", cases[i][0], cases[i][1], why.text);
        assert_memory_equal(&before, &cfg, sizeof(cfg));
    }
}

static void an_unknown_key_is_told_its_nearest_neighbour(void **state)
{
    static const char *const cases[][2] = {{"kafka.lisen", "kafka.listen"},
                                           {"durabilty", "durability"},
                                           {"data_dir", "data-dir"},
                                           {"shard", "shards"},
                                           {"kafka.max-message-size", "kafka.max-message-bytes"},
                                           {"idle-timeout", "kafka.idle-timeout"}};
    char want[128];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set(cases[i][0], "1"), ERR_NOT_FOUND);
        snprintf(want, sizeof(want), "did you mean %s?", cases[i][1]);
        if (!strstr(why.text, want))
            fail_msg("%s says: %s", cases[i][0], why.text);
    }
    assert_int_equal(set("zzzzzzzzzzzzzzzz", "1"), ERR_NOT_FOUND);
    assert_null(strstr(why.text, "did you mean"));
}

static void several_listeners_have_names_and_their_own_advertised_addresses(void **state)
{
    assert_int_equal(set("kafka.listen", "127.0.0.1:9092, docker=0.0.0.0:9093,v6=[::1]:9094"), 0);
    assert_int_equal(set("kafka.advertised", "docker=broker.example:19093,v6=[fe80::1]"), 0);
    assert_int_equal(config_check(&cfg, &why), 0);
    assert_int_equal(cfg.kafka_listen.count, 3);
    assert_string_equal(cfg.kafka_listen.items[2].address, "[::1]:9094");
    assert_null(config_advert_of(&cfg, "kafka"));
    assert_string_equal(config_advert_of(&cfg, "docker")->host, "broker.example");
    assert_int_equal(config_advert_of(&cfg, "docker")->port, 19093);
    assert_string_equal(config_advert_of(&cfg, "v6")->host, "fe80::1");
    assert_int_equal(config_advert_of(&cfg, "v6")->port, 0);
}

static void an_unnamed_advertised_address_belongs_to_the_only_listener(void **state)
{
    assert_int_equal(set("kafka.advertised", "broker:9092"), 0);
    assert_int_equal(config_check(&cfg, &why), 0);
    assert_string_equal(config_advert_of(&cfg, "kafka")->host, "broker");
    assert_int_equal(set("kafka.listen", "127.0.0.1:1,127.0.0.1:2"), 0);
    assert_int_equal(set("kafka.advertised", "broker:9092"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_int_equal(set("kafka.advertised", "nobody=broker:9092"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_int_equal(set("kafka.advertised", "kafka=0.0.0.0:9092"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "clients cannot connect to 0.0.0.0"));
}

static void the_name_of_a_single_listener_is_shown_if_it_has_one(void **state)
{
    char text[64];
    assert_int_equal(set("kafka.listen", "docker=0.0.0.0:9092"), 0);
    config_format(&cfg, config_find("kafka.listen"), text, sizeof(text));
    assert_string_equal(text, "docker=0.0.0.0:9092");
}

static void a_tls_listener_keeps_its_name_and_needs_a_certificate(void **state)
{
    char text[128];
    assert_int_equal(set("kafka.listen", "127.0.0.1:9092,tls://127.0.0.1:9093,out=tls://[::1]:9094"), 0);
    assert_false(cfg.kafka_listen.items[0].tls);
    assert_true(cfg.kafka_listen.items[1].tls);
    assert_string_equal(cfg.kafka_listen.items[1].address, "127.0.0.1:9093");
    assert_string_equal(cfg.kafka_listen.items[2].name, "out");
    config_format(&cfg, config_find("kafka.listen"), text, sizeof(text));
    assert_string_equal(text, "127.0.0.1:9092,tls://127.0.0.1:9093,out=tls://[::1]:9094");
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_string_equal(why.text, "kafka.listen: a tls:// address needs tls.certificate and tls.key");
    assert_int_equal(set("tls.certificate", "cert.pem"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_int_equal(set("tls.key", "key.pem"), 0);
    assert_int_equal(config_check(&cfg, &why), 0);
    assert_int_equal(set("tls.verify-client", "request"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_string_equal(why.text, "tls.verify-client needs tls.ca");
    assert_int_equal(set("tls.ca", "ca.pem"), 0);
    assert_int_equal(config_check(&cfg, &why), 0);
}

static void off_means_no_listener(void **state)
{
    char text[64];
    assert_int_equal(set("http.listen", "off"), 0);
    assert_int_equal(cfg.http_listen.count, 0);
    config_format(&cfg, config_find("http.listen"), text, sizeof(text));
    assert_string_equal(text, "off");
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    assert_int_equal(set("kafka.max-message-bytes", "64MiB"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_string_equal(why.text,
                        "kafka.max-message-bytes (64MiB) must not be larger than kafka.max-request-bytes "
                        "(32MiB)");
    fresh(NULL);
    assert_int_equal(set("journal.max-bytes", "64MiB"), 0);
    assert_int_equal(config_check(&cfg, &why), ERR_INVALID);
    assert_string_equal(
        why.text, "journal.file-bytes (64MiB) must not be larger than 1/2 of journal.max-bytes (64MiB)");
}

static void a_pair_is_split_at_its_first_equals_sign(void **state)
{
    assert_int_equal(config_set_pair(&cfg, "kafka.listen=a=localhost:1", CONFIG_COMMAND_LINE, &why), 0);
    assert_string_equal(cfg.kafka_listen.items[0].name, "a");
    assert_int_equal(cfg.source[SETTING_kafka_listen], CONFIG_COMMAND_LINE);
    assert_int_equal(config_set_pair(&cfg, "kafka.listen", CONFIG_COMMAND_LINE, &why), ERR_INVALID);
    assert_string_equal(why.text, "\"kafka.listen\" is not key=value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_agree_with_each_other, fresh),
        cmocka_unit_test_setup(every_row_is_within_its_own_limits_and_reads_back, fresh),
        cmocka_unit_test_setup(sizes_take_binary_and_decimal_units, fresh),
        cmocka_unit_test_setup(durations_are_kept_in_milliseconds, fresh),
        cmocka_unit_test_setup(bad_values_name_the_key_and_the_reason_and_change_nothing, fresh),
        cmocka_unit_test_setup(an_unknown_key_is_told_its_nearest_neighbour, fresh),
        cmocka_unit_test_setup(several_listeners_have_names_and_their_own_advertised_addresses, fresh),
        cmocka_unit_test_setup(an_unnamed_advertised_address_belongs_to_the_only_listener, fresh),
        cmocka_unit_test_setup(the_name_of_a_single_listener_is_shown_if_it_has_one, fresh),
        cmocka_unit_test_setup(a_tls_listener_keeps_its_name_and_needs_a_certificate, fresh),
        cmocka_unit_test_setup(off_means_no_listener, fresh),
        cmocka_unit_test_setup(settings_that_contradict_each_other_are_refused, fresh),
        cmocka_unit_test_setup(a_pair_is_split_at_its_first_equals_sign, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
