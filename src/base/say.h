/* Log lines for operators: level, time, component, message, then key=value pairs. */
#ifndef COLOBUS_BASE_SAY_H
#define COLOBUS_BASE_SAY_H

#include "base/span.h"

enum say_level { SAY_ERROR, SAY_WARN, SAY_INFO, SAY_DEBUG };

/* Where lines go. The program installs one that writes to standard error with the time; without one,
 * nothing is said (tests). Called from any thread; `line` ends without a newline. */
typedef void say_sink(enum say_level level, const char *component, const char *line);

void say_init(say_sink *sink, enum say_level max_level);
bool say_enabled(enum say_level level);
const char *say_level_name(enum say_level level);
/* 0 and the level, or ERR_INVALID. */
int say_level_parse(const char *name, enum say_level *ret_level);

/* fmt makes the pairs: say(SAY_INFO, "journal", "recovered", "files=%u bytes=%zu", f, b). No pairs: fmt "".
 * Lines longer than 1 KiB are cut. */
void say(enum say_level level, const char *component, const char *msg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A peer's bytes made safe to print, quoted and escaped, cut at 64 bytes. Into buf, which is returned. */
enum { SAY_QUOTE_BYTES = 64 * 4 + 6 };
const char *say_quote(struct span s, char buf[SAY_QUOTE_BYTES]);

#define say_error(...) say(SAY_ERROR, __VA_ARGS__)
#define say_warn(...)  say(SAY_WARN, __VA_ARGS__)
#define say_info(...)  say(SAY_INFO, __VA_ARGS__)
#define say_debug(...)                                                                                       \
    do {                                                                                                     \
        if (say_enabled(SAY_DEBUG))                                                                          \
            say(SAY_DEBUG, __VA_ARGS__);                                                                     \
    } while (0)

#endif
