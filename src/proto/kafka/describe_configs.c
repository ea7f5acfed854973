/* DescribeConfigs: the settings of topics and of this broker, as ConfigHelper.describeConfigs() shows them.
 * Versions 1 to 4. */
#include "base/err.h"
#include "proto/kafka/config_source.h"
#include "proto/kafka/configs.h"
#include "proto/kafka/kafka_wire.gen.h"

enum { MAX_CONFIGS = 256 }; /* of one resource */

/* The settings of one resource, as they are gathered. */
struct gathering {
    struct kafka_request *r;
    const struct kafka_describe_configs_request_resource *in;
    struct kafka_describe_configs_response_config found[MAX_CONFIGS];
    int32_t count;
};

/* Null or empty keys: all of them. */
static bool is_wanted(const struct gathering *g, const char *name)
{
    if (g->in->configuration_keys_count <= 0)
        return true;
    for (int32_t i = 0; i < g->in->configuration_keys_count; i++)
        if (span_eq_str(g->in->configuration_keys[i], name))
            return true;
    return false;
}

static struct kafka_describe_configs_response_config *add(struct gathering *g, const char *name,
                                                          const char *value, int type, const char *help)
{
    const struct kafka_describe_configs_request *m = g->r->message;
    assert(g->count < MAX_CONFIGS);
    struct kafka_describe_configs_response_config *c = &g->found[g->count++];
    kafka_describe_configs_response_config_init(c);
    c->name = span_str(name);
    c->value = span_str(value);
    c->config_type = (int8_t)type;
    c->documentation = span_str(m->include_documentation ? help : NULL);
    return c;
}

static void add_synonym(struct gathering *g, struct kafka_describe_configs_response_config *c,
                        const char *name, const char *value, enum kafka_config_source source)
{
    enum { MOST = 3 };
    const struct kafka_describe_configs_request *m = g->r->message;
    if (!m->include_synonyms)
        return;
    if (!c->synonyms)
        c->synonyms = arena_array(&g->r->arena, MOST, sizeof(*c->synonyms));
    assert(c->synonyms_count < MOST);
    c->synonyms[c->synonyms_count++] =
        (struct kafka_describe_configs_response_synonym){span_str(name), span_str(value), (int8_t)source};
}

/* ---- topics ---------------------------------------------------------------------------------------------
 */

static void add_setting(void *arg, const struct topic_setting *s)
{
    struct gathering *g = arg;
    if (!is_wanted(g, s->name))
        return;
    struct kafka_describe_configs_response_config *c = add(g, s->name, s->value, s->kafka_type, s->help);
    c->config_source = kafka_setting_source(s);
    if (s->is_set)
        add_synonym(g, c, s->name, s->value, KAFKA_SOURCE_TOPIC);
    if (s->synonym && s->broker_set)
        add_synonym(g, c, s->synonym, s->broker_value, KAFKA_SOURCE_STATIC_BROKER);
    if (s->synonym)
        add_synonym(g, c, s->synonym, s->built_in, KAFKA_SOURCE_DEFAULT);
}

static struct kafka_refusal describe_topic(struct kafka_request *r, struct gathering *g)
{
    struct topic *t;
    struct kafka_refusal no = kafka_check_topic_name(r, g->in->resource_name);
    if (no.code)
        return no;
    int err = kafka_topic(r, AUTH_DESCRIBE, g->in->resource_name, &t);
    if (err) /* ConfigHelper gives no words for this one */
        return err == ERR_NOT_FOUND ? (struct kafka_refusal){KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL}
                                    : kafka_refuse_err(err);
    topic_config_each(&t->config, &r->arena, add_setting, g);
    return (struct kafka_refusal){0, NULL};
}

/* ---- the broker -----------------------------------------------------------------------------------------
 */

static void add_broker_config(void *arg, const struct kafka_broker_config *b)
{
    struct gathering *g = arg;
    if (!is_wanted(g, b->name))
        return;
    struct kafka_describe_configs_response_config *c = add(g, b->name, b->value, b->type, b->help);
    c->read_only = true; /* settings are read at the start */
    c->config_source = b->given ? KAFKA_SOURCE_STATIC_BROKER : KAFKA_SOURCE_DEFAULT;
    if (b->given)
        add_synonym(g, c, b->name, b->value, KAFKA_SOURCE_STATIC_BROKER);
    if (b->built_in)
        add_synonym(g, c, b->name, b->built_in, KAFKA_SOURCE_DEFAULT);
}

/* `or_empty`: how the words for another number go on. */
static struct kafka_refusal check_broker(struct kafka_request *r, struct span name, const char *or_empty)
{
    bool number;
    if (kafka_is_this_broker(r, name, &number))
        return (struct kafka_refusal){0, NULL};
    if (!number)
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Broker id must be an integer, but it is: %s",
                            kafka_printable(r, name));
    return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Unexpected broker id, expected %d%s received %s",
                        kafka_broker_id(r), or_empty, kafka_printable(r, name));
}

static struct kafka_refusal describe_broker(struct kafka_request *r, struct gathering *g)
{
    if (g->in->resource_name.len == 0) /* what was changed for all brokers: nothing can be */
        return (struct kafka_refusal){0, NULL};
    struct kafka_refusal no = check_broker(r, g->in->resource_name, " or empty string, but");
    if (!no.code)
        kafka_broker_configs(r, add_broker_config, g);
    return no;
}

/* ---- the rest -------------------------------------------------------------------------------------------
 */

static struct kafka_refusal need_name(struct kafka_request *r, struct span name, const char *what)
{
    if (name.len)
        return (struct kafka_refusal){0, NULL};
    return kafka_refuse(r, KAFKA_INVALID_REQUEST, "%s must not be empty", what);
}

/* Groups and subscriptions to client metrics have no settings here, and the broker has no loggers: they are
 * answered with none. */
static struct kafka_refusal describe(struct kafka_request *r, struct gathering *g)
{
    struct span name = g->in->resource_name;
    struct kafka_refusal no;
    switch (g->in->resource_type) {
    case KAFKA_RESOURCE_TOPIC:
        return describe_topic(r, g);
    case KAFKA_RESOURCE_BROKER:
        return describe_broker(r, g);
    case KAFKA_RESOURCE_BROKER_LOGGER:
        no = need_name(r, name, "Broker id");
        return no.code ? no : check_broker(r, name, " but");
    case KAFKA_RESOURCE_CLIENT_METRICS:
        return need_name(r, name, "Client metrics subscription name");
    case KAFKA_RESOURCE_GROUP:
        return need_name(r, name, "Group name");
    default:
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Unsupported resource type: UNKNOWN");
    }
}

/* Kafka answers each time; refused here, since a small request could ask for a very large answer. */
static bool *find_duplicates(struct kafka_request *r)
{
    const struct kafka_describe_configs_request *in = r->message;
    struct span *keys = arena_array(&r->arena, (size_t)in->resources_count, sizeof(*keys));
    for (int32_t i = 0; i < in->resources_count; i++)
        keys[i] = kafka_resource_key(r, in->resources[i].resource_type, in->resources[i].resource_name);
    return kafka_find_duplicates(r, keys, (size_t)in->resources_count);
}

static void answer(struct kafka_request *r, const struct kafka_describe_configs_request_resource *in,
                   bool twice, struct kafka_describe_configs_response_result *out)
{
    struct gathering g;
    g.r = r;
    g.in = in;
    g.count = 0;
    struct kafka_refusal no =
        twice ? kafka_refuse(r, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.")
              : describe(r, &g);
    kafka_describe_configs_response_result_init(out);
    out->resource_type = in->resource_type;
    out->resource_name = in->resource_name;
    out->error_code = kafka_error(r, no.code);
    out->error_message = no.message ? span_str(no.message) : wire_empty;
    out->configs_count = g.count;
    if (g.count)
        out->configs = arena_copy(&r->arena, g.found, (size_t)g.count * sizeof(g.found[0]));
}

void kafka_describe_configs(struct kafka_request *r)
{
    const struct kafka_describe_configs_request *in = r->message;
    uint64_t named = (uint64_t)in->resources_count;
    for (int32_t i = 0; i < in->resources_count; i++)
        if (in->resources[i].configuration_keys_count > 0)
            named += (uint64_t)in->resources[i].configuration_keys_count;
    if (!kafka_check_count(r, named))
        return;
    struct kafka_describe_configs_response m;
    kafka_describe_configs_response_init(&m);
    m.results_count = in->resources_count;
    m.results = arena_array(&r->arena, (size_t)in->resources_count, sizeof(*m.results));
    bool *twice = find_duplicates(r);
    for (int32_t i = 0; i < in->resources_count; i++)
        answer(r, &in->resources[i], twice[i], &m.results[i]);
    kafka_respond(r, &m);
}
