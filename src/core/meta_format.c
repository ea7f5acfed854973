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
 *     8 record put     u8 kind, key, value; replaces the one of that kind and key (core/meta_record.h)
 *     9 record drop    u8 kind, key
 *    10 vhost put      u32 id, name, args; replaces the args of the one with that id and name
 *    11 vhost drop     u32 id; and all that is in it
 *    12 exchange put   u32 vhost, u8 flags, name, name of the type, u64 log id of the delay queue or 0,
 *                      u64 next, args
 *    13 exchange drop  u32 vhost, name, also
 *    14 queue put      u32 vhost, u8 flags, u8 type (0 classic, 1 quorum, 2 stream), u64 log id, u64 next,
 *                      name, args
 *    15 queue drop     u32 vhost, u64 log id, also
 *    16 bind           u32 vhost, u8 flags, u8 kind (0 queue, 1 exchange, 2 topic), source, destination,
 *                      key, args
 *    17 unbind         as bind, then also
 *   settings   u16 count, each {u16 tag, i64 value}; tags and values: topic_config.def
 *   runs       u32 count, each {u64 first log id, u32 partitions}
 *   name       u16 length, at most 255, and bytes; so are source, destination and the key of a binding.
 *              The key of a record: u16 length and bytes
 *   args       u32 length and bytes of a table, core/fields.h; value: u32 length and any bytes
 *   flags      1 durable, 2 auto-delete, 4 internal
 *   also       u16 count and names of exchanges that go with it: auto-delete ones whose last binding it was
 *   next       log ids below it are in use, or were
 *   snapshot   "CLBM", u8 version (0), then each command after its u32 length, to the end
 *
 * Commands are guarded by the journal's checksums; readers check everything else all the same, since a tool
 * may be pointed at any file. */
#include "core/meta_format.h"

#include "base/err.h"
#include "core/exchange.h"
#include "core/fields.h"

enum {
    VERSION = 0,
    MAX_SETTINGS = 64,
    RUN_BYTES = 12,
    FLAGS = META_DURABLE | META_AUTO_DELETE | META_INTERNAL,
    LAST_QUEUE_TYPE = 2,
};

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

static void write_name(struct writer *w, struct span name)
{
    write_u16(w, (uint16_t)name.len);
    write_bytes(w, name);
}

static void write_long(struct writer *w, struct span bytes)
{
    write_u32(w, (uint32_t)bytes.len);
    write_bytes(w, bytes);
}

static void write_also(struct writer *w, const struct meta_entity *e)
{
    write_u16(w, (uint16_t)e->also_count);
    for (uint32_t i = 0; i < e->also_count; i++)
        write_name(w, e->also[i]);
}

static void write_exchange(struct writer *w, const struct meta_command *c)
{
    const struct meta_entity *e = &c->entity;
    write_i8(w, (int8_t)e->flags);
    write_name(w, e->name);
    write_name(w, e->label);
    write_i64(w, (int64_t)e->id);
    write_i64(w, (int64_t)c->next);
    write_long(w, e->args);
}

static void write_queue(struct writer *w, const struct meta_command *c)
{
    const struct meta_entity *e = &c->entity;
    write_i8(w, (int8_t)e->flags);
    write_i8(w, (int8_t)e->type);
    write_i64(w, (int64_t)e->id);
    write_i64(w, (int64_t)c->next);
    write_name(w, e->name);
    write_long(w, e->args);
}

static void write_binding(struct writer *w, const struct meta_entity *e)
{
    write_i8(w, (int8_t)e->flags);
    write_i8(w, (int8_t)e->kind);
    write_name(w, e->name);
    write_name(w, e->dest);
    write_name(w, e->key);
    write_long(w, e->args);
}

static void write_record(struct writer *w, const struct meta_command *c)
{
    write_i8(w, (int8_t)c->entity.kind);
    write_name(w, c->entity.name);
    if (c->type == META_RECORD_PUT)
        write_long(w, c->entity.args);
}

/* The commands about what is in a virtual host. */
static void write_entity(struct writer *w, const struct meta_command *c)
{
    const struct meta_entity *e = &c->entity;
    write_u32(w, e->vhost);
    switch (c->type) {
    case META_VHOST_PUT:
        write_name(w, e->name);
        write_long(w, e->args);
        break;
    case META_EXCHANGE_PUT:
        write_exchange(w, c);
        break;
    case META_QUEUE_PUT:
        write_queue(w, c);
        break;
    case META_BIND:
    case META_UNBIND:
        write_binding(w, e);
        break;
    case META_EXCHANGE_DROP:
        write_name(w, e->name);
        break;
    case META_QUEUE_DROP:
        write_i64(w, (int64_t)e->id);
        break;
    default:
        break;
    }
    if (c->type == META_EXCHANGE_DROP || c->type == META_QUEUE_DROP || c->type == META_UNBIND)
        write_also(w, e);
}

void meta_write(struct writer *w, const struct meta_command *c)
{
    write_i8(w, (int8_t)c->type);
    write_i8(w, VERSION);
    switch (c->type) {
    case META_RECORD_PUT:
    case META_RECORD_DROP:
        write_record(w, c);
        break;
    case META_VHOST_PUT:
    case META_VHOST_DROP:
    case META_EXCHANGE_PUT:
    case META_EXCHANGE_DROP:
    case META_QUEUE_PUT:
    case META_QUEUE_DROP:
    case META_BIND:
    case META_UNBIND:
        write_entity(w, c);
        break;
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

static struct span read_name(struct reader *r)
{
    struct span s = read_bytes(r, read_u16(r));
    if (s.len > META_MAX_NAME)
        reader_fail(r, ERR_INVALID, "a name that is too long");
    return s;
}

static struct span read_args(struct reader *r)
{
    struct span s = read_bytes(r, read_u32(r));
    if (!r->err && fields_check(s))
        reader_fail(r, ERR_INVALID, "a table");
    return s;
}

static uint8_t read_flags(struct reader *r)
{
    uint8_t flags = (uint8_t)read_i8(r);
    if (flags & ~FLAGS)
        reader_fail(r, ERR_INVALID, "flags");
    return flags;
}

/* A log's; 0 too where that says that there is none. */
static uint64_t read_id(struct reader *r, bool optional)
{
    uint64_t id = (uint64_t)read_i64(r);
    if (id > INT64_MAX || (id == 0 && !optional))
        reader_fail(r, ERR_INVALID, "an id");
    return id;
}

static void read_also(struct reader *r, struct meta_entity *e)
{
    uint16_t count = read_u16(r);
    if (count > reader_left(r) / 2)
        reader_fail(r, ERR_INVALID, "more names than bytes");
    if (r->err)
        return;
    e->also = arena_array(r->arena, count, sizeof(*e->also));
    for (e->also_count = 0; e->also_count < count && !r->err;)
        e->also[e->also_count++] = read_name(r);
}

static void read_exchange(struct reader *r, struct meta_command *ret)
{
    struct meta_entity *e = &ret->entity;
    e->flags = read_flags(r);
    e->name = read_name(r);
    e->label = read_name(r);
    if (!r->err && exchange_type_of(e->label) < 0)
        reader_fail(r, ERR_INVALID, "an exchange's type");
    e->id = read_id(r, true);
    ret->next = read_id(r, true);
    e->args = read_args(r);
    if (e->name.len == 0)
        reader_fail(r, ERR_INVALID, "an exchange without a name");
}

static void read_queue(struct reader *r, struct meta_command *ret)
{
    struct meta_entity *e = &ret->entity;
    e->flags = read_flags(r);
    e->type = (uint8_t)read_i8(r);
    if (e->type > LAST_QUEUE_TYPE)
        reader_fail(r, ERR_INVALID, "a queue's type");
    e->id = read_id(r, false);
    ret->next = read_id(r, false);
    e->name = read_name(r);
    e->args = read_args(r);
    if (e->name.len == 0 || ret->next <= e->id)
        reader_fail(r, ERR_INVALID, "a queue");
}

static void read_binding(struct reader *r, struct meta_entity *e)
{
    e->flags = read_flags(r);
    e->kind = (uint8_t)read_i8(r);
    if (e->kind > DEST_TOPIC)
        reader_fail(r, ERR_INVALID, "a destination");
    e->name = read_name(r);
    e->dest = read_name(r);
    e->key = read_name(r);
    e->args = read_args(r);
}

static void read_record(struct reader *r, struct meta_command *ret)
{
    ret->entity.kind = (uint8_t)read_i8(r);
    ret->entity.name = read_bytes(r, read_u16(r));
    if (ret->type == META_RECORD_PUT)
        ret->entity.args = read_bytes(r, read_u32(r));
}

static void read_entity(struct reader *r, struct meta_command *ret)
{
    struct meta_entity *e = &ret->entity;
    e->vhost = read_u32(r);
    switch (ret->type) {
    case META_VHOST_PUT:
        e->name = read_name(r);
        e->args = read_args(r);
        break;
    case META_EXCHANGE_PUT:
        read_exchange(r, ret);
        break;
    case META_QUEUE_PUT:
        read_queue(r, ret);
        break;
    case META_BIND:
    case META_UNBIND:
        read_binding(r, e);
        break;
    case META_EXCHANGE_DROP:
        e->name = read_name(r);
        break;
    case META_QUEUE_DROP:
        e->id = read_id(r, false);
        break;
    default:
        break;
    }
    if (ret->type == META_EXCHANGE_DROP || ret->type == META_QUEUE_DROP || ret->type == META_UNBIND)
        read_also(r, e);
}

static void read_fields(struct reader *r, struct meta_command *ret)
{
    if (ret->type >= META_VHOST_PUT && ret->type <= META_UNBIND) {
        read_entity(r, ret);
        return;
    }
    switch (ret->type) {
    case META_RECORD_PUT:
    case META_RECORD_DROP:
        read_record(r, ret);
        break;
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
