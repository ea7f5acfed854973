/* Opening and closing a data directory, and the phases of a shard's turn.
 *
 *   DIR/lock                     held while the broker runs
 *   DIR/journal/                 journal_file.c
 *   DIR/logs/LOG_ID/BASE.log     segments (segment.c), BASE.idx their indexes (index.c)
 *   DIR/states/                  states and snapshots too large for the journal (spill.c) */
#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/journal_file.h"
#include "store/log_impl.h"

enum {
    SOON_NS = 5000000,
    PRESSURE_NS = 200000, /* how often tails over their budget are looked at */
    FULL_NS = 500000000,
    EXPIRE_NS_PER_S = 1000000000,
    EXPIRE_EVERY_S = 600,
    READ_KEEP = 16,
    READ_KEEP_LARGE = 8 << 20, /* what readers that are behind use again and again */
};

void store_fail(struct store *st, int err, const char *what)
{
    if (atomic_exchange(&st->failed, true))
        return;
    say_error("store", "the store failed, nothing more is acknowledged", "during=\"%s\" error=\"%s\"", what,
              err_text(err));
    st->ev.failed(st->ev.arg, err, what);
}

void store_log_dir(uint64_t id, char ret[STORE_PATH_BYTES])
{
    snprintf(ret, STORE_PATH_BYTES, "logs/%llu", (unsigned long long)id);
}

void store_segment_path(uint64_t id, uint64_t base, const char *suffix, char ret[STORE_PATH_BYTES])
{
    snprintf(ret, STORE_PATH_BYTES, "logs/%llu/%020llu.%s", (unsigned long long)id, (unsigned long long)base,
             suffix);
}

struct store_shard *store_shard(struct store *st, unsigned index)
{
    assert(index < st->opt.shards);
    return &st->shards[index];
}

unsigned store_shard_of(const struct store *st, uint64_t id)
{
    return (unsigned)(id % STORE_LOG_SLOTS % st->opt.shards);
}

/* ---- what the journal's thread says ---- */

static void wake_all(struct store *st)
{
    for (unsigned i = 0; i < st->opt.shards; i++)
        os_loop_wake(st->shards[i].loop);
}

static void on_recycle(void *arg, uint64_t before)
{
    struct store *st = arg;
    for (unsigned i = 0; i < st->opt.shards; i++)
        atomic_store(&st->shards[i].recycle_before, before);
    wake_all(st);
}

static void on_space(void *arg)
{
    struct store *st = arg;
    for (unsigned i = 0; i < st->opt.shards; i++)
        atomic_store(&st->shards[i].space, true);
    wake_all(st);
}

static void on_failed(void *arg, int err, const char *what)
{
    store_fail(arg, err, what);
}

static void on_commit(void *arg, uint64_t ns, uint32_t groups, uint64_t bytes)
{
    struct store *st = arg;
    if (st->on_commit)
        st->on_commit(st->on_commit_arg, ns, groups, bytes);
}

void store_on_commit(struct store *st, void (*fn)(void *, uint64_t, uint32_t, uint64_t), void *arg)
{
    st->on_commit = fn;
    st->on_commit_arg = arg;
}

/* ---- opening ---- */

/* The directory's own name must survive a power cut, too. */
static int sync_parent(const char *dir)
{
    char path[STORE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s", dir);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        path[--len] = 0;
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    int err = os_sync_dir(slash ? path : ".");
    return err == ERR_DENIED ? 0
                             : err; /* not ours to read: then it is not ours to make directories in, either */
}

static int make_dirs(struct store *st)
{
    static const char *const names[] = {"", "/logs", "/states"};
    char path[STORE_PATH_BYTES];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        snprintf(path, sizeof(path), "%s%s", st->dir, names[i]);
        int err = os_mkdir(path);
        if (err && err != ERR_EXISTS)
            return err;
    }
    return 0;
}

static int take_lock(struct store *st)
{
    char path[STORE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/lock", st->dir);
    st->lock = os_lock(path);
    if (st->lock == ERR_LOCKED)
        say_error("store", "another process uses this data directory", "dir=\"%s\"", st->dir);
    return st->lock < 0 ? st->lock : os_sync_dir(st->dir);
}

static int open_journal(struct store *st)
{
    char dir[STORE_PATH_BYTES];
    snprintf(dir, sizeof(dir), "%s/journal", st->dir);
    struct journal_file_options opt = {
        .dir = dir,
        .file_bytes = st->opt.journal_file_bytes,
        .max_bytes = st->opt.journal_max_bytes,
        .disk_pool = st->pool,
        .accept_loss = st->opt.accept_loss,
        .events = {.recycle = on_recycle, .space = on_space, .failed = on_failed, .arg = st},
        .on_commit = on_commit,
        .on_commit_arg = st,
    };
    opt.dir = mem_strndup(dir, strlen(dir)); /* lives as long as the journal */
    int err = journal_file_open(&opt, &st->journal);
    if (err)
        mem_free((void *)opt.dir);
    else
        st->journal_dir = (char *)opt.dir;
    return err;
}

static void shard_init(struct store *st, unsigned index)
{
    struct store_shard *ss = &st->shards[index];
    ss->st = st;
    ss->index = index;
    ptrset_init(&ss->logs);
    size_t keep = st->opt.tail_bytes / st->opt.shards / 2;
    chunk_pool_init(&ss->tail_pool, "tail", TAIL_CHUNK_BYTES, keep / TAIL_CHUNK_BYTES);
    ss->tail_pool.keep_large = keep;
    chunk_pool_init(&ss->read_pool, "read", READ_CHUNK_BYTES, READ_KEEP);
    ss->read_pool.keep_large = READ_KEEP_LARGE;
    list_init(&ss->command_logs);
    list_init(&ss->tails);
    list_init(&ss->pins);
    list_init(&ss->os_dirty);
    list_init(&ss->states);
    list_init(&ss->lru);
    ss->ready_tail = &ss->ready;
    ss->tail_limit = st->opt.tail_bytes / st->opt.shards;
    ss->max_files = st->opt.max_open_files / st->opt.shards;
    if (ss->max_files < 8)
        ss->max_files = 8;
}

int store_open(const struct store_options *opt, const struct store_events *ev, struct store **ret_store)
{
    assert(opt->shards > 0);
    struct store *st = mem_zalloc(sizeof(*st));
    st->opt = *opt;
    st->ev = *ev;
    st->lock = -1;
    st->dir = mem_strndup(opt->dir, strlen(opt->dir));
    st->blobs = blobs_file_new(opt->dir);
    st->shards = mem_zalloc(opt->shards * sizeof(*st->shards));
    st->pins = mem_zalloc(opt->shards * sizeof(*st->pins));
    for (unsigned i = 0; i < opt->shards; i++)
        shard_init(st, i);
    st->pool = os_pool_new("disk", opt->disk_threads ? opt->disk_threads : 1);
    int err = make_dirs(st);
    if (!err)
        err = take_lock(st);
    if (!err)
        err = open_journal(st);
    if (!err)
        err = os_sync_dir(st->dir); /* the names of the journal's directory and the others */
    if (!err)
        err = sync_parent(st->dir);
    if (!err)
        err = recover_read(st);
    if (err) {
        store_close(st);
        return err;
    }
    *ret_store = st;
    return 0;
}

static int compare_pins(const void *a, const void *b)
{
    const struct log *x = *(struct log *const *)a, *y = *(struct log *const *)b;
    if (x->pin_lsn != y->pin_lsn)
        return x->pin_lsn < y->pin_lsn ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Links all recovered logs by what they need of the journal: sorted once, not inserted one by one. */
static void link_pins(struct store_shard *ss)
{
    struct log **all = mem_alloc((ss->logs.count + 1) * sizeof(*all)), *l;
    size_t n = 0, cursor = 0;
    while ((l = ptrset_next(&ss->logs, &cursor))) {
        l->pin_lsn = l->unsaved_lsn;
        if (l->state_lsn && (!l->pin_lsn || l->state_lsn < l->pin_lsn))
            l->pin_lsn = l->state_lsn;
        if (l->pin_lsn)
            all[n++] = l;
    }
    qsort(all, n, sizeof(*all), compare_pins);
    for (size_t i = 0; i < n; i++)
        list_add_tail(&ss->pins, &all[i]->pin_link);
    mem_free(all);
}

static void mark_done(struct journal_group *g)
{
    struct store *st = g->owner;
    if (!g->err)
        atomic_store(&st->marked, true);
    if (!st->closing)
        wake_all(st); /* LOG_OS logs wait for it */
}

/* The journal's last entry tells whether the last stop was clean. */
static void write_mark(struct store *st, uint64_t what)
{
    struct store_mark *m = &st->marks[what == JOURNAL_MARK_STOPPED];
    m->entry = (struct journal_entry){.base = what, .type = JOURNAL_MARK};
    m->group = (struct journal_group){.entries = &m->entry, .count = 1, .done = mark_done, .owner = st};
    st->journal->ops->submit(st->journal, &m->group);
}

int store_start(struct store *st, struct os_loop **loops)
{
    int err = recover_commands_check(st);
    for (unsigned i = 0; i < st->opt.shards; i++) {
        st->shards[i].loop = loops[i];
        link_pins(&st->shards[i]);
    }
    if (!err)
        err = st->journal->ops->start(st->journal, loops[0]);
    if (!err)
        err = recover_sweep(st); /* now that what it goes by is durable */
    recover_free(st);
    if (err)
        return err;
    st->started = true;
    write_mark(st, JOURNAL_MARK_STARTED);
    return 0;
}

/* ---- closing ---- */

static void shard_fini(struct store_shard *ss)
{
    group_discard(ss);
    size_t cursor = 0;
    for (struct log *l; (l = ptrset_next(&ss->logs, &cursor)); cursor = 0) {
        l->refs = 0;
        l->flush = NULL; /* after a failure one may have been under way */
        log_free(l);
    }
    ptrset_fini(&ss->logs);
    command_fini(ss);
    chunk_unref(ss->tail_chunk);
    chunk_pool_fini(&ss->tail_pool);
    chunk_pool_fini(&ss->read_pool);
}

void store_close(struct store *st)
{
    bool clean = st->started && !atomic_load(&st->failed);
    for (unsigned i = 0; clean && i < st->opt.shards; i++)
        clean = store_shard_stopped(&st->shards[i]);
    st->closing = true;
    if (clean)
        write_mark(st, JOURNAL_MARK_STOPPED);
    if (st->journal)
        st->journal->ops->stop(st->journal);
    os_pool_free(st->pool); /* flushes under way run to their end */
    if (st->journal)
        st->journal->ops->close(st->journal);
    mem_free(st->journal_dir);
    recover_free(st);
    for (unsigned i = 0; i < st->opt.shards; i++)
        shard_fini(&st->shards[i]);
    if (st->lock >= 0)
        os_close(st->lock);
    mem_free(st->shards);
    mem_free((void *)st->pins);
    st->blobs->ops->free(st->blobs);
    mem_free(st->dir);
    mem_free(st);
}

/* ---- the turn ---- */

void store_shard_complete(struct store_shard *ss)
{
    group_complete(ss);
    flush_os(ss); /* a state that became durable may have held appends back */
    if (atomic_load_explicit(&ss->space, memory_order_relaxed) && atomic_exchange(&ss->space, false))
        ss->st->ev.space(ss->st->ev.arg, ss->index, 0);
}

static bool recycling(const struct store_shard *ss)
{
    uint64_t before = atomic_load_explicit(&ss->recycle_before, memory_order_relaxed);
    return before > ss->told_pin;
}

static void forget_producers(struct store_shard *ss)
{
    size_t cursor = 0;
    int64_t now = os_wall_ms();
    for (struct log *l; (l = ptrset_next(&ss->logs, &cursor));)
        producers_expire(&l->producers, now - l->config.producer_expiry_ms);
    ss->expire_at_ns = ss->now_ns + (uint64_t)EXPIRE_EVERY_S * EXPIRE_NS_PER_S;
}

/* Nothing is left that wants to be written, as when the logs that did were deleted. */
static bool disk_wanted_by_none(const struct store_shard *ss)
{
    list_each (it, &ss->command_logs)
        if (list_entry(it, struct command_log, link)->saving != COMMANDS_IDLE)
            return false;
    return ss->flushes == 0 && list_empty(&ss->tails);
}

/* With a full disk nothing else may happen that would find out about new space. Where nothing waits to be
 * written, the next that does finds out. */
static void try_full_disk(struct store_shard *ss)
{
    if (ss->disk_full && ss->now_ns >= ss->retry_at_ns) {
        if (disk_wanted_by_none(ss))
            disk_is_fine(ss);
        list_each (it, &ss->tails) {
            struct log *l = list_entry(it, struct log, tail_link);
            if (!l->flush && !l->saving && l->tail_durable) {
                flush_start(l, false);
                break;
            }
        }
        ss->retry_at_ns = ss->now_ns + FULL_NS;
    }
    if (ss->index == 0 && ss->now_ns >= ss->poke_at_ns) {
        ss->st->journal->ops->drop_before(ss->st->journal, 0); /* lets the journal try again, too */
        ss->poke_at_ns = ss->now_ns + FULL_NS;
    }
}

/* That a log is damaged is durable from then on, and the journal need not hold its records. */
static void save_verdict(struct log *l)
{
    size_t len;
    uint8_t *state = state_encode(l, l->next, &len);
    state_append(l, state, len, l->next);
}

static void renew_states(struct store_shard *ss)
{
    size_t cursor = 0;
    ss->renewed = true;
    command_renew(ss);
    for (struct log *l; (l = ptrset_next(&ss->logs, &cursor));) {
        if (!l->renew_state)
            continue;
        if (l->damaged)
            save_verdict(l);
        else if (!flush_start(l, true))
            ss->renewed = false;
        l->renew_state = !ss->renewed && !l->damaged && !l->flush && !l->saving;
    }
}

static void feed_starved(struct store_shard *ss)
{
    size_t used = atomic_load_explicit(&ss->tail_pool.used_bytes, memory_order_relaxed);
    if (!ss->starved || (used > 2 * ss->tail_limit && !ss->disk_full))
        return;
    ss->starved = false;
    ss->st->ev.space(ss->st->ev.arg, ss->index, 0);
}

static bool os_log_unsaved(const struct log *l)
{
    return l->config.durability == LOG_OS && !l->damaged &&
           (l->saving || l->tail.count || l->saved != l->written);
}

static void sync_os_logs(struct store_shard *ss)
{
    size_t cursor = 0;
    for (struct log *l; (l = ptrset_next(&ss->logs, &cursor));)
        if (os_log_unsaved(l) && !flush_start(l, true))
            return;
}

void store_shard_tick(struct store_shard *ss, uint64_t now_ns)
{
    ss->now_ns = now_ns;
    if (atomic_load_explicit(&ss->st->failed, memory_order_relaxed))
        return;
    state_retry(ss);
    if (recycling(ss))
        pin_recycle(ss);
    if (!ss->renewed)
        renew_states(ss);
    flush_pressure(ss);
    if (ss->stopping)
        sync_os_logs(ss);
    flush_os(ss);
    try_full_disk(ss);
    feed_starved(ss);
    if (now_ns >= ss->expire_at_ns)
        forget_producers(ss);
}

void store_shard_trim(struct store_shard *ss)
{
    chunk_pool_trim(&ss->tail_pool);
    chunk_pool_trim(&ss->read_pool);
}

bool store_shard_keeps_memory(const struct store_shard *ss)
{
    return chunk_pool_keeps(&ss->tail_pool) || chunk_pool_keeps(&ss->read_pool);
}

static bool over_budget(const struct store_shard *ss)
{
    return atomic_load_explicit(&ss->tail_pool.used_bytes, memory_order_relaxed) > ss->tail_limit &&
           ss->flushes < MAX_FLUSHES;
}

uint64_t store_shard_next_tick(const struct store_shard *ss)
{
    uint64_t next = ss->expire_at_ns;
    if (ss->index == 0 && ss->disk_full && ss->poke_at_ns < next)
        next = ss->poke_at_ns;
    bool soon = recycling(ss) || !list_empty(&ss->states) || ss->starved || !ss->renewed || ss->stopping;
    if (soon && ss->now_ns + SOON_NS < next)
        next = ss->now_ns + SOON_NS;
    if (ss->disk_full && ss->retry_at_ns < next)
        next = ss->retry_at_ns;
    if (!ss->disk_full && over_budget(ss) && ss->now_ns + PRESSURE_NS < next)
        next = ss->now_ns + PRESSURE_NS;
    if (ss->index == 0 && ss->now_ns + FULL_NS < next && atomic_load(&ss->st->journal->stats.refused))
        next = ss->now_ns + FULL_NS;
    return next;
}

/* ---- stopping ---- */

void store_shard_stop(struct store_shard *ss)
{
    ss->stopping = true;
}

/* LOG_OS logs are synced and their states saved; of the others the journal has everything. */
bool store_shard_stopped(const struct store_shard *ss)
{
    if (!ss->stopping || ss->flushes || ss->groups_in_flight || ss->reads || ss->spills ||
        (ss->group && ss->group->g.count))
        return false;
    size_t cursor = 0;
    for (struct log *l; (l = ptrset_next(&ss->logs, &cursor));)
        if (os_log_unsaved(l))
            return false;
    return true;
}

/* ---- figures ---- */

int store_disk_space(const struct store *st, uint64_t *ret_total, uint64_t *ret_free)
{
    return os_disk_space(st->dir, ret_total, ret_free);
}

void store_job(struct store *st, struct os_job *job)
{
    os_pool_submit(st->pool, job);
}

void store_figures(const struct store *st, struct store_figures *ret)
{
    *ret = (struct store_figures){
        .journal = &st->journal->stats,
        .tail_limit = st->opt.tail_bytes,
        .read_bytes = atomic_load(&st->read_bytes),
        .logs = atomic_load(&st->log_count),
        .disk_full = atomic_load(&st->journal->stats.refused),
    };
    for (unsigned i = 0; i < st->opt.shards; i++) {
        ret->disk_full |= atomic_load(&st->shards[i].disk_full);
        ret->tail_bytes += atomic_load(&st->shards[i].tail_pool.used_bytes);
        ret->open_files += atomic_load(&st->shards[i].open_files);
    }
}
