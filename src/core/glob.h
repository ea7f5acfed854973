/* Glob patterns as Redis matches channel names (util.c: stringmatchlen): `*` any bytes, `?` one byte,
 * `[abc]`,
 * `[^a-z]`, and `\` before a byte that means itself. Not words: a dot is a byte like any other. */
#ifndef COLOBUS_CORE_GLOB_H
#define COLOBUS_CORE_GLOB_H

#include <stdbool.h>

#include "base/span.h"

/* A bounded number of steps for each byte of the text, whatever the pattern: one that needs more matches
 * nothing. Patterns of up to some thousand bytes, please. `nocase`: letters of ASCII. */
bool glob_match(struct span pattern, struct span text, bool nocase);
/* How many bytes at the front of the pattern mean themselves: every text that matches begins with them. */
size_t glob_literal_prefix(struct span pattern);

#endif
