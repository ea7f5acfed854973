#include "app/config_describe.h"

#include <jansson.h>
#include <stdio.h>

#include "core/config_value.h"

static const char *const type_names[] = {
    [SETTING_BOOL] = "true or false",
    [SETTING_INT] = "number",
    [SETTING_AUTO] = "number or auto",
    [SETTING_BYTES] = "size",
    [SETTING_DURATION] = "duration",
    [SETTING_ENUM] = "one of",
    [SETTING_TEXT] = "text",
    [SETTING_LISTENERS] = "addresses or off",
    [SETTING_ADVERTISED] = "addresses",
};
static const char *const sources[] = {"default", "file", "command line"};

enum { VALUE_BYTES = 8192 };

void config_print_values(const struct config *c, struct text *out)
{
    char value[VALUE_BYTES];
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &config_settings[i];
        config_format(c, s, value, sizeof(value));
        text_printf(out, "%s%s = %s\n", c->source[i] == CONFIG_DEFAULT ? "; " : "", s->key, value);
    }
}

static bool is_number(const struct setting *s)
{
    return s->type == SETTING_INT || s->type == SETTING_AUTO || s->type == SETTING_BYTES ||
           s->type == SETTING_DURATION;
}

/* "size, 64KiB to 1GiB", "one of fsync|os". */
static void put_type(const struct setting *s, struct text *out)
{
    char low[32], high[32];
    text_put(out, type_names[s->type]);
    if (s->type == SETTING_ENUM) {
        text_put(out, " ");
        for (const char *p = s->unit; *p; p++)
            text_printf(out, "%.*s", *p == '|' ? 2 : 1, *p == '|' ? ", " : p);
    } else if (is_number(s)) {
        config_number_format(s->type, s->min, low, sizeof(low));
        config_number_format(s->type, s->max, high, sizeof(high));
        text_printf(out, ", %s to %s", low, high);
    }
}

/* Breaks the help into lines of at most `width`, each after `indent` spaces. */
static void put_wrapped(const char *text, int indent, int width, struct text *out)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > (size_t)width) {
            for (n = (size_t)width; n > 0 && text[n] != ' '; n--) {
            }
            if (n == 0)
                n = strcspn(text, " ");
        }
        text_printf(out, "%*s%.*s\n", indent, "", (int)n, text);
        text += n;
        text += *text == ' ';
    }
}

void config_describe_table(const struct config *c, struct text *out)
{
    char value[VALUE_BYTES];
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &config_settings[i];
        config_format(c, s, value, sizeof(value));
        text_printf(out, "%s%s = %s\n    ", i ? "\n" : "", s->key, value);
        put_type(s, out);
        if (c->source[i] != CONFIG_DEFAULT)
            text_printf(out, "; default %s; set by the %s", *s->dflt ? s->dflt : "empty",
                        sources[c->source[i]]);
        text_put(out, "\n");
        put_wrapped(s->help, 4, 92, out);
    }
}

static json_t *describe_one(const struct config *c, size_t i)
{
    const struct setting *s = &config_settings[i];
    char value[VALUE_BYTES];
    struct text type = {0};
    config_format(c, s, value, sizeof(value));
    put_type(s, &type);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "key", s->key, "value", value, "source",
                          sources[c->source[i]], "default", s->dflt, "type", type.ptr, "help", s->help);
    if (is_number(s)) {
        json_object_set_new(o, "min", json_integer((json_int_t)s->min));
        json_object_set_new(o, "max", json_integer((json_int_t)s->max));
    }
    text_free(&type);
    return o;
}

void config_describe_json(const struct config *c, struct text *out)
{
    json_t *all = json_array();
    for (size_t i = 0; i < SETTING_COUNT; i++)
        json_array_append_new(all, describe_one(c, i));
    text_put_json(out, all, JSON_INDENT(2));
    json_decref(all);
}

void config_describe_markdown(struct text *out)
{
    text_put(
        out,
        "# Settings\n\n"
        "<!-- Generated: build/colobus config --describe --markdown > doc/settings.md -->\n\n"
        "Each is set by `--set key=value` or in the file given with `--config`, where `[kafka]` and then "
        "`listen = ...` means\n`kafka.listen`, and `;` begins a comment. The command line wins over the "
        "file. Settings do not change while the broker runs.\n\n"
        "Sizes are bytes, or take `KiB`, `MiB`, `GiB`, `TiB` (also `K`, `M`, `G`, `T`; `KB`, `MB`, `GB` "
        "are powers of 1000). Durations\nare milliseconds, or take `ms`, `s`, `min`, `h`, `d`. Addresses "
        "are `host:port`, with a name in front if there are several:\n"
        "`--set kafka.listen=127.0.0.1:9092,docker=0.0.0.0:9093 --set kafka.advertised=docker=broker:9093`."
        "\n\n| key | default | type | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &config_settings[i];
        text_printf(out, "| `%s` | %s%s%s | ", s->key, *s->dflt ? "`" : "", *s->dflt ? s->dflt : "empty",
                    *s->dflt ? "`" : "");
        put_type(s, out);
        text_printf(out, " | %s |\n", s->help);
    }
}
