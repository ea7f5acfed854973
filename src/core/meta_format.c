/* Metadata on the disk. All numbers are big-endian.
 *
 *   command    u8 type, u8 version (0), fields:
 *     1 cluster        16 bytes id
 *     2 topic create   16 bytes topic id, u32 vhost, u16 length and bytes of the name, settings, runs
 *     3 topic delete   16 bytes topic id
 *     4 topic grow     16 bytes topic id, u32 first partition, runs
 *     5 producer ids   u64 next
 *     6 log ids        u64 next
 *     7 topic config   16 bytes topic id, settings; they replace all that the topic had
 *   settings   u16 count, each {u16 tag, i64 value}; tags and values: topic_config.def
 *   runs       u32 count, each {u64 first log id, u32 partitions}
 *   snapshot   "CLBM", u8 version (0), then each command after its u32 length, to the end
 *
 * Commands are guarded by the journal's checksums; readers check everything else all the same, since a tool
 * may be pointed at any file. */
#include "core/meta_format.h"

#include "base/err.h"

enum { VERSION = 0, MAX_SETTINGS = 64, RUN_BYTES = 12 };

static const uint8_t snapshot_magic[5] = {'C', 'L', 'B', 'M', VERSION};

/* ---- writing ------------------------------------------------------------------------------------------ */

static void write_config(struct writer *w, const struct topic_config *c)
{
    write_u16(w, (uint16_t)__builtin_popcountll(c->set));
    for (unsigned tag = 0; tag < 64; tag++) {
        if (!(c->set & 1ull << tag))
            continue;
        write_u16(w, (uint16_t)tag);
        write_i64(w, topic_config_number(c, (enum topic_config_id)tag));
    }
}

static void write_runs(struct writer *w, const struct meta_command *c)
{
    write_u32(w, c->run_count);
    for (uint32_t i = 0; i < c->run_count; i++) {
        write_i64(w, (int64_t)c->runs[i].first_log);
        write_u32(w, c->runs[i].count);
    }
}

static void write_create(struct writer *w, const struct meta_command *c)
{
    write_bytes(w, span_of(c->topic.bytes, sizeof(c->topic.bytes)));
    write_u32(w, c->vhost);
    write_u16(w, (uint16_t)c->name.len);
    write_bytes(w, c->name);
    write_config(w, &c->config);
    write_runs(w, c);
}

void meta_write(struct writer *w, const struct meta_command *c)
{
    write_i8(w, (int8_t)c->type);
    write_i8(w, VERSION);
    switch (c->type) {
    case META_CLUSTER:
        write_bytes(w, span_of(c->cluster_id, sizeof(c->cluster_id)));
        break;
    case META_TOPIC_CREATE:
        write_create(w, c);
        break;
    case META_TOPIC_DELETE:
        write_bytes(w, span_of(c->topic.bytes, sizeof(c->topic.bytes)));
        break;
    case META_TOPIC_GROW:
        write_bytes(w, span_of(c->topic.bytes, sizeof(c->topic.bytes)));
        write_u32(w, c->first_partition);
        write_runs(w, c);
        break;
    case META_PRODUCER_IDS:
    case META_LOG_IDS:
        write_i64(w, (int64_t)c->next);
        break;
    case META_TOPIC_CONFIG:
        write_bytes(w, span_of(c->topic.bytes, sizeof(c->topic.bytes)));
        write_config(w, &c->config);
        break;
    }
}

void meta_snapshot_begin(struct writer *w)
{
    write_bytes(w, span_of(snapshot_magic, sizeof(snapshot_magic)));
}

void meta_snapshot_add(struct writer *w, const struct meta_command *c)
{
    uint8_t *length = write_reserve_u32(w);
    size_t before = w->q->len;
    meta_write(w, c);
    if (!w->err)
        write_patch_u32(length, (uint32_t)(w->q->len - before));
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static void read_array(struct reader *r, uint8_t *ret, size_t len)
{
    struct span s = read_bytes(r, len);
    if (s.len == len)
        memcpy(ret, s.ptr, len);
}

static void read_config(struct reader *r, struct topic_config *ret)
{
    topic_config_default(ret);
    uint16_t count = read_u16(r);
    if (count > MAX_SETTINGS)
        reader_fail(r, ERR_LIMIT, "too many settings");
    for (uint16_t i = 0; i < count && !r->err; i++) {
        uint16_t tag = read_u16(r);
        int64_t value = read_i64(r);
        if (!r->err && topic_config_set_number(ret, (enum topic_config_id)tag, value, r->arena))
            reader_fail(r, ERR_INVALID, "a topic's setting");
    }
}

static void read_runs(struct reader *r, struct meta_command *ret)
{
    uint32_t count = read_u32(r);
    if (count > reader_left(r) / RUN_BYTES)
        reader_fail(r, ERR_INVALID, "more runs than bytes");
    if (r->err)
        return;
    ret->runs = arena_array(r->arena, count, sizeof(*ret->runs));
    ret->run_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct meta_run *run = &ret->runs[i];
        run->first_log = (uint64_t)read_i64(r);
        run->count = read_u32(r);
        if (run->count == 0 || run->count > META_MAX_PARTITIONS - ret->partitions || run->first_log == 0 ||
            run->first_log > INT64_MAX) {
            reader_fail(r, ERR_INVALID, "a run of partitions");
            return;
        }
        ret->partitions += run->count;
    }
}

static void read_topic_id(struct reader *r, struct topic_id *ret)
{
    static const struct topic_id zero;
    read_array(r, ret->bytes, sizeof(ret->bytes));
    if (memcmp(ret, &zero, sizeof(zero)) == 0)
        reader_fail(r, ERR_INVALID, "a topic id of zero");
}

static void read_create(struct reader *r, struct meta_command *ret)
{
    read_topic_id(r, &ret->topic);
    ret->vhost = read_u32(r);
    ret->name = read_bytes(r, read_u16(r));
    if (!r->err && topic_check_name(ret->name))
        reader_fail(r, ERR_INVALID, "a topic name");
    read_config(r, &ret->config);
    read_runs(r, ret);
}

static void read_fields(struct reader *r, struct meta_command *ret)
{
    switch (ret->type) {
    case META_CLUSTER:
        read_array(r, ret->cluster_id, sizeof(ret->cluster_id));
        break;
    case META_TOPIC_CREATE:
        read_create(r, ret);
        break;
    case META_TOPIC_DELETE:
        read_topic_id(r, &ret->topic);
        break;
    case META_TOPIC_GROW:
        read_topic_id(r, &ret->topic);
        ret->first_partition = read_u32(r);
        read_runs(r, ret);
        break;
    case META_PRODUCER_IDS:
    case META_LOG_IDS:
        ret->next = (uint64_t)read_i64(r);
        if (ret->next > INT64_MAX)
            reader_fail(r, ERR_INVALID, "an id");
        break;
    case META_TOPIC_CONFIG:
        read_topic_id(r, &ret->topic);
        read_config(r, &ret->config);
        break;
    default:
        reader_fail(r, ERR_INVALID, "an unknown command");
    }
}

int meta_read(struct span bytes, struct arena *a, struct meta_command *ret)
{
    struct reader r;
    reader_init(&r, bytes, a);
    struct meta_command c = {.type = (enum meta_type)(uint8_t)read_i8(&r)};
    if (read_i8(&r) != VERSION)
        reader_fail(&r, ERR_INVALID, "a version of the future");
    if (!r.err)
        read_fields(&r, &c);
    if (r.err || reader_left(&r))
        return ERR_CORRUPT;
    *ret = c;
    return 0;
}

int meta_snapshot_read(struct span bytes, int (*fn)(void *arg, struct span command), void *arg)
{
    struct reader r;
    reader_init(&r, bytes, NULL);
    if (!span_eq(read_bytes(&r, sizeof(snapshot_magic)), span_of(snapshot_magic, sizeof(snapshot_magic))))
        return ERR_CORRUPT;
    while (!r.err && reader_left(&r) > 0) {
        struct span command = read_bytes(&r, read_u32(&r));
        int err = r.err ? ERR_CORRUPT : fn(arg, command);
        if (err)
            return err;
    }
    return r.err ? ERR_CORRUPT : 0;
}
