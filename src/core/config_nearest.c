#include "core/config.h"

enum { WORD_MAX = 64 };

/* Levenshtein's distance, one row at a time. Both words are at most WORD_MAX long. */
static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= bn; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= an; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= bn; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[bn];
}

/* "listen" for "kafka.listen", "max-bytes" for "journal.max-bytes": the last part of a dotted key. */
static bool is_tail(const char *word, size_t wn, const char *key, size_t kn)
{
    return wn >= 4 && kn > wn && key[kn - wn - 1] == '.' && memcmp(key + kn - wn, word, wn) == 0;
}

const char *config_nearest(const char *word, const char *(*candidate)(size_t i), size_t count)
{
    size_t wn = strlen(word);
    if (wn == 0 || wn > WORD_MAX)
        return NULL;
    unsigned limit = wn < 6 ? 2 : (unsigned)wn / 3, best = limit + 1;
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *c = candidate(i);
        size_t cn = strlen(c);
        if (cn > WORD_MAX)
            continue;
        unsigned d = is_tail(word, wn, c, cn) ? 1 : distance(word, wn, c, cn);
        if (d < best && d < cn) {
            best = d;
            found = c;
        }
    }
    return found;
}
