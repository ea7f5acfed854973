/* Glob patterns as Redis matches channel names (util.c: stringmatchlen): `*` any bytes, `?` one byte,
 * `[abc]`,
 * `[^a-z]`, and `\` before a byte that means itself. Not words: a dot is a byte like any other. */
#ifndef COLOBUS_CORE_GLOB_H
#define COLOBUS_CORE_GLOB_H

#include <stdbool.h>

#include "base/span.h"

/* At most pattern.len * text.len steps, whatever the pattern; no recursion. `nocase`: letters of ASCII. */
bool glob_match(struct span pattern, struct span text, bool nocase);
/* How many bytes at the front of the pattern mean themselves: every text that matches begins with them. */
size_t glob_literal_prefix(struct span pattern);

#endif
