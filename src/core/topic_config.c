/* Settings of a topic as numbers: what the table says, what a topic has set, what the broker says otherwise.
 */
#include "core/topic_config_impl.h"

#include "base/err.h"
#include "base/mem.h"
#include "core/config.h"

enum { SEGMENT_BYTES_MIN = 64 << 10, INDEX_INTERVAL_MIN = 512, INDEX_INTERVAL_MAX = 16 << 20 };

const struct topic_config_row topic_config_rows[TOPIC_CONFIG_ROWS] = {
#define ALWAYS false
#define IF_SET true
#define TOPIC_CONFIG(tag, id, name, type, shown, min, max, dflt, synonym, setting, help)                     \
    {TOPIC_CONFIG_##id, name, KAFKA_##type, shown, min, max, dflt, synonym, SETTING_##setting, help},
#include "core/topic_config.def"
#undef TOPIC_CONFIG
#undef ALWAYS
#undef IF_SET
};

static struct topic_config defaults;
static uint64_t given; /* bit 1 << id: the broker's setting was given */
static size_t max_decoded_bytes;
static int64_t producer_expiry_ms;

/* Tags are dense, from 1. */
const struct topic_config_row *topic_config_row(enum topic_config_id id)
{
    size_t i = (size_t)id - 1;
    return i < TOPIC_CONFIG_ROWS && topic_config_rows[i].id == id ? &topic_config_rows[i] : NULL;
}

/* ---- the broker's ---------------------------------------------------------------------------------------
 */

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
    given = 0;
    for (size_t i = 0; i < TOPIC_CONFIG_ROWS; i++) {
        const struct topic_config_row *row = &topic_config_rows[i];
        if (row->setting != SETTING_NONE && cfg->source[row->setting] != CONFIG_DEFAULT)
            given |= 1ull << row->id;
    }
    max_decoded_bytes = cfg->kafka_max_decompressed_bytes;
    producer_expiry_ms = (int64_t)cfg->kafka_producer_id_expiration_ms;
}

int64_t topic_config_broker_number(enum topic_config_id id, bool *ret_given)
{
    *ret_given = given & 1ull << id;
    return topic_config_number(&defaults, id);
}

void topic_config_default(struct topic_config *c)
{
    *c = defaults;
}

/* ---- rare ones ------------------------------------------------------------------------------------------
 */

static int64_t rare_number(const struct topic_config *c, enum topic_config_id id)
{
    for (uint32_t i = 0; i < c->rare_count; i++)
        if (c->rare[i].id == id)
            return c->rare[i].value;
    const struct topic_config_row *row = topic_config_row(id);
    return row ? row->dflt : 0;
}

static void rare_remove(struct topic_config *c, enum topic_config_id id, struct arena *a)
{
    struct topic_rare *rest = arena_array(a, c->rare_count + 1, sizeof(*rest));
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->rare_count; i++)
        if (c->rare[i].id != id)
            rest[n++] = c->rare[i];
    c->rare = n ? rest : NULL;
    c->rare_count = n;
}

/* Into new memory always: the old may be a topic's. */
static void rare_put(struct topic_config *c, enum topic_config_id id, int64_t value, struct arena *a)
{
    struct topic_rare *all = arena_array(a, c->rare_count + 1, sizeof(*all));
    uint32_t n = 0, i = 0;
    for (; i < c->rare_count && c->rare[i].id < id; i++)
        all[n++] = c->rare[i];
    all[n++] = (struct topic_rare){id, value};
    for (; i < c->rare_count; i++)
        if (c->rare[i].id != id)
            all[n++] = c->rare[i];
    c->rare = all;
    c->rare_count = n;
}

void topic_config_copy(struct topic_config *to, const struct topic_config *from, struct arena *a)
{
    *to = *from;
    if (from->rare_count)
        to->rare = arena_copy(a, from->rare, from->rare_count * sizeof(*from->rare));
}

void topic_config_own(struct topic_config *c)
{
    if (!c->rare_count)
        return;
    struct topic_rare *mine = mem_alloc(c->rare_count * sizeof(*mine));
    memcpy(mine, c->rare, c->rare_count * sizeof(*mine));
    c->rare = mine;
}

void topic_config_disown(struct topic_config *c)
{
    mem_free((struct topic_rare *)c->rare);
    c->rare = NULL;
    c->rare_count = 0;
}

/* ---- numbers --------------------------------------------------------------------------------------------
 */

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
    default:
        return rare_number(c, id);
    }
}

/* False: it has no field. */
static bool store_field(struct topic_config *c, enum topic_config_id id, int64_t v)
{
    switch (id) {
    case TOPIC_CONFIG_DURABILITY:
        c->durability = v == LOG_OS ? LOG_OS : LOG_FSYNC;
        return true;
    case TOPIC_CONFIG_CLEANUP:
        c->delete_old = v & CLEANUP_DELETE;
        c->compact = v & CLEANUP_COMPACT;
        return true;
    case TOPIC_CONFIG_CODEC:
        c->codec = (int)v;
        return true;
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        c->append_time = v;
        return true;
    case TOPIC_CONFIG_MAX_MESSAGE:
        c->max_message_bytes = (uint32_t)v;
        return true;
    case TOPIC_CONFIG_SEGMENT:
        c->segment_bytes = (uint64_t)v;
        return true;
    case TOPIC_CONFIG_RETENTION_MS:
        c->retention_ms = v;
        return true;
    case TOPIC_CONFIG_RETENTION_BYTES:
        c->retention_bytes = v;
        return true;
    case TOPIC_CONFIG_BEFORE_MAX:
        c->before_max_ms = v;
        return true;
    case TOPIC_CONFIG_AFTER_MAX:
        c->after_max_ms = v;
        return true;
    case TOPIC_CONFIG_INDEX_INTERVAL:
        c->index_interval_bytes = (uint32_t)v;
        return true;
    case TOPIC_CONFIG_MIN_ISR:
        c->min_insync_replicas = (int32_t)v;
        return true;
    case TOPIC_CONFIG_SEGMENT_MS:
        c->segment_ms = v;
        return true;
    default:
        return false;
    }
}

int topic_config_set_number(struct topic_config *c, enum topic_config_id id, int64_t value, struct arena *a)
{
    const struct topic_config_row *row = topic_config_row(id);
    if (!row || value < row->min || value > row->max)
        return ERR_INVALID;
    if (id == TOPIC_CONFIG_GZIP_LEVEL && value == 0)
        return ERR_INVALID; /* CompressionType.GZIP.levelValidator() */
    if (!store_field(c, id, value))
        rare_put(c, id, value, a);
    c->set |= 1ull << id;
    return 0;
}

void topic_config_unset(struct topic_config *c, enum topic_config_id id, struct arena *a)
{
    if (!store_field(c, id, topic_config_number(&defaults, id)))
        rare_remove(c, id, a);
    c->set &= ~(1ull << id);
}

/* ---- for those who apply it --------------------------------------------------------------------------- */

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max)
{
    return v < min ? min : v > max ? max : v;
}

void topic_config_log(const struct topic_config *c, struct log_config *ret)
{
    *ret = (struct log_config){
        .durability = c->durability,
        .segment_bytes = clamp(c->segment_bytes, SEGMENT_BYTES_MIN, INT32_MAX),
        .index_interval_bytes =
            (uint32_t)clamp(c->index_interval_bytes, INDEX_INTERVAL_MIN, INDEX_INTERVAL_MAX),
        .producer_expiry_ms = producer_expiry_ms,
        .segment_ms = c->segment_ms,
        .retention_ms = c->delete_old ? c->retention_ms : -1,
        .retention_bytes = c->delete_old ? c->retention_bytes : -1,
    };
}

/* With which the broker compresses anew (KIP-390). */
static int level_of(const struct topic_config *c)
{
    enum topic_config_id id = c->codec == CODEC_GZIP   ? TOPIC_CONFIG_GZIP_LEVEL
                              : c->codec == CODEC_LZ4  ? TOPIC_CONFIG_LZ4_LEVEL
                              : c->codec == CODEC_ZSTD ? TOPIC_CONFIG_ZSTD_LEVEL
                                                       : 0;
    if (!id || !(c->set & 1ull << id))
        return COMPRESS_LEVEL_DEFAULT;
    int64_t level = topic_config_number(c, id);
    return id == TOPIC_CONFIG_GZIP_LEVEL && level < 0 ? COMPRESS_LEVEL_DEFAULT : (int)level;
}

void topic_config_policy(const struct topic_config *c, struct records_policy *ret)
{
    *ret = (struct records_policy){
        .max_message_bytes = (uint32_t)clamp(c->max_message_bytes, 0, COMPRESS_MAX_BYTES),
        .max_decoded_bytes = max_decoded_bytes,
        .append_time = c->append_time,
        .before_max_ms = c->before_max_ms,
        .after_max_ms = c->after_max_ms,
        .codec = c->codec,
        .level = level_of(c),
        .compacted = c->compact,
        .allow_zstd = true,
    };
}
