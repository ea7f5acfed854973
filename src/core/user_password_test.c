/* Passwords: RabbitMQ's hashes are understood, ours are slow, and neither gives the password away. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "core/user_password.h"

#define SHA256 "rabbit_password_hashing_sha256"

/* The example of RabbitMQ's documentation ("Password and Authentication": test12, salt 908D C60A). */
static void the_hash_of_rabbitmqs_manual_is_understood(void **state)
{
    struct password p;
    char text[PASSWORD_TEXT_BYTES];
    static const char hash[] = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    assert_int_equal(password_parse(span_str(SHA256), span_str(hash), &p), 0);
    assert_true(password_matches(&p, span_str("test12")));
    assert_false(password_matches(&p, span_str("test13")));
    assert_false(password_matches(&p, span_str("")));
    password_text(&p, text);
    assert_string_equal(text, hash);
    assert_string_equal(password_algorithm_name(&p), SHA256);
}

static void our_own_goes_through_text_and_back(void **state)
{
    struct password p, again;
    char text[PASSWORD_TEXT_BYTES];
    password_make(span_str("secret"), (const uint8_t *)"0123456789abcdef", &p);
    password_text(&p, text);
    assert_int_equal(password_parse(span_str(password_algorithm_name(&p)), span_str(text), &again), 0);
    assert_true(password_matches(&again, span_str("secret")));
    assert_false(password_matches(&again, span_str("Secret")));
}

static void nobody_logs_in_without_a_password(void **state)
{
    struct password p;
    assert_int_equal(password_parse(span_str(SHA256), span_str(""), &p), 0);
    assert_int_equal(p.algorithm, PASSWORD_NONE);
    assert_false(password_matches(&p, span_str("")));
    assert_false(password_matches(NULL, span_str("guest")));
}

static void what_is_no_hash_is_refused(void **state)
{
    struct password p;
    assert_int_equal(password_parse(span_str(SHA256), span_str("Zm9v"), &p), ERR_INVALID);
    assert_int_equal(password_parse(span_str(SHA256), span_str("???"), &p), ERR_INVALID);
    assert_int_equal(password_parse(span_str("plain"), span_str("Zm9v"), &p), ERR_INVALID);
    password_make(span_str("x"), (const uint8_t *)"0123456789abcdef", &p);
    memset(p.bytes, 0xff, 4); /* four thousand million rounds */
    assert_false(password_is_valid(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_of_rabbitmqs_manual_is_understood),
        cmocka_unit_test(our_own_goes_through_text_and_back),
        cmocka_unit_test(nobody_logs_in_without_a_password),
        cmocka_unit_test(what_is_no_hash_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
