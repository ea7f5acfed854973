/* CRC-32C: known values, and the definition bit by bit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc32c.h"

#include <string.h>

static void vectors_of_rfc_3720_hold(void **state)
{
    uint8_t b[32];
    memset(b, 0, 32);
    assert_int_equal(crc32c(b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(crc32c(b, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(crc32c(b, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(b, 32), 0x113fdb5c);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

static uint32_t bit_by_bit(const uint8_t *p, size_t len)
{
    uint32_t crc = ~0u;
    while (len--) {
        crc ^= *p++;
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void every_length_and_alignment_agrees_with_the_definition(void **state)
{
    uint8_t b[300];
    for (int i = 0; i < 300; i++)
        b[i] = (uint8_t)(i * 31 + i / 7);
    for (size_t at = 0; at < 16; at++)
        for (size_t len = 0; len < 280; len++)
            assert_int_equal(crc32c(b + at, len), bit_by_bit(b + at, len));
}

static void a_checksum_can_be_continued_at_any_place(void **state)
{
    const char *text = "the quick brown fox jumps over the lazy dog";
    size_t len = strlen(text);
    for (size_t at = 0; at <= len; at++)
        assert_int_equal(crc32c_more(crc32c(text, at), text + at, len - at), crc32c(text, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_rfc_3720_hold),
        cmocka_unit_test(every_length_and_alignment_agrees_with_the_definition),
        cmocka_unit_test(a_checksum_can_be_continued_at_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
