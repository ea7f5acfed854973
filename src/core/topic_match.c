/* The trie of patterns.
 *
 * A node is a prefix of patterns. Runs of wildcards are made the same first: `#.*.#` and `*.#` are one
 * pattern, so a node for `#` has literal children only, and no two `#` follow each other.
 *
 * A match goes through the key's words from left to right and keeps two sets of nodes: `now`, reached exactly
 * here, and `sticky`, those for `#`, which once reached stay. Each word leads from a node to at most two
 * children. A node is entered once for each position (its `seen` says when), a sticky one once for each
 * match; so the work is at most (nodes that match a part of the key) * (words), whatever the number of ways
 * that lead there, and patterns of which no part matches are never looked at. All children are in one hash
 * set by (parent, word); a small Bloom filter in each node answers most questions for children that are not
 * there, for sticky nodes without touching the node.
 *
 * (1) a node other than the root has children or bindings.
 * (2) node->children counts the nodes in the set whose parent it is; STAR, HASH say which wildcards are among
 * them. (3) node->words has the bit of each literal child.
 */
#include "core/topic_match.h"

#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/ptrset.h"

enum { LITERAL = 0, STAR = 1, HASH = 2 };

struct topic_node {
    struct topic_node *parent;
    struct binding_group here;
    uint64_t seen;
    uint64_t words;
    uint32_t hash, children;
    uint8_t wildcards; /* STAR | HASH */
    uint8_t kind, len;
    uint8_t word[];
};

/* One word of a pattern or a key. */
struct word {
    struct span text;
    uint64_t hash;
    uint8_t kind;
};

struct word_list {
    struct word *items;
    uint32_t count, cap;
};

struct sticky {
    struct topic_node *node;
    uint64_t words;
};

struct topic_tree {
    struct topic_node *root;
    struct ptrset children;
    uint64_t step; /* positions of all matches so far: what `seen` refers to */
    size_t nodes, bytes;
    /* scratch of a match */
    struct word_list words;
    struct topic_node **now, **next;
    struct sticky *sticky;
    uint32_t now_count, next_count, now_cap, next_cap, sticky_count, sticky_cap;
};

/* ---- groups -------------------------------------------------------------------------------------------- */

void binding_group_add(struct binding_group *g, struct binding *b)
{
    b->index = (void *)(uintptr_t)g->count;
    if (g->count == 0 && g->cap == 0) {
        g->one = b;
        g->count = 1;
        return;
    }
    if (g->cap == 0) {
        struct binding *first = g->one;
        g->cap = 4;
        g->many = mem_alloc(g->cap * sizeof(*g->many));
        g->many[0] = first;
    } else if (g->count == g->cap) {
        g->cap *= 2;
        g->many = mem_realloc(g->many, g->cap * sizeof(*g->many));
    }
    g->many[g->count++] = b;
}

void binding_group_del(struct binding_group *g, struct binding *b)
{
    size_t at = (uintptr_t)b->index;
    assert(at < g->count && binding_group_items(g)[at] == b);
    g->count--;
    if (g->cap) {
        g->many[at] = g->many[g->count];
        g->many[at]->index = (void *)(uintptr_t)at;
    }
    if (g->count == 0)
        binding_group_fini(g);
}

void binding_group_fini(struct binding_group *g)
{
    if (g->cap)
        mem_free(g->many);
    *g = (struct binding_group){0};
}

/* ---- words --------------------------------------------------------------------------------------------- */

static struct word *word_add(struct word_list *l)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 32;
        l->items = mem_realloc(l->items, l->cap * sizeof(*l->items));
    }
    return &l->items[l->count++];
}

static uint64_t word_bit(uint64_t hash)
{
    return UINT64_C(1) << (hash >> 58);
}

/* Calls add_word for each word; none for an empty key. */
static void split(struct topic_tree *t, struct span key, void (*add_word)(struct topic_tree *, struct span))
{
    const uint8_t *p = key.ptr, *end = p + key.len, *dot;
    t->words.count = 0;
    if (key.len == 0)
        return;
    while ((dot = memchr(p, '.', (size_t)(end - p)))) {
        add_word(t, span_of(p, (size_t)(dot - p)));
        p = dot + 1;
    }
    add_word(t, span_of(p, (size_t)(end - p)));
}

static void add_key_word(struct topic_tree *t, struct span text)
{
    *word_add(&t->words) = (struct word){text, hash_bytes(text), LITERAL};
}

/* `*` before a `#` that stands last: moves in front of it. */
static void add_pattern_word(struct topic_tree *t, struct span text)
{
    struct word_list *l = &t->words;
    bool star = span_eq_str(text, "*"), hash = span_eq_str(text, "#");
    bool after_hash = l->count && l->items[l->count - 1].kind == HASH;
    if (!star && !hash) {
        add_key_word(t, text);
    } else if (!after_hash) {
        *word_add(l) = (struct word){SPAN_NULL, 0, star ? STAR : HASH};
    } else if (star) {
        *word_add(l) = (struct word){SPAN_NULL, 0, HASH};
        l->items[l->count - 2].kind = STAR;
    }
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

struct child_key {
    const struct topic_node *parent;
    const struct word *word;
};

static uint32_t child_hash(const struct topic_node *parent, const struct word *w)
{
    uint64_t h = (w->hash + w->kind) ^ ((uint64_t)(uintptr_t)parent >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    h *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h >> 32);
}

static bool is_child(const void *item, const void *key)
{
    const struct topic_node *n = item;
    const struct child_key *k = key;
    return n->parent == k->parent && n->kind == k->word->kind &&
           span_eq(span_of(n->word, n->len), k->word->text);
}

static struct topic_node *child_of(const struct topic_tree *t, const struct topic_node *parent,
                                   const struct word *w)
{
    struct child_key key = {parent, w};
    return ptrset_get(&t->children, child_hash(parent, w), is_child, &key);
}

static struct topic_node *wildcard_of(const struct topic_tree *t, const struct topic_node *parent,
                                      uint8_t kind)
{
    struct word w = {SPAN_NULL, 0, kind};
    return parent->wildcards & kind ? child_of(t, parent, &w) : NULL;
}

static struct topic_node *node_new(struct topic_tree *t, struct topic_node *parent, const struct word *w)
{
    size_t bytes = sizeof(struct topic_node) + w->text.len;
    struct topic_node *n = mem_zalloc(bytes);
    assert(w->text.len <= UINT8_MAX);
    n->parent = parent;
    n->kind = w->kind;
    n->len = (uint8_t)w->text.len;
    if (n->len)
        memcpy(n->word, w->text.ptr, n->len);
    t->nodes++;
    t->bytes += bytes;
    if (!parent)
        return n;
    n->hash = child_hash(parent, w);
    ptrset_put(&t->children, n->hash, n);
    parent->children++;
    parent->wildcards |= w->kind;
    parent->words |= w->kind == LITERAL ? word_bit(w->hash) : 0;
    return n;
}

static void node_free(struct topic_tree *t, struct topic_node *n)
{
    struct topic_node *parent = n->parent;
    if (parent) {
        ptrset_del(&t->children, n->hash, n);
        parent->children--;
        parent->wildcards &= (uint8_t)~n->kind;
        if (parent->children == (unsigned)(!!(parent->wildcards & STAR) + !!(parent->wildcards & HASH)))
            parent->words = 0;
    }
    t->nodes--;
    t->bytes -= sizeof(*n) + n->len;
    binding_group_fini(&n->here);
    mem_free(n);
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

struct topic_tree *topic_tree_new(void)
{
    struct topic_tree *t = mem_zalloc(sizeof(*t));
    ptrset_init(&t->children);
    t->step = 1;
    t->root = node_new(t, NULL, &(struct word){SPAN_NULL, 0, LITERAL});
    return t;
}

void topic_tree_free(struct topic_tree *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->children.cap; i++) { /* all but the root, in any order */
        struct topic_node *n = t->children.items[i];
        if (n) {
            binding_group_fini(&n->here);
            mem_free(n);
        }
    }
    node_free(t, t->root);
    ptrset_fini(&t->children);
    mem_free(t->words.items);
    mem_free(t->now);
    mem_free(t->next);
    mem_free(t->sticky);
    mem_free(t);
}

static size_t group_bytes(const struct binding_group *g)
{
    return g->cap * sizeof(*g->many);
}

void topic_tree_add(struct topic_tree *t, struct binding *b)
{
    struct topic_node *n = t->root, *child;
    split(t, b->key, add_pattern_word);
    for (uint32_t i = 0; i < t->words.count; i++, n = child) {
        child = child_of(t, n, &t->words.items[i]);
        if (!child)
            child = node_new(t, n, &t->words.items[i]);
    }
    t->bytes -= group_bytes(&n->here);
    binding_group_add(&n->here, b);
    t->bytes += group_bytes(&n->here);
}

void topic_tree_del(struct topic_tree *t, struct binding *b)
{
    struct topic_node *n = t->root, *parent;
    split(t, b->key, add_pattern_word);
    for (uint32_t i = 0; i < t->words.count; i++) {
        n = child_of(t, n, &t->words.items[i]);
        assert(n);
    }
    t->bytes -= group_bytes(&n->here);
    binding_group_del(&n->here, b);
    t->bytes += group_bytes(&n->here);
    for (; n != t->root && n->children == 0 && n->here.count == 0; n = parent) {
        parent = n->parent;
        node_free(t, n);
    }
}

size_t topic_tree_bytes(const struct topic_tree *t)
{
    return sizeof(*t) + t->bytes +
           t->children.cap * (sizeof(*t->children.hashes) + sizeof(*t->children.items)) +
           t->words.cap * sizeof(*t->words.items) + (t->now_cap + t->next_cap) * sizeof(*t->now) +
           t->sticky_cap * sizeof(*t->sticky);
}

size_t topic_tree_nodes(const struct topic_tree *t)
{
    return t->nodes;
}

/* ---- matching ------------------------------------------------------------------------------------------ */

struct match {
    struct topic_tree *tree;
    uint64_t start; /* of tree->step: that of position 0 */
    topic_found *found;
    void *arg;
};

static void report(const struct match *m, const struct topic_node *n)
{
    if (n->here.count)
        m->found(m->arg, binding_group_items(&n->here), n->here.count);
}

/* `#` matches the rest, whatever it is, so its own bindings match at once. */
static void enter_sticky(const struct match *m, struct topic_node *n)
{
    struct topic_tree *t = m->tree;
    if (n->seen >= m->start)
        return;
    n->seen = m->start;
    report(m, n);
    if (n->children == 0)
        return;
    if (t->sticky_count == t->sticky_cap) {
        t->sticky_cap = t->sticky_cap ? t->sticky_cap * 2 : 32;
        t->sticky = mem_realloc(t->sticky, t->sticky_cap * sizeof(*t->sticky));
    }
    t->sticky[t->sticky_count++] = (struct sticky){n, n->words};
}

/* The words before `position` lead to this node. */
static void enter(const struct match *m, struct topic_node *n, uint32_t position)
{
    struct topic_tree *t = m->tree;
    if (n->seen == m->start + position)
        return;
    n->seen = m->start + position;
    if (n->wildcards & HASH)
        enter_sticky(m, wildcard_of(t, n, HASH));
    if (position == t->words.count) {
        report(m, n);
        return;
    }
    if (n->words == 0 && !(n->wildcards & STAR))
        return; /* nothing goes on from here */
    if (t->next_count == t->next_cap) {
        t->next_cap = t->next_cap ? t->next_cap * 2 : 32;
        t->next = mem_realloc(t->next, t->next_cap * sizeof(*t->next));
    }
    t->next[t->next_count++] = n;
}

static void swap_sets(struct topic_tree *t)
{
    struct topic_node **nodes = t->now;
    uint32_t cap = t->now_cap;
    t->now = t->next;
    t->now_cap = t->next_cap;
    t->now_count = t->next_count;
    t->next = nodes;
    t->next_cap = cap;
    t->next_count = 0;
}

/* From all nodes reached at `position` over the word there. */
static void advance(const struct match *m, uint32_t position)
{
    struct topic_tree *t = m->tree;
    const struct word *w = &t->words.items[position];
    uint64_t bit = word_bit(w->hash);
    uint32_t stuck = t->sticky_count; /* those that are added meanwhile begin at the next word */
    struct topic_node *child;
    swap_sets(t);
    for (uint32_t i = 0; i < t->now_count; i++) {
        if (t->now[i]->words & bit && (child = child_of(t, t->now[i], w)))
            enter(m, child, position + 1);
        if ((child = wildcard_of(t, t->now[i], STAR)))
            enter(m, child, position + 1);
    }
    for (uint32_t i = 0; i < stuck; i++)
        if (t->sticky[i].words & bit && (child = child_of(t, t->sticky[i].node, w)))
            enter(m, child, position + 1);
}

void topic_tree_match(struct topic_tree *t, struct span key, topic_found *found, void *arg)
{
    struct match m = {t, t->step, found, arg};
    split(t, key, add_key_word);
    t->step += t->words.count + 1;
    t->next_count = t->sticky_count = 0;
    enter(&m, t->root, 0);
    for (uint32_t i = 0; i < t->words.count && (t->next_count || t->sticky_count); i++)
        advance(&m, i);
}
