/* Quarantine: a log that recovery found damaged is neither read nor written again, and nothing of it is
 * dropped silently. What the journal holds of it, the damaged entry included, is copied to a file of its own,
 * DIR/quarantine/LOG-TIME.batches (the entries' bodies, one after the other); its segments stay where they
 * are; and a state entry with STATE_FLAG_DAMAGED makes the verdict durable, so that the journal can be
 * recycled. Deleting the topic ends it; the copy is the operator's to keep or remove. */
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

void quarantine_log(struct log *l, const char *why, uint64_t offset)
{
    say_error("store", "a log is damaged: it is set aside, neither read nor written",
              "log=%llu reason=\"%s\" offset=%llu", (unsigned long long)l->id, why,
              (unsigned long long)offset);
    l->damaged = true;
    tail_fini(&l->tail);
    l->tail_durable = 0;
    list_del(&l->tail_link);
    l->next = l->durable = l->written;
}

static struct blobs *blobs_of(const struct log *l)
{
    return l->ss->st->blobs;
}

static int begin(struct quarantine *q, const struct log *l)
{
    snprintf(q->name, sizeof(q->name), "quarantine/%llu-%lld.batches", (unsigned long long)l->id,
             (long long)os_wall_ms());
    q->blob = blobs_of(l)->ops->open(blobs_of(l), q->name, BLOB_WRITE | BLOB_CREATE | BLOB_EMPTY);
    return q->blob < 0 ? q->blob : 0;
}

int quarantine_copy(struct quarantine *q, const struct log *l, uint64_t body_at, uint32_t len)
{
    struct journal *j = l->ss->st->journal;
    int err = q->blob < 0 ? begin(q, l) : 0;
    uint8_t *bytes = mem_alloc(len);
    if (!err)
        err = j->ops->read_body(j, body_at, bytes, len);
    if (!err) {
        struct span s = span_of(bytes, len);
        err = blobs_of(l)->ops->reserve(blobs_of(l), q->blob, q->pos, s.len);
        if (!err)
            err = blobs_of(l)->ops->append(blobs_of(l), q->blob, &s, 1, q->pos);
        q->pos += len;
    }
    mem_free(bytes);
    return err;
}

int quarantine_end(struct quarantine *q, const struct log *l)
{
    struct blobs *b = blobs_of(l);
    if (q->blob < 0)
        return 0;
    int err = b->ops->sync(b, q->blob);
    b->ops->close(b, q->blob);
    if (!err)
        err = b->ops->sync_names(b, "quarantine");
    if (!err)
        say_warn("store", "what the journal holds of the damaged log was saved",
                 "log=%llu file=\"%s/%s\" bytes=%llu", (unsigned long long)l->id, l->ss->st->dir, q->name,
                 (unsigned long long)q->pos);
    return err;
}
