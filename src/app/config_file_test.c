#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "app/config_describe.h"
#include "app/config_file.h"
#include "base/err.h"
#include "base/mem.h"

static struct config cfg;
static struct config_error why;

static int fresh(void **state)
{
    config_init(&cfg);
    memset(&why, 0, sizeof(why));
    return 0;
}

static int parse(const char *text)
{
    return config_file_parse(&cfg, "c.ini", span_str(text), &why);
}

static void sections_are_prefixes_of_keys(void **state)
{
    assert_int_equal(
        parse("; a comment\n# another\nshards = 3\n\n[kafka]\nlisten=127.0.0.1:1\nmax-topics = 7 ; few\n"
              "timestamp.after-max = 2h\r\n[http]\nkafka.broker.id = 1\n"),
        ERR_NOT_FOUND);
    fresh(NULL);
    assert_int_equal(
        parse("; a comment\n# another\nshards = 3\n\n[kafka]\nlisten=127.0.0.1:1\nmax-topics = 7 ; few\n"
              "timestamp.after-max = 2h\r\n"),
        0);
    assert_int_equal(cfg.shards, 3);
    assert_string_equal(cfg.kafka_listen.items[0].address, "127.0.0.1:1");
    assert_int_equal(cfg.kafka_max_topics, 7);
    assert_int_equal(cfg.kafka_timestamp_after_max_ms, 7200000);
    assert_int_equal(cfg.source[SETTING_kafka_max_topics], CONFIG_FILE);
}

static void keys_may_be_written_in_full(void **state)
{
    assert_int_equal(parse("kafka.max-topics=7\n[http]\njournal.file-bytes=2MiB\ntimeout=3s"), 0);
    assert_int_equal(cfg.kafka_max_topics, 7);
    assert_int_equal(cfg.journal_file_bytes, 2 << 20);
    assert_int_equal(cfg.http_timeout_ms, 3000);
}

static void a_fault_names_file_line_key_and_reason(void **state)
{
    assert_int_equal(parse("\n[kafka]\nlisten = 127.0.0.1:1\nmax-topic = 3\nx = 1\n"), ERR_NOT_FOUND);
    assert_string_equal(why.text,
                        "c.ini:4: unknown setting \"kafka.max-topic\"; did you mean kafka.max-topics?");
    assert_int_equal(parse("shards = lots\n"), ERR_INVALID);
    assert_string_equal(why.text, "c.ini:1: shards: \"lots\" is not a number or auto");
    assert_int_equal(parse("shards = 1\nnonsense\n"), ERR_INVALID);
    assert_string_equal(why.text, "c.ini:2: neither [section] nor key = value");
    assert_int_equal(parse("[kafka\n"), ERR_INVALID);
}

static void long_lines_are_an_error_and_never_cut(void **state)
{
    char text[CONFIG_LINE_BYTES + 64] = "data-dir = ";
    memset(text + 11, 'd', 1000);
    strcpy(text + 1011, "\n");
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(cfg.data_dir), 1000);
    memset(text + 11, 'd', CONFIG_LINE_BYTES);
    strcpy(text + 11 + CONFIG_LINE_BYTES, "\n");
    assert_int_equal(parse(text), ERR_INVALID);
    assert_string_equal(why.text, "c.ini:1: the line is too long");
}

static void a_nul_byte_is_an_error(void **state)
{
    assert_int_equal(config_file_parse(&cfg, "c.ini", span_of("shards = 1\0\n", 12), &why), ERR_INVALID);
}

static void what_is_printed_reads_back(void **state)
{
    struct text out = {0};
    struct config again;
    assert_int_equal(parse("[kafka]\nlisten=a=127.0.0.1:1,b=[::1]:2\nadvertised=b=host:3\nmax-topics=9\n"),
                     0);
    config_print_values(&cfg, &out);
    config_init(&again);
    assert_int_equal(config_file_parse(&again, "printed", text_span(&out), &why), 0);
    assert_memory_equal(&again, &cfg, sizeof(cfg));
    text_free(&out);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    assert_int_equal(config_file_load(&cfg, "/nonexistent/c.ini", &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "/nonexistent/c.ini: not found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sections_are_prefixes_of_keys, fresh),
        cmocka_unit_test_setup(keys_may_be_written_in_full, fresh),
        cmocka_unit_test_setup(a_fault_names_file_line_key_and_reason, fresh),
        cmocka_unit_test_setup(long_lines_are_an_error_and_never_cut, fresh),
        cmocka_unit_test_setup(a_nul_byte_is_an_error, fresh),
        cmocka_unit_test_setup(what_is_printed_reads_back, fresh),
        cmocka_unit_test_setup(a_file_that_is_not_there_is_named, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
