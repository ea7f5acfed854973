/* Every element of a pattern but `*` takes exactly one byte of the text. So nothing is gained by giving an
 * earlier star more once a later one was reached: only the last star is ever tried again, one byte further,
 * and each of those attempts goes through the pattern at most once.
 *
 * What is odd is Redis's (util.c: stringmatchlen, 7.0), kept because patterns are its: an empty text matches
 * the empty pattern only, not `*`; a class without its end goes to the pattern's end, so `[^` is any byte; a
 * range may be written from its end, and takes the byte behind `-` whatever it is, `]` too; bytes of ranges
 * are compared as signed; letters behind a `\` in a class are not the same in either case; ends of a range
 * are put in order before they are made lower case; a `\` at the very end means itself. Redis gives up on
 * patterns with more than 1000 stars, this doesn't. But a match takes a bounded number of steps for each byte
 * of the text: a pattern that needs more, as `*aaa...ab` does for a long run of the letter, matches nothing.
 */
#include "core/glob.h"

/* Of a match; a step is a byte of the pattern. Patterns that are not made to be slow take a few for each byte
 * of the text. */
enum { STEPS = 64 << 10, STEPS_PER_BYTE = 8 };

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

static bool same(uint8_t a, uint8_t b, bool nocase)
{
    return a == b || (nocase && lower(a) == lower(b));
}

static bool in_range(uint8_t from, uint8_t to, uint8_t byte, bool nocase)
{
    int a = (int8_t)from, b = (int8_t)to, c = (int8_t)byte;
    int low = a < b ? a : b, high = a < b ? b : a;
    return nocase ? lower(c) >= lower(low) && lower(c) <= lower(high) : c >= low && c <= high;
}

/* `at` is behind the `[`. Returns where the pattern goes on. */
static size_t match_class(struct span p, size_t at, uint8_t c, bool nocase, bool *ret_match)
{
    bool negated = at < p.len && p.ptr[at] == '^', found = false;
    for (at += negated; at < p.len && p.ptr[at] != ']'; at++) {
        size_t left = p.len - at;
        if (left >= 2 && p.ptr[at] == '\\') {
            found |= p.ptr[++at] == c;
        } else if (left >= 3 && p.ptr[at + 1] == '-') {
            found |= in_range(p.ptr[at], p.ptr[at + 2], c, nocase);
            at += 2;
        } else {
            found |= same(p.ptr[at], c, nocase);
        }
    }
    *ret_match = found != negated;
    return at < p.len ? at + 1 : p.len;
}

/* The element at `at`, which is no star, against one byte. Returns where the pattern goes on. */
static size_t match_one(struct span p, size_t at, uint8_t c, bool nocase, bool *ret_match)
{
    switch (p.ptr[at]) {
    case '?':
        *ret_match = true;
        return at + 1;
    case '[':
        return match_class(p, at + 1, c, nocase, ret_match);
    case '\\':
        at += at + 1 < p.len;
        break;
    default:
        break;
    }
    *ret_match = same(p.ptr[at], c, nocase);
    return at + 1;
}

static size_t skip_stars(struct span p, size_t at)
{
    while (at < p.len && p.ptr[at] == '*')
        at++;
    return at;
}

bool glob_match(struct span p, struct span text, bool nocase)
{
    size_t at = 0, t = 0;
    size_t star = SIZE_MAX, star_t = 0; /* behind the last star, and which byte comes behind what it took */
    size_t steps = STEPS + STEPS_PER_BYTE * text.len;
    bool match;
    if (text.len == 0)
        return p.len == 0;
    while (t < text.len) {
        if (at < p.len && p.ptr[at] == '*') {
            star = at = skip_stars(p, at);
            star_t = t;
            if (at == p.len)
                return true;
        }
        match = false;
        size_t from = at;
        if (at < p.len)
            at = match_one(p, at, text.ptr[t], nocase, &match);
        if (at - from >= steps)
            return false;
        steps -= at - from;
        if (match) {
            t++;
        } else if (star != SIZE_MAX) {
            at = star;
            t = ++star_t;
        } else {
            return false;
        }
    }
    return skip_stars(p, at) == p.len;
}

size_t glob_literal_prefix(struct span p)
{
    size_t n = 0;
    while (n < p.len && p.ptr[n] != '*' && p.ptr[n] != '?' && p.ptr[n] != '[' && p.ptr[n] != '\\')
        n++;
    return n;
}
