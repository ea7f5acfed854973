/* Commands of the groups' logs and their bytes; the layout stands at the top of group_format.c. */
#ifndef COLOBUS_CORE_GROUP_FORMAT_H
#define COLOBUS_CORE_GROUP_FORMAT_H

#include "base/reader.h"
#include "base/writer.h"
#include "core/topic.h"

/* Numbers are on disk. */
enum group_command_type {
    GROUP_POSITIONS = 1, /* committed: replaces those named */
    GROUP_MEMBERS = 2,   /* the whole membership, with the division */
    GROUP_FORGET = 3,    /* positions that are gone */
    GROUP_DELETE = 4,    /* the group, with all its positions */
};

struct group_command_position {
    struct topic_id topic;
    uint32_t partition;
    int32_t leader_epoch;
    int64_t offset, commit_ms, expire_ms;
    struct span metadata;
};

struct group_command_member {
    struct span id, instance_id, client_id, client_host; /* instance_id: null if it has none */
    int32_t session_timeout_ms, rebalance_timeout_ms;
    struct span metadata, assignment; /* metadata: of the protocol chosen */
    struct span *topics;
    uint32_t topic_count;
};

struct group_command {
    enum group_command_type type;
    uint32_t vhost;
    struct span name;
    /* POSITIONS, FORGET (topic and partition only) */
    struct group_command_position *positions;
    uint32_t position_count;
    /* MEMBERS */
    struct span protocol_type, protocol; /* null: none */
    struct span leader;                  /* a member's id; null: none */
    int32_t generation;
    int64_t state_ms;
    struct group_command_member *members;
    uint32_t member_count;
};

void group_command_write(struct writer *w, const struct group_command *c);
/* Spans borrow from the input, arrays are in the arena. ERR_INVALID. */
int group_command_read(struct span bytes, struct arena *a, struct group_command *ret);

/* A snapshot: a header, then commands, read back one by one. fn gets each with an arena that is emptied
 * afterwards. */
void group_snapshot_begin(struct writer *w);
void group_snapshot_add(struct writer *w, struct span command);
int group_snapshot_read(struct span snapshot, int (*fn)(void *arg, struct span command), void *arg);

#endif
