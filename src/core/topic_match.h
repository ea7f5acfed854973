/* Topic patterns: which bindings match a routing key. Words are separated by dots; `*` is one word, `#` any
 * number of them, none included. The empty key has no words.
 *
 * A trie of the patterns' words, run as an automaton with several states at a time: see topic_match.c for
 * what it costs. A pattern that does not match costs nothing where no part of it does. */
#ifndef COLOBUS_CORE_TOPIC_MATCH_H
#define COLOBUS_CORE_TOPIC_MATCH_H

#include "core/exchange.h"

/* Bindings that are found together: an array, or a single one in place. Their `index` is the position here.
 */
struct binding_group {
    union {
        struct binding *one;
        struct binding **many;
    };
    uint32_t count, cap; /* cap 0: `one` */
};
void binding_group_add(struct binding_group *g, struct binding *b);
/* Moves the last one into its place. */
void binding_group_del(struct binding_group *g, struct binding *b);
void binding_group_fini(struct binding_group *g);
static inline struct binding *const *binding_group_items(const struct binding_group *g)
{
    return g->cap ? g->many : &g->one;
}

struct topic_tree;
struct topic_tree *topic_tree_new(void);
void topic_tree_free(struct topic_tree *t);
/* By b->key, at most 255 bytes. */
void topic_tree_add(struct topic_tree *t, struct binding *b);
void topic_tree_del(struct topic_tree *t, struct binding *b);
/* Calls found() for groups of bindings, each binding once. It may not change the tree or match in it. */
typedef void topic_found(void *arg, struct binding *const *bindings, uint32_t count);
void topic_tree_match(struct topic_tree *t, struct span key, topic_found *found, void *arg);
/* Heap memory of the tree, without the bindings, by what was asked for. */
size_t topic_tree_bytes(const struct topic_tree *t);
/* How many nodes there are: 1 if it is empty. */
size_t topic_tree_nodes(const struct topic_tree *t);

#endif
