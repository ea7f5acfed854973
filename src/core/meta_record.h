/* Small records of the metadata that every shard has a replica of: users, permissions, policies, parameters.
 *
 * A record is a kind, a key and a value, opaque here. Changes go with the rounds of core/meta.h, so they are
 * durable, in one order on every shard, and part of the snapshot. Who owns a kind fills in a row of
 * meta_record_kinds[] (meta_record.c). */
#ifndef COLOBUS_CORE_META_RECORD_H
#define COLOBUS_CORE_META_RECORD_H

#include "core/op.h"

/* On the disk: never renumber. */
enum meta_record_kind {
    RECORD_USER = 1,
    RECORD_PERMISSION = 2,
    RECORD_TOPIC_PERMISSION = 3,
    RECORD_POLICY = 4,
    RECORD_OPERATOR_POLICY = 5,
    RECORD_PARAMETER = 6,
    RECORD_GLOBAL_PARAMETER = 7,
    RECORD_VHOST_LIMIT = 8,
    RECORD_USER_LIMIT = 9,
    RECORD_TAP = 10, /* core/tap.h */
    RECORD_KINDS
};

enum { RECORD_MAX_KEY = 4096, RECORD_MAX_VALUE = 1 << 20 };

struct meta_record {
    struct span key, value;
    void *user; /* the kind's, of this shard; NULL at first */
};

struct meta_record_ops {
    /* On every shard, in order: `r` was put (new, or with a new value; old is the one before, null: none).
     * `live`: false at start, before loops run. May be NULL. */
    void (*put)(struct shard *s, struct meta_record *r, struct span old, bool live);
    /* It is about to go. */
    void (*drop)(struct shard *s, struct meta_record *r, bool live);
    /* A virtual host is about to go, live or not; drop what belongs to it with meta_record_remove(). May be
     * NULL. */
    void (*vhost_drop)(struct shard *s, struct span vhost);
    /* At the end of the shard: frees r->user. May be NULL. */
    void (*fini)(struct shard *s, struct meta_record *r);
};
extern const struct meta_record_ops *meta_record_ops[RECORD_KINDS]; /* NULL: a kind without code */

/* This shard's replica. Valid until the end of the turn. NULL: there is none. */
struct meta_record *meta_record_find(const struct shard *s, enum meta_record_kind kind, struct span key);
/* Every record of the kind, in no order; start with *cursor 0. NULL at the end. */
struct meta_record *meta_record_next(const struct shard *s, enum meta_record_kind kind, size_t *cursor);
size_t meta_record_count(const struct shard *s, enum meta_record_kind kind);
/* Sorted by key, an arena array. */
struct meta_record **meta_record_list(const struct shard *s, enum meta_record_kind kind, struct arena *a,
                                      size_t *ret_count);
/* Only inside meta_record_ops.vhost_drop: must do the same on every shard. */
void meta_record_remove(struct shard *s, enum meta_record_kind kind, struct span key);

/* Puts or drops one record; complete when every shard has applied it and it is durable. Dropping what is not
 * there: ERR_NOT_FOUND. key and value must live until complete(). */
struct op_record {
    struct op op;
    enum meta_record_kind kind;
    struct span key;
    struct span value; /* null: drop it */
    /* On shard 0, against the state that the change will meet: authorises and validates; may replace `value`
     * (by bytes in `arena`). 0, an error that ends it, or 1: it is so already, nothing is written. May be
     * called several times. NULL: anybody may. */
    int (*check)(struct shard *shard0, struct op_record *r, const struct meta_record *old);
    const char *why; /* for the client: check()'s, in the arena; NULL: none */
    struct arena arena;
    void *user; /* check()'s */
};
void op_record_submit(struct op_record *r);
void op_record_free(struct op_record *r);

#endif
