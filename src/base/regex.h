/* Perl-compatible patterns, as users write them in permissions and policies. */
#ifndef COLOBUS_BASE_REGEX_H
#define COLOBUS_BASE_REGEX_H

#include "base/span.h"

struct regex;

enum { REGEX_MAX_PATTERN = 4096, REGEX_WHY = 160 };

/* Bytes, not characters. ERR_INVALID with a sentence in ret_why: not a pattern, or one too long. */
int regex_new(struct span pattern, char ret_why[REGEX_WHY], struct regex **ret_regex);
void regex_free(struct regex *r); /* takes NULL */
/* Anywhere in the subject, unless the pattern is anchored. A match that needs more than a bounded number of
 * steps is none: patterns must not stall a shard. Any thread, several at once. */
bool regex_match(const struct regex *r, struct span subject);

#endif
