/* The broker's settings as Kafka calls them: those of broker_configs.def, and what topics fall back to. */
#include <stdio.h>

#include "core/broker.h"
#include "core/config.h"
#include "proto/kafka/configs.h"
#include "proto/kafka/conn.h"

enum { KAFKA_BOOLEAN = 1, KAFKA_STRING, KAFKA_INT, KAFKA_SHORT, KAFKA_LONG, KAFKA_DOUBLE, KAFKA_LIST };

enum form {
    FORM_FIXED,
    FORM_NUMBER,
    FORM_HOURS,
    FORM_MINUTES,
    FORM_THREADS,
    FORM_DATA_DIR,
    FORM_LISTENERS,
    FORM_PROTOCOLS,
    FORM_ADVERTISED,
};

static const struct row {
    const char *name;
    int type;
    enum form form;
    const char *key; /* of our setting; NULL: none */
    const char *value;
    const char *help;
} rows[] = {
#define BROKER_CONFIG(name, type, form, key, value, help) {name, KAFKA_##type, FORM_##form, key, value, help},
#include "proto/kafka/broker_configs.def"
#undef BROKER_CONFIG
};

/* ---- values ---------------------------------------------------------------------------------------------
 */

static uint64_t number_of(const struct config *cfg, const struct setting *s)
{
    const char *field = (const char *)cfg + s->offset;
    bool flag;
    uint64_t n;
    if (s->type == SETTING_BOOL) {
        memcpy(&flag, field, sizeof(flag));
        return flag;
    }
    assert(s->type == SETTING_INT || s->type == SETTING_BYTES || s->type == SETTING_DURATION ||
           s->type == SETTING_AUTO);
    memcpy(&n, field, sizeof(n));
    return n;
}

static const char *number(struct arena *a, const struct row *row, uint64_t n)
{
    static const uint64_t unit_ms[] = {[FORM_NUMBER] = 1, [FORM_HOURS] = 3600000, [FORM_MINUTES] = 60000};
    if (row->type == KAFKA_BOOLEAN)
        return n ? "true" : "false";
    if (n == CONFIG_UNLIMITED && row->form != FORM_NUMBER)
        return "-1";
    return arena_printf(a, "%llu", (unsigned long long)(n / unit_ms[row->form]));
}

/* One listener in Kafka's form, NAME://host:port or NAME:PROTOCOL. */
static const char *listeners(struct arena *a, const struct config *cfg, bool protocols)
{
    const char *text = "";
    for (unsigned i = 0; i < cfg->kafka_listen.count; i++) {
        const struct config_listener *l = &cfg->kafka_listen.items[i];
        text = arena_printf(a, "%s%s%s%s%s", text, i ? "," : "", l->name, protocols ? ":" : "://",
                            !protocols ? l->address
                            : l->tls   ? "SSL"
                                       : "PLAINTEXT");
    }
    return text;
}

static const char *advertised(struct kafka_request *r)
{
    struct span host;
    int32_t port;
    kafka_advertised(r, &host, &port);
    bool v6 = memchr(host.ptr, ':', host.len);
    return arena_printf(&r->arena, "%s://%s%.*s%s:%d", r->kc->conn->listener->name, v6 ? "[" : "",
                        (int)host.len, (const char *)host.ptr, v6 ? "]" : "", port);
}

static const char *value_of(struct kafka_request *r, const struct row *row, const struct config *cfg)
{
    switch (row->form) {
    case FORM_FIXED:
        return row->value;
    case FORM_NUMBER:
    case FORM_HOURS:
    case FORM_MINUTES:
        return number(&r->arena, row, number_of(cfg, config_find(row->key)));
    case FORM_THREADS:
        return arena_printf(&r->arena, "%u", r->shard->broker->shard_count);
    case FORM_DATA_DIR:
        return arena_strndup(&r->arena, cfg->data_dir, strlen(cfg->data_dir));
    case FORM_LISTENERS:
    case FORM_PROTOCOLS:
        return listeners(&r->arena, cfg, row->form == FORM_PROTOCOLS);
    case FORM_ADVERTISED:
        return advertised(r);
    }
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------------------
 */

struct visit {
    void (*fn)(void *arg, const struct kafka_broker_config *config);
    void *arg;
};

/* A topic's setting by the name of its default. */
static void visit_default(void *arg, const struct topic_setting *s)
{
    const struct visit *v = arg;
    if (!s->synonym)
        return;
    v->fn(v->arg, &(struct kafka_broker_config){.name = s->synonym,
                                                .value = s->broker_value,
                                                .type = s->kafka_type,
                                                .help = s->help,
                                                .given = s->broker_set,
                                                .built_in = s->built_in});
}

void kafka_broker_configs(struct kafka_request *r,
                          void (*fn)(void *arg, const struct kafka_broker_config *config), void *arg)
{
    const struct config *cfg = kafka_config(r);
    struct config *dflt = arena_alloc(&r->arena, sizeof(*dflt));
    struct topic_config topic;
    struct visit visit = {fn, arg};
    config_init(dflt);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        const struct setting *s = row->key ? config_find(row->key) : NULL;
        assert(!row->key || s);
        struct kafka_broker_config c = {
            .name = row->name, .value = value_of(r, row, cfg), .type = row->type, .help = row->help};
        c.given = s && cfg->source[s - config_settings] != CONFIG_DEFAULT;
        c.built_in =
            row->form == FORM_THREADS || row->form == FORM_ADVERTISED ? NULL : value_of(r, row, dflt);
        fn(arg, &c);
    }
    topic_config_default(&topic);
    topic_config_each(&topic, &r->arena, visit_default, &visit);
}
