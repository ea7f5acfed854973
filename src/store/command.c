/* Command logs: the metadata (id 0) and what else the core keeps as commands. A command is opaque; the core
 * folds commands into a snapshot, which replaces them.
 *
 * When a snapshot may be taken. The core writes one that has every command appended so far, durable or not
 * (store_events.snapshot). Its journal entry is appended after them, a shard's entries become durable in the
 * order in which they are appended, and after a failure none does: so whenever the snapshot is durable, all
 * that it has is. No moment without commands in flight is needed, and load cannot put a snapshot off.
 *
 * While a snapshot is on its way more commands come. They have higher numbers than it was taken at, so
 * recovery applies them on top of it, and the first of them to become durable (later_lsn) is what the log
 * needs of the journal once the snapshot is durable.
 *
 * Snapshots are taken only when the journal asks for its oldest file and the log needs that. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/log_impl.h"

enum { FULL_DISK_RETRY_NS = 500000000 };

bool store_is_command_log(uint64_t id)
{
    return id == STORE_META_LOG || id >= STORE_COMMAND_LOGS;
}

struct command_log *command_log_find(const struct store_shard *ss, uint64_t id)
{
    list_each (it, &ss->command_logs) {
        struct command_log *c = list_entry(it, struct command_log, link);
        if (c->id == id)
            return c;
    }
    return NULL;
}

struct command_log *command_log_get(struct store_shard *ss, uint64_t id)
{
    assert(store_is_command_log(id) && store_shard_of(ss->st, id) == ss->index);
    struct command_log *c = command_log_find(ss, id);
    if (!c) {
        c = mem_zalloc(sizeof(*c));
        c->id = id;
        c->ss = ss;
        list_add_tail(&ss->command_logs, &c->link);
    }
    return c;
}

void command_fini(struct store_shard *ss)
{
    list_each_safe (it, tmp, &ss->command_logs) {
        struct command_log *c = list_entry(it, struct command_log, link);
        list_del(&c->link);
        mem_free(c);
    }
}

static void add_entry(struct command_log *c, uint8_t type, uint8_t flags, uint64_t base, struct span body)
{
    struct journal_entry e = {.log_id = c->id, .base = base, .type = type, .flags = flags, .body = body};
    group_add(c->ss, &e);
}

/* Metadata commands may use the reserve: deleting topics is how a full disk is emptied. */
int store_command_append(struct store_shard *ss, uint64_t log_id, struct span command)
{
    struct command_log *c = command_log_get(ss, log_id);
    bool internal = log_id == STORE_META_LOG;
    int err = group_admit(ss, command.len, internal);
    if (err)
        return err == ERR_AGAIN && !internal && ss->disk_full ? ERR_NO_SPACE : err;
    uint8_t *bytes = mem_alloc(command.len);
    memcpy(bytes, command.ptr, command.len);
    add_entry(c, JOURNAL_COMMAND, 0, ++c->seq, span_of(bytes, command.len));
    return 0;
}

/* ---- durable ---- */

static void snapshot_durable(struct command_log *c, uint64_t lsn)
{
    assert(c->saving == COMMANDS_JOURNALED);
    c->saving = COMMANDS_IDLE;
    c->state_lsn = lsn;
    c->state_seq = c->next_seq;
    c->unsaved_lsn = c->later_lsn;
    if (strcmp(c->file.name, c->next_file.name) != 0)
        spill_remove(c->ss->st, c->file.name);
    c->file = c->next_file;
}

void command_durable(struct store_shard *ss, const struct journal_entry *e, uint64_t lsn)
{
    struct command_log *c = command_log_find(ss, e->log_id);
    if (e->type == JOURNAL_STATE) {
        snapshot_durable(c, lsn);
        return;
    }
    if (!c->unsaved_lsn)
        c->unsaved_lsn = lsn;
    if (c->saving != COMMANDS_IDLE && e->base > c->next_seq && !c->later_lsn)
        c->later_lsn = lsn;
}

/* ---- snapshots ---- */

static void append_inline(struct command_log *c, uint8_t *bytes, size_t len)
{
    if (group_admit(c->ss, len, true) != 0) {
        mem_free(bytes);
        c->saving = COMMANDS_IDLE; /* recycling asks again */
        return;
    }
    add_entry(c, JOURNAL_STATE, 0, c->next_seq, span_of(bytes, len));
    c->saving = COMMANDS_JOURNALED;
    c->ss->copied_bytes += len;
}

static void append_spilled(struct command_log *c)
{
    c->saving = COMMANDS_SPILLED;
    if (group_admit(c->ss, STATE_SPILL_BYTES, true) != 0)
        return; /* recycling asks again */
    uint8_t *body = mem_alloc(STATE_SPILL_BYTES);
    spill_encode(&c->next_file, 0, body);
    add_entry(c, JOURNAL_STATE, JOURNAL_SPILLED, c->next_seq, span_of(body, STATE_SPILL_BYTES));
    c->saving = COMMANDS_JOURNALED;
}

static void spilled(struct spill *s)
{
    struct command_log *c = s->owner;
    struct store_shard *ss = c->ss;
    if (s->err == ERR_NO_SPACE) { /* the journal keeps the commands meanwhile */
        c->saving = COMMANDS_IDLE;
        c->retry_at_ns = ss->now_ns + FULL_DISK_RETRY_NS;
        disk_is_full(ss);
    } else if (s->err) {
        store_fail(ss->st, s->err, "writing a snapshot");
    } else {
        disk_is_fine(ss);
        c->next_file = s->file;
        append_spilled(c);
    }
}

/* The core's snapshot in one piece; NULL: it could not be had for want of memory. */
static uint8_t *take_snapshot(const struct command_log *c, size_t *ret_len)
{
    struct chunk_pool pool;
    struct outq q;
    uint8_t *bytes = NULL;
    chunk_pool_init(&pool, "snapshot", 64 << 10, 0);
    outq_init(&q, &pool);
    c->ss->st->ev.snapshot(c->ss->st->ev.arg, c->id, &q);
    *ret_len = q.len;
    if (q.len > 0) {
        bytes = mem_alloc(q.len);
        outq_copy_to(&q, bytes);
    }
    outq_fini(&q);
    chunk_pool_fini(&pool);
    return bytes;
}

/* What snapshots take of the journal stays well below what recycling frees, as what is copied forward does
 * (is_remnant() in pin.c): beyond that they are spilled, however small they are, but for tiny ones. */
static bool fits_journal(const struct store_shard *ss, size_t len)
{
    uint64_t file = ss->st->opt.journal_file_bytes;
    bool cheap = len <= file / 256 || ss->copied_bytes + len <= file / 4 / ss->st->opt.shards;
    return cheap && !spill_wanted(ss, len);
}

static void begin_snapshot(struct command_log *c)
{
    size_t len;
    c->next_seq = c->seq;
    c->later_lsn = 0;
    if (c->file.name[0] && c->state_seq == c->seq) { /* nothing came after: the file says it still */
        c->next_file = c->file;
        append_spilled(c);
        return;
    }
    uint8_t *bytes = take_snapshot(c, &len);
    if (!bytes)
        return; /* recycling asks again */
    c->next_file = (struct spill_file){0};
    if (fits_journal(c->ss, len)) {
        append_inline(c, bytes, len);
    } else {
        c->saving = COMMANDS_SPILLING;
        spill_start(c->ss, c->id, "snapshot", bytes, len, spilled, c);
    }
}

static void save(struct command_log *c)
{
    if (c->saving == COMMANDS_SPILLED)
        append_spilled(c);
    else if (c->saving == COMMANDS_IDLE && c->ss->now_ns >= c->retry_at_ns)
        begin_snapshot(c);
}

/* ---- what the journal must keep ---- */

static uint64_t pin_of(const struct command_log *c)
{
    uint64_t state = c->state_lsn ? c->state_lsn : UINT64_MAX;
    return c->unsaved_lsn && c->unsaved_lsn < state ? c->unsaved_lsn : state;
}

uint64_t command_lowest(const struct store_shard *ss)
{
    uint64_t low = UINT64_MAX;
    list_each (it, &ss->command_logs) {
        uint64_t pin = pin_of(list_entry(it, struct command_log, link));
        low = pin < low ? pin : low;
    }
    return low;
}

void command_recycle(struct store_shard *ss, uint64_t before)
{
    list_each (it, &ss->command_logs) {
        struct command_log *c = list_entry(it, struct command_log, link);
        if (pin_of(c) < before)
            save(c);
    }
}

void command_renew(struct store_shard *ss)
{
    list_each (it, &ss->command_logs) {
        struct command_log *c = list_entry(it, struct command_log, link);
        if (!c->renew)
            continue;
        save(c);
        c->renew = c->saving == COMMANDS_IDLE || c->saving == COMMANDS_SPILLED;
        if (c->renew)
            ss->renewed = false;
    }
}
