/* Inside CLIENT: the clients of all shards, as one operation that visits each shard and comes home. */
#ifndef COLOBUS_PROTO_REDIS_CLIENTS_H
#define COLOBUS_PROTO_REDIS_CLIENTS_H

#include "base/arena.h"
#include "core/op.h"
#include "proto/redis/redis_impl.h"
#include "proto/redis/text.h"

enum redis_client_type { /* networking.c: getClientType() */
                         REDIS_CLIENT_ANY,
                         REDIS_CLIENT_NORMAL,
                         REDIS_CLIENT_PUBSUB,
                         REDIS_CLIENT_REPLICA,
                         REDIS_CLIENT_MASTER, /* Colobus has none of the last two */
};
/* False: there is no such type. */
bool redis_client_type_parse(struct span text, enum redis_client_type *ret);

/* Which clients; what is null, 0 or ANY doesn't matter. */
struct redis_client_filter {
    enum redis_client_type type;
    uint64_t *ids; /* sorted; NULL: any */
    size_t id_count;
    struct span addr, laddr, user;
    int64_t max_age_s; /* KILL MAXAGE: those that are older; 0: any */
    uint64_t but_not;  /* this id; 0: nobody is spared */
};

/* The shards are visited one after the other, 0 first, which knows the users. Few visits of a shard's clients
 * are under way at a time, since each may bring home megabytes; the others wait. */
struct redis_clients_visit {
    struct op op;                      /* err ERR_NOT_FOUND: there is no user of that name */
    struct redis_client_filter filter; /* spans and ids in the arena */
    bool kill;
    struct arena arena;
    struct redis_text lines; /* of those found, unless they are killed */
    uint64_t killed;
    bool killed_self; /* who asked is among them, and still there */
    /* the visit's own */
    unsigned next;    /* shards already seen */
    struct list link; /* waiting to begin */
};
/* As op_new(). */
struct redis_clients_visit *redis_clients_visit_new(struct redis_conn *rc,
                                                    void (*complete)(struct conn *c, struct op *op));
void redis_clients_visit_free(struct redis_clients_visit *v);
void redis_clients_visit_submit(struct redis_clients_visit *v);

/* So much more output is too much for the memory of all unsent output (memory.output-bytes). */
bool redis_output_is_full(const struct shard *s, size_t more);

/* The line of CLIENT LIST and CLIENT INFO, with its newline. */
void redis_client_line(struct redis_text *t, const struct redis_conn *rc);

#endif
