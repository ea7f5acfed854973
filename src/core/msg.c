#include "core/msg.h"

#include "core/shard.h"

void msg_push(struct msg_queue *q, struct msg *m)
{
    m->next = NULL;
    if (q->tail)
        q->tail->next = m;
    else
        q->head = m;
    q->tail = m;
}

struct msg *msg_pop(struct msg_queue *q)
{
    struct msg *m = q->head;
    if (!m)
        return NULL;
    q->head = m->next;
    if (!q->head)
        q->tail = NULL;
    m->next = NULL;
    return m;
}

/* The inbox is a stack, newest first: pushed by anyone, taken whole by its shard. Reversed it is FIFO for
 * each sender. Only the push onto an empty inbox wakes: later ones are taken together with it. */
void msg_send(struct shard *from, struct shard *to, struct msg *m)
{
    (void)from;
    struct msg *head = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do {
        m->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&to->inbox, &head, m, memory_order_release,
                                                    memory_order_relaxed));
    if (!head)
        os_loop_wake(to->loop);
}

static struct msg *take_in_order(struct shard *s)
{
    struct msg *m = atomic_exchange_explicit(&s->inbox, NULL, memory_order_acquire);
    struct msg *oldest = NULL;
    while (m) {
        struct msg *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    return oldest;
}

unsigned msg_run_inbox(struct shard *s)
{
    unsigned n = 0;
    struct msg *m = take_in_order(s);
    while (m) {
        struct msg *next = m->next;
        m->next = NULL;
        m->run(s, m); /* may free m or send it on */
        m = next;
        n++;
    }
    return n;
}
