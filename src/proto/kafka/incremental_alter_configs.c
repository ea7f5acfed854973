/* IncrementalAlterConfigs: single settings set, deleted, appended to and subtracted from (KIP-339). Versions
 * 0 and 1. */
#include "proto/kafka/configs.h"
#include "proto/kafka/kafka_wire.gen.h"

static const struct topic_alter_item *
items_of(struct kafka_request *r, const struct kafka_incremental_alter_configs_request_resource *in)
{
    struct topic_alter_item *items = arena_array(&r->arena, (size_t)in->configs_count, sizeof(*items));
    for (int32_t i = 0; i < in->configs_count; i++) {
        const struct kafka_incremental_alter_configs_request_config *c = &in->configs[i];
        items[i] = (struct topic_alter_item){(enum topic_alter_kind)c->config_operation, c->name, c->value};
    }
    return items;
}

static void finish(struct kafka_request *r)
{
    kafka_respond(r, r->state);
}

void kafka_incremental_alter_configs(struct kafka_request *r)
{
    const struct kafka_incremental_alter_configs_request *in = r->message;
    size_t n = (size_t)in->resources_count;
    uint64_t named = n;
    for (size_t i = 0; i < n; i++)
        named += (uint64_t)in->resources[i].configs_count;
    if (!kafka_check_count(r, named))
        return;
    struct kafka_incremental_alter_configs_response *m = arena_alloc(&r->arena, sizeof(*m));
    struct kafka_alteration *all = arena_array(&r->arena, n, sizeof(*all));
    kafka_incremental_alter_configs_response_init(m);
    m->responses_count = in->resources_count;
    m->responses = arena_array(&r->arena, n, sizeof(*m->responses));
    for (size_t i = 0; i < n; i++) {
        const struct kafka_incremental_alter_configs_request_resource *res = &in->resources[i];
        m->responses[i].resource_type = res->resource_type;
        m->responses[i].resource_name = res->resource_name;
        all[i] = (struct kafka_alteration){.type = res->resource_type,
                                           .name = res->resource_name,
                                           .items = items_of(r, res),
                                           .count = (uint32_t)res->configs_count,
                                           .replace = false,
                                           .ret_code = &m->responses[i].error_code,
                                           .ret_message = &m->responses[i].error_message};
    }
    r->state = m;
    r->finish = finish;
    kafka_alter(r, all, n, in->validate_only);
}
