#include "base/date.h"

#include <stdbool.h>

enum { DAYS_TO_10000 = 2932897, DAY_MS = 86400000 };

/* After H. Hinnant's "chrono-compatible low-level date algorithms": the year begins in March, so that leap
 * days come last, and 400 years are one era. */
struct date date_of(int64_t unix_ms)
{
    int64_t last = (int64_t)DAYS_TO_10000 * DAY_MS - 1;
    int64_t ms = unix_ms < 0 ? 0 : unix_ms > last ? last : unix_ms;
    int64_t days = ms / DAY_MS + 719468, era = days / 146097, doe = days % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), march_month = (5 * doy + 2) / 153;
    int rest = (int)(ms % DAY_MS);
    struct date d = {
        .ms = rest % 1000, .second = rest / 1000 % 60, .minute = rest / 60000 % 60, .hour = rest / 3600000};
    d.day = (int)(doy - (153 * march_month + 2) / 5 + 1);
    d.month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
    d.year = (int)(yoe + era * 400 + (d.month <= 2));
    d.weekday = (int)((ms / DAY_MS + 4) % 7);
    return d;
}

static int64_t days_to(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = y / 400, yoe = y % 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

int64_t date_to_ms(const struct date *d)
{
    if (d->year < 1970 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1 || d->day > 31)
        return -1;
    int64_t ms = ((days_to(d->year, d->month, d->day) * 24 + d->hour) * 60 + d->minute) * 60000 +
                 d->second * 1000 + d->ms;
    struct date is = date_of(ms); /* what does not come back was none, as 30 February or 25 o'clock */
    bool same = is.day == d->day && is.month == d->month && is.hour == d->hour && is.minute == d->minute &&
                is.second == d->second && is.ms == d->ms;
    return same ? ms : -1;
}
