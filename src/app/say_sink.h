/* Where log lines go: standard error, one line each, with time, level and component. */
#ifndef COLOBUS_APP_SAY_SINK_H
#define COLOBUS_APP_SAY_SINK_H

#include "base/say.h"

/* A say_sink: time=2026-01-01T00:00:00.000Z level=info component=journal msg="..." k=v. Any thread. */
void say_stderr(enum say_level level, const char *component, const char *line);

/* The line that say_stderr() writes, with its newline; returns its length. For tests. */
size_t say_format(int64_t unix_ms, enum say_level level, const char *component, const char *line,
                  char *ret_text, size_t size);

#endif
