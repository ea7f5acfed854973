/* The journal thread's work: take what waits, write it with one write, sync once, report. The byte layout is
 * specified in journal_format.c. */
#include "store/journal_file.h"

#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/say.h"

static struct journal_file *of(struct journal *j)
{
    return container_of(j, struct journal_file, base);
}

uint64_t journal_max_group_bytes(const struct journal *j)
{
    return j->max_group_bytes;
}

uint64_t journal_entry_bytes(uint64_t body_len)
{
    return JOURNAL_ENTRY_HEADER_BYTES + body_len;
}

void journal_file_path(const struct journal_file *j, uint64_t file_no, char ret[JOURNAL_PATH_BYTES])
{
    snprintf(ret, JOURNAL_PATH_BYTES, "%s/%010llu.journal", j->opt.dir, (unsigned long long)file_no);
}

void journal_spare_path(const struct journal_file *j, uint64_t no, char ret[JOURNAL_PATH_BYTES])
{
    snprintf(ret, JOURNAL_PATH_BYTES, "%s/%010llu.spare", j->opt.dir, (unsigned long long)no);
}

/* The first failed write or sync is final: the kernel may have dropped the pages, so a second try that
 * "succeeds" proves nothing (fsyncgate). */
void journal_file_fail(struct journal_file *j, int err, const char *what)
{
    if (j->failed)
        return;
    j->failed = err;
    say_error("journal", "the journal failed, nothing more is acknowledged", "during=\"%s\" error=\"%s\"",
              what, err_text(err));
    j->opt.events.failed(j->opt.events.arg, err, what);
}

/* ---- taking groups ---- */

void journal_file_kick(struct journal_file *j)
{
    if (!atomic_exchange(&j->scheduled, true))
        os_pool_submit(j->thread, &j->work);
}

static void submit(struct journal *base, struct journal_group *g)
{
    struct journal_file *j = of(base);
    assert(g->count > 0);
    g->submitted_ns = os_mono_ns();
    g->err = 0;
    struct journal_group *head = atomic_load_explicit(&j->inbox, memory_order_relaxed);
    do {
        g->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&j->inbox, &head, g, memory_order_release,
                                                    memory_order_relaxed));
    journal_file_kick(j);
}

static void take_inbox(struct journal_file *j)
{
    struct journal_group *g = atomic_exchange_explicit(&j->inbox, NULL, memory_order_acquire);
    struct journal_group *fifo = NULL, *oldest_last = g;
    while (g) { /* turn newest-first into oldest-first */
        struct journal_group *next = g->next;
        g->next = fifo;
        fifo = g;
        g = next;
    }
    if (fifo) {
        *j->queue_tail = fifo;
        j->queue_tail = &oldest_last->next;
    }
}

/* ---- one write ---- */

struct batch_of_groups {
    uint32_t groups, entries;
    uint64_t bodies;
};

static uint64_t disk_bytes(const struct batch_of_groups *b)
{
    return journal_padded(JOURNAL_GROUP_HEADER_BYTES + (uint64_t)b->entries * JOURNAL_ENTRY_HEADER_BYTES +
                          b->bodies);
}

/* How many of the waiting groups go into the next write: what fits the file, and a sane size. */
static struct batch_of_groups choose(const struct journal_file *j, uint64_t room)
{
    struct batch_of_groups chosen = {0};
    for (const struct journal_group *g = j->queue; g; g = g->next) {
        struct batch_of_groups b = {chosen.groups + 1, chosen.entries + g->count,
                                    chosen.bodies + g->body_bytes};
        if (disk_bytes(&b) > room || b.entries > JOURNAL_MAX_ENTRIES)
            break;
        if (chosen.groups && disk_bytes(&b) > JOURNAL_WRITE_BYTES)
            break;
        chosen = b;
    }
    return chosen;
}

static void add_span(struct journal_file *j, size_t *count, struct span s)
{
    if (s.len == 0)
        return;
    if (*count && j->spans[*count - 1].ptr + j->spans[*count - 1].len == s.ptr) {
        j->spans[*count - 1].len += s.len; /* appended one after the other to one chunk */
        return;
    }
    if (*count + 2 > j->spans_cap) {
        j->spans_cap = j->spans_cap ? j->spans_cap * 2 : 256;
        j->spans = mem_realloc(j->spans, j->spans_cap * sizeof(*j->spans));
    }
    j->spans[(*count)++] = s;
}

/* Builds directory and span list of the chosen groups; returns the number of spans. */
static size_t gather(struct journal_file *j, const struct batch_of_groups *b)
{
    static const uint8_t zeros[JOURNAL_BLOCK_BYTES];
    size_t dir_len = JOURNAL_GROUP_HEADER_BYTES + (size_t)b->entries * JOURNAL_ENTRY_HEADER_BYTES;
    if (dir_len > j->dir_cap) {
        j->dir_cap = dir_len * 2;
        j->dir_bytes = mem_realloc(j->dir_bytes, j->dir_cap);
    }
    uint8_t *entry = j->dir_bytes + JOURNAL_GROUP_HEADER_BYTES;
    size_t count = 0;
    add_span(j, &count, span_of(j->dir_bytes, dir_len));
    const struct journal_group *g = j->queue;
    for (uint32_t i = 0; i < b->groups; i++, g = g->next) {
        for (uint32_t k = 0; k < g->count; k++, entry += JOURNAL_ENTRY_HEADER_BYTES) {
            journal_entry_encode(&g->entries[k], entry);
            add_span(j, &count, g->entries[k].body);
        }
    }
    struct journal_group_header h = {
        .salt = j->live[j->live_count - 1].header.salt,
        .lsn = journal_lsn(j->live[j->live_count - 1].file_no, j->pos),
        .synced_lsn = j->synced_lsn,
        .prev_chain = j->chain,
        .entry_count = b->entries,
        .dir_len = (uint32_t)dir_len,
        .body_len = b->bodies,
        .wall_ms = os_wall_ms(),
    };
    journal_group_encode(&h, j->dir_bytes);
    j->chain = h.dir_crc;
    add_span(j, &count, span_of(zeros, disk_bytes(b) - dir_len - b->bodies));
    return count;
}

/* Pops `n` groups and reports them. The journal forgets a group before done(): its owner may free it. */
static void report(struct journal_file *j, uint32_t n, uint64_t lsn, int err)
{
    while (n-- > 0) {
        struct journal_group *g = j->queue;
        j->queue = g->next;
        if (!j->queue)
            j->queue_tail = &j->queue;
        g->next = NULL;
        g->lsn = lsn;
        g->err = err;
        atomic_fetch_sub_explicit(&j->reserved, (int64_t)g->admitted, memory_order_relaxed);
        g->done(g);
    }
}

static void count_commit(struct journal_file *j, const struct batch_of_groups *b, uint64_t begun_ns)
{
    uint64_t ns = os_mono_ns() - begun_ns;
    atomic_fetch_add_explicit(&j->base.stats.commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&j->base.stats.groups, b->groups, memory_order_relaxed);
    atomic_fetch_add_explicit(&j->base.stats.entries, b->entries, memory_order_relaxed);
    atomic_fetch_add_explicit(&j->base.stats.bytes, disk_bytes(b), memory_order_relaxed);
    atomic_fetch_add_explicit(&j->base.stats.sync_ns, ns, memory_order_relaxed);
    if (j->opt.on_commit)
        j->opt.on_commit(j->opt.on_commit_arg, ns, b->groups, disk_bytes(b));
}

/* Writes and syncs the chosen groups: the only place from which anything becomes durable. */
static int commit(struct journal_file *j, const struct batch_of_groups *b)
{
    uint64_t begun_ns = os_mono_ns();
    uint64_t lsn = journal_lsn(j->live[j->live_count - 1].file_no, j->pos);
    size_t spans = gather(j, b);
    int err = os_pwrite(j->file, j->spans, spans, j->pos);
    if (!err)
        err = os_fdatasync(j->file);
    if (err) {
        journal_file_fail(j, err, "writing a group");
        return err;
    }
    j->pos += disk_bytes(b);
    j->synced_lsn = journal_lsn(j->live[j->live_count - 1].file_no, j->pos);
    count_commit(j, b, begun_ns);
    report(j, b->groups, lsn, 0);
    return 0;
}

static uint64_t room_left(const struct journal_file *j)
{
    return j->live[j->live_count - 1].size - j->pos;
}

/* Writes until nothing waits, or until there is no file to write to. */
static void drain_queue(struct journal_file *j)
{
    while (j->queue && !j->failed) {
        struct batch_of_groups b = choose(j, room_left(j));
        if (b.groups == 0) {
            int err = journal_space_rotate(j);
            if (err == ERR_AGAIN)
                return; /* admission keeps a reserve, so this is brief: a spare is being prepared */
            if (err)
                journal_file_fail(j, err, "beginning a new file");
            continue;
        }
        commit(j, &b);
    }
    if (j->failed) {
        uint32_t n = 0;
        for (const struct journal_group *g = j->queue; g; g = g->next)
            n++;
        report(j, n, 0, j->failed);
    }
}

static void work(struct os_job *job)
{
    struct journal_file *j = container_of(job, struct journal_file, work);
    atomic_store(&j->scheduled, false); /* what is submitted from here on queues the job again */
    take_inbox(j);
    drain_queue(j);
    if (!j->failed)
        journal_space_work(j);
}

/* ---- opening, starting, closing ---- */

/* What replay found last may be in the page cache only: write the same bytes again and sync them. */
static int make_tail_durable(struct journal_file *j)
{
    if (!j->last_group_len)
        return 0;
    struct span s = span_of(j->last_group, j->last_group_len);
    int err = os_pwrite(j->file, &s, 1, journal_lsn_pos(j->last_group_lsn));
    if (!err)
        err = os_fdatasync(j->file);
    mem_free(j->last_group);
    j->last_group = NULL;
    j->last_group_len = 0;
    return err;
}

static int start(struct journal *base, struct os_loop *home)
{
    struct journal_file *j = of(base);
    j->home = home;
    int err = 0;
    if (j->body_file >= 0)
        os_close(j->body_file);
    j->body_file = -1;
    if (j->spare_count == 0 && (j->live_count == 0 || room_left(j) < j->opt.file_bytes / 2))
        err = journal_space_make_spare(j, false); /* not zeroed: be ready soon */
    if (!err && j->live_count == 0) {
        err = journal_space_rotate(j);
        if (!err)
            err = journal_space_make_spare(j, false);
    }
    if (err == ERR_NO_SPACE && j->live_count) { /* start all the same: readers and deletes can work */
        atomic_store(&j->base.stats.refused, true);
        err = 0;
    }
    if (!err)
        err = make_tail_durable(j);
    if (!err)
        err = os_sync_dir(j->opt.dir);
    if (err)
        return err;
    j->synced_lsn = journal_lsn(j->live[j->live_count - 1].file_no, j->pos);
    j->started = true;
    journal_space_count(j);
    journal_file_kick(j); /* prepares spares */
    return 0;
}

static void stop(struct journal *base)
{
    struct journal_file *j = of(base);
    os_pool_free(j->thread); /* runs what was queued */
    j->thread = NULL;
}

static void close_journal(struct journal *base)
{
    struct journal_file *j = of(base);
    if (j->file >= 0)
        os_close(j->file);
    if (j->body_file >= 0)
        os_close(j->body_file);
    mem_free(j->last_group);
    mem_free(j->live);
    mem_free(j->spares);
    mem_free(j->dir_bytes);
    mem_free(j->spans);
    mem_free(j);
}

static int admit(struct journal *base, uint64_t bytes, bool internal)
{
    return journal_space_admit(of(base), bytes, internal);
}

static void drop_before(struct journal *base, uint64_t lsn)
{
    struct journal_file *j = of(base);
    uint64_t old = atomic_load(&j->drop_lsn);
    while (old < lsn && !atomic_compare_exchange_weak(&j->drop_lsn, &old, lsn))
        ;
    journal_file_kick(j);
}

static int replay(struct journal *base, int (*fn)(void *, const struct journal_replay_entry *), void *arg)
{
    return journal_scan(of(base), fn, arg);
}

static int read_body(struct journal *base, uint64_t body_at, uint8_t *ret_bytes, uint32_t len)
{
    return journal_read_body(of(base), body_at, ret_bytes, len);
}

static const struct journal_ops file_ops = {
    .submit = submit,
    .admit = admit,
    .drop_before = drop_before,
    .replay = replay,
    .read_body = read_body,
    .start = start,
    .stop = stop,
    .close = close_journal,
};

int journal_file_open(const struct journal_file_options *opt, struct journal **ret_journal)
{
    assert(opt->file_bytes >= 64 << 10 && opt->file_bytes <= 1u << 30);
    int err = os_mkdir(opt->dir);
    if (err && err != ERR_EXISTS)
        return err;
    struct journal_file *j = mem_zalloc(sizeof(*j));
    j->base.ops = &file_ops;
    j->base.max_group_bytes = opt->file_bytes / 4 - JOURNAL_BLOCK_BYTES;
    j->opt = *opt;
    j->queue_tail = &j->queue;
    j->file = j->body_file = -1;
    j->work.run = work;
    err = journal_space_list(j);
    if (err) {
        close_journal(&j->base);
        return err;
    }
    j->thread = os_pool_new("journal", 1);
    *ret_journal = &j->base;
    return 0;
}
