/* Recovery: what the journal and the state entries together say of each log.
 *
 * One pass over the journal collects, per log, its newest state and where its entries stand (of command logs:
 * recover_commands.c). Each log that the metadata names is then rebuilt: state first, segments cut to the
 * lengths it vouches for, entries above on top. Copies carried forward may stand after newer entries, so
 * entries are sorted by offset; doubles (a copy and its original) are skipped; a gap or a damaged body
 * quarantines the log. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

struct found_entry {
    uint64_t base, body_at, lsn;
    uint32_t len;
    bool ok;
};

struct found_log {
    uint64_t id;
    struct found_entry *entries;
    size_t count, cap;
    uint8_t *state;
    size_t state_len;
    uint64_t state_lsn, state_as_of;
    bool state_spilled, state_ok, has_state;
    uint64_t start, start_lsn; /* the furthest START entry, the oldest lsn that is above the state */
};

struct recovery {
    struct map logs;     /* id -> struct found_log */
    struct map commands; /* id -> struct found_commands */
    bool ends_clean, any;
    uint64_t entries;
};

/* ---- collecting ---- */

static struct found_log *found(struct recovery *rec, uint64_t id)
{
    struct found_log *f = map_get_u64(&rec->logs, id);
    if (!f) {
        f = mem_zalloc(sizeof(*f));
        f->id = id;
        map_put_u64(&rec->logs, id, f);
    }
    return f;
}

static uint8_t *copy(struct span s)
{
    uint8_t *p = mem_alloc(s.len);
    memcpy(p, s.ptr, s.len);
    return p;
}

static void found_state(struct found_log *f, const struct journal_replay_entry *e)
{
    mem_free(f->state);
    f->has_state = true;
    f->state = copy(e->body);
    f->state_len = e->body_len;
    f->state_lsn = e->lsn;
    f->state_as_of = e->base;
    f->state_spilled = e->flags & JOURNAL_SPILLED;
    f->state_ok = e->body_ok;
    f->start_lsn = 0; /* a state covers the START entries before it */
}

static void found_batch(struct found_log *f, const struct journal_replay_entry *e)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 8;
        f->entries = mem_realloc(f->entries, f->cap * sizeof(*f->entries));
    }
    f->entries[f->count++] = (struct found_entry){e->base, e->body_at, e->lsn, e->body_len, e->body_ok};
}

static int collect(void *arg, const struct journal_replay_entry *e)
{
    struct recovery *rec = arg;
    rec->any = true;
    rec->entries++;
    rec->ends_clean = e->type == JOURNAL_MARK && e->base == JOURNAL_MARK_STOPPED;
    if (e->type == JOURNAL_COMMAND || (e->type == JOURNAL_STATE && store_is_command_log(e->log_id))) {
        recover_command(&rec->commands, e);
    } else if (e->type == JOURNAL_STATE) {
        found_state(found(rec, e->log_id), e);
    } else if (e->type == JOURNAL_BATCH) {
        found_batch(found(rec, e->log_id), e);
    } else if (e->type == JOURNAL_START) {
        struct found_log *f = found(rec, e->log_id);
        if (e->base > f->start)
            f->start = e->base;
        if (!f->start_lsn)
            f->start_lsn = e->lsn;
    }
    return 0;
}

int recover_read(struct store *st)
{
    st->recovery = mem_zalloc(sizeof(*st->recovery));
    map_init(&st->recovery->logs);
    map_init(&st->recovery->commands);
    uint64_t begun = os_mono_ns();
    int err = st->journal->ops->replay(st->journal, collect, st->recovery);
    st->unclean = st->recovery->any && !st->recovery->ends_clean;
    if (!err && st->recovery->any)
        say_info("store", "read the journal", "entries=%llu logs=%u ms=%llu clean=%s",
                 (unsigned long long)st->recovery->entries, st->recovery->logs.count,
                 (unsigned long long)((os_mono_ns() - begun) / 1000000), st->unclean ? "no" : "yes");
    return err;
}

void recover_free(struct store *st)
{
    struct recovery *rec = st->recovery;
    if (!rec)
        return;
    size_t cursor = 0;
    for (struct found_log *f; (f = map_next(&rec->logs, &cursor));) {
        mem_free(f->entries);
        mem_free(f->state);
        mem_free(f);
    }
    map_fini(&rec->logs);
    recover_commands_free(&rec->commands);
    mem_free(rec);
    st->recovery = NULL;
}

struct map *recover_commands_of(const struct store *st)
{
    return &st->recovery->commands;
}

bool store_was_unclean(const struct store *st)
{
    return st->unclean;
}

/* ---- one log ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct found_entry *x = a, *y = b;
    if (x->base != y->base)
        return x->base < y->base ? -1 : 1;
    return (x->lsn < y->lsn) - (x->lsn > y->lsn); /* the newest copy first: it pins least */
}

static int load_state(struct log *l, struct found_log *f)
{
    struct store *st = l->ss->st;
    char name[STATE_NAME_BYTES] = "";
    uint8_t *bytes = f->state;
    size_t len = f->state_len;
    int err = f->state_ok ? 0 : ERR_CORRUPT;
    if (!err && f->state_spilled)
        err = state_read_spilled(st, span_of(f->state, f->state_len), &bytes, &len, name);
    if (name[0])
        l->spill = mem_strndup(name, strlen(name));
    if (!err)
        err = state_decode(l, span_of(bytes, len), &f->state_as_of);
    if (bytes != f->state)
        mem_free(bytes);
    l->state_lsn = f->state_lsn;
    return err;
}

/* A segment must have the bytes its state vouches for; what is beyond them is in the journal. */
static int check_segment(struct log *l, struct segment *seg)
{
    char path[STORE_PATH_BYTES];
    uint64_t size;
    store_segment_path(l->id, seg->base, "log", path);
    struct blobs *b = l->ss->st->blobs;
    int err = b->ops->size(b, path, &size);
    if (err)
        return err == ERR_NOT_FOUND && seg->len == 0 ? 0 : err;
    if (size < seg->len)
        return ERR_CORRUPT;
    if (size == seg->len || l->config.durability == LOG_OS)
        return 0;
    int file = b->ops->open(b, path, BLOB_WRITE);
    if (file < 0)
        return file;
    err = b->ops->cut(b, file, seg->len);
    b->ops->close(b, file);
    return err;
}

/* What lies wholly below the start may be unlinked already, even if it is the last one the state knows of. */
static bool is_gone(const struct log *l, size_t i)
{
    const struct segment *seg = l->segments[i];
    char path[STORE_PATH_BYTES];
    uint64_t size;
    if (seg->next > l->start)
        return false;
    store_segment_path(l->id, seg->base, "log", path);
    return i + 1 < l->segment_count ||
           l->ss->st->blobs->ops->size(l->ss->st->blobs, path, &size) == ERR_NOT_FOUND;
}

static int check_segments(struct log *l)
{
    size_t gone = 0;
    while (gone < l->segment_count && is_gone(l, gone)) {
        l->segment_bytes -= l->segments[gone]->len;
        segment_free(l->segments[gone++]); /* the sweep removes the file if it is there */
    }
    l->segment_count -= gone;
    if (gone)
        memmove(l->segments, l->segments + gone, l->segment_count * sizeof(struct segment *));
    for (size_t i = 0; i < l->segment_count; i++) {
        int err = check_segment(l, l->segments[i]);
        if (err)
            return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    }
    return 0;
}

/* Keeps to the memory budget while the journal's backlog is loaded. */
static void make_room(struct store_shard *ss)
{
    if (atomic_load(&ss->tail_pool.used_bytes) <= ss->tail_limit)
        return;
    list_each_safe (it, tmp, &ss->tails) {
        struct log *l = list_entry(it, struct log, tail_link);
        while (l->tail.count && flush_run_now(l))
            ;
    }
}

static int load_batch(struct log *l, const struct found_entry *e, uint64_t as_of)
{
    struct store *st = l->ss->st;
    uint8_t *bytes = mem_alloc(e->len);
    struct tail_batch b;
    int err = st->journal->ops->read_body(st->journal, e->body_at, bytes, e->len);
    if (!err)
        err = tail_store(l->ss, span_of(bytes, e->len), &b);
    mem_free(bytes);
    if (err)
        return err;
    b.base = e->base;
    b.count = (uint32_t)batch_last_offset_delta(b.ptr) + 1;
    b.max_ts = batch_max_timestamp(b.ptr);
    b.lsn = e->lsn;
    if (l->tail.count == 0)
        list_add_tail(&l->ss->tails, &l->tail_link);
    tail_push(&l->tail, &b);
    l->tail_durable++;
    l->next = l->durable = b.base + b.count;
    if (!l->unsaved_lsn || b.lsn < l->unsaved_lsn)
        l->unsaved_lsn = b.lsn;
    if (b.base >= as_of)
        log_apply_batch(l, b.ptr, os_wall_ms());
    return 0;
}

/* Without segments the log begins at the batch that holds its start. Batches before it were not needed any
 * more, so there may be gaps among them; those that are there still count for epochs and sequences. A damaged
 * one may reach over the start. */
static int begin_at_start(struct log *l, const struct found_log *f)
{
    struct journal *j = l->ss->st->journal;
    uint64_t begin = l->start;
    size_t i;
    for (i = 0; i < f->count && f->entries[i].base < l->start; i++) {
        const struct found_entry *e = &f->entries[i];
        uint8_t head[BATCH_HEADER_BYTES];
        if (i > 0 && e->base == f->entries[i - 1].base)
            continue;
        begin = e->base;
        if (!e->ok || e->len < sizeof(head))
            continue;
        int err = j->ops->read_body(j, e->body_at, head, sizeof(head));
        if (err)
            return err;
        if ((uint64_t)batch_next_offset(head) > l->start)
            break;
        begin = l->start;
        if (e->base >= f->state_as_of)
            log_apply_batch(l, head, os_wall_ms());
    }
    if (i < f->count && f->entries[i].base == l->start)
        begin = l->start;
    l->written = l->saved = l->next = l->durable = begin;
    return 0;
}

static int load_entries(struct log *l, struct found_log *f)
{
    if (f->count)
        qsort(f->entries, f->count, sizeof(*f->entries), compare_entries);
    if (l->segment_count == 0 && l->start > l->written && l->config.durability == LOG_FSYNC) {
        int err = begin_at_start(l, f);
        if (err)
            return err;
    }
    for (size_t i = 0; i < f->count; i++) {
        const struct found_entry *e = &f->entries[i];
        if (e->base < l->next)
            continue; /* in a segment, or a copy of the one before */
        if (e->base > l->next || !e->ok) {
            quarantine_log(l, e->ok ? "a gap before this offset" : "a batch does not match its checksum",
                           e->base);
            return 0;
        }
        int err = load_batch(l, e, f->state_as_of);
        if (err)
            return err;
        make_room(l->ss);
    }
    if (l->next < f->state_as_of && l->config.durability == LOG_FSYNC)
        quarantine_log(l, "its state is newer than its records", l->next);
    return 0;
}

static int rebuild(struct log *l, struct found_log *f)
{
    int err = f->has_state ? load_state(l, f) : 0;
    if (!err && f->start > l->start)
        l->start = f->start;
    l->next = l->durable = l->written;
    if (!err)
        err = check_segments(l);
    if (err == ERR_CORRUPT) {
        quarantine_log(l, l->segment_count ? "a segment is missing or short" : "its state is damaged",
                       l->next);
        err = 0;
    } else if (!err && l->damaged) {
        quarantine_log(l, "found damaged before", l->next);
    } else if (!err) {
        err = load_entries(l, f);
    }
    if (f->start_lsn && (!l->unsaved_lsn || f->start_lsn < l->unsaved_lsn))
        l->unsaved_lsn = f->start_lsn;
    return err;
}

static void needs(struct log *l, uint64_t lsn)
{
    if (lsn && (!l->unsaved_lsn || lsn < l->unsaved_lsn))
        l->unsaved_lsn = lsn;
}

/* Saves what the journal holds of a damaged log, so that it need not hold it for ever. Should that fail, the
 * journal keeps it all the same: the log pins it. */
static void save_damaged(struct log *l, const struct found_log *f)
{
    struct quarantine q = {.blob = -1};
    int err = 0;
    needs(l, f->has_state ? f->state_lsn : 0);
    needs(l, f->start_lsn);
    for (size_t i = 0; i < f->count; i++) {
        needs(l, f->entries[i].lsn);
        if (!err)
            err = quarantine_copy(&q, l, f->entries[i].body_at, f->entries[i].len);
    }
    int end = quarantine_end(&q, l);
    l->renew_state = !err && !end;
    if (!l->renew_state)
        say_error("store", "the damaged log cannot be saved: the journal keeps it", "log=%llu error=\"%s\"",
                  (unsigned long long)l->id, err_text(err ? err : end));
}

int store_recover_log(struct store *st, uint64_t id, const struct log_config *cfg, struct log **ret_log)
{
    static struct found_log nothing;
    struct store_shard *ss = &st->shards[store_shard_of(st, id)];
    struct log *l = log_new(ss, id, cfg);
    struct found_log *f = map_get_u64(&st->recovery->logs, id);
    int err = rebuild(l, f ? f : &nothing);
    if (!err && !l->damaged && cfg->durability == LOG_OS)
        err = recover_os_log(l);
    if (!err && !l->damaged && l->start > l->durable)
        quarantine_log(l, "its start lies beyond its end", l->start);
    if (!err && l->damaged && f)
        save_damaged(l, f);
    if (err) {
        say_error("store", "a log cannot be recovered", "log=%llu error=\"%s\"", (unsigned long long)id,
                  err_text(err));
        return err;
    }
    if (f) { /* large arrays are not needed twice */
        mem_free(f->entries);
        f->entries = NULL;
        f->count = f->cap = 0;
    }
    l->start_durable = l->start;  /* once the store has started */
    l->untimed_ms = os_wall_ms(); /* nobody knows, so they are kept for once more */
    *ret_log = l;
    return 0;
}

/* ---- sweeping: what no log claims ---- */

struct sweep {
    struct store *st;
    struct log *log;
    const char *dir;
    unsigned removed;
    int err;
};

static int unlink_in(struct sweep *s, const char *name)
{
    char path[STORE_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    s->removed++;
    return s->st->blobs->ops->remove(s->st->blobs, path);
}

static bool claims(const struct log *l, const char *name)
{
    if (l->damaged)
        return true; /* evidence */
    uint64_t base = strtoull(name, NULL, 10);
    for (size_t i = l->segment_count; i-- > 0;)
        if (l->segments[i]->base == base)
            return true;
    return false;
}

static int sweep_file(void *arg, const char *name, bool is_dir)
{
    struct sweep *s = arg;
    return is_dir || (s->log && claims(s->log, name)) ? 0 : unlink_in(s, name);
}

static int sweep_log(void *arg, const char *name, bool is_dir)
{
    struct sweep *all = arg;
    char *end;
    uint64_t id = strtoull(name, &end, 10);
    char dir[STORE_PATH_BYTES];
    if (!is_dir || end == name || *end)
        return 0; /* not ours */
    struct blobs *b = all->st->blobs;
    struct sweep s = {.st = all->st, .dir = dir};
    store_log_dir(id, dir);
    s.log = store_log_get(&all->st->shards[store_shard_of(all->st, id)], id);
    int err = b->ops->list(b, dir, sweep_file, &s);
    all->removed += s.removed;
    if (!err && !s.log)
        err = b->ops->remove_folder(b, dir);
    return err;
}

static int sweep_state(void *arg, const char *name, bool is_dir)
{
    struct sweep *s = arg;
    uint64_t id = strtoull(name, NULL, 10);
    struct store_shard *ss = &s->st->shards[store_shard_of(s->st, id)];
    const struct command_log *c = command_log_find(ss, id);
    const struct log *l = store_log_get(ss, id);
    const char *claimed = c ? c->file.name : l && l->spill ? l->spill : "";
    return is_dir || strcmp(claimed, name) == 0 ? 0 : unlink_in(s, name);
}

int recover_sweep(struct store *st)
{
    struct blobs *b = st->blobs;
    struct sweep s = {.st = st, .dir = "logs"};
    if (command_log_get(&st->shards[store_shard_of(st, STORE_META_LOG)], STORE_META_LOG)->renew) {
        say_error("store",
                  "files of logs that the metadata do not name are left: the next start removes them", "");
        return 0; /* part of the metadata is lost, and with it perhaps the names of these logs */
    }
    int err = b->ops->list(b, "logs", sweep_log, &s);
    s.dir = "states";
    if (!err)
        err = b->ops->list(b, "states", sweep_state, &s);
    if (s.removed)
        say_info("store", "removed files that no log claims", "files=%u", s.removed);
    return err;
}
