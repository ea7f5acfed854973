/* Settings of a topic: each is a number inside; rows of topic_config.def say how it reads as text. */
#include "core/topic.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/say.h"
#include "core/config.h"

static struct topic_config defaults;
static size_t max_decoded_bytes;
static int64_t producer_expiry_ms;

enum { KAFKA_INT = 3, KAFKA_LONG = 5, KAFKA_STRING = 2, KAFKA_LIST = 7 };
enum { CLEANUP_DELETE = 1, CLEANUP_COMPACT = 2 };

static const struct row {
    enum topic_config_id id;
    int type;
    const char *name;
} rows[] = {
#define TOPIC_CONFIG(tag, id, name, type) {TOPIC_CONFIG_##id, KAFKA_##type, name},
#include "core/topic_config.def"
#undef TOPIC_CONFIG
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* The range of those that are numbers in Kafka, too; as LogConfig.java has them. */
static const struct {
    int64_t min, max;
} ranges[] = {
    [TOPIC_CONFIG_DURABILITY] = {LOG_FSYNC, LOG_OS},
    [TOPIC_CONFIG_CLEANUP] = {CLEANUP_DELETE, CLEANUP_DELETE | CLEANUP_COMPACT},
    [TOPIC_CONFIG_CODEC] = {RECORDS_CODEC_PRODUCER, CODEC_COUNT - 1},
    [TOPIC_CONFIG_TIMESTAMP_TYPE] = {0, 1},
    [TOPIC_CONFIG_MAX_MESSAGE] = {0, 512 << 20},
    [TOPIC_CONFIG_SEGMENT] = {64 << 10, INT32_MAX},
    [TOPIC_CONFIG_RETENTION_MS] = {-1, INT64_MAX},
    [TOPIC_CONFIG_RETENTION_BYTES] = {-1, INT64_MAX},
    [TOPIC_CONFIG_BEFORE_MAX] = {0, INT64_MAX},
    [TOPIC_CONFIG_AFTER_MAX] = {0, INT64_MAX},
    [TOPIC_CONFIG_INDEX_INTERVAL] = {512, 16 << 20},
    [TOPIC_CONFIG_MIN_ISR] = {1, INT32_MAX},
    [TOPIC_CONFIG_SEGMENT_MS] = {1, INT64_MAX},
};

/* A broker's setting that may be "unlimited", as topics say it. */
static int64_t or_minus_one(uint64_t setting)
{
    return setting == CONFIG_UNLIMITED ? -1 : (int64_t)setting;
}

void topic_config_init(const struct config *cfg)
{
    defaults = (struct topic_config){
        .durability = cfg->durability == CONFIG_OS ? LOG_OS : LOG_FSYNC,
        .delete_old = true,
        .codec = RECORDS_CODEC_PRODUCER,
        .max_message_bytes = (uint32_t)cfg->kafka_max_message_bytes,
        .segment_bytes = cfg->segment_bytes,
        .segment_ms = (int64_t)cfg->segment_max_age_ms,
        .retention_ms = or_minus_one(cfg->retention_time_ms),
        .retention_bytes = or_minus_one(cfg->retention_bytes),
        .before_max_ms = (int64_t)cfg->kafka_timestamp_before_max_ms,
        .after_max_ms = (int64_t)cfg->kafka_timestamp_after_max_ms,
        .index_interval_bytes = (uint32_t)cfg->segment_index_interval_bytes,
        .min_insync_replicas = 1,
    };
    max_decoded_bytes = cfg->kafka_max_decompressed_bytes;
    producer_expiry_ms = (int64_t)cfg->kafka_producer_id_expiration_ms;
}

void topic_config_default(struct topic_config *c)
{
    *c = defaults;
}

int64_t topic_config_number(const struct topic_config *c, enum topic_config_id id)
{
    switch (id) {
    case TOPIC_CONFIG_DURABILITY:
        return c->durability;
    case TOPIC_CONFIG_CLEANUP:
        return (c->delete_old ? CLEANUP_DELETE : 0) | (c->compact ? CLEANUP_COMPACT : 0);
    case TOPIC_CONFIG_CODEC:
        return c->codec;
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return c->append_time;
    case TOPIC_CONFIG_MAX_MESSAGE:
        return c->max_message_bytes;
    case TOPIC_CONFIG_SEGMENT:
        return (int64_t)c->segment_bytes;
    case TOPIC_CONFIG_RETENTION_MS:
        return c->retention_ms;
    case TOPIC_CONFIG_RETENTION_BYTES:
        return c->retention_bytes;
    case TOPIC_CONFIG_BEFORE_MAX:
        return c->before_max_ms;
    case TOPIC_CONFIG_AFTER_MAX:
        return c->after_max_ms;
    case TOPIC_CONFIG_INDEX_INTERVAL:
        return c->index_interval_bytes;
    case TOPIC_CONFIG_MIN_ISR:
        return c->min_insync_replicas;
    case TOPIC_CONFIG_SEGMENT_MS:
        return c->segment_ms;
    }
    return 0;
}

static void store_number(struct topic_config *c, enum topic_config_id id, int64_t v)
{
    switch (id) {
    case TOPIC_CONFIG_DURABILITY:
        c->durability = v == LOG_OS ? LOG_OS : LOG_FSYNC;
        break;
    case TOPIC_CONFIG_CLEANUP:
        c->delete_old = v & CLEANUP_DELETE;
        c->compact = v & CLEANUP_COMPACT;
        break;
    case TOPIC_CONFIG_CODEC:
        c->codec = (int)v;
        break;
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        c->append_time = v;
        break;
    case TOPIC_CONFIG_MAX_MESSAGE:
        c->max_message_bytes = (uint32_t)v;
        break;
    case TOPIC_CONFIG_SEGMENT:
        c->segment_bytes = (uint64_t)v;
        break;
    case TOPIC_CONFIG_RETENTION_MS:
        c->retention_ms = v;
        break;
    case TOPIC_CONFIG_RETENTION_BYTES:
        c->retention_bytes = v;
        break;
    case TOPIC_CONFIG_BEFORE_MAX:
        c->before_max_ms = v;
        break;
    case TOPIC_CONFIG_AFTER_MAX:
        c->after_max_ms = v;
        break;
    case TOPIC_CONFIG_INDEX_INTERVAL:
        c->index_interval_bytes = (uint32_t)v;
        break;
    case TOPIC_CONFIG_MIN_ISR:
        c->min_insync_replicas = (int32_t)v;
        break;
    case TOPIC_CONFIG_SEGMENT_MS:
        c->segment_ms = v;
        break;
    }
}

int topic_config_set_number(struct topic_config *c, enum topic_config_id id, int64_t value)
{
    if (id < TOPIC_CONFIG_DURABILITY || (size_t)id >= sizeof(ranges) / sizeof(ranges[0]))
        return ERR_INVALID;
    if (value < ranges[id].min || value > ranges[id].max)
        return ERR_INVALID;
    store_number(c, id, value);
    c->set |= 1ull << id;
    return 0;
}

/* ---- text --------------------------------------------------------------------------------------------- */

static int parse_choice(struct span v, const char *const *names, size_t count, int64_t *ret)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq_str(v, names[i])) {
            *ret = (int64_t)i;
            return 0;
        }
    return ERR_BAD_CONFIG;
}

static const char *const durabilities[] = {[LOG_FSYNC] = "fsync", [LOG_OS] = "os"};
static const char *const timestamp_types[] = {"CreateTime", "LogAppendTime"};

static int parse_cleanup(struct span v, int64_t *ret)
{
    if (span_eq_str(v, "delete"))
        *ret = CLEANUP_DELETE;
    else if (span_eq_str(v, "compact"))
        *ret = CLEANUP_COMPACT;
    else if (span_eq_str(v, "compact,delete") || span_eq_str(v, "delete,compact"))
        *ret = CLEANUP_COMPACT | CLEANUP_DELETE;
    else
        return ERR_BAD_CONFIG;
    return 0;
}

static int parse_codec(struct span v, int64_t *ret)
{
    enum codec codec;
    if (span_eq_str(v, "producer"))
        *ret = RECORDS_CODEC_PRODUCER;
    else if (codec_parse(v, &codec))
        return ERR_BAD_CONFIG;
    else
        *ret = codec;
    return 0;
}

static int parse_number(struct span v, int64_t *ret)
{
    char text[24], *end;
    if (v.len == 0 || v.len >= sizeof(text))
        return ERR_BAD_CONFIG;
    memcpy(text, v.ptr, v.len);
    text[v.len] = 0;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return ERR_BAD_CONFIG;
    *ret = strtoll(text, &end, 10);
    return end == text + v.len ? 0 : ERR_BAD_CONFIG;
}

static int parse(enum topic_config_id id, struct span v, int64_t *ret)
{
    switch (id) {
    case TOPIC_CONFIG_DURABILITY:
        return parse_choice(v, durabilities, 2, ret);
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return parse_choice(v, timestamp_types, 2, ret);
    case TOPIC_CONFIG_CLEANUP:
        return parse_cleanup(v, ret);
    case TOPIC_CONFIG_CODEC:
        return parse_codec(v, ret);
    default:
        return parse_number(v, ret);
    }
}

static const struct row *find_row(struct span name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (span_eq_str(name, rows[i].name))
            return &rows[i];
    return NULL;
}

int topic_config_set(struct topic_config *c, struct span name, struct span value, struct arena *a,
                     const char **ret_reason)
{
    const struct row *row = find_row(name);
    if (!row)
        return ERR_NOT_FOUND;
    int64_t v = 0;
    int err = span_is_null(value) ? ERR_BAD_CONFIG : parse(row->id, value, &v);
    if (!err)
        err = topic_config_set_number(c, row->id, v);
    if (!err)
        return 0;
    char shown[SAY_QUOTE_BYTES];
    *ret_reason =
        arena_printf(a, "Invalid value %s for configuration %s", say_quote(value, shown), row->name);
    return ERR_BAD_CONFIG;
}

static const char *format(const struct topic_config *c, enum topic_config_id id, struct arena *a)
{
    int64_t v = topic_config_number(c, id);
    switch (id) {
    case TOPIC_CONFIG_DURABILITY:
        return durabilities[v];
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return timestamp_types[v];
    case TOPIC_CONFIG_CLEANUP:
        return v == CLEANUP_DELETE ? "delete" : v == CLEANUP_COMPACT ? "compact" : "compact,delete";
    case TOPIC_CONFIG_CODEC:
        if (v == RECORDS_CODEC_PRODUCER)
            return "producer";
        return v == CODEC_NONE ? "uncompressed" : codec_name((enum codec)v);
    default:
        return arena_printf(a, "%lld", (long long)v);
    }
}

void topic_config_each(const struct topic_config *c, struct arena *a,
                       void (*fn)(void *arg, const char *name, const char *value, bool is_default,
                                  int kafka_type),
                       void *arg)
{
    for (size_t i = 0; i < ROWS; i++)
        fn(arg, rows[i].name, format(c, rows[i].id, a), !(c->set & 1ull << rows[i].id), rows[i].type);
}

/* ---- for those who apply it --------------------------------------------------------------------------- */

void topic_config_log(const struct topic_config *c, struct log_config *ret)
{
    *ret = (struct log_config){
        .durability = c->durability,
        .segment_bytes = c->segment_bytes,
        .index_interval_bytes = c->index_interval_bytes,
        .producer_expiry_ms = producer_expiry_ms,
    };
}

void topic_config_policy(const struct topic_config *c, struct records_policy *ret)
{
    *ret = (struct records_policy){
        .max_message_bytes = c->max_message_bytes,
        .max_decoded_bytes = max_decoded_bytes,
        .append_time = c->append_time,
        .before_max_ms = c->before_max_ms,
        .after_max_ms = c->after_max_ms,
        .codec = c->codec,
        .level = COMPRESS_LEVEL_DEFAULT,
        .compacted = c->compact,
        .allow_zstd = true,
    };
}
