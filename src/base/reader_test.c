/* The sticky-error reader: numbers, limits of varints, and the first error stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/reader.h"

#include "base/err.h"

static struct reader over(const void *bytes, size_t len)
{
    struct reader r;
    reader_init(&r, span_of(bytes, len), NULL);
    return r;
}
#define OVER(literal) over(literal, sizeof(literal) - 1)

static void numbers_are_big_endian(void **state)
{
    struct reader r = OVER("\xfe\xff\xfe\x12\x34\xff\xff\xff\xfd\x12\x34\x56\x78"
                           "\xff\xff\xff\xff\xff\xff\xff\xfc\x3f\xf8\0\0\0\0\0\0\2\0xy");
    assert_int_equal(read_i8(&r), -2);
    assert_int_equal(read_i16(&r), -2);
    assert_int_equal(read_u16(&r), 0x1234);
    assert_int_equal(read_i32(&r), -3);
    assert_int_equal(read_u32(&r), 0x12345678);
    assert_int_equal(read_i64(&r), -4);
    assert_true(read_f64(&r) == 1.5);
    assert_true(read_bool(&r));
    assert_false(read_bool(&r));
    assert_true(span_eq_str(read_bytes(&r, 2), "xy"));
    assert_int_equal(r.err, 0);
    assert_int_equal(reader_left(&r), 0);
}

static void the_first_error_sticks_and_stops_everything(void **state)
{
    struct reader r = OVER("\1\2\3\4\5\6");
    assert_int_equal(read_i64(&r), 0);
    assert_int_equal(r.err, ERR_INVALID);
    const char *what = r.what;
    assert_non_null(what);
    assert_int_equal(read_i8(&r), 0); /* though there are bytes */
    assert_true(span_is_null(read_bytes(&r, 1)));
    reader_fail(&r, ERR_LIMIT, "later");
    assert_int_equal(r.err, ERR_INVALID);
    assert_ptr_equal(r.what, what);
}

static void varints_reach_their_extremes(void **state)
{
    struct reader r = OVER("\xff\xff\xff\xff\x0f"
                           "\xff\xff\xff\xff\x0f"
                           "\xfe\xff\xff\xff\x0f"
                           "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                           "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                           "\x80\x00\x01\x02");
    assert_true(read_uvarint(&r) == UINT32_MAX);
    assert_int_equal(read_varint(&r), INT32_MIN);
    assert_int_equal(read_varint(&r), INT32_MAX);
    assert_true(read_varlong(&r) == INT64_MIN);
    assert_true(read_varlong(&r) == INT64_MAX);
    assert_int_equal(read_uvarint(&r), 0); /* longer than needed, but allowed */
    assert_int_equal(read_varint(&r), -1);
    assert_int_equal(read_varlong(&r), 1);
    assert_int_equal(r.err, 0);
}

static void varints_with_too_many_bits_are_refused(void **state)
{
    struct reader r = OVER("\xff\xff\xff\xff\x10");
    assert_int_equal(read_uvarint(&r), 0);
    assert_int_equal(r.err, ERR_INVALID);
    r = OVER("\x80\x80\x80\x80\x80\x01");
    read_varint(&r);
    assert_int_equal(r.err, ERR_INVALID);
    r = OVER("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    read_varlong(&r);
    assert_int_equal(r.err, ERR_INVALID);
    r = OVER("\x80\x80");
    read_varlong(&r);
    assert_int_equal(r.err, ERR_INVALID);
}

static void a_length_from_a_peer_cannot_reach_beyond_the_end(void **state)
{
    struct reader r = OVER("abc");
    assert_true(span_is_null(read_bytes(&r, SIZE_MAX)));
    assert_int_equal(r.err, ERR_INVALID);
    r = OVER("abc");
    assert_int_equal(read_bytes(&r, 3).len, 3);
    assert_int_equal(read_bytes(&r, 0).len, 0);
    assert_int_equal(r.err, 0);
    reader_init(&r, SPAN_NULL, NULL);
    assert_int_equal(reader_left(&r), 0);
    read_i8(&r);
    assert_int_equal(r.err, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(the_first_error_sticks_and_stops_everything),
        cmocka_unit_test(varints_reach_their_extremes),
        cmocka_unit_test(varints_with_too_many_bits_are_refused),
        cmocka_unit_test(a_length_from_a_peer_cannot_reach_beyond_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
