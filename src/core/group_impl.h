/* Groups from the inside, shared by the sources of groups only. */
#ifndef COLOBUS_CORE_GROUP_IMPL_H
#define COLOBUS_CORE_GROUP_IMPL_H

#include "core/group.h"
#include "core/group_format.h"

enum {
    GROUP_MAGIC = 0x47525550,
    GROUP_NAME_MAX = 32 << 10, /* Kafka: whatever a string may be */
    GROUP_NEW_MEMBER_MS =
        300000, /* a new member waits in its first join so long, whatever its timeouts are */
};

/* ---- members ------------------------------------------------------------------------------------------- */

/* One member. What it said of itself lies in `said`, one block, into which the spans point. Invariants:
 * (1) at most one join and one sync wait, and while one does the session timer of a member that has joined
 * before is not set; (2) linked in group->members, found by its id, and by its instance id if it has one. */
struct group_member {
    struct list link; /* in group->members, in the order of joining */
    struct group *group;
    char *said;
    size_t said_bytes;
    struct span id, instance_id, client_id, client_host, protocol_type;
    struct group_protocol *protocols;
    uint32_t protocol_count;
    struct span *topics;
    uint32_t topic_count;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    struct span assignment; /* from mem_alloc */
    struct op_group_join *join;
    struct op_group_sync *sync;
    struct shard_timer session;
    bool is_new;     /* has not been in a generation yet */
    bool needs_sync; /* joined this generation, and has not asked for its part yet */
};

/* An id was given out, its owner has not come back yet (KIP-394). */
struct group_pending {
    struct list link;
    struct group *group;
    struct shard_timer timer;
    struct span id;
    char bytes[];
};

/* ---- positions ----------------------------------------------------------------------------------------- */

struct group_position {
    uint32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int64_t commit_ms;
    int64_t expire_ms; /* -1: as the broker's setting says */
    char *metadata;    /* NULL: empty */
    uint32_t metadata_len;
};

struct group_topic {
    struct topic_id id;
    struct group_position *positions; /* by partition */
    uint32_t count, cap;
};

/* ---- groups -------------------------------------------------------------------------------------------- */

/* States as in Kafka's ClassicGroupState:
 *
 *   EMPTY -> PREPARING    a first member: waits for more (the initial delay)
 *   STABLE, COMPLETING -> PREPARING   a member came, went, or wants something else: all must join again
 *   PREPARING -> COMPLETING   all have joined, or the time is over: a new generation, the leader divides
 *   PREPARING -> EMPTY        nobody is left
 *   COMPLETING -> STABLE      the division is durable
 *
 * 1. EMPTY exactly if there are no members and none is awaited; `leader` is NULL exactly if there are no
 * members.
 * 2. `saved` is the last MEMBERS command appended: what a restart would find.
 * 3. `rebalance_timer` is set exactly while PREPARING; `sync_timer` only in COMPLETING and STABLE.
 * 4. A group is freed when it is DEAD and nothing refers to it (`refs`). */
struct group {
    uint32_t magic;
    struct groups *groups;
    struct span name;
    uint32_t vhost, log;
    enum group_state state;
    bool from_empty;   /* PREPARING: came from EMPTY, so that the initial delay runs */
    bool member_added; /* since the initial delay was last set */
    int32_t generation;
    struct span protocol_type, protocol; /* owned; null: none */
    struct group_member *leader;
    struct list members, pending;
    struct map by_id, by_instance, pending_by_id;
    struct shard_timer rebalance_timer, sync_timer;
    uint64_t initial_left_ms; /* of the rebalance timeout, while the initial delay runs */
    int64_t state_ms;         /* wall clock of the last change of state */
    struct span saved;
    struct map topics; /* topic id -> struct group_topic */
    unsigned refs;
};

/* All groups of a shard. */
struct groups {
    struct shard *shard;
    struct map logs[GROUP_LOGS]; /* by vhost and name, those whose log lives here */
    size_t count, bytes;         /* bytes: what members and positions take, against memory.group-bytes */
    struct shard_timer expiry;
    bool stopped;
};

/* ---- a command on its way to the log ------------------------------------------------------------------- */

/* Commands change memory when they are appended (applied()), in that order, and are answered when they are
 * durable (done()). If the journal has no room the write waits in shard->stalled. */
struct group_write {
    struct store_wait wait;
    struct space_wait stall;
    struct groups *groups;
    struct group *group; /* one reference */
    struct op *op;       /* to be returned; NULL: none */
    struct span command; /* owned */
    int32_t generation;  /* of the group when it was submitted */
    bool fenced; /* it may not be appended in a later one: the next owner has begun where it was told */
    /* The command is in the log: change memory. NULL: nothing to change. */
    void (*applied)(struct group_write *w);
    /* It is durable, or failed (applied() may then not have been called). The write is freed afterwards. */
    void (*done)(struct group_write *w, int err);
};

/* group_write.c */
/* Takes the command over. done() never comes from inside the call. */
void group_write_submit(struct group *g, const struct group_command *c, struct op *op,
                        void (*applied)(struct group_write *w), void (*done)(struct group_write *w, int err));
/* The same, of a member in the present generation: it fails with ERR_GENERATION if that ends before there is
 * room. */
void group_write_submit_fenced(struct group *g, const struct group_command *c, struct op *op,
                               void (*applied)(struct group_write *w),
                               void (*done)(struct group_write *w, int err));
/* The usual done(): hands the error to the operation and returns it. */
void group_write_answer(struct group_write *w, int err);
/* Saves members and division as they are now; done may be NULL. */
void group_save_members(struct group *g, struct op *op, void (*done)(struct group_write *w, int err));

/* group_table.c */
struct group *group_find(struct groups *gs, const struct actor *actor, struct span name);
/* ERR_LIMIT: there are too many. */
int group_make(struct groups *gs, uint32_t vhost, struct span name, struct group **ret_group);
void group_bury(struct group *g); /* DEAD: out of the table, freed when nothing refers to it */
void group_ref(struct group *g);
void group_unref(struct group *g);
void group_set_state(struct group *g, enum group_state state);
/* Whether that much more may be kept. */
bool groups_room(const struct groups *gs, size_t bytes);
void groups_account(struct groups *gs, size_t more, size_t less);
/* A copy that group_free_span() frees; NULL stays NULL. */
struct span group_keep(struct span s);
void group_drop(struct span *s);
/* Begins an operation: finds the owner, runs there if the actor may. */
void group_op_send(struct op_group *g, void (*run)(struct shard *here, struct msg *m));
/* On the owner: 0, or the error that the operation was returned with. */
int group_op_begin(struct shard *s, struct op_group *g, enum auth_action action, bool needs_name);
void group_op_return(struct shard *s, struct op_group *g, int err);
struct span group_copy_out(struct op_group *g, struct span s); /* into the operation's arena */

/* group_member.c */
struct group_member *member_find(const struct group *g, struct span id);
struct group_member *member_find_instance(const struct group *g, struct span instance_id);
/* ERR_UNKNOWN_MEMBER, ERR_FENCED_INSTANCE. */
int member_validate(const struct group *g, struct span id, struct span instance_id,
                    struct group_member **ret);
/* What a join says of a member, instead of what it said before. ERR_NO_MEMORY, ERR_LIMIT. */
int member_say(struct group_member *m, const struct op_group_join *j, struct span id);
/* A member that is not linked yet. */
struct group_member *member_new(struct group *g);
void member_free(struct group_member *m);
void member_add(struct group_member *m);
/* Out of the group; whoever waits in it is answered with err. */
void member_remove(struct group_member *m, int err);
/* At start-up: as a command has it. ERR_CORRUPT, ERR_LIMIT, ERR_NO_MEMORY. */
int member_restore(struct group *g, const struct group_command_member *c, struct span protocol_type,
                   struct span protocol, struct group_member **ret);
/* Gives it another id; whoever waits with the old one is fenced. */
int member_replace(struct group_member *m, const struct op_group_join *j, struct span new_id);
void member_touch(struct group_member *m); /* it is alive: its session begins again */
struct span member_metadata(const struct group_member *m, struct span protocol);
bool member_same_protocols(const struct group_member *m, const struct op_group_join *j);
void member_set_assignment(struct group_member *m, struct span bytes);
/* A new id: prefix and a random UUID, as Kafka's clients have seen them. */
struct span member_make_id(struct arena *a, struct span prefix);
void pending_add(struct group *g, struct span id, int32_t session_timeout_ms);
bool pending_remove(struct group *g, struct span id);
void pending_clear(struct group *g);

/* group_rebalance.c */
void rebalance_init(struct group *g);
void rebalance_prepare(struct group *g);
/* A member left or expired: what follows from it in this state. */
void rebalance_member_gone(struct group *g);
void rebalance_maybe_complete(struct group *g);
/* A protocol that all members and this join support? */
bool rebalance_supports(const struct group *g, const struct op_group_join *j);
/* The protocol most members prefer of those that all have. */
struct span rebalance_select(const struct group *g);
/* Fills the answer: the present generation, and all members for who divides. */
void rebalance_tell(struct group_member *m, struct op_group_join *j, struct span leader, bool members);
/* Who waits gets the generation (0) or the error; nothing if nobody does. */
void rebalance_answer_join(struct group_member *m, int err);
void rebalance_answer_sync(struct group_member *m, int err);
/* All who wait for their part get it (0) or the error. */
void rebalance_answer_syncs(struct group *g, int err);
void rebalance_synced(struct group *g, struct group_member *m);

/* group_offsets.c */
void positions_apply(struct group *g, const struct group_command *c);
void positions_forget(struct group *g, const struct group_command *c);
void positions_fini(struct group *g);
/* All of them, as a command: topics by id, partitions by number. */
void positions_command(const struct group *g, struct arena *a, struct group_command *c);
struct group_topic **positions_sorted(const struct group *g, struct arena *a, size_t *ret_count);
/* All of them for who asks: an array in the operation's arena, sorted as above. */
struct group_offset *positions_show(struct op_group *o, const struct group *g, uint32_t *ret_count);
void positions_topic_gone(struct group *g, const struct topic_id *id);

/* Is a member, as far as is known, subscribed to this topic? */
bool group_is_subscribed(const struct group *g, struct span topic);

/* group_admin.c */
void group_submit_delete(struct group *g, struct op *op, void (*done)(struct group_write *w, int err));

/* group_expire.c */
void groups_expire(struct shard *s, struct shard_timer *t);
void groups_expire_later(struct shard *s); /* after kafka.offsets-retention-check-interval */

#endif
