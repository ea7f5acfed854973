#include "base/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

enum { SAY_LINE_BYTES = 1024 };

static say_sink *sink_fn;
static enum say_level sink_level = SAY_INFO;
static const char *const names[] = {"error", "warn", "info", "debug"};

void say_init(say_sink *sink, enum say_level max_level)
{
    sink_fn = sink;
    sink_level = max_level;
}

bool say_enabled(enum say_level level)
{
    return sink_fn && level <= sink_level;
}

const char *say_level_name(enum say_level level)
{
    return names[level];
}

int say_level_parse(const char *name, enum say_level *ret_level)
{
    for (int i = SAY_ERROR; i <= SAY_DEBUG; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_level = (enum say_level)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

void say(enum say_level level, const char *component, const char *msg, const char *fmt, ...)
{
    if (!say_enabled(level))
        return;
    char line[SAY_LINE_BYTES];
    int n = snprintf(line, sizeof(line), "msg=\"%s\"%s", msg, *fmt ? " " : "");
    if (n >= 0 && n < (int)sizeof(line)) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
        va_end(ap);
    }
    sink_fn(level, component, line);
}

const char *say_quote(struct span s, char buf[SAY_QUOTE_BYTES])
{
    char *p = buf;
    *p++ = '"';
    for (size_t i = 0; i < s.len && i < 64; i++) {
        uint8_t c = s.ptr[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            *p++ = (char)c;
        else
            p += sprintf(p, "\\x%02x", c);
    }
    if (s.len > 64)
        p += sprintf(p, "...");
    *p++ = '"';
    *p = 0;
    return buf;
}
