/* Consumer groups: members that agree on a division of work, and the positions they have committed.
 *
 * The members' protocol is Kafka's classic one, a barrier in two steps: all join, one of them (the leader)
 * divides, all fetch their part. What they exchange is opaque here. A group lives on one shard, chosen by its
 * name; its durable part (the last division, committed positions) is a fold over a command log.
 *
 * Spans of an operation's input must live until complete(); those of its output are in its arena. All
 * operations are freed with op_group_free(). */
#ifndef COLOBUS_CORE_GROUP_H
#define COLOBUS_CORE_GROUP_H

#include "core/op.h"

enum group_state { GROUP_EMPTY, GROUP_PREPARING, GROUP_COMPLETING, GROUP_STABLE, GROUP_DEAD };

/* What all of them begin with. err of `op`: ERR_DENIED, ERR_GROUP_ID (not a valid name), ERR_STOPPING and
 * what each names. */
struct op_group {
    struct op op;
    struct span group;
    struct arena arena; /* of the output */
};
void op_group_free(struct op_group *g);

/* ---- membership --------------------------------------------------------------------------------------- */

struct group_protocol {
    struct span name, metadata; /* metadata: what the leader divides by, e.g. the topics wanted */
};

struct group_joined {
    struct span id, instance_id, metadata;
};

/* complete() comes when all members have joined, or the time for it is over. ERR_MEMBER_ID_REQUIRED: join
 * again with ret_member_id. ERR_UNKNOWN_MEMBER, ERR_FENCED_INSTANCE, ERR_GROUP_PROTOCOL, ERR_SESSION_TIMEOUT,
 * ERR_GROUP_FULL, ERR_REBALANCING. */
struct op_group_join {
    struct op_group g;
    /* in */
    struct span member_id;   /* empty: a new one */
    struct span instance_id; /* null: a dynamic member */
    struct span client_id, client_host;
    struct span protocol_type;
    const struct group_protocol *protocols; /* in the order of preference */
    uint32_t protocol_count;
    const struct span *topics; /* names the member is subscribed to, if that is known */
    uint32_t topic_count;
    int32_t session_timeout_ms, rebalance_timeout_ms;
    bool needs_known_id; /* a new dynamic member is told its id first (KIP-394) */
    bool can_skip;       /* knows ret_skip_assignment (KIP-814) */
    /* out */
    int32_t ret_generation; /* -1: none */
    struct span ret_protocol_type, ret_protocol, ret_leader, ret_member_id;
    bool ret_skip_assignment;
    struct group_joined *ret_members; /* for the leader only */
    uint32_t ret_member_count;
    /* the core's */
    struct group_member *member;
};
void op_group_join_submit(struct op_group_join *j);

struct group_assignment {
    struct span member_id, bytes;
};

/* complete() comes when the leader's division is durable. ERR_UNKNOWN_MEMBER, ERR_GENERATION,
 * ERR_FENCED_INSTANCE, ERR_GROUP_PROTOCOL, ERR_REBALANCING. */
struct op_group_sync {
    struct op_group g;
    int32_t generation;
    struct span member_id, instance_id;
    struct span protocol_type, protocol;        /* null: not checked */
    const struct group_assignment *assignments; /* the leader's */
    uint32_t assignment_count;
    struct span ret_protocol_type, ret_protocol, ret_assignment;
};
void op_group_sync_submit(struct op_group_sync *s);

/* ERR_UNKNOWN_MEMBER, ERR_GENERATION, ERR_FENCED_INSTANCE; ERR_REBALANCING: join again. */
struct op_group_heartbeat {
    struct op_group g;
    int32_t generation;
    struct span member_id, instance_id;
};
void op_group_heartbeat_submit(struct op_group_heartbeat *h);

struct group_leaver {
    struct span member_id; /* empty: by instance_id */
    struct span instance_id;
    int err;
};
struct op_group_leave {
    struct op_group g;
    struct group_leaver *leavers; /* the submitter's */
    uint32_t count;
};
void op_group_leave_submit(struct op_group_leave *l);

/* ---- positions ---------------------------------------------------------------------------------------- */

/* A committed position. Topics are known by id: what was committed for a topic is gone with it. */
struct group_offset {
    struct topic_id topic;
    uint32_t partition;
    int64_t offset; /* -1: none */
    int32_t leader_epoch;
    struct span metadata;
    int err; /* of this one */
};

/* complete() comes when all are durable. ERR_NO_GROUP: a generation of a group that is not there;
 * ERR_GENERATION, ERR_UNKNOWN_MEMBER, ERR_FENCED_INSTANCE, ERR_REBALANCING; of one: ERR_METADATA_TOO_LARGE.
 * Those with an err already are left out. */
struct op_group_commit {
    struct op_group g;
    int32_t generation; /* -1 and no member: by who is no member (a group that is empty) */
    struct span member_id, instance_id;
    int64_t retention_ms;         /* -1: the broker's */
    struct group_offset *offsets; /* the submitter's */
    uint32_t count;
};
void op_group_commit_submit(struct op_group_commit *c);

/* Positions, durable ones. An unknown group has none, which is no error. */
struct op_group_offsets {
    struct op_group g;
    bool all;                     /* every position there is: `offsets` is made, in the arena, sorted */
    struct group_offset *offsets; /* else the submitter's: topic and partition are given */
    uint32_t count;
    /* the core's */
    struct store_wait wait;
    struct shard *owner;
};
void op_group_offsets_submit(struct op_group_offsets *o);

/* Forgets positions: also those of a group with members, but of topics that they are subscribed to
 * (ERR_GROUP_SUBSCRIBED). ERR_NO_GROUP, ERR_GROUP_NOT_EMPTY. */
struct op_group_forget {
    struct op_group g;
    struct group_offset *offsets; /* the submitter's: topic and partition */
    uint32_t count;
};
void op_group_forget_submit(struct op_group_forget *f);

/* ---- administration ----------------------------------------------------------------------------------- */

struct group_member_info {
    struct span id, instance_id, client_id, client_host;
    struct span metadata;   /* empty unless the group is stable */
    struct span assignment; /* the last one */
};

/* ERR_NO_GROUP. */
struct op_group_describe {
    struct op_group g;
    enum group_state ret_state;
    int32_t ret_generation;
    struct span ret_protocol_type, ret_protocol;
    struct group_member_info *ret_members; /* in the order of joining */
    uint32_t ret_member_count;
};
void op_group_describe_submit(struct op_group_describe *d);

struct group_listed {
    struct span name, protocol_type;
    enum group_state state;
    uint32_t members;
    struct group_offset *offsets; /* sorted by topic id and partition; if asked for */
    uint32_t offset_count;
};
/* The groups of one shard that the actor may describe, in no order; what is told is durable. */
struct op_group_list {
    struct op_group g; /* .group is ignored */
    unsigned shard;
    bool with_offsets;
    struct group_listed *ret_groups;
    uint32_t ret_count;
    /* the core's */
    struct store_wait wait;
    struct shard *owner;
};
void op_group_list_submit(struct op_group_list *l);

/* ERR_NO_GROUP, ERR_GROUP_NOT_EMPTY. */
struct op_group_delete {
    struct op_group g;
};
void op_group_delete_submit(struct op_group_delete *d);

/* The word for a state: "Stable". */
const char *group_state_name(enum group_state state);

/* ---- for the broker ------------------------------------------------------------------------------------ */

enum { GROUP_LOGS = 16 }; /* command logs that the groups are dealt out to; their number is for ever */

struct groups; /* a shard's */
void groups_init(struct shard *s);
void groups_fini(struct shard *s);
/* The log that has the group: 0 .. GROUP_LOGS - 1. */
unsigned group_log_of(uint32_t vhost, struct span name);
/* Start-up, after the metadata: one command, or a snapshot, of a log that this shard owns. ERR_CORRUPT. */
int groups_replay(struct shard *s, struct span command);
int groups_restore(struct shard *s, struct span snapshot);
/* Members that were there before the start have a session again from now on. */
void groups_start(struct shard *s);
/* On failure `out` is left empty. */
void groups_snapshot(struct shard *s, unsigned log, struct outq *out);
/* The topic does not exist any more, and no position in it. */
void groups_topic_gone(struct shard *s, const struct topic_id *id);
/* Whoever waits in a join or a sync is sent away (ERR_STOPPING); later ones too. */
void groups_stop(struct shard *s);

#endif
