/* Intrusive doubly linked list with a sentinel head, in the manner of BSD's and the Linux kernel's. */
#ifndef COLOBUS_BASE_LIST_H
#define COLOBUS_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define list_entry(ptr, type, member)   container_of(ptr, type, member)

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Inserts n before pos: list_add_tail(head, n) appends. */
static inline void list_insert_before(struct list *pos, struct list *n)
{
    n->prev = pos->prev;
    n->next = pos;
    pos->prev->next = n;
    pos->prev = n;
}

static inline void list_add_tail(struct list *head, struct list *n)
{
    list_insert_before(head, n);
}

static inline void list_add_head(struct list *head, struct list *n)
{
    list_insert_before(head->next, n);
}

/* Unlinks n and leaves it an empty list of its own, so that removing twice is harmless. */
static inline void list_del(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

static inline bool list_linked(const struct list *n)
{
    return n->next != n;
}

static inline struct list *list_first(const struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}

#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, tmp, head)                                                                        \
    for (struct list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
