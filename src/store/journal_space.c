/* Space for the journal: preparing files ahead, beginning the next one, dropping the oldest, and saying how
 * much may be admitted. A file is prepared as NAME.tmp, becomes NAME.spare when it is whole, and
 * NUMBER.journal when it is used; when it is dropped it becomes a spare again (its salt and number change, so
 * that what it held before means nothing). */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/journal_file.h"

enum { SPARES_WANTED = 2, RETRY_NS = 500000000 };

/* ---- what there is at start ---- */

static int open_header(struct journal_file *j, uint64_t no, struct journal_live *ret)
{
    char path[JOURNAL_PATH_BYTES];
    uint8_t block[JOURNAL_BLOCK_BYTES];
    journal_file_path(j, no, path);
    int file = os_open(path, OS_READ);
    if (file < 0)
        return file;
    int64_t n = os_pread(file, block, sizeof(block), 0);
    int64_t size = os_size(file);
    os_close(file);
    if (n < 0)
        return (int)n;
    if (size < 0)
        return (int)size;
    *ret = (struct journal_live){.file_no = no, .size = (uint64_t)size};
    if (n < (int64_t)sizeof(block) || journal_file_header_decode(block, &ret->header) != 0 ||
        ret->header.file_no != no)
        return ERR_CORRUPT;
    return 0;
}

static void add_u64(uint64_t **list, size_t *count, size_t *cap, uint64_t v)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        *list = mem_realloc(*list, *cap * sizeof(**list));
    }
    (*list)[(*count)++] = v;
}

static void add_spare(struct journal_file *j, uint64_t no)
{
    add_u64(&j->spares, &j->spare_count, &j->spare_cap, no);
    if (j->next_spare <= no)
        j->next_spare = no + 1;
}

static void add_live(struct journal_file *j, const struct journal_live *live)
{
    if (j->live_count == j->live_cap) {
        j->live_cap = j->live_cap ? j->live_cap * 2 : 16;
        j->live = mem_realloc(j->live, j->live_cap * sizeof(*j->live));
    }
    j->live[j->live_count++] = *live;
}

struct listing {
    struct journal_file *j;
    uint64_t *numbers;
    size_t count, cap;
};

static int list_one(void *arg, const char *name, bool is_dir)
{
    struct listing *l = arg;
    char path[JOURNAL_PATH_BYTES], *suffix;
    uint64_t no = strtoull(name, &suffix, 10), size = 0;
    if (is_dir || suffix == name)
        return 0;
    if (strcmp(suffix, ".journal") == 0) {
        add_u64(&l->numbers, &l->count, &l->cap, no);
        return 0;
    }
    snprintf(path, sizeof(path), "%s/%s", l->j->opt.dir, name);
    if (strcmp(suffix, ".spare") == 0 && os_path_size(path, &size) == 0 && size == l->j->opt.file_bytes)
        add_spare(l->j, no);
    else if (strcmp(suffix, ".spare") == 0 || strcmp(suffix, ".tmp") == 0)
        return os_unlink(path); /* half made, or of another size */
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The header is durable before the first group is written, so a group that names this file proves that the
 * header was right once, and that what the file holds may have been durable, too. */
static bool was_begun(const struct journal_file *j, uint64_t no)
{
    char path[JOURNAL_PATH_BYTES];
    uint8_t b[JOURNAL_GROUP_HEADER_BYTES];
    struct journal_group_header h;
    journal_file_path(j, no, path);
    int file = os_open(path, OS_READ);
    if (file < 0)
        return false;
    int64_t n = os_pread(file, b, sizeof(b), JOURNAL_BLOCK_BYTES), size = os_size(file);
    os_close(file);
    return n == (int64_t)sizeof(b) && size > JOURNAL_BLOCK_BYTES &&
           journal_group_decode(b, journal_group_salt(b), journal_lsn(no, JOURNAL_BLOCK_BYTES),
                                (uint64_t)size - JOURNAL_BLOCK_BYTES, &h) == 0;
}

/* A file whose header is damaged: with the operator's leave it is put aside, so that its number is free and
 * the next start does not stumble over it again. */
static int set_aside(struct journal_file *j, uint64_t no)
{
    char from[JOURNAL_PATH_BYTES], to[JOURNAL_PATH_BYTES];
    say_error(
        "journal",
        "the header of a file is damaged, all in it is lost; --set journal.accept-loss=true sets it aside",
        "file=%llu", (unsigned long long)no);
    if (!j->opt.accept_loss)
        return ERR_CORRUPT;
    journal_file_path(j, no, from);
    snprintf(to, sizeof(to), "%s/%010llu.damaged", j->opt.dir, (unsigned long long)no);
    int err = os_rename(from, to);
    return err ? err : os_sync_dir(j->opt.dir);
}

/* The last file may have been renamed but not begun when the power failed: then it is a spare. */
static int give_up_last(struct journal_file *j, uint64_t no)
{
    char from[JOURNAL_PATH_BYTES], to[JOURNAL_PATH_BYTES];
    uint64_t spare = j->next_spare++;
    journal_file_path(j, no, from);
    journal_spare_path(j, spare, to);
    uint64_t size = 0;
    int err = os_path_size(from, &size);
    if (!err && size != j->opt.file_bytes)
        err = os_unlink(from);
    else if (!err && (err = os_rename(from, to)) == 0)
        add_spare(j, spare);
    return err ? err : os_sync_dir(j->opt.dir);
}

static int check_sequence(struct journal_file *j)
{
    for (size_t i = 1; i < j->live_count; i++) {
        const struct journal_live *a = &j->live[i - 1], *b = &j->live[i];
        if (a->file_no + 1 == b->file_no && memcmp(a->header.uuid, b->header.uuid, 16) == 0)
            continue;
        say_error("journal", "a file is missing or belongs to another journal", "after=%llu found=%llu",
                  (unsigned long long)a->file_no, (unsigned long long)b->file_no);
        if (!j->opt.accept_loss)
            return ERR_CORRUPT;
    }
    return 0;
}

int journal_space_list(struct journal_file *j)
{
    struct listing l = {.j = j};
    int err = os_list(j->opt.dir, list_one, &l);
    if (l.count)
        qsort(l.numbers, l.count, sizeof(*l.numbers), compare_u64);
    for (size_t i = 0; !err && i < l.count; i++) {
        struct journal_live live;
        err = open_header(j, l.numbers[i], &live);
        if (!err)
            add_live(j, &live);
        else if (err == ERR_CORRUPT && i + 1 == l.count && !was_begun(j, l.numbers[i]))
            err = give_up_last(j, l.numbers[i]);
        else if (err == ERR_CORRUPT)
            err = set_aside(j, l.numbers[i]);
    }
    mem_free(l.numbers);
    if (!err)
        err = check_sequence(j);
    if (!err && j->live_count)
        memcpy(j->uuid, j->live[0].header.uuid, 16);
    else if (!err)
        os_random(j->uuid, 16);
    return err;
}

/* ---- preparing and beginning files ---- */

static int write_zeros(int file, uint64_t len)
{
    enum { PIECE = 1 << 20 };
    uint8_t *zeros = mem_zalloc(PIECE);
    int err = 0;
    for (uint64_t at = 0; !err && at < len; at += PIECE) {
        struct span s = span_of(zeros, len - at < PIECE ? len - at : PIECE);
        err = os_pwrite(file, &s, 1, at);
    }
    mem_free(zeros);
    return err;
}

/* Space that is only promised (unwritten extents) costs a metadata commit at each first write; zeros written
 * beforehand do not. So files are zeroed when nobody waits for them. */
static int fill_file(int file, uint64_t len, bool zero)
{
    int err = os_allocate(file, 0, len);
    if (err == ERR_UNSUPPORTED)
        zero = true;
    else if (err)
        return err;
    err = zero ? write_zeros(file, len) : os_truncate(file, len);
    return err ? err : os_fdatasync(file);
}

static int prepare_file(struct journal_file *j, uint64_t no, bool zero)
{
    char tmp[JOURNAL_PATH_BYTES + 4], path[JOURNAL_PATH_BYTES];
    journal_spare_path(j, no, path);
    snprintf(tmp, sizeof(tmp), "%s/%010llu.tmp", j->opt.dir, (unsigned long long)no);
    int file = os_open(tmp, OS_WRITE | OS_CREATE | OS_TRUNC);
    if (file < 0)
        return file;
    int err = fill_file(file, j->opt.file_bytes, zero);
    os_close(file);
    if (!err)
        err = os_rename(tmp, path);
    if (!err)
        err = os_sync_dir(j->opt.dir);
    if (err)
        os_unlink(tmp);
    return err;
}

int journal_space_make_spare(struct journal_file *j, bool zero)
{
    uint64_t no = j->next_spare++;
    int err = prepare_file(j, no, zero);
    if (!err)
        add_spare(j, no);
    return err;
}

static int write_header(struct journal_file *j, int file, struct journal_live *live)
{
    uint8_t block[JOURNAL_BLOCK_BYTES];
    memcpy(live->header.uuid, j->uuid, 16);
    live->header.file_no = live->file_no;
    os_random(&live->header.salt, sizeof(live->header.salt));
    live->header.prev_chain = j->chain;
    journal_file_header_encode(&live->header, block);
    struct span s = span_of(block, sizeof(block));
    int err = os_pwrite(file, &s, 1, 0);
    return err ? err : os_fdatasync(file);
}

int journal_space_rotate(struct journal_file *j)
{
    if (j->spare_count == 0)
        return ERR_AGAIN;
    char from[JOURNAL_PATH_BYTES], to[JOURNAL_PATH_BYTES];
    struct journal_live live = {
        .file_no = j->live_count ? j->live[j->live_count - 1].file_no + 1 : 1,
        .size = j->opt.file_bytes,
    };
    journal_spare_path(j, j->spares[--j->spare_count], from);
    journal_file_path(j, live.file_no, to);
    int err = os_rename(from, to);
    int file = err ? err : os_open(to, OS_WRITE);
    if (file < 0)
        return file;
    err = write_header(j, file, &live);
    if (!err)
        err = os_sync_dir(j->opt.dir); /* the name must be there before a group is in it */
    if (err) {
        os_close(file);
        return err;
    }
    if (j->file >= 0)
        os_close(j->file);
    j->file = file;
    j->pos = JOURNAL_BLOCK_BYTES;
    add_live(j, &live);
    return 0;
}

/* ---- admission ---- */

static size_t max_files(const struct journal_file *j)
{
    size_t n = j->opt.max_bytes / j->opt.file_bytes;
    return n < JOURNAL_MIN_FILES ? JOURNAL_MIN_FILES : n;
}

static uint64_t slack(const struct journal_file *j)
{
    return j->opt.file_bytes / 4; /* what may be lost at the end of a file: the largest group */
}

/* What a whole file holds for certain. */
static uint64_t usable(const struct journal_file *j)
{
    return j->opt.file_bytes - JOURNAL_BLOCK_BYTES - slack(j);
}

void journal_space_count(struct journal_file *j)
{
    uint64_t room = j->live_count ? j->live[j->live_count - 1].size - j->pos : 0;
    uint64_t sum = (room > slack(j) ? room - slack(j) : 0) + j->spare_count * usable(j);
    atomic_store(&j->over, j->live_count >= max_files(j));
    atomic_store(&j->capacity, (int64_t)sum);
    atomic_store_explicit(&j->base.stats.free_bytes, sum, memory_order_relaxed);
    atomic_store_explicit(&j->base.stats.files, j->live_count + j->spare_count, memory_order_relaxed);
}

int journal_space_admit(struct journal_file *j, uint64_t bytes, bool internal)
{
    int64_t keep = internal ? 0 : (int64_t)usable(j); /* so that deletes, states and copies go on */
    int64_t taken = atomic_fetch_add(&j->reserved, (int64_t)bytes) + (int64_t)bytes;
    bool over = !internal && atomic_load(&j->over); /* publishers wait until recycling has caught up */
    if (!over && taken + keep <= atomic_load(&j->capacity))
        return 0;
    atomic_fetch_sub(&j->reserved, (int64_t)bytes);
    if (atomic_load(&j->base.stats.refused))
        return ERR_NO_SPACE;
    if (!atomic_exchange(&j->wanted, true))
        journal_file_kick(j);
    return ERR_AGAIN;
}

/* ---- the journal thread's housekeeping ---- */

/* The oldest file becomes a spare, or goes. The directory is synced for each, so that no crash leaves a gap.
 */
static int drop_oldest(struct journal_file *j)
{
    char from[JOURNAL_PATH_BYTES], to[JOURNAL_PATH_BYTES];
    journal_file_path(j, j->live[0].file_no, from);
    bool keep = j->spare_count <= SPARES_WANTED && j->live[0].size == j->opt.file_bytes;
    uint64_t spare = j->next_spare;
    journal_spare_path(j, spare, to);
    int err = keep ? os_rename(from, to) : os_unlink(from);
    if (!err)
        err = os_sync_dir(j->opt.dir);
    if (err)
        return err;
    if (keep)
        add_spare(j, spare);
    j->live_count--;
    memmove(j->live, j->live + 1, j->live_count * sizeof(*j->live));
    return 0;
}

static void drop(struct journal_file *j)
{
    uint64_t needed = journal_lsn_file(atomic_load(&j->drop_lsn));
    while (j->live_count > 1 && j->live[0].file_no < needed) {
        int err = drop_oldest(j);
        if (err) {
            journal_file_fail(j, err, "dropping a file");
            return;
        }
    }
}

static void prepare_run(struct os_job *job)
{
    struct journal_file *j = container_of(job, struct journal_file, prepare_job);
    int err = prepare_file(j, j->prepare_no, true);
    atomic_store(&j->prepared, err ? err : 1);
}

/* By way of a loop, so that nothing reaches the journal's thread once the loops have ended. */
static void prepare_done(struct os_job *job)
{
    journal_file_kick(container_of(job, struct journal_file, prepare_job));
}

static void space_again(struct journal_file *j)
{
    if (atomic_exchange(&j->base.stats.refused, false))
        say_info("journal", "there is space on the disk again, publishers go on", "");
}

static void take_prepared(struct journal_file *j)
{
    int result = atomic_exchange(&j->prepared, 0);
    if (result == 0)
        return;
    j->preparing = false;
    if (result == 1) {
        add_spare(j, j->prepare_no);
        space_again(j);
    } else if (result == ERR_NO_SPACE) {
        j->retry_at_ns = os_mono_ns() + RETRY_NS;
        if (!atomic_exchange(&j->base.stats.refused, true))
            say_error("journal", "no space left on the disk: publishers are refused until there is", "");
        j->opt.events.space(j->opt.events.arg); /* who waits must hear it */
    } else {
        journal_file_fail(j, result, "preparing a file");
    }
}

static void prepare(struct journal_file *j)
{
    size_t total = j->live_count + j->spare_count;
    bool want = j->spare_count == 0 || (j->spare_count < SPARES_WANTED && total < max_files(j));
    if (!want || j->preparing || os_mono_ns() < j->retry_at_ns)
        return;
    j->preparing = true;
    j->prepare_no = j->next_spare++;
    j->prepare_job = (struct os_job){.run = prepare_run, .done = prepare_done, .home = j->home};
    os_pool_submit(j->opt.disk_pool, &j->prepare_job);
}

/* Half of the files may hold what logs still need; asks that the older ones be emptied. */
static void ask_recycling(struct journal_file *j)
{
    size_t keep = max_files(j) / 2;
    if (j->live_count <= keep)
        return;
    uint64_t before = journal_lsn(j->live[j->live_count - keep].file_no, 0);
    if (before == j->recycle_asked)
        return;
    j->recycle_asked = before;
    j->opt.events.recycle(j->opt.events.arg, before);
}

void journal_space_work(struct journal_file *j)
{
    drop(j);
    take_prepared(j);
    if (j->failed)
        return;
    prepare(j);
    if (j->spare_count >= SPARES_WANTED) /* recycling made them: no new file is tried that would tell */
        space_again(j);
    ask_recycling(j);
    journal_space_count(j);
    int64_t left = atomic_load(&j->capacity) - atomic_load(&j->reserved);
    if (left > (int64_t)(usable(j) + slack(j)) && !atomic_load(&j->over) &&
        atomic_exchange(&j->wanted, false))
        j->opt.events.space(j->opt.events.arg);
    else if (j->queue && j->spare_count)
        journal_file_kick(j); /* groups waited for a spare */
}
