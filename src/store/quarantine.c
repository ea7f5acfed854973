/* Quarantine: a log that recovery found damaged is neither read nor written again, and nothing of it is dropped
 * silently. What the journal holds of it, the damaged entry included, is copied to a file of its own,
 * DIR/quarantine/LOG-TIME.batches (the entries' bodies, one after the other); its segments stay where they are;
 * and a state entry with STATE_FLAG_DAMAGED makes the verdict durable, so that the journal can be recycled. Deleting
 * the topic ends it; the copy is the operator's to keep or remove. */
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

void quarantine_log(struct log *l, const char *why, uint64_t offset)
{
    say_error("store", "a log is damaged: it is set aside, neither read nor written",
              "log=%llu reason=\"%s\" offset=%llu", (unsigned long long)l->id, why, (unsigned long long)offset);
    l->damaged = true;
    tail_fini(&l->tail);
    l->tail_durable = 0;
    list_del(&l->tail_link);
    l->next = l->durable = l->written;
}

static int begin(struct quarantine *q, const struct log *l)
{
    char path[STORE_PATH_BYTES];
    struct store *st = l->ss->st;
    snprintf(path, sizeof(path), "%s/quarantine", st->dir);
    int err = os_mkdir(path);
    if (err && err != ERR_EXISTS)
        return err;
    snprintf(q->path, sizeof(q->path), "%s/quarantine/%llu-%lld.batches", st->dir, (unsigned long long)l->id,
             (long long)os_wall_ms());
    q->file = os_open(q->path, OS_WRITE | OS_CREATE | OS_TRUNC);
    return q->file < 0 ? q->file : 0;
}

int quarantine_copy(struct quarantine *q, const struct log *l, uint64_t body_at, uint32_t len)
{
    struct journal *j = l->ss->st->journal;
    int err = q->file < 0 ? begin(q, l) : 0;
    uint8_t *bytes = mem_alloc(len);
    if (!err)
        err = j->ops->read_body(j, body_at, bytes, len);
    if (!err) {
        struct span s = span_of(bytes, len);
        err = os_pwrite(q->file, &s, 1, q->pos);
        q->pos += len;
    }
    mem_free(bytes);
    return err;
}

int quarantine_end(struct quarantine *q, const struct log *l)
{
    char dir[STORE_PATH_BYTES];
    if (q->file < 0)
        return 0;
    int err = os_fdatasync(q->file);
    os_close(q->file);
    snprintf(dir, sizeof(dir), "%s/quarantine", l->ss->st->dir);
    if (!err)
        err = os_sync_dir(dir);
    if (!err)
        err = os_sync_dir(l->ss->st->dir);
    if (!err)
        say_warn("store", "what the journal holds of the damaged log was saved", "log=%llu file=\"%s\" bytes=%llu",
                 (unsigned long long)l->id, q->path, (unsigned long long)q->pos);
    return err;
}
