/* Inside core/space*.c, and what core/meta.c and the shard do with virtual hosts. */
#ifndef COLOBUS_CORE_SPACE_IMPL_H
#define COLOBUS_CORE_SPACE_IMPL_H

#include "core/meta.h"
#include "core/space.h"

/* A shard's replica. */
struct space_table {
    struct map by_name, by_id; /* struct vspace */
    struct vspace *root;       /* "/", id 0 */
    struct ptrset queues;      /* struct queue_info by id, hidden ones included */
    struct map owners;         /* struct space_owner by handle */
    uint64_t generation;
    size_t exchange_count;   /* declared ones */
    struct list dead_queues; /* freed at the end of the turn */
    struct list dead_topics; /* the same */
    struct exchange **dead;  /* the same */
    size_t dead_count, dead_cap;
    struct vspace **gone; /* deleted, kept: actors of operations in flight refer to them */
    size_t gone_count;
};

/* A connection with exclusive queues. */
struct space_owner {
    struct handle handle; /* padding zeroed: it is the key */
    struct list queues;   /* queue_info.link */
};

enum { DEFAULT_SPACE = 0 };

/* One metadata command into this shard's replica; those about other things are ignored. ERR_CORRUPT: it does
 * not fit (cannot happen to what was validated against the same state). */
int space_apply(struct shard *s, const struct meta_command *c, bool live);
/* Everything durable, as commands. Shard 0. */
void space_snapshot(const struct shard *s, struct writer *w);
void space_init(struct shard *s);
/* Frees what was deleted in this turn. */
void space_bury(struct shard *s);
void space_fini(struct shard *s);
/* Start-up: recovers the durable queues, those that live on `s`. */
int space_recover_queues(struct shard *s);

/* Not authorised. NULL: there is none. */
struct exchange *space_exchange(const struct vspace *v, struct span name);
struct space_owner *space_owner_of(const struct shard *s, struct handle conn);
bool exchange_is_predeclared(struct span name);
/* The first id behind those of a queue's logs. */
uint64_t queue_ids_end(uint64_t id, unsigned max_priority);
const struct handle *handle_key(struct handle *zeroed, struct handle h);
bool handle_eq(struct handle a, struct handle b);

/* ---- arguments (space_args.c). ERR_ARGUMENT and *ret_why, in the arena ---- */

/* The type that args ask for, and whether they are well. `what`: "queue 'q' in vhost '/'". */
int queue_check_args(struct span args, const char *what, struct arena *a, enum queue_type *ret_type,
                     const char **ret_why);
/* ERR_INEQUIVALENT. */
int queue_compare_args(const struct queue_info *q, struct span args, const char *what, struct arena *a,
                       const char **ret_why);
int exchange_compare_args(const struct exchange *x, struct span args, const char *what, struct arena *a,
                          const char **ret_why);
unsigned queue_arg_max_priority(struct span args);
void queue_config_free(struct queue_info *q);

/* ---- queues of type stream (space_stream.c) ---- */

enum { STREAM_DELETES_TOPIC = 1000, STREAM_MIN_SEGMENT_BYTES = 64 << 10 };
/* For prepare(): 0: the topic is there, and claimed by the change; META_LATER: it is being made; or an error.
 */
int stream_prepare_declare(struct meta *m, struct meta_change *ch, struct op_queue_declare *d);
/* 0: only the name goes; STREAM_DELETES_TOPIC: ch->command says that the topic goes, and the queue with it;
 * META_LATER; or an error. */
int stream_prepare_delete(struct meta *m, struct meta_change *ch, struct op_queue_delete *d,
                          const struct queue_info *q);

/* ---- what the operations have in common (space_op.c) ---- */

/* "queue 'q' in vhost '/'" */
const char *entity_name(struct op_entity *e, const char *kind, struct span name);
/* auth_check() with RabbitMQ's words. */
int entity_auth(struct op_entity *e, enum auth_action action, enum auth_resource type, struct span name);
/* The space that the operation is about, on this shard; ERR_NOT_FOUND if it is gone. */
int entity_space(struct meta *m, struct op_entity *e, struct vspace **ret_space);
/* A name without CR and LF, as RabbitMQ takes names; in the arena if they had any. */
struct span entity_strip(struct op_entity *e, struct span name);
void entity_finish(struct meta *m, struct meta_change *ch, int err);
void entity_submit(struct op_entity *e, int (*prepare)(struct meta *m, struct meta_change *ch));
/* What a change touches. */
void claim_entity(struct meta_change *ch, enum meta_key_kind kind, uint32_t vhost, struct span name,
                  bool alone);
void claim_owner(struct meta_change *ch, struct handle owner, bool alone);
/* Exchanges that have no bindings left when those are gone that a deletion takes: finds and claims them, and
 * says whether any of it is durable. */
struct cascade {
    struct meta_change *change;
    struct exchange **gone; /* those that go, in the arena */
    uint32_t count, cap;
    bool durable;
};
/* The bindings that lead to d go; or `one` of them. */
void cascade_dest(struct cascade *c, struct dest *d, const struct binding *one);
/* entity.also from what was found. */
void cascade_fill(struct cascade *c);

/* What RabbitMQ says to who may not touch an exclusive queue. */
const char *queue_locked_why(struct op_entity *e, struct span name);
/* A deletion by id that nobody waits for. */
void queue_drop_submit(struct meta *m, uint64_t id);

#endif
