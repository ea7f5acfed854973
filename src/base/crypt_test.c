/* Digests and slow hashes against published test vectors, and base64 against RFC 4648. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/crypt.h"
#include "base/err.h"

static const char *hex(const uint8_t *bytes, size_t len)
{
    static char text[2 * CRYPT_DIGEST_MAX + 1];
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

static void digests_are_of_both_parts_together(void **state)
{
    uint8_t d[CRYPT_DIGEST_MAX];
    assert_int_equal(crypt_digest(CRYPT_SHA256, span_str("a"), span_str("bc"), d), 0);
    assert_string_equal(hex(d, 32), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(crypt_digest(CRYPT_MD5, span_str("abc"), SPAN_NULL, d), 0);
    assert_string_equal(hex(d, 16), "900150983cd24fb0d6963f7d28e17f72");
}

static void pbkdf2_is_that_of_rfc_7914(void **state)
{
    uint8_t key[32];
    crypt_pbkdf2_sha256(span_str("passwd"), span_str("salt"), 1, key);
    assert_string_equal(hex(key, 32), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
    crypt_pbkdf2_sha256(span_str("Password"), span_str("NaCl"), 80000, key);
    assert_string_equal(hex(key, 32), "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void hmac_is_that_of_rfc_4231(void **state)
{
    uint8_t mac[32];
    crypt_hmac_sha256(span_str("Jefe"), span_str("what do ya want for nothing?"), mac);
    assert_string_equal(hex(mac, 32), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static void base64_goes_there_and_back(void **state)
{
    static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}};
    for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char text[16];
        uint8_t bytes[8];
        base64_write(span_str(pairs[i][0]), text);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(base64_read(span_str(text), bytes, sizeof(bytes)), strlen(pairs[i][0]));
        assert_memory_equal(bytes, pairs[i][0], strlen(pairs[i][0]));
    }
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const bad[] = {"Zg=", "Z===", "====", "Zm9v!A==", "Zg==Zm9v", "Zm 9"};
    uint8_t bytes[16];
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(base64_read(span_str(bad[i]), bytes, sizeof(bytes)), ERR_INVALID);
    assert_int_equal(base64_read(span_str("Zm9vYg=="), bytes, 3), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_of_both_parts_together), cmocka_unit_test(pbkdf2_is_that_of_rfc_7914),
        cmocka_unit_test(hmac_is_that_of_rfc_4231),           cmocka_unit_test(base64_goes_there_and_back),
        cmocka_unit_test(what_is_not_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
