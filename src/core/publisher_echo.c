/* What subscriptions hear of messages that are to be on the disk: nobody may see such a one before it is
 * durable, so it waits here for the operations that carry it to its queues and topics.
 *
 * A publisher's are heard in its order, each after those before it, and also when its connection has died
 * meanwhile. */
#include <assert.h>

#include "base/mem.h"
#include "core/publisher_impl.h"

/* Of one publisher. Freed when that has gone and nothing waits. */
struct echo_line {
    struct list waiting; /* struct echo */
    bool closed;
};

struct echo {
    struct list link;
    struct echo_line *line;
    struct shard *shard;
    struct vspace *space; /* one reference */
    struct message m;     /* in `chunk` */
    struct chunk *chunk;  /* one reference */
    uint32_t pending;     /* operations that carry it */
    bool more_keys;
};

static bool is_to_be_durable(const struct message *m, const struct routed *to)
{
    if (!(m->flags & MESSAGE_PERSISTENT))
        return false;
    for (uint32_t i = 0; i < to->queue_count; i++)
        if (to->queues[i].id < QUEUE_VOLATILE_IDS)
            return true;
    return to->topic_count > 0 || to->delayed_id;
}

struct echo *echo_new(struct publisher *p, const struct message *m, const struct routed *to,
                      struct chunk *chunk)
{
    if (!to->space->subjects[SUBJECT_SHARED] || !is_to_be_durable(m, to))
        return NULL;
    assert(chunk);
    if (!p->echoes) {
        p->echoes = mem_zalloc(sizeof(*p->echoes));
        list_init(&p->echoes->waiting);
    }
    struct echo *e = mem_zalloc(sizeof(*e));
    *e = (struct echo){.line = p->echoes,
                       .shard = p->conn->shard,
                       .space = to->space,
                       .m = *m,
                       .chunk = chunk_ref(chunk),
                       .pending = 1,
                       .more_keys = to->more_keys};
    space_ref(e->space);
    list_add_tail(&p->echoes->waiting, &e->link);
    return e;
}

static void hear(struct echo *e, struct conn *c)
{
    list_del(&e->link);
    publisher_tell_subjects(e->shard, e->space, &e->m, e->more_keys, e->chunk, c);
    chunk_unref(e->chunk);
    space_unref(e->space);
    mem_free(e);
}

static void free_if_over(struct echo_line *line)
{
    if (line->closed && list_empty(&line->waiting))
        mem_free(line);
}

void echo_part_over(struct echo *e, struct conn *c)
{
    struct echo_line *line = e->line;
    struct list *l;
    assert(e->pending > 0);
    if (--e->pending > 0)
        return;
    while ((l = list_first(&line->waiting)) && (e = list_entry(l, struct echo, link))->pending == 0)
        hear(e, c);
    free_if_over(line);
}

void echoes_add(struct echoes *all, struct echo *e)
{
    if (all->count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 8;
        all->items = mem_realloc(all->items, all->cap * sizeof(struct echo *));
    }
    all->items[all->count++] = e;
    e->pending++;
}

void echoes_over(struct echoes *all, struct conn *c)
{
    for (uint32_t i = 0; i < all->count; i++)
        echo_part_over(all->items[i], c);
    mem_free(all->items);
    *all = (struct echoes){0};
}

void echo_line_close(struct publisher *p)
{
    if (!p->echoes)
        return;
    p->echoes->closed = true;
    free_if_over(p->echoes);
    p->echoes = NULL;
}
