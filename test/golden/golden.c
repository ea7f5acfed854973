#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char *load_text(struct arena *arena, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: cannot be opened", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long len = ftell(f);
    assert_true(len > 0);
    rewind(f);
    char *text = arena_alloc(arena, (size_t)len + 1);
    assert_int_equal(fread(text, 1, (size_t)len, f), len);
    fclose(f);
    return text;
}

static size_t count_samples(const char *text)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, "\nsample ")) != NULL; at++)
        n++;
    return n;
}

/* The next line, terminated in place; NULL at the end. */
static char *next_line(char **text)
{
    char *line = *text;
    if (!*line)
        return NULL;
    char *end = strchr(line, '\n');
    assert_non_null(end);
    *end = 0;
    *text = end + 1;
    return line;
}

static struct span parse_hex(struct arena *arena, const char *hex)
{
    size_t len = strlen(hex) / 2;
    uint8_t *bytes = arena_alloc(arena, len + 1); /* never null, also for no bytes */
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return span_of(bytes, len);
}

static void parse_title(struct arena *arena, const char *line, struct golden_sample *ret)
{
    char message[128], kind[32];
    int got = sscanf(line, "sample %127s %d %31s", message, &ret->version, kind);
    assert_int_equal(got, 3);
    ret->message = arena_strndup(arena, message, strlen(message));
    ret->kind = arena_strndup(arena, kind, strlen(kind));
    ret->dump = "";
}

static void add_dump_line(struct arena *arena, struct golden_sample *s, const char *line)
{
    s->dump = arena_printf(arena, "%s%s\n", s->dump, line + 2);
}

struct golden golden_load(struct arena *arena, const char *path)
{
    char *text = load_text(arena, path);
    struct golden g = {NULL, 0};
    g.samples = arena_array(arena, count_samples(text), sizeof(*g.samples));
    const char *full_dump = "";
    for (char *line; (line = next_line(&text)) != NULL;) {
        struct golden_sample *s = g.count ? &g.samples[g.count - 1] : NULL;
        if (!strncmp(line, "sample ", 7))
            parse_title(arena, line, &g.samples[g.count++]);
        else if (s && !strncmp(line, "header ", 7))
            s->header = parse_hex(arena, line + 7);
        else if (s && !strncmp(line, "bytes ", 6))
            s->bytes = parse_hex(arena, line + 6);
        else if (s && !strncmp(line, "  ", 2))
            add_dump_line(arena, s, line);
        else if (*line && *line != '#')
            fail_msg("%s: unexpected line: %s", path, line);
    }
    for (size_t i = 0; i < g.count; i++) {
        if (!strcmp(g.samples[i].kind, "full"))
            full_dump = g.samples[i].dump;
        if (!strcmp(g.samples[i].kind, "foreign_tags"))
            g.samples[i].dump = full_dump;
    }
    return g;
}
