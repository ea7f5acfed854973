#include "app/say_sink.h"

#include <stdio.h>

#include "base/date.h"
#include "os/os.h"

enum { WHEN_BYTES = 32 };

static void when_format(int64_t unix_ms, char ret_text[WHEN_BYTES])
{
    struct date d = date_of(unix_ms);
    char text[96];
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", d.year, d.month, d.day, d.hour,
             d.minute, d.second, d.ms);
    memcpy(ret_text, text, WHEN_BYTES - 1);
    ret_text[WHEN_BYTES - 1] = 0;
}

size_t say_format(int64_t unix_ms, enum say_level level, const char *component, const char *line,
                  char *ret_text, size_t size)
{
    char when[WHEN_BYTES];
    when_format(unix_ms, when);
    int n = snprintf(ret_text, size, "time=%s level=%s component=%s %s\n", when, say_level_name(level),
                     component, line);
    if (n < 0 || (size_t)n < size)
        return n < 0 ? 0 : (size_t)n;
    ret_text[size - 2] = '\n'; /* cut, but still one line */
    return size - 1;
}

void say_stderr(enum say_level level, const char *component, const char *line)
{
    char text[1400];
    size_t n = say_format(os_wall_ms(), level, component, line, text, sizeof(text));
    os_write_stderr(span_of(text, n)); /* nobody to tell if it fails */
}
