#include "store/rig.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/le.h"
#include "store/log_impl.h"

/* The model's own memory: not to be hit when tests let the store's allocations fail. */
static void *model_realloc(void *p, size_t size)
{
    p = realloc(p, size);
    assert(p);
    return p;
}

/* ---- events and turns ---- */

static void on_advanced(void *arg, struct log *l)
{
    struct rig *r = arg;
    r->advanced++;
    log_check(l);
}

static void on_space(void *arg, unsigned shard, int err)
{
    ((struct rig *)arg)->spaces++;
}

static void on_failed(void *arg, int err, const char *what)
{
    ((struct rig *)arg)->failed = err;
}

/* The metadata's snapshot: for each log that exists or is being created, id and durability. Commands have the
 * same form. */
static void snapshot_meta(const struct rig *r, struct outq *out)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++) {
        uint8_t row[24] = {0};
        if (!(r->logs[i].created || r->logs[i].creating) || r->logs[i].deleted_ack)
            continue;
        le_put_u64(row, (uint64_t)i + 1);
        le_put_u64(row + 8, r->logs[i].config.durability);
        le_put_u64(row + 16, r->logs[i].config.segment_bytes);
        outq_copy(out, span_of(row, sizeof(row)));
    }
}

/* The other command logs': id, number of commands, hash, then bytes that follow from the hash. */
static void snapshot_commands(const struct rig_commands *c, struct outq *out)
{
    uint8_t head[24];
    le_put_u64(head, c->id);
    le_put_u64(head + 8, c->count);
    le_put_u64(head + 16, c->hash);
    outq_copy(out, span_of(head, sizeof(head)));
}

static uint8_t padding_at(uint64_t seed, size_t i)
{
    return (uint8_t)((seed + i) * 0x9e3779b97f4a7c15u >> 56);
}

static void snapshot_padding(uint64_t seed, size_t len, struct outq *out)
{
    uint8_t bytes[500];
    for (size_t at = 0; at < len; at += sizeof(bytes)) {
        size_t n = len - at < sizeof(bytes) ? len - at : sizeof(bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = seed ? padding_at(seed, at + i) : 0;
        outq_copy(out, span_of(bytes, n));
    }
}

static void on_snapshot(void *arg, uint64_t log_id, struct outq *out)
{
    struct rig *r = arg;
    if (log_id == STORE_META_LOG) {
        snapshot_meta(r, out);
        snapshot_padding(0, r->snapshot_bytes / 24 * 24 + 24, out); /* rows of no log */
    } else {
        const struct rig_commands *c = &r->commands[log_id - STORE_COMMAND_LOGS];
        snapshot_commands(c, out);
        snapshot_padding(c->hash | 1, r->snapshot_bytes, out);
    }
    r->snapshots++;
    r->large_snapshots += out->len >= 8 << 10;
}

static void turn(void *arg)
{
    struct rig_shard *s = arg;
    struct rig *r = s->rig;
    if (!r->st)
        return;
    struct store_shard *ss = store_shard(r->st, s->index);
    if (store_shard_next_tick(ss) <= os_mono_ns())
        store_shard_tick(ss, os_mono_ns());
    if (r->script)
        r->script(r, s->index, r->script_arg);
    if (r->stopping)
        store_shard_stop(ss);
    store_shard_submit(ss);
    store_shard_complete(ss);
    os_loop_timer(r->loops[s->index], store_shard_next_tick(ss));
}

/* ---- life ---- */

void rig_init(struct rig *r, unsigned shards)
{
    memset(r, 0, sizeof(*r));
    r->opt = (struct store_options){
        .dir = "data",
        .shards = shards,
        .journal_file_bytes = 64 << 10,
        .journal_max_bytes = 512 << 10,
        .tail_bytes = 1 << 20,
        .max_open_files = 32,
        .disk_threads = 2,
    };
}

void rig_fini(struct rig *r)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++)
        free(r->logs[i].batches);
    for (int i = 0; i < RIG_COMMAND_LOGS; i++)
        free(r->commands[i].model);
}

static int apply(void *arg, struct span rows)
{
    struct rig *r = arg;
    for (size_t at = 0; at + 24 <= rows.len; at += 24) {
        uint64_t id = le_u64(rows.ptr + at);
        if (id == 0)
            continue; /* padding */
        assert(id <= RIG_MAX_LOGS);
        struct rig_log *l = &r->logs[id - 1];
        l->created = true;
        l->id = id;
        l->config.durability = (enum log_durability)le_u64(rows.ptr + at + 8);
        l->config.segment_bytes = le_u64(rows.ptr + at + 16);
    }
    return 0;
}

static int restore_commands(void *arg, struct span snapshot)
{
    struct rig_commands *c = arg;
    assert(snapshot.len >= 24 && le_u64(snapshot.ptr) == c->id && c->count == 0);
    c->count = le_u64(snapshot.ptr + 8);
    c->hash = le_u64(snapshot.ptr + 16);
    for (size_t i = 24; i < snapshot.len; i++)
        assert(snapshot.ptr[i] == padding_at(c->hash | 1, i - 24));
    return 0;
}

static uint64_t fold(uint64_t hash, struct span command)
{
    for (size_t i = 0; i < command.len; i++)
        hash = (hash ^ command.ptr[i]) * 0x100000001b3u;
    return hash;
}

/* A command says which log it is of and its number there: none may be missing, doubled or another log's. */
static int apply_command(void *arg, struct span command)
{
    struct rig_commands *c = arg;
    assert(command.len >= 16 && le_u64(command.ptr) == c->id && le_u64(command.ptr + 8) == c->count + 1);
    c->count++;
    c->hash = fold(c->hash, command);
    return 0;
}

static int recover_commands(struct rig *r)
{
    int err = store_replay_commands(r->st, STORE_META_LOG, apply, apply, r);
    for (unsigned i = 0; i < RIG_COMMAND_LOGS && !err; i++) {
        struct rig_commands *c = &r->commands[i];
        c->id = STORE_COMMAND_LOGS + i;
        c->count = c->hash = 0;
        err = store_replay_commands(r->st, c->id, restore_commands, apply_command, c);
    }
    return err;
}

static int recover_logs(struct rig *r)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++) {
        struct rig_log *l = &r->logs[i];
        if (!l->created)
            continue;
        l->config.index_interval_bytes = 256;
        l->config.producer_expiry_ms = 86400000;
        int err = store_recover_log(r->st, (uint64_t)i + 1, &l->config, &l->log);
        if (err)
            return err;
        log_set_user(l->log, l);
        log_check(l->log);
    }
    return 0;
}

int rig_open(struct rig *r)
{
    struct store_events ev = {on_advanced, on_space, on_failed, on_snapshot, r};
    r->failed = 0;
    r->stopping = false;
    for (int i = 0; i < RIG_MAX_LOGS; i++) {
        r->logs[i].created = r->logs[i].creating = false;
        r->logs[i].log = NULL;
    }
    int err = store_open(&r->opt, &ev, &r->st);
    if (err) {
        r->st = NULL;
        return err;
    }
    err = recover_commands(r);
    if (!err)
        err = recover_logs(r);
    for (unsigned i = 0; i < r->opt.shards; i++) {
        r->shards[i] = (struct rig_shard){r, i};
        r->loops[i] = os_loop_new(turn, &r->shards[i]);
    }
    if (!err)
        err = store_start(r->st, r->loops);
    return err;
}

static bool all_stopped(void *arg)
{
    struct rig *r = arg;
    for (unsigned i = 0; i < r->opt.shards; i++)
        if (!store_shard_stopped(store_shard(r->st, i)))
            return false;
    return true;
}

void rig_close(struct rig *r)
{
    r->script = NULL;
    r->stopping = true;
    for (unsigned i = 0; i < r->opt.shards; i++)
        os_loop_wake(r->loops[i]);
    bool stopped = sim_run_until(all_stopped, r, 100000);
    assert(stopped || r->failed);
    rig_give_up(r);
}

void rig_give_up(struct rig *r)
{
    if (!r->st)
        return;
    store_close(r->st);
    r->st = NULL;
    for (unsigned i = 0; i < r->opt.shards; i++)
        os_loop_free(r->loops[i]);
}

void rig_abandon(struct rig *r)
{
    r->st = NULL; /* what the process had in memory is leaked, as a dead process's is */
}

/* ---- operations ---- */

struct rig_wait {
    struct store_wait wait;
    struct rig *rig;
    struct rig_log *log;
    struct rig_commands *commands;
    size_t batch; /* or command */
    uint64_t start;
    enum { WAIT_APPEND, WAIT_CREATE, WAIT_TRIM, WAIT_COMMAND } what;
};

static void acknowledged(struct store_wait *w, int err)
{
    struct rig_wait *rw = container_of(w, struct rig_wait, wait);
    struct rig *r = rw->rig;
    struct rig_log *l = rw->log;
    if (!err) {
        sim_disk_mark(++r->acks);
        if (rw->what == WAIT_APPEND) {
            l->batches[rw->batch].acked = r->acks;
            assert(log_durable(l->log) >= l->batches[rw->batch].base + l->batches[rw->batch].count);
        } else if (rw->what == WAIT_COMMAND) {
            rw->commands->model[rw->batch].acked = r->acks;
        } else if (rw->what == WAIT_CREATE) {
            l->created_ack = r->acks;
            l->created = true;
            l->log = store_log_new(store_shard(r->st, store_shard_of(r->st, l->id)), l->id, &l->config);
            log_set_user(l->log, l);
        } else if (rw->start > l->start) {
            l->start = rw->start;
            l->start_ack = r->acks;
        }
    }
    free(rw);
}

static struct rig_wait *wait_new(struct rig *r, struct rig_log *l)
{
    struct rig_wait *rw = model_realloc(NULL, sizeof(*rw));
    memset(rw, 0, sizeof(*rw));
    rw->wait.done = acknowledged;
    rw->rig = r;
    rw->log = l;
    return rw;
}

int rig_create(struct rig *r, unsigned index, const struct log_config *cfg)
{
    struct rig_log *l = &r->logs[index];
    uint8_t row[24];
    le_put_u64(row, index + 1);
    le_put_u64(row + 8, cfg->durability);
    le_put_u64(row + 16, cfg->segment_bytes);
    int err = store_command_append(store_shard(r->st, 0), STORE_META_LOG, span_of(row, sizeof(row)));
    if (err)
        return err;
    l->id = index + 1;
    l->config = *cfg;
    l->creating = true;
    struct rig_wait *rw = wait_new(r, l);
    rw->what = WAIT_CREATE;
    store_wait(store_shard(r->st, 0), &rw->wait);
    return 0;
}

struct span rig_batch_make(uint64_t seed, uint32_t records, uint32_t payload)
{
    static uint8_t bytes[BATCH_HEADER_BYTES + (1 << 20)];
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    memset(bytes, 0, BATCH_HEADER_BYTES);
    batch_set_magic(bytes, 2);
    batch_set_last_offset_delta(bytes, (int32_t)records - 1);
    batch_set_record_count(bytes, (int32_t)records);
    batch_set_base_timestamp(bytes, (int64_t)seed);
    batch_set_max_timestamp(bytes, (int64_t)seed);
    batch_set_producer_id(bytes, -1);
    batch_set_producer_epoch(bytes, -1);
    batch_set_base_sequence(bytes, -1);
    for (uint32_t i = 0; i < payload; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        bytes[BATCH_HEADER_BYTES + i] = (uint8_t)x;
    }
    batch_seal(bytes, BATCH_HEADER_BYTES + payload);
    return span_of(bytes, BATCH_HEADER_BYTES + payload);
}

int rig_append(struct rig *r, struct rig_log *l, uint32_t records, uint32_t payload)
{
    uint64_t seed = (l->id << 32) + (l->count ? l->batches[l->count - 1].seed & 0xffffffff : 0) + 1;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->batches = model_realloc(l->batches, l->cap * sizeof(*l->batches));
    }
    struct rig_batch *b = &l->batches[l->count];
    *b = (struct rig_batch){log_next(l->log), records, payload, seed, 0};
    l->count++; /* before the store sees it: if the process dies inside, the batch may be there or not */
    uint64_t base = b->base;
    int err = log_append(l->log, rig_batch_make(seed, records, payload), &base, NULL);
    if (err) {
        l->count--;
        return err;
    }
    assert(base == b->base);
    struct rig_wait *rw = wait_new(r, l);
    rw->batch = l->count - 1;
    log_wait(l->log, &rw->wait);
    return 0;
}

int rig_trim(struct rig *r, struct rig_log *l, uint64_t offset)
{
    if (offset > l->start_asked)
        l->start_asked = offset;
    int err = log_set_start(l->log, offset);
    if (err)
        return err;
    struct rig_wait *rw = wait_new(r, l);
    rw->what = WAIT_TRIM;
    rw->start = offset;
    log_wait(l->log, &rw->wait);
    return 0;
}

int rig_retain(struct rig *r, struct rig_log *l, int64_t now_ms)
{
    uint64_t before = log_start(l->log);
    struct log_removed removed;
    int err = log_retain(l->log, now_ms, &removed);
    uint64_t start = log_start(l->log);
    assert(start - before == removed.records);
    if (err || start == before)
        return err;
    for (size_t i = 0; i < l->count && l->config.retention_bytes < 0; i++) /* nothing younger goes */
        assert(l->batches[i].base >= start || l->batches[i].base < before ||
               now_ms - (int64_t)l->batches[i].seed > l->config.retention_ms);
    if (start > l->start_asked)
        l->start_asked = start;
    struct rig_wait *rw = wait_new(r, l);
    rw->what = WAIT_TRIM;
    rw->start = start;
    log_wait(l->log, &rw->wait);
    return 0;
}

/* The command's bytes: which log, which number, then some more. */
int rig_command(struct rig *r, unsigned index, uint32_t bytes)
{
    struct rig_commands *c = &r->commands[index];
    struct store_shard *ss = store_shard(r->st, store_shard_of(r->st, c->id));
    uint8_t command[16 + 2048];
    assert(bytes <= 2048 && c->model_count == c->count);
    le_put_u64(command, c->id);
    le_put_u64(command + 8, c->count + 1);
    for (uint32_t i = 0; i < bytes; i++)
        command[16 + i] = padding_at(c->hash + c->count, i);
    if (c->model_count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->model = model_realloc(c->model, c->cap * sizeof(*c->model));
    }
    uint64_t hash = fold(c->hash, span_of(command, 16 + bytes));
    c->model[c->model_count++] = (struct rig_command){hash, 0}; /* before the store sees it, as a batch */
    int err = store_command_append(ss, c->id, span_of(command, 16 + bytes));
    if (err) {
        c->model_count--;
        return err;
    }
    c->count++; /* applied when appended, not when durable */
    c->hash = hash;
    struct rig_wait *rw = wait_new(r, NULL);
    rw->what = WAIT_COMMAND;
    rw->commands = c;
    rw->batch = c->model_count - 1;
    store_wait(ss, &rw->wait);
    return 0;
}

void rig_run(struct rig *r, uint64_t steps)
{
    for (unsigned i = 0; i < r->opt.shards; i++)
        os_loop_wake(r->loops[i]);
    while (steps-- > 0 && sim_step())
        ;
}

static bool settled(void *arg)
{
    struct rig *r = arg;
    for (unsigned i = 0; i < r->opt.shards; i++) {
        const struct store_shard *ss = store_shard(r->st, i);
        if (ss->groups_in_flight || ss->flushes || ss->reads || ss->spills || ss->ready ||
            (ss->group && ss->group->g.count))
            return false;
    }
    return true;
}

void rig_settle(struct rig *r)
{
    for (unsigned i = 0; i < r->opt.shards; i++)
        os_loop_wake(r->loops[i]);
    for (int i = 0; i < 20; i++)
        sim_step();
    bool ok = sim_run_until(settled, r, 100000);
    assert(ok || r->failed);
}

/* ---- reading and comparing ---- */

struct pending_read {
    struct log_read read;
    bool done;
    int err;
};

static void read_done(struct log_read *read, int err)
{
    struct pending_read *p = container_of(read, struct pending_read, read);
    p->done = true;
    p->err = err;
}

static bool is_done(void *arg)
{
    return ((struct pending_read *)arg)->done;
}

static int finish_read(struct pending_read *p, uint8_t **ret_bytes, size_t *ret_len)
{
    *ret_bytes = NULL;
    *ret_len = 0;
    if (p->err == ERR_AGAIN) {
        bool ok = sim_run_until(is_done, p, 100000);
        assert(ok);
    }
    if (!p->err) {
        *ret_bytes = mem_alloc(p->read.data.len);
        for (size_t i = 0; i < p->read.data.count; i++) {
            memcpy(*ret_bytes + *ret_len, p->read.data.slices[i].ptr, p->read.data.slices[i].len);
            *ret_len += p->read.data.slices[i].len;
        }
    }
    log_read_fini(&p->read);
    return p->err;
}

int rig_read(struct rig *r, struct log *log, uint64_t from, size_t max_bytes, uint8_t **ret_bytes,
             size_t *ret_len)
{
    struct pending_read p = {
        .read = {.offset = from, .max_bytes = max_bytes, .at_least_one = true, .done = read_done}};
    p.err = log_read(log, &p.read);
    return finish_read(&p, ret_bytes, ret_len);
}

int rig_find_time(struct rig *r, struct log *log, int64_t timestamp, uint8_t **ret_bytes, size_t *ret_len)
{
    struct pending_read p = {.read = {.done = read_done}};
    p.err = log_find_time(log, timestamp, &p.read);
    return finish_read(&p, ret_bytes, ret_len);
}

/* One stored batch against the model: the same bytes but for offset and epoch. */
static void compare(const struct rig_log *l, size_t i, const uint8_t *b, size_t len)
{
    assert(i < l->count);
    struct span want = rig_batch_make(l->batches[i].seed, l->batches[i].count, l->batches[i].payload);
    assert(len == want.len);
    assert((uint64_t)batch_base_offset(b) == l->batches[i].base);
    assert(memcmp(b + BATCH_CRC_START, want.ptr + BATCH_CRC_START, want.len - BATCH_CRC_START) == 0);
}

static size_t model_find(const struct rig_log *l, uint64_t offset)
{
    size_t i = 0;
    while (i < l->count && l->batches[i].base + l->batches[i].count <= offset)
        i++;
    return i;
}

static uint64_t verify_from(struct rig *r, struct rig_log *l, uint64_t from)
{
    while (from < log_durable(l->log)) {
        uint8_t *bytes;
        size_t len, at = 0, i = model_find(l, from);
        int err = rig_read(r, l->log, from, 3000, &bytes, &len);
        assert(err == 0 && len > 0);
        for (; at < len; i++) {
            compare(l, i, bytes + at, batch_bytes(bytes + at));
            from = (uint64_t)batch_next_offset(bytes + at);
            at += batch_bytes(bytes + at);
        }
        mem_free(bytes);
    }
    return from;
}

void rig_verify(struct rig *r, struct rig_log *l, uint64_t ack)
{
    if (!l->log) {
        assert(!(l->created_ack && l->created_ack <= ack));
        l->count = 0;
        return;
    }
    assert(!log_damaged(l->log));
    log_check(l->log);
    if (l->start_ack && l->start_ack <= ack)
        assert(log_start(l->log) >= l->start);
    assert(log_start(l->log) <= l->start_asked);
    uint64_t end = verify_from(r, l, log_start(l->log));
    assert(end == log_durable(l->log) && end == log_next(l->log));
    size_t kept = model_find(l, end);
    for (size_t i = kept; i < l->count; i++)
        assert(!(l->batches[i].acked && l->batches[i].acked <= ack)); /* acknowledged, so it must be there */
    l->count = kept;
}

void rig_verify_commands(struct rig *r, struct rig_commands *c, uint64_t ack)
{
    assert(c->count <= c->model_count);
    assert(c->hash == (c->count ? c->model[c->count - 1].hash : 0));
    for (size_t i = c->count; i < c->model_count; i++)
        assert(!(c->model[i].acked && c->model[i].acked <= ack)); /* acknowledged, so it must be there */
    c->model_count = c->count;
}

void rig_verify_all(struct rig *r, uint64_t ack)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++)
        rig_verify(r, &r->logs[i], ack);
    for (int i = 0; i < RIG_COMMAND_LOGS; i++)
        rig_verify_commands(r, &r->commands[i], ack);
}

static void *copy_of(const void *p, size_t len)
{
    void *copy = model_realloc(NULL, len + 1);
    if (len)
        memcpy(copy, p, len);
    return copy;
}

void rig_copy_model(struct rig *copy)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++) {
        struct rig_log *l = &copy->logs[i];
        l->batches = copy_of(l->batches, l->count * sizeof(*l->batches));
        l->cap = l->count;
    }
    for (int i = 0; i < RIG_COMMAND_LOGS; i++) {
        struct rig_commands *c = &copy->commands[i];
        c->model = copy_of(c->model, c->model_count * sizeof(*c->model));
        c->cap = c->model_count;
    }
}

void rig_rebase(struct rig *r)
{
    for (int i = 0; i < RIG_MAX_LOGS; i++) {
        struct rig_log *l = &r->logs[i];
        l->created_ack = l->log ? 1 : 0;
        l->start_ack = l->log ? 1 : 0;
        l->start = l->log ? log_start(l->log) : 0;
        for (size_t k = 0; k < l->count; k++)
            l->batches[k].acked = 1;
    }
    for (int i = 0; i < RIG_COMMAND_LOGS; i++)
        for (size_t k = 0; k < r->commands[i].model_count; k++)
            r->commands[i].model[k].acked = 1;
}
