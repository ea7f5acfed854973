/* What the files of exchanges share: how each type finds the bindings that a message matches. */
#ifndef COLOBUS_CORE_EXCHANGE_IMPL_H
#define COLOBUS_CORE_EXCHANGE_IMPL_H

#include "base/ptrset.h"
#include "core/exchange.h"
#include "core/fields.h"
#include "core/topic_match.h"

/* exchange->matcher.
 *
 * (1) `all` holds every binding of x->bindings, by destination, key and arguments.
 * (2) of the other members only that of x->inner is used, and it holds the same bindings. Fanout and headers
 * use x->bindings itself.
 */
struct matcher {
    struct ptrset all;
    struct ptrset by_key;       /* direct: struct key_group */
    struct topic_tree *topics;  /* topic */
    struct binding_group every; /* hash, random: an array of all */
    struct span hash_on;   /* x-consistent-hash: name of a header or property, in x->args; null: the key */
    bool hash_property;    /* hash_on is a property */
    unsigned to_exchanges; /* bindings that lead to exchanges */
};

void matcher_init(struct exchange *x);
void matcher_free(struct exchange *x);
void matcher_add(struct exchange *x, struct binding *b);
void matcher_del(struct exchange *x, struct binding *b);
/* EXCHANGE_DIRECT: calls found() with those of this key. */
void direct_match(const struct matcher *m, struct span key, topic_found *found, void *arg);

/* ---- headers_match.c ----------------------------------------------------------------------------------- */

/* The headers of one message, sorted by name: the last of each name counts. */
struct header_list {
    struct header {
        struct span name;
        struct field value;
    } * items;
    uint32_t count, cap;
};
int headers_check_args(struct span args, struct arena *a, const char **ret_reason);
void headers_collect(struct header_list *l, struct span table);
void header_list_fini(struct header_list *l);
/* `args` sorted by name, and checked. */
bool headers_match(struct span args, const struct header_list *l);

/* ---- exchange_hash.c ----------------------------------------------------------------------------------- */

int hash_check_exchange(struct span args, struct arena *a, const char **ret_reason);
int hash_check_key(struct span key, struct arena *a, const char **ret_reason);
/* What the message is hashed by: the same in every process. */
uint64_t hash_of_message(const struct exchange *x, const struct message *m);
/* Of a group with at least one; `weighted`: by their keys. */
struct binding *hash_choose(const struct binding_group *g, bool weighted, uint64_t hash);

#endif
