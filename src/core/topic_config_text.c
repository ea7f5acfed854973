/* Settings of a topic as text: parsed, refused, shown and altered, in the words of Kafka's ConfigDef. */
#include <stdlib.h>

#include "base/err.h"
#include "core/topic_config_impl.h"

enum { MILLION = 1000000, SHOWN_BYTES = 200, LIST_MAX = 64 };

/* Printable characters only: it goes into a message. */
static const char *printable(struct arena *a, struct span s)
{
    char *text = arena_strndup(a, s.ptr, s.len < SHOWN_BYTES ? s.len : SHOWN_BYTES);
    for (char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    return text;
}

/* ---- what only looks like a number ----------------------------------------------------------------------
 */

static const char *const durabilities[] = {[LOG_FSYNC] = "fsync", [LOG_OS] = "os"};
static const char *const timestamp_types[] = {"CreateTime", "LogAppendTime"};

static int parse_choice(struct span v, const char *const *names, size_t count, int64_t *ret)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq_str(v, names[i])) {
            *ret = (int64_t)i;
            return 0;
        }
    return ERR_BAD_CONFIG;
}

static struct span trim(struct span s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_of(s.ptr + 1, s.len - 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* The next part of a list, trimmed; false at its end. */
static bool next_part(struct span *rest, struct span *ret_part)
{
    if (rest->len == 0)
        return false;
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ',')
        n++;
    *ret_part = trim(span_of(rest->ptr, n));
    *rest = n < rest->len ? span_of(rest->ptr + n + 1, rest->len - n - 1) : span_of(rest->ptr + n, 0);
    return true;
}

static int parse_cleanup(struct span v, int64_t *ret)
{
    struct span part;
    *ret = 0;
    while (next_part(&v, &part)) {
        if (span_eq_str(part, "delete"))
            *ret |= CLEANUP_DELETE;
        else if (span_eq_str(part, "compact"))
            *ret |= CLEANUP_COMPACT;
        else
            return ERR_BAD_CONFIG;
    }
    return 0;
}

static int parse_codec(struct span v, int64_t *ret)
{
    enum codec codec;
    if (span_eq_str(v, "producer"))
        *ret = RECORDS_CODEC_PRODUCER;
    else if (span_eq_str(v, "none") || codec_parse(v, &codec))
        return ERR_BAD_CONFIG; /* Kafka calls it uncompressed */
    else
        *ret = codec;
    return 0;
}

static int parse_throttled(struct span v, int64_t *ret)
{
    *ret = span_eq_str(v, "*");
    return v.len == 0 || *ret ? 0 : ERR_BAD_CONFIG;
}

/* As a terminated text in the caller's buffer. */
static int copy_text(struct span v, char *buf, size_t size)
{
    v = trim(v);
    if (v.len == 0 || v.len >= size)
        return ERR_BAD_CONFIG;
    memcpy(buf, v.ptr, v.len);
    buf[v.len] = 0;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int parse_number(struct span v, int64_t *ret)
{
    char text[24], *end;
    if (copy_text(v, text, sizeof(text)))
        return ERR_BAD_CONFIG;
    bool sign = text[0] == '-' || text[0] == '+';
    if (!is_digit(text[sign]) || strlen(text) - sign > 19)
        return ERR_BAD_CONFIG;
    uint64_t n = strtoull(text + sign, &end, 10);
    if (*end || n > (uint64_t)INT64_MAX + (text[0] == '-'))
        return ERR_BAD_CONFIG;
    *ret = text[0] == '-' ? (int64_t)(0 - n) : (int64_t)n;
    return 0;
}

/* "0.5", "1", "1e-1": in millionths, what is below is rounded off. */
static int parse_ratio(struct span v, int64_t *ret)
{
    char text[32], *end;
    if (copy_text(v, text, sizeof(text)) || strspn(text, "0123456789+-.eE") != strlen(text))
        return ERR_BAD_CONFIG;
    double d = strtod(text, &end);
    if (*end || !(d >= -1e9 && d <= 1e9))
        return ERR_BAD_CONFIG;
    *ret = (int64_t)(d * MILLION + (d < 0 ? -0.5 : 0.5));
    return 0;
}

static int parse_bool(struct span v, int64_t *ret)
{
    char text[8];
    if (copy_text(v, text, sizeof(text)))
        return ERR_BAD_CONFIG;
    for (char *p = text; *p; p++)
        *p |= 0x20; /* ConfigDef takes any case */
    *ret = strcmp(text, "true") == 0;
    return *ret || strcmp(text, "false") == 0 ? 0 : ERR_BAD_CONFIG;
}

static bool take_number(const char **p, long max, long *ret)
{
    if (!is_digit(**p))
        return false;
    char *end;
    *ret = strtol(*p, &end, 10);
    *p = end;
    return *ret <= max;
}

/* Kafka's MetadataVersion: "2.8", "0.10.2", "3.0-IV1". As major, minor, patch + 1, IV + 1, two digits each.
 */
static int parse_version(struct span v, int64_t *ret)
{
    char text[24];
    long major, minor, patch = -1, iv = -1;
    if (copy_text(v, text, sizeof(text)))
        return ERR_BAD_CONFIG;
    const char *p = text;
    if (!take_number(&p, 99, &major) || *p++ != '.' || !take_number(&p, 99, &minor))
        return ERR_BAD_CONFIG;
    if (*p == '.' && (p++, !take_number(&p, 98, &patch)))
        return ERR_BAD_CONFIG;
    if (strncmp(p, "-IV", 3) == 0 && (p += 3, !take_number(&p, 98, &iv)))
        return ERR_BAD_CONFIG;
    *ret = ((major * 100 + minor) * 100 + patch + 1) * 100 + iv + 1;
    return *p ? ERR_BAD_CONFIG : 0;
}

static int parse(const struct topic_config_row *row, struct span v, int64_t *ret)
{
    switch (row->id) {
    case TOPIC_CONFIG_DURABILITY:
        return parse_choice(v, durabilities, 2, ret);
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return parse_choice(v, timestamp_types, 2, ret);
    case TOPIC_CONFIG_CLEANUP:
        return parse_cleanup(v, ret);
    case TOPIC_CONFIG_CODEC:
        return parse_codec(v, ret);
    case TOPIC_CONFIG_FOLLOWER_THROTTLED:
    case TOPIC_CONFIG_LEADER_THROTTLED:
        return parse_throttled(v, ret);
    case TOPIC_CONFIG_FORMAT_VERSION:
        return parse_version(v, ret);
    default:
        return row->type == KAFKA_BOOLEAN  ? parse_bool(v, ret)
               : row->type == KAFKA_DOUBLE ? parse_ratio(v, ret)
                                           : parse_number(v, ret);
    }
}

/* ---- shown ----------------------------------------------------------------------------------------------
 */

/* As Java's Double.toString(): "0.5", "1.0". */
static const char *format_ratio(int64_t v, struct arena *a)
{
    char *text = arena_printf(a, "%lld.%06lld", (long long)(v / MILLION), (long long)(v % MILLION));
    for (size_t n = strlen(text); text[n - 1] == '0' && text[n - 2] != '.'; n--)
        text[n - 1] = 0;
    return text;
}

static const char *format_version(int64_t v, struct arena *a)
{
    int iv = (int)(v % 100) - 1, patch = (int)(v / 100 % 100) - 1;
    const char *text = arena_printf(a, "%d.%d", (int)(v / MILLION), (int)(v / 10000 % 100));
    if (patch >= 0)
        text = arena_printf(a, "%s.%d", text, patch);
    return iv >= 0 ? arena_printf(a, "%s-IV%d", text, iv) : text;
}

static const char *format(const struct topic_config_row *row, int64_t v, struct arena *a)
{
    static const char *const policies[] = {"", "delete", "compact", "compact,delete"};
    switch (row->id) {
    case TOPIC_CONFIG_DURABILITY:
        return durabilities[v];
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return timestamp_types[v];
    case TOPIC_CONFIG_CLEANUP:
        return policies[v];
    case TOPIC_CONFIG_CODEC:
        if (v == RECORDS_CODEC_PRODUCER)
            return "producer";
        return v == CODEC_NONE ? "uncompressed" : codec_name((enum codec)v);
    case TOPIC_CONFIG_FOLLOWER_THROTTLED:
    case TOPIC_CONFIG_LEADER_THROTTLED:
        return v ? "*" : "";
    case TOPIC_CONFIG_FORMAT_VERSION:
        return format_version(v, a);
    default:
        return row->type == KAFKA_BOOLEAN  ? (v ? "true" : "false")
               : row->type == KAFKA_DOUBLE ? format_ratio(v, a)
                                           : arena_printf(a, "%lld", (long long)v);
    }
}

void topic_config_each(const struct topic_config *c, struct arena *a,
                       void (*fn)(void *arg, const struct topic_setting *setting), void *arg)
{
    for (size_t i = 0; i < TOPIC_CONFIG_ROWS; i++) {
        const struct topic_config_row *row = &topic_config_rows[i];
        struct topic_setting s = {.name = row->name,
                                  .help = row->help,
                                  .kafka_type = row->type,
                                  .is_set = c->set & 1ull << row->id,
                                  .synonym = row->synonym};
        if (row->if_set && !s.is_set)
            continue;
        int64_t mine = topic_config_number(c, row->id);
        int64_t broker = topic_config_broker_number(row->id, &s.broker_set);
        s.value = format(row, mine, a);
        s.broker_value = broker == mine ? s.value : format(row, broker, a);
        s.built_in = row->dflt == broker ? s.broker_value : format(row, row->dflt, a);
        fn(arg, &s);
    }
}

/* ---- refusals -------------------------------------------------------------------------------------------
 */

/* Why a text is none of this setting's values, as ConfigDef's validators put it. */
static const char *complaint(const struct topic_config_row *row)
{
    switch (row->id) {
    case TOPIC_CONFIG_DURABILITY:
        return "String must be one of: fsync, os";
    case TOPIC_CONFIG_TIMESTAMP_TYPE:
        return "String must be one of: CreateTime, LogAppendTime";
    case TOPIC_CONFIG_CLEANUP:
        return "String must be one of: compact, delete";
    case TOPIC_CONFIG_CODEC:
        return "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
    case TOPIC_CONFIG_FOLLOWER_THROTTLED:
    case TOPIC_CONFIG_LEADER_THROTTLED:
        return "Must be the literal '*' or empty: this broker has no other replicas to throttle";
    case TOPIC_CONFIG_FORMAT_VERSION:
        return "Version is not a valid version";
    default:
        break;
    }
    switch (row->type) {
    case KAFKA_BOOLEAN:
        return "Expected value to be either true or false";
    case KAFKA_INT:
        return "Not a number of type INT";
    case KAFKA_DOUBLE:
        return "Not a number of type DOUBLE";
    default:
        return "Not a number of type LONG";
    }
}

static const char *out_of_range(const struct topic_config_row *row, int64_t v, struct arena *a)
{
    if (row->type == KAFKA_INT && (v > INT32_MAX || v < INT32_MIN))
        return "Not a number of type INT";
    if (row->id == TOPIC_CONFIG_GZIP_LEVEL)
        return "Value must be between 1 and 9 or equal to -1";
    bool low = v < row->min;
    return arena_printf(a, "Value must be %s %s", low ? "at least" : "no more than",
                        row->type == KAFKA_DOUBLE ? low ? "0" : "1"
                                                  : format(row, low ? row->min : row->max, a));
}

static const struct topic_config_row *find_row(struct span name)
{
    for (size_t i = 0; i < TOPIC_CONFIG_ROWS; i++)
        if (span_eq_str(name, topic_config_rows[i].name))
            return &topic_config_rows[i];
    return NULL;
}

static int unknown(struct span name, struct arena *a, const char **ret_reason)
{
    *ret_reason = arena_printf(a, "Unknown topic config name: %s", printable(a, name));
    return ERR_NOT_FOUND;
}

int topic_config_set(struct topic_config *c, struct span name, struct span value, struct arena *a,
                     const char **ret_reason)
{
    const struct topic_config_row *row = find_row(name);
    int64_t v = 0;
    if (!row)
        return unknown(name, a, ret_reason);
    if (span_is_null(value)) {
        *ret_reason = arena_printf(a, "Null value not supported for topic configs: %s", row->name);
        return ERR_BAD_CONFIG;
    }
    const char *why = parse(row, value, &v) ? complaint(row) : NULL;
    if (!why && topic_config_set_number(c, row->id, v, a) == 0)
        return 0;
    /* ConfigException(name, value, message) */
    *ret_reason = arena_printf(a, "Invalid value %s for configuration %s: %s", printable(a, value), row->name,
                               why ? why : out_of_range(row, v, a));
    return ERR_BAD_CONFIG;
}

/* LogConfig.validateTopicLogConfigValues() */
int topic_config_check(const struct topic_config *c, struct arena *a, const char **ret_reason)
{
    int64_t min = topic_config_number(c, TOPIC_CONFIG_MIN_COMPACTION_LAG);
    int64_t max = topic_config_number(c, TOPIC_CONFIG_MAX_COMPACTION_LAG);
    if (min > max) {
        *ret_reason = arena_printf(a,
                                   "conflict topic config setting min.compaction.lag.ms (%lld) > "
                                   "max.compaction.lag.ms (%lld)",
                                   (long long)min, (long long)max);
        return ERR_BAD_CONFIG;
    }
    if (topic_config_number(c, TOPIC_CONFIG_REMOTE_STORAGE)) {
        *ret_reason =
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
            "remote log storage.";
        return ERR_BAD_CONFIG;
    }
    return 0;
}

/* ---- altering -------------------------------------------------------------------------------------------
 */

struct parts {
    struct span items[LIST_MAX];
    size_t count;
};

static bool has_part(const struct parts *p, struct span part)
{
    for (size_t i = 0; i < p->count; i++)
        if (span_eq(p->items[i], part))
            return true;
    return false;
}

static bool add_parts(struct parts *p, struct span list)
{
    struct span part;
    while (next_part(&list, &part)) {
        if (part.len == 0 || has_part(p, part))
            continue;
        if (p->count == LIST_MAX)
            return false;
        p->items[p->count++] = part;
    }
    return true;
}

static struct span join(const struct parts *p, const struct parts *without, struct arena *a)
{
    const char *text = "";
    for (size_t i = 0; i < p->count; i++)
        if (!has_part(without, p->items[i]))
            text = arena_printf(a, "%s%s%.*s", text, *text ? "," : "", (int)p->items[i].len,
                                (const char *)p->items[i].ptr);
    return span_str(text);
}

/* ConfigurationControlManager.incrementalAlterConfigResource(): parts are added once, and taken away by name.
 */
static int alter_list(struct topic_config *c, const struct topic_config_row *row,
                      const struct topic_alter_item *it, struct arena *a, const char **ret_reason)
{
    struct parts have = {.count = 0}, without = {.count = 0};
    bool append = it->kind == TOPIC_ALTER_APPEND;
    if (row->type != KAFKA_LIST) {
        *ret_reason = arena_printf(a, "Can't %s to key %s because its type is not LIST.",
                                   append ? "APPEND" : "SUBTRACT", row->name);
        return ERR_BAD_CONFIG;
    }
    add_parts(&have, span_str(format(row, topic_config_number(c, row->id), a)));
    if (!add_parts(append ? &have : &without, it->value)) {
        *ret_reason = arena_printf(a, "Too many parts for configuration %s", row->name);
        return ERR_BAD_CONFIG;
    }
    return topic_config_set(c, it->name, join(&have, &without, a), a, ret_reason);
}

static int alter_one(struct topic_config *c, const struct topic_alter_item *it, struct arena *a,
                     const char **ret_reason)
{
    const struct topic_config_row *row = find_row(it->name);
    if (!row) {
        unknown(it->name, a, ret_reason);
        return it->kind == TOPIC_ALTER_DELETE ? 0 : ERR_BAD_CONFIG; /* Kafka deletes what is not there */
    }
    switch (it->kind) {
    case TOPIC_ALTER_SET:
        return topic_config_set(c, it->name, it->value, a, ret_reason);
    case TOPIC_ALTER_DELETE:
        topic_config_unset(c, row->id, a);
        return 0;
    case TOPIC_ALTER_APPEND:
    case TOPIC_ALTER_SUBTRACT:
        return alter_list(c, row, it, a, ret_reason);
    }
    return ERR_BAD_CONFIG;
}

/* All but the durability back to the broker's. */
static void clear(struct topic_config *c, struct arena *a)
{
    for (size_t i = 0; i < TOPIC_CONFIG_ROWS; i++)
        if (topic_config_rows[i].id != TOPIC_CONFIG_DURABILITY)
            topic_config_unset(c, topic_config_rows[i].id, a);
}

int topic_config_alter(struct topic_config *c, const struct topic_alter_item *items, uint32_t count,
                       bool replace, struct arena *a, const char **ret_reason)
{
    enum log_durability durability = c->durability;
    if (replace)
        clear(c, a);
    for (uint32_t i = 0; i < count; i++) {
        int err = alter_one(c, &items[i], a, ret_reason);
        if (err)
            return err;
    }
    if (c->durability != durability) {
        *ret_reason =
            "The durability of a topic is chosen when it is created, and cannot be changed afterwards.";
        return ERR_BAD_CONFIG;
    }
    return topic_config_check(c, a, ret_reason);
}
