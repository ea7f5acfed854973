/* Civil dates, in UTC, of points in time. */
#ifndef COLOBUS_BASE_DATE_H
#define COLOBUS_BASE_DATE_H

#include <stdint.h>

struct date {
    int year, month, day; /* month and day from 1 */
    int hour, minute, second, ms;
    int weekday; /* 0: Sunday */
};

/* Of Unix time in milliseconds; what lies outside 1970 to 9999 is brought inside. */
struct date date_of(int64_t unix_ms);
/* The reverse; the weekday is ignored. -1: there is no such date between 1970 and 9999. */
int64_t date_to_ms(const struct date *d);

#endif
