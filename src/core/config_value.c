#include "core/config_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/err.h"
#include "base/say.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first within each kind of name, so that formatting finds the shortest text. */
static const struct unit byte_units[] = {
    {"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"T", 1ULL << 40},
    {"G", 1ULL << 30},   {"M", 1 << 20},      {"K", 1 << 10},   {"B", 1},         {"TB", 1000000000000ULL},
    {"GB", 1000000000},  {"MB", 1000000},     {"KB", 1000},     {"", 1},
};
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"", 1},
};
static const struct unit plain_units[] = {{"", 1}};

int config_fail(struct config_error *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static const struct unit *units_of(enum setting_type type, size_t *ret_count, const char **ret_kind)
{
    if (type == SETTING_BYTES) {
        *ret_count = sizeof(byte_units) / sizeof(byte_units[0]);
        *ret_kind = "a size (4096, 64KiB, 1MiB, 2GiB)";
        return byte_units;
    }
    if (type == SETTING_DURATION) {
        *ret_count = sizeof(time_units) / sizeof(time_units[0]);
        *ret_kind = "a duration (100ms, 5s, 10min, 1h, 7d)";
        return time_units;
    }
    *ret_count = 1;
    *ret_kind = "a number";
    return plain_units;
}

/* Digits without a sign; *text moves behind them. False: none, or too large. */
static bool parse_digits(const char **text, uint64_t *ret_value)
{
    const char *p = *text;
    uint64_t v = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    }
    if (p == *text)
        return false;
    *text = p;
    *ret_value = v;
    return true;
}

static bool apply_unit(const struct unit *units, size_t count, const char *suffix, uint64_t *value)
{
    while (*suffix == ' ')
        suffix++;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(units[i].name, suffix) == 0)
            return !__builtin_mul_overflow(*value, units[i].factor, value);
    }
    return false;
}

static int check_range(const struct setting *s, uint64_t v, struct config_error *e)
{
    char limit[32];
    if (v < s->min) {
        config_number_format(s->type, s->min, limit, sizeof(limit));
        return config_fail(e, "must be at least %s", limit);
    }
    if (v > s->max) {
        config_number_format(s->type, s->max, limit, sizeof(limit));
        return config_fail(e, "must be at most %s", limit);
    }
    return 0;
}

static int parse_number(const struct setting *s, const char *text, uint64_t *ret_value,
                        struct config_error *e)
{
    if (s->type == SETTING_AUTO && strcasecmp(text, "auto") == 0) {
        *ret_value = 0;
        return 0;
    }
    if (s->max == CONFIG_UNLIMITED && strcasecmp(text, "unlimited") == 0) {
        *ret_value = CONFIG_UNLIMITED;
        return 0;
    }
    size_t count;
    const char *kind, *p = text;
    const struct unit *units = units_of(s->type, &count, &kind);
    uint64_t v;
    char quoted[SAY_QUOTE_BYTES];
    if (!parse_digits(&p, &v) || !apply_unit(units, count, p, &v))
        return config_fail(e, "%s is not %s%s", say_quote(span_str(text), quoted), kind,
                           s->type == SETTING_AUTO ? " or auto" : "");
    int err = check_range(s, v, e);
    if (!err)
        *ret_value = v;
    return err;
}

static int parse_bool(const char *text, bool *ret_value, struct config_error *e)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *ret_value = i % 2;
            return 0;
        }
    }
    char quoted[SAY_QUOTE_BYTES];
    return config_fail(e, "%s is neither true nor false", say_quote(span_str(text), quoted));
}

/* Finds choice number `index` of "a|b|c"; false: there is none. */
static bool choice_at(const char *choices, unsigned index, struct span *ret_choice)
{
    const char *p = choices;
    for (unsigned i = 0; p; i++) {
        const char *bar = strchr(p, '|');
        if (i == index) {
            *ret_choice = span_of(p, bar ? (size_t)(bar - p) : strlen(p));
            return true;
        }
        p = bar ? bar + 1 : NULL;
    }
    return false;
}

static int parse_enum(const struct setting *s, const char *text, unsigned *ret_value, struct config_error *e)
{
    struct span choice;
    for (unsigned i = 0; choice_at(s->unit, i, &choice); i++) {
        if (span_eq_str(choice, text)) {
            *ret_value = i;
            return 0;
        }
    }
    char quoted[SAY_QUOTE_BYTES];
    return config_fail(e, "%s is not one of %s", say_quote(span_str(text), quoted), s->unit);
}

static int parse_text(const struct setting *s, const char *text, char *ret_text, struct config_error *e)
{
    size_t len = strlen(text);
    if (len < s->min)
        return config_fail(e, "must not be empty");
    if (len > s->max || len >= CONFIG_TEXT_BYTES)
        return config_fail(e, "is longer than %llu characters", (unsigned long long)s->max);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return config_fail(e, "contains a control character");
        if (text[i] == ';')
            return config_fail(e, "contains ; which begins a comment in a configuration file");
    }
    memset(ret_text, 0, CONFIG_TEXT_BYTES); /* equal settings are equal bytes */
    memcpy(ret_text, text, len);
    return 0;
}

int config_value_parse(const struct setting *s, const char *text, void *field, struct config_error *e)
{
    switch (s->type) {
    case SETTING_BOOL:
        return parse_bool(text, field, e);
    case SETTING_INT:
    case SETTING_AUTO:
    case SETTING_BYTES:
    case SETTING_DURATION:
        return parse_number(s, text, field, e);
    case SETTING_ENUM:
        return parse_enum(s, text, field, e);
    case SETTING_TEXT:
        return parse_text(s, text, field, e);
    case SETTING_LISTENERS:
        return config_listeners_parse(s, text, field, e);
    case SETTING_ADVERTISED:
        return config_adverts_parse(text, field, e);
    }
    return ERR_BUG;
}

void config_number_format(enum setting_type type, uint64_t v, char *ret_text, size_t size)
{
    if (type == SETTING_AUTO && v == 0) {
        snprintf(ret_text, size, "auto");
        return;
    }
    if (v == CONFIG_UNLIMITED) {
        snprintf(ret_text, size, "unlimited");
        return;
    }
    size_t count;
    const char *kind;
    const struct unit *units = units_of(type, &count, &kind);
    /* The first units are the exact ones to show; bytes below one KiB and plain numbers go without. */
    size_t shown = type == SETTING_BYTES ? 4 : type == SETTING_DURATION ? 5 : 0;
    for (size_t i = 0; i < shown; i++) {
        if (v && v % units[i].factor == 0) {
            snprintf(ret_text, size, "%llu%s", (unsigned long long)(v / units[i].factor), units[i].name);
            return;
        }
    }
    snprintf(ret_text, size, "%llu", (unsigned long long)v);
}

void config_value_format(const struct setting *s, const void *field, char *ret_text, size_t size)
{
    struct span choice = SPAN_NULL;
    switch (s->type) {
    case SETTING_BOOL:
        snprintf(ret_text, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    case SETTING_INT:
    case SETTING_AUTO:
    case SETTING_BYTES:
    case SETTING_DURATION:
        config_number_format(s->type, *(const uint64_t *)field, ret_text, size);
        break;
    case SETTING_ENUM:
        choice_at(s->unit, *(const unsigned *)field, &choice);
        snprintf(ret_text, size, "%.*s", SPAN_ARG(choice));
        break;
    case SETTING_TEXT:
        snprintf(ret_text, size, "%s", (const char *)field);
        break;
    case SETTING_LISTENERS:
        config_listeners_format(s, field, ret_text, size);
        break;
    case SETTING_ADVERTISED:
        config_adverts_format(field, ret_text, size);
        break;
    }
}
