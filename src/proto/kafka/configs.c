#include "proto/kafka/configs.h"

#include "base/err.h"

/* ---- checks ---------------------------------------------------------------------------------------------
 */

bool kafka_is_this_broker(const struct kafka_request *r, struct span name, bool *ret_number)
{
    int64_t n = 0;
    bool negative = name.len > 1 && name.ptr[0] == '-';
    *ret_number = name.len > 0 && name.len <= 10;
    for (size_t i = negative; i < name.len && *ret_number; i++) {
        *ret_number = name.ptr[i] >= '0' && name.ptr[i] <= '9';
        n = n * 10 + (name.ptr[i] - '0');
    }
    return *ret_number && !negative && n == kafka_broker_id(r);
}

/* "a, b" of those that `wanted` says. NULL: none. */
static const char *names_of(struct kafka_request *r, const struct kafka_alteration *in,
                            bool (*wanted)(const struct topic_alter_item *it))
{
    enum { SHOWN = 20 };
    const char *text = NULL;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < in->count && shown < SHOWN; i++) {
        if (!wanted(&in->items[i]))
            continue;
        const char *name = kafka_printable(r, in->items[i].name);
        text = text ? arena_printf(&r->arena, "%s, %s", text, name) : name;
        shown++;
    }
    return text;
}

static bool lacks_value(const struct topic_alter_item *it)
{
    return span_is_null(it->value) && it->kind != TOPIC_ALTER_DELETE;
}

static bool any(const struct topic_alter_item *it)
{
    (void)it;
    return true;
}

/* ConfigAdminManager.preprocess(): what is asked at all. */
static struct kafka_refusal check_items(struct kafka_request *r, const struct kafka_alteration *in)
{
    struct span *names = arena_array(&r->arena, in->count, sizeof(*names));
    for (uint32_t i = 0; i < in->count; i++) {
        names[i] = in->items[i].name;
        if ((unsigned)in->items[i].kind > TOPIC_ALTER_SUBTRACT)
            return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Unknown operation %d for configuration %s",
                                (int)in->items[i].kind, kafka_printable(r, names[i]));
    }
    bool *twice = kafka_find_duplicates(r, names, in->count);
    for (uint32_t i = 0; i < in->count; i++)
        if (twice[i])
            return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
    const char *nulls = names_of(r, in, lacks_value);
    if (nulls)
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Null value not supported for : %s", nulls);
    return (struct kafka_refusal){0, NULL};
}

static struct kafka_refusal check_broker(struct kafka_request *r, const struct kafka_alteration *in)
{
    bool number;
    if (kafka_is_this_broker(r, in->name, &number))
        return (struct kafka_refusal){0, NULL};
    if (!number)
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Node id must be an integer, but it is: %s",
                            kafka_printable(r, in->name));
    return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Unexpected broker id, expected %d, but received %s",
                        kafka_broker_id(r), kafka_printable(r, in->name));
}

/* The broker's settings are read at its start: DynamicBrokerConfig.validateConfigs() has the words. */
static struct kafka_refusal alter_broker(struct kafka_request *r, const struct kafka_alteration *in)
{
    struct kafka_refusal no = {0, NULL};
    if (in->name.len) /* empty: the default of all brokers */
        no = check_broker(r, in);
    if (no.code || in->count == 0)
        return no;
    return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Cannot update these configs dynamically: Set(%s)",
                        names_of(r, in, any));
}

static struct kafka_refusal alter_logger(struct kafka_request *r, const struct kafka_alteration *in)
{
    struct kafka_refusal no = check_broker(r, in);
    if (no.code || in->count == 0)
        return no;
    return kafka_refuse(r, KAFKA_INVALID_CONFIG, "Logger %s does not exist!",
                        kafka_printable(r, in->items[0].name));
}

/* ---- topics ---------------------------------------------------------------------------------------------
 */

struct alter {
    struct op_topic_alter op;
    const struct kafka_alteration *in;
};

static void answer(struct kafka_request *r, const struct kafka_alteration *in, struct kafka_refusal no)
{
    *in->ret_code = kafka_error(r, no.code);
    *in->ret_message = span_str(no.message);
}

static struct kafka_refusal refusal_of(struct kafka_request *r, const struct alter *al, int err)
{
    if (err == ERR_NOT_FOUND)
        return kafka_refuse(r, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "The topic '%s' does not exist.",
                            kafka_printable(r, al->in->name));
    if (err == ERR_BAD_CONFIG)
        return kafka_refuse(r, KAFKA_INVALID_CONFIG, "%s", al->op.ret_reason);
    return kafka_refuse_err(err);
}

static void alter_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct alter *al = (struct alter *)op;
    if (kafka_request_alive(r) && op->err)
        answer(r, al->in, refusal_of(r, al, op->err));
    op_topic_alter_free(&al->op);
    kafka_op_returned(r);
}

static struct span copy(struct arena *a, struct span s)
{
    return span_is_null(s) ? s : span_of(arena_copy(a, s.ptr, s.len), s.len);
}

static void alter_topic(struct kafka_request *r, const struct kafka_alteration *in, bool validate_only)
{
    struct alter *al = kafka_op_new(r, sizeof(*al), alter_done);
    struct arena *a = &al->op.arena;
    struct topic_alter_item *items = arena_array(a, in->count, sizeof(*items));
    for (uint32_t i = 0; i < in->count; i++)
        items[i] = (struct topic_alter_item){in->items[i].kind, copy(a, in->items[i].name),
                                             copy(a, in->items[i].value)};
    al->in = in;
    al->op.name = copy(a, in->name);
    al->op.items = items;
    al->op.count = in->count;
    al->op.replace = in->replace;
    al->op.validate_only = validate_only;
    op_topic_alter_submit(&al->op);
}

/* ---- the request ----------------------------------------------------------------------------------------
 */

static struct kafka_refusal check(struct kafka_request *r, const struct kafka_alteration *in)
{
    struct kafka_refusal no = check_items(r, in);
    if (no.code)
        return no;
    switch (in->type) {
    case KAFKA_RESOURCE_TOPIC:
        return kafka_check_topic_name(r, in->name);
    case KAFKA_RESOURCE_BROKER:
        return alter_broker(r, in);
    case KAFKA_RESOURCE_BROKER_LOGGER:
        if (!in->replace)
            return alter_logger(r, in);
        break; /* AlterConfigs never knew them */
    default:
        break;
    }
    return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Unknown resource type %d", in->type);
}

struct span kafka_resource_key(struct kafka_request *r, int type, struct span name)
{
    uint8_t *key = arena_alloc(&r->arena, 1 + name.len);
    key[0] = (uint8_t)type;
    if (name.len)
        memcpy(key + 1, name.ptr, name.len);
    return span_of(key, 1 + name.len);
}

void kafka_alter(struct kafka_request *r, const struct kafka_alteration *all, size_t count,
                 bool validate_only)
{
    struct span *keys = arena_array(&r->arena, count, sizeof(*keys));
    for (size_t i = 0; i < count; i++)
        keys[i] = kafka_resource_key(r, all[i].type, all[i].name);
    bool *twice = kafka_find_duplicates(r, keys, count);
    for (size_t i = 0; i < count; i++) {
        struct kafka_refusal no =
            twice[i] ? kafka_refuse(r, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.")
                     : check(r, &all[i]);
        if (no.code)
            answer(r, &all[i], no);
        else if (all[i].type == KAFKA_RESOURCE_TOPIC)
            alter_topic(r, &all[i], validate_only);
    }
}
