#include "core/config.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/say.h"
#include "core/config_value.h"

const struct setting config_settings[SETTING_COUNT] = {
#define SETTING(key, field, type, unit, dflt, min, max, help)                                                \
    [SETTING_##field] = {key, SETTING_##type, unit, dflt, min, max, help, offsetof(struct config, field)},
#include "core/config.def"
#undef SETTING
};

static void *field_of(struct config *c, const struct setting *s)
{
    return (char *)c + s->offset;
}

void config_init(struct config *c)
{
    memset(c, 0, sizeof(*c));
    struct config_error e;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &config_settings[i];
        int err = config_value_parse(s, s->dflt, field_of(c, s), &e);
        assert(err == 0); /* a bad row of config.def */
    }
}

const struct setting *config_find(const char *key)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(config_settings[i].key, key) == 0)
            return &config_settings[i];
    }
    return NULL;
}

static const char *key_at(size_t i)
{
    return config_settings[i].key;
}

static int fail_unknown(const char *key, struct config_error *e)
{
    char quoted[SAY_QUOTE_BYTES];
    say_quote(span_str(key), quoted);
    const char *near = config_nearest(key, key_at, SETTING_COUNT);
    if (near)
        config_fail(e, "unknown setting %s; did you mean %s?", quoted, near);
    else
        config_fail(e, "unknown setting %s; `colobus config --describe` lists all", quoted);
    return ERR_NOT_FOUND;
}

int config_set(struct config *c, const char *key, const char *value, enum config_source source,
               struct config_error *e)
{
    const struct setting *s = config_find(key);
    if (!s)
        return fail_unknown(key, e);
    struct config_error why;
    int err = config_value_parse(s, value, field_of(c, s), &why);
    if (err) {
        config_fail(e, "%s: %.400s", key, why.text);
        return err;
    }
    c->source[s - config_settings] = (uint8_t)source;
    return 0;
}

int config_set_pair(struct config *c, const char *pair, enum config_source source, struct config_error *e)
{
    char key[64], quoted[SAY_QUOTE_BYTES];
    const char *eq = strchr(pair, '=');
    size_t len = eq ? (size_t)(eq - pair) : strlen(pair);
    if (!eq || len == 0)
        return config_fail(e, "%s is not key=value", say_quote(span_str(pair), quoted));
    snprintf(key, sizeof(key), "%.*s", len < sizeof(key) ? (int)len : (int)sizeof(key) - 1, pair);
    return config_set(c, key, eq + 1, source, e);
}

void config_format(const struct config *c, const struct setting *s, char *ret_text, size_t size)
{
    assert(size > 0);
    config_value_format(s, (const char *)c + s->offset, ret_text, size);
}

const struct config_advert *config_advert_of(const struct config *c, const char *listener_name)
{
    const struct config_adverts *list = &c->kafka_advertised;
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, listener_name) == 0)
            return &list->items[i];
    }
    return NULL;
}

/* ---- what holds between settings ----------------------------------------------------------------------- */

static bool is_listener(const struct config_listeners *list, const char *name)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    }
    return false;
}

static int resolve_adverts(struct config *c, struct config_error *e)
{
    for (unsigned i = 0; i < c->kafka_advertised.count; i++) {
        struct config_advert *a = &c->kafka_advertised.items[i];
        if (a->name[0] == 0) {
            if (c->kafka_listen.count != 1)
                return config_fail(e, "kafka.advertised: with %u listeners, write name=host:port",
                                   c->kafka_listen.count);
            memcpy(a->name, c->kafka_listen.items[0].name, sizeof(a->name));
        }
        if (!is_listener(&c->kafka_listen, a->name))
            return config_fail(e, "kafka.advertised: kafka.listen has no listener called %s", a->name);
        if (strcmp(a->host, "0.0.0.0") == 0 || strcmp(a->host, "::") == 0)
            return config_fail(
                e, "kafka.advertised: clients cannot connect to %s; name an address they can reach", a->host);
    }
    return 0;
}

static bool has_tls(const struct config *c, const struct setting *s)
{
    const struct config_listeners *list = (const void *)((const char *)c + s->offset);
    for (unsigned i = 0; s->type == SETTING_LISTENERS && i < list->count; i++) {
        if (list->items[i].tls)
            return true;
    }
    return false;
}

static int check_tls(const struct config *c, struct config_error *e)
{
    const char *key = NULL;
    for (size_t i = 0; i < SETTING_COUNT && !key; i++)
        key = has_tls(c, &config_settings[i]) ? config_settings[i].key : NULL;
    if (key && (!c->tls_certificate[0] || !c->tls_key[0]))
        return config_fail(e, "%s: a tls:// address needs tls.certificate and tls.key", key);
    if (c->tls_verify_client != CONFIG_VERIFY_NONE && !c->tls_ca[0])
        return config_fail(e, "tls.verify-client needs tls.ca");
    return 0;
}

/* `small` must be at most `large` / `times`. */
static int check_fits(const struct config *c, enum setting_id small, enum setting_id large, uint64_t times,
                      struct config_error *e)
{
    const struct setting *s = &config_settings[small], *l = &config_settings[large];
    uint64_t a = *(const uint64_t *)((const char *)c + s->offset);
    uint64_t b = *(const uint64_t *)((const char *)c + l->offset);
    if (a <= b / times)
        return 0;
    char at[32], bt[32];
    config_format(c, s, at, sizeof(at));
    config_format(c, l, bt, sizeof(bt));
    if (times == 1)
        return config_fail(e, "%s (%s) must not be larger than %s (%s)", s->key, at, l->key, bt);
    return config_fail(e, "%s (%s) must not be larger than 1/%llu of %s (%s)", s->key, at,
                       (unsigned long long)times, l->key, bt);
}

int config_check(struct config *c, struct config_error *e)
{
    /* A request holds a batch and its frame; a batch must fit the journal with room for others; and recycling
     * needs one file to write while another is emptied. */
    int err = resolve_adverts(c, e);
    if (!err)
        err = check_tls(c, e);
    if (!err)
        err = check_fits(c, SETTING_kafka_max_message_bytes, SETTING_kafka_max_request_bytes, 1, e);
    if (!err)
        err = check_fits(c, SETTING_kafka_max_request_bytes, SETTING_memory_request_bytes, 1, e);
    if (!err)
        err = check_fits(c, SETTING_kafka_max_message_bytes, SETTING_journal_file_bytes, 5, e);
    if (!err)
        err = check_fits(c, SETTING_journal_file_bytes, SETTING_journal_max_bytes, 2, e);
    return err;
}
