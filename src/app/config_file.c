#include "app/config_file.h"

#include <ini.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "os/os.h"

/* inih asks for one line at a time, so the number of lines handed out is that of the line being parsed. */
struct source {
    struct config *config;
    struct config_error *error;
    const char *name;
    struct span left;
    int line;
    int err;
};

/* The library's lines are short by default and cut silently, so its buffer is set and the length checked
 * here. */
static char *next_line(char *buffer, int size, void *arg)
{
    struct source *s = arg;
    if (s->err || s->left.len == 0)
        return NULL;
    const uint8_t *lf = memchr(s->left.ptr, '\n', s->left.len);
    size_t n = lf ? (size_t)(lf + 1 - s->left.ptr) : s->left.len;
    s->line++;
    const char *why = n >= (size_t)size || n > CONFIG_LINE_BYTES ? "the line is too long"
                      : memchr(s->left.ptr, 0, n)                ? "the line contains a NUL byte"
                                                                 : NULL;
    if (why) {
        snprintf(s->error->text, sizeof(s->error->text), "%.100s:%d: %s", s->name, s->line, why);
        s->err = ERR_INVALID;
        return NULL;
    }
    memcpy(buffer, s->left.ptr, n);
    buffer[n] = 0;
    s->left = span_of(s->left.ptr + n, s->left.len - n);
    return buffer;
}

static int take(void *arg, const char *section, const char *name, const char *value)
{
    struct source *s = arg;
    char key[160];
    struct config_error why;
    if (s->err)
        return 0;
    if (*section)
        snprintf(key, sizeof(key), "%.70s.%.80s", section, name);
    else
        snprintf(key, sizeof(key), "%.80s", name);
    if (*section && !config_find(key) && config_find(name))
        snprintf(key, sizeof(key), "%.80s", name); /* written in full under a section */
    s->err = config_set(s->config, key, value, CONFIG_FILE, &why);
    if (s->err)
        snprintf(s->error->text, sizeof(s->error->text), "%.100s:%d: %.390s", s->name, s->line, why.text);
    return s->err == 0;
}

int config_file_parse(struct config *c, const char *name, struct span text, struct config_error *ret_error)
{
    struct source s = {c, ret_error, name, text, 0, 0};
    ini_use_stack = false;
    ini_allow_realloc = false;
    ini_initial_alloc = ini_max_line = CONFIG_LINE_BYTES + 8;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
    int line = ini_parse_stream((ini_reader)next_line, &s, take, &s);
    if (s.err)
        return s.err;
    if (line != 0) {
        snprintf(ret_error->text, sizeof(ret_error->text), "%.100s:%d: neither [section] nor key = value",
                 name, line < 0 ? s.line : line);
        return ERR_INVALID;
    }
    return 0;
}

static int read_file(const char *path, struct span *ret_text)
{
    int file = os_open(path, OS_READ);
    if (file < 0)
        return file;
    int64_t size = os_size(file), got = 0;
    uint8_t *bytes = NULL;
    int err = size < 0 ? (int)size : size > CONFIG_FILE_BYTES ? ERR_TOO_LARGE : 0;
    if (!err) {
        bytes = mem_alloc((size_t)size + 1);
        got = os_pread(file, bytes, (size_t)size, 0);
        err = got < 0 ? (int)got : 0;
    }
    os_close(file);
    if (err) {
        mem_free(bytes);
        return err;
    }
    *ret_text = span_of(bytes, (size_t)got);
    return 0;
}

int config_file_load(struct config *c, const char *path, struct config_error *ret_error)
{
    struct span text;
    int err = read_file(path, &text);
    if (err) {
        snprintf(ret_error->text, sizeof(ret_error->text), "%.300s: %s", path,
                 err == ERR_TOO_LARGE ? "larger than 1 MiB, so not a configuration file" : err_text(err));
        return err;
    }
    err = config_file_parse(c, path, text, ret_error);
    mem_free((void *)text.ptr);
    return err;
}
