/* Civil dates: known ones, every day from 1970 to 9999 there and back, and none that is not. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/date.h"

enum { DAY_MS = 86400000 };
static const int64_t last_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */

static int64_t ms_of(int year, int month, int day, int hour, int minute, int second)
{
    struct date d = {
        .year = year, .month = month, .day = day, .hour = hour, .minute = minute, .second = second};
    return date_to_ms(&d);
}

/* From `date -u -d ... +%s`. */
static void known_dates_have_their_time(void **state)
{
    assert_int_equal(ms_of(1970, 1, 1, 0, 0, 0), 0);
    assert_int_equal(ms_of(2000, 2, 29, 12, 0, 0), 951825600000);
    assert_int_equal(ms_of(2001, 9, 9, 1, 46, 40), 1000000000000);
    assert_int_equal(ms_of(2038, 1, 19, 3, 14, 8), 2147483648000);
    assert_int_equal(ms_of(2026, 11, 21, 10, 0, 0), 1795255200000);
    assert_int_equal(ms_of(9999, 12, 31, 23, 59, 59), last_ms - 999);
}

static void known_times_have_their_date(void **state)
{
    struct date d = date_of(951825600007);
    assert_int_equal(d.year * 10000 + d.month * 100 + d.day, 20000229);
    assert_int_equal(d.hour * 10000 + d.minute * 100 + d.second, 120000);
    assert_int_equal(d.ms, 7);
    assert_int_equal(d.weekday, 2);                /* a Tuesday */
    assert_int_equal(date_of(0).weekday, 4);       /* a Thursday */
    assert_int_equal(date_of(last_ms).weekday, 5); /* a Friday */
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Counts the calendar up one by one, which is slower than the formula and plainer. */
static void every_day_comes_and_goes(void **state)
{
    int64_t ms = 0;
    for (int year = 1970; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= days_in(year, month); day++, ms += DAY_MS) {
                struct date d = date_of(ms + DAY_MS - 1);
                if (d.year != year || d.month != month || d.day != day || d.hour != 23 || d.ms != 999 ||
                    d.weekday != (ms / DAY_MS + 4) % 7 || date_to_ms(&d) != ms + DAY_MS - 1)
                    fail_msg("%d-%d-%d", year, month, day);
            }
    assert_int_equal(ms - 1, last_ms);
}

static void days_that_no_month_has_are_none(void **state)
{
    for (int year = 1970; year <= 9999; year += 1)
        for (int month = 1; month <= 12; month++)
            if (ms_of(year, month, days_in(year, month) + 1, 0, 0, 0) != -1)
                fail_msg("%d-%d", year, month);
    assert_int_equal(ms_of(2100, 2, 29, 0, 0, 0), -1); /* no leap year */
    assert_int_equal(ms_of(2000, 2, 30, 0, 0, 0), -1);
    assert_int_equal(ms_of(2026, 1, 0, 0, 0, 0), -1);
    assert_int_equal(ms_of(2026, 0, 1, 0, 0, 0), -1);
    assert_int_equal(ms_of(2026, 13, 1, 0, 0, 0), -1);
    assert_int_equal(ms_of(2026, 1, -1, 0, 0, 0), -1);
}

static void times_of_day_that_no_day_has_are_none(void **state)
{
    struct date d = {.year = 2026, .month = 1, .day = 1, .ms = 1000};
    assert_int_equal(date_to_ms(&d), -1);
    d.ms = -1;
    assert_int_equal(date_to_ms(&d), -1);
    assert_int_equal(ms_of(2026, 1, 1, 24, 0, 0), -1);
    assert_int_equal(ms_of(2026, 1, 1, -1, 0, 0), -1);
    assert_int_equal(ms_of(2026, 1, 1, 0, 60, 0), -1);
    assert_int_equal(ms_of(2026, 1, 1, 0, 0, 60), -1); /* nor a leap second: Unix time has none */
    assert_int_equal(ms_of(2026, 1, 1, 0, 0, -1), -1);
    assert_int_equal(ms_of(9999, 12, 31, 24, 0, 0), -1);
}

static void years_outside_are_brought_inside_or_refused(void **state)
{
    assert_int_equal(ms_of(1969, 12, 31, 23, 59, 59), -1);
    assert_int_equal(ms_of(10000, 1, 1, 0, 0, 0), -1);
    assert_int_equal(ms_of(0, 1, 1, 0, 0, 0), -1);
    struct date low = date_of(INT64_MIN), high = date_of(INT64_MAX);
    assert_int_equal(date_to_ms(&low), 0);
    assert_int_equal(date_to_ms(&high), last_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_dates_have_their_time),
        cmocka_unit_test(known_times_have_their_date),
        cmocka_unit_test(every_day_comes_and_goes),
        cmocka_unit_test(days_that_no_month_has_are_none),
        cmocka_unit_test(times_of_day_that_no_day_has_are_none),
        cmocka_unit_test(years_outside_are_brought_inside_or_refused),
    };
    return cmocka_run_group_tests_name("base_date", tests, NULL, NULL);
}
