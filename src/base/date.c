#include "base/date.h"

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
