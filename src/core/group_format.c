/* Groups on the disk. All numbers are big-endian.
 *
 *   command    u8 type, u8 version (0), u32 vhost, string name, fields:
 *     1 positions   u32 count, each {16 bytes topic id, u32 partition, i32 leader epoch, i64 offset,
 *                   i64 committed ms, i64 expires ms or -1, string metadata}
 *     2 members     string protocol type, string protocol, string leader, i32 generation, i64 state ms,
 *                   u32 count, each {string id, string instance id, string client id, string client host,
 *                   i32 session timeout ms, i32 rebalance timeout ms, bytes metadata, bytes assignment,
 *                   u32 count of topics, each string}
 *     3 forget      u32 count, each {16 bytes topic id, u32 partition}
 *     4 delete
 *   string     u16 length, 65535 for null, and bytes
 *   bytes      u32 length and bytes
 *   snapshot   "CLBG", u8 version (0), then each command after its u32 length, to the end
 *
 * Commands are guarded by the journal's checksums; readers check everything else all the same, since a tool
 * may be pointed at any file. */
#include "core/group_format.h"

#include "base/err.h"

enum {
    VERSION = 0,
    NULL_STRING = 0xffff,
    FORGET_BYTES = 20,
    POSITION_BYTES = 50, /* at least */
    MEMBER_BYTES = 28,   /* at least */
};

static const uint8_t snapshot_magic[5] = {'C', 'L', 'B', 'G', VERSION};

/* ---- writing ------------------------------------------------------------------------------------------ */

static void write_string(struct writer *w, struct span s)
{
    write_u16(w, span_is_null(s) ? NULL_STRING : (uint16_t)s.len);
    if (s.len)
        write_bytes(w, s);
}

static void write_blob(struct writer *w, struct span s)
{
    write_u32(w, (uint32_t)s.len);
    if (s.len)
        write_bytes(w, s);
}

static void write_place(struct writer *w, const struct group_command_position *p)
{
    write_bytes(w, span_of(p->topic.bytes, sizeof(p->topic.bytes)));
    write_u32(w, p->partition);
}

static void write_positions(struct writer *w, const struct group_command *c)
{
    write_u32(w, c->position_count);
    for (uint32_t i = 0; i < c->position_count; i++) {
        const struct group_command_position *p = &c->positions[i];
        write_place(w, p);
        write_i32(w, p->leader_epoch);
        write_i64(w, p->offset);
        write_i64(w, p->commit_ms);
        write_i64(w, p->expire_ms);
        write_string(w, p->metadata);
    }
}

static void write_member(struct writer *w, const struct group_command_member *m)
{
    write_string(w, m->id);
    write_string(w, m->instance_id);
    write_string(w, m->client_id);
    write_string(w, m->client_host);
    write_i32(w, m->session_timeout_ms);
    write_i32(w, m->rebalance_timeout_ms);
    write_blob(w, m->metadata);
    write_blob(w, m->assignment);
    write_u32(w, m->topic_count);
    for (uint32_t i = 0; i < m->topic_count; i++)
        write_string(w, m->topics[i]);
}

static void write_members(struct writer *w, const struct group_command *c)
{
    write_string(w, c->protocol_type);
    write_string(w, c->protocol);
    write_string(w, c->leader);
    write_i32(w, c->generation);
    write_i64(w, c->state_ms);
    write_u32(w, c->member_count);
    for (uint32_t i = 0; i < c->member_count; i++)
        write_member(w, &c->members[i]);
}

static void write_forget(struct writer *w, const struct group_command *c)
{
    write_u32(w, c->position_count);
    for (uint32_t i = 0; i < c->position_count; i++)
        write_place(w, &c->positions[i]);
}

void group_command_write(struct writer *w, const struct group_command *c)
{
    write_i8(w, (int8_t)c->type);
    write_i8(w, VERSION);
    write_u32(w, c->vhost);
    write_string(w, c->name);
    switch (c->type) {
    case GROUP_POSITIONS:
        write_positions(w, c);
        break;
    case GROUP_MEMBERS:
        write_members(w, c);
        break;
    case GROUP_FORGET:
        write_forget(w, c);
        break;
    case GROUP_DELETE:
        break;
    }
}

void group_snapshot_begin(struct writer *w)
{
    write_bytes(w, span_of(snapshot_magic, sizeof(snapshot_magic)));
}

void group_snapshot_add(struct writer *w, struct span command)
{
    write_blob(w, command);
}

/* ---- reading ------------------------------------------------------------------------------------------ */

static struct span read_string(struct reader *r)
{
    uint16_t len = read_u16(r);
    return r->err || len == NULL_STRING ? SPAN_NULL : read_bytes(r, len);
}

static struct span read_blob(struct reader *r)
{
    uint32_t len = read_u32(r);
    return r->err ? SPAN_NULL : read_bytes(r, len);
}

/* A count of things that take at least so many bytes each. */
static uint32_t read_count(struct reader *r, size_t least)
{
    uint32_t count = read_u32(r);
    if (count > reader_left(r) / least) {
        reader_fail(r, ERR_INVALID, "more elements than bytes");
        return 0;
    }
    return count;
}

static void read_place(struct reader *r, struct group_command_position *p)
{
    struct span id = read_bytes(r, sizeof(p->topic.bytes));
    if (id.len == sizeof(p->topic.bytes))
        memcpy(p->topic.bytes, id.ptr, id.len);
    p->partition = read_u32(r);
}

static void read_positions(struct reader *r, struct group_command *ret)
{
    ret->position_count = read_count(r, POSITION_BYTES);
    ret->positions = arena_array(r->arena, ret->position_count, sizeof(*ret->positions));
    for (uint32_t i = 0; i < ret->position_count && !r->err; i++) {
        struct group_command_position *p = &ret->positions[i];
        read_place(r, p);
        p->leader_epoch = read_i32(r);
        p->offset = read_i64(r);
        p->commit_ms = read_i64(r);
        p->expire_ms = read_i64(r);
        p->metadata = read_string(r);
    }
}

static void read_member(struct reader *r, struct group_command_member *m)
{
    m->id = read_string(r);
    m->instance_id = read_string(r);
    m->client_id = read_string(r);
    m->client_host = read_string(r);
    m->session_timeout_ms = read_i32(r);
    m->rebalance_timeout_ms = read_i32(r);
    m->metadata = read_blob(r);
    m->assignment = read_blob(r);
    m->topic_count = read_count(r, 2);
    m->topics = arena_array(r->arena, m->topic_count, sizeof(*m->topics));
    for (uint32_t i = 0; i < m->topic_count; i++)
        m->topics[i] = read_string(r);
    if (!r->err && span_is_null(m->id))
        reader_fail(r, ERR_INVALID, "a member without an id");
}

static void read_members(struct reader *r, struct group_command *ret)
{
    ret->protocol_type = read_string(r);
    ret->protocol = read_string(r);
    ret->leader = read_string(r);
    ret->generation = read_i32(r);
    ret->state_ms = read_i64(r);
    ret->member_count = read_count(r, MEMBER_BYTES);
    ret->members = arena_array(r->arena, ret->member_count, sizeof(*ret->members));
    bool leads = ret->member_count == 0;
    for (uint32_t i = 0; i < ret->member_count && !r->err; i++) {
        read_member(r, &ret->members[i]);
        leads = leads || span_eq(ret->members[i].id, ret->leader);
    }
    if (!r->err && !leads)
        reader_fail(r, ERR_INVALID, "the leader is no member");
}

static void read_forget(struct reader *r, struct group_command *ret)
{
    ret->position_count = read_count(r, FORGET_BYTES);
    ret->positions = arena_array(r->arena, ret->position_count, sizeof(*ret->positions));
    for (uint32_t i = 0; i < ret->position_count; i++)
        read_place(r, &ret->positions[i]);
}

int group_command_read(struct span bytes, struct arena *a, struct group_command *ret)
{
    struct reader r;
    *ret = (struct group_command){0};
    reader_init(&r, bytes, a);
    ret->type = (enum group_command_type)read_i8(&r);
    if (read_i8(&r) != VERSION)
        reader_fail(&r, ERR_INVALID, "an unknown version");
    ret->vhost = read_u32(&r);
    ret->name = read_string(&r);
    switch (ret->type) {
    case GROUP_POSITIONS:
        read_positions(&r, ret);
        break;
    case GROUP_MEMBERS:
        read_members(&r, ret);
        break;
    case GROUP_FORGET:
        read_forget(&r, ret);
        break;
    case GROUP_DELETE:
        break;
    default:
        reader_fail(&r, ERR_INVALID, "an unknown command");
    }
    if (!r.err && (reader_left(&r) > 0 || span_is_null(ret->name)))
        reader_fail(&r, ERR_INVALID, "not the length of its command");
    return r.err;
}

int group_snapshot_read(struct span snapshot, int (*fn)(void *arg, struct span command), void *arg)
{
    struct reader r;
    reader_init(&r, snapshot, NULL);
    struct span magic = read_bytes(&r, sizeof(snapshot_magic));
    if (r.err || memcmp(magic.ptr, snapshot_magic, sizeof(snapshot_magic)) != 0)
        return ERR_INVALID;
    int err = 0;
    while (!err && !r.err && reader_left(&r) > 0) {
        struct span command = read_blob(&r);
        err = r.err ? r.err : fn(arg, command);
    }
    return err ? err : r.err;
}
