#include "proto/amqp/limiter.h"

#include <assert.h>

void limiter_init(struct limiter *l)
{
    *l = (struct limiter){0};
    list_init(&l->line);
}

void limited_init(struct limited *c)
{
    c->granted = 0;
    list_init(&c->link);
}

void limiter_wait(struct limiter *l, struct limited *c)
{
    if (list_linked(&c->link))
        return;
    list_add_tail(&l->line, &c->link);
    l->waiting++;
}

static void leave_line(struct limiter *l, struct limited *c)
{
    if (!list_linked(&c->link))
        return;
    list_del(&c->link);
    l->waiting--;
}

struct limited *limiter_next(struct limiter *l, uint32_t *ret_credit)
{
    uint64_t out = (uint64_t)l->unacked + l->granted;
    struct list *first = list_first(&l->line);
    if (!first || l->limit == 0 || out >= l->limit)
        return NULL;
    uint32_t room = l->limit - (uint32_t)out;
    uint32_t share = room / l->waiting ? room / l->waiting : 1;
    struct limited *c = list_entry(first, struct limited, link);
    leave_line(l, c);
    c->granted += share;
    l->granted += share;
    *ret_credit = share;
    return c;
}

/* Credit that an older limit gave may come back under a newer one: it is not counted any more. */
static void give_back(struct limiter *l, struct limited *c, uint32_t n)
{
    uint32_t back = n < c->granted ? n : c->granted;
    assert(l->granted >= back);
    c->granted -= back;
    l->granted -= back;
}

void limiter_delivered(struct limiter *l, struct limited *c, uint32_t n, uint32_t unused)
{
    l->unacked += n;
    give_back(l, c, n + unused);
}

void limiter_settled(struct limiter *l, uint32_t n)
{
    assert(l->unacked >= n);
    l->unacked -= n;
}

void limiter_leave(struct limiter *l, struct limited *c)
{
    leave_line(l, c);
    give_back(l, c, c->granted);
}
