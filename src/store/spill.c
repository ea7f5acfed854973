/* States too large for the journal: each in a file of its own, which the journal entry names (flag
 * JOURNAL_SPILLED, body specified at the top of state.c).
 *
 * The file is whole and durable before the entry is appended, and the file that it replaces is removed when
 * the entry is durable: so the newest entry's file is always there. What a crash leaves in between no entry
 * names, and the next start removes it (recover_sweep()). */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/le.h"
#include "store/log_impl.h"

static void path_of(const char *name, char ret[STORE_PATH_BYTES])
{
    snprintf(ret, STORE_PATH_BYTES, "states/%s", name);
}

bool spill_wanted(const struct store_shard *ss, size_t len)
{
    uint64_t most = journal_max_group_bytes(ss->st->journal) / 4; /* small journal files, in tests mostly */
    return len > STATE_INLINE_BYTES || len > most;
}

static void spill_run(struct os_job *job)
{
    struct spill *s = container_of(job, struct spill, job);
    struct blobs *b = s->ss->st->blobs;
    char path[STORE_PATH_BYTES];
    path_of(s->file.name, path);
    s->file.crc = crc32c(s->bytes, s->file.len);
    s->err = b->ops->put(b, path, span_of(s->bytes, s->file.len));
}

static void spill_done(struct os_job *job)
{
    struct spill *s = container_of(job, struct spill, job);
    s->ss->spills--;
    s->done(s);
    mem_free(s->bytes);
    mem_free(s);
}

void spill_start(struct store_shard *ss, uint64_t log_id, const char *suffix, uint8_t *bytes, size_t len,
                 void (*done)(struct spill *s), void *owner)
{
    struct spill *s = mem_zalloc(sizeof(*s));
    uint64_t random; /* no name is used twice, whatever the clocks do */
    os_random(&random, sizeof(random));
    snprintf(s->file.name, sizeof(s->file.name), "%llu-%016llx.%s", (unsigned long long)log_id,
             (unsigned long long)random, suffix);
    s->file.len = len;
    s->bytes = bytes;
    s->ss = ss;
    s->done = done;
    s->owner = owner;
    s->job = (struct os_job){.run = spill_run, .done = spill_done, .home = ss->loop};
    ss->spills++;
    os_pool_submit(ss->st->pool, &s->job);
}

void spill_encode(const struct spill_file *f, uint64_t start, uint8_t ret[STATE_SPILL_BYTES])
{
    le_put_u64(ret, start);
    le_put_u64(ret + 8, f->len);
    le_put_u32(ret + 16, f->crc);
    memcpy(ret + 20, f->name, STATE_NAME_BYTES);
}

int spill_decode(struct span body, struct spill_file *ret)
{
    if (body.len != STATE_SPILL_BYTES || body.ptr[20] == 0 || body.ptr[STATE_SPILL_BYTES - 1] != 0 ||
        memchr(body.ptr + 20, '/', STATE_NAME_BYTES))
        return ERR_CORRUPT;
    ret->len = le_u64(body.ptr + 8);
    ret->crc = le_u32(body.ptr + 16);
    memcpy(ret->name, body.ptr + 20, STATE_NAME_BYTES);
    return 0;
}

int spill_read(struct store *st, const struct spill_file *f, uint8_t **ret_bytes)
{
    char path[STORE_PATH_BYTES];
    uint64_t size;
    struct blobs *b = st->blobs;
    path_of(f->name, path);
    int err = b->ops->size(b, path, &size);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
    if (size != f->len)
        return ERR_CORRUPT;
    int file = b->ops->open(b, path, BLOB_READ);
    if (file < 0)
        return file;
    uint8_t *bytes = mem_alloc(f->len);
    int64_t n = b->ops->read(b, file, bytes, f->len, 0);
    b->ops->close(b, file);
    if (n != (int64_t)f->len || crc32c(bytes, f->len) != f->crc) {
        mem_free(bytes);
        return n < 0 ? (int)n : ERR_CORRUPT;
    }
    *ret_bytes = bytes;
    return 0;
}

void spill_remove(struct store *st, const char *name)
{
    char path[STORE_PATH_BYTES];
    if (!name || !name[0])
        return;
    path_of(name, path);
    segment_unlink(st, path, false);
}
