/* A world for the tests of groups: a broker on the simulated system, clients of one group `g`, and what they
 * ask. Everything runs until it is answered unless a name says otherwise (send_x); results are error codes.
 */
#ifndef COLOBUS_CORE_GROUP_TESTKIT_H
#define COLOBUS_CORE_GROUP_TESTKIT_H

#include "core/group_impl.h"

enum { SESSION_MS = 10000, REBALANCE_MS = 20000, DELAY_MS = 200 };

extern struct config config;

/* What a client is and wants; the answers it has got so far. */
struct client {
    char id[128];
    const char *instance, *type;
    struct group_protocol protocols[2];
    uint32_t protocol_count;
    struct span topic;
    bool old;  /* does not know KIP-394 */
    bool skip; /* knows KIP-814 */
    int32_t rebalance_ms, session_ms;
    int32_t generation;
    struct op_group_join *join;
    struct op_group_sync *sync;
    bool joined, synced;
};

void stop(void);
void run_ms(uint64_t ms);
struct shard *last_shard(void);
void completed(struct conn *c, struct op *op); /* of an operation whose user is a bool: sets it */
void await(bool *done);
struct topic_id create(const char *name, int32_t partitions);
void delete_topic(const char *name);
void start(void **state);
void crash(void);
struct client new_client(void);
void send_join(struct client *c);
int end_join(struct client *c);
int join(struct client *c);
int sync_one(struct client *c, const struct group_assignment *parts, uint32_t count);
bool leads(const struct client *c);
void sync_all(struct client **all, uint32_t count);
void form(struct client **all, uint32_t count);
void end_client(struct client *c);
int heartbeat(const struct client *c);
int leave(const char *id, const char *instance);
int commit_as(const struct client *c, struct topic_id topic, uint32_t partition, int64_t offset,
              const char *text);
int64_t committed(struct topic_id topic, uint32_t partition);
int forget(struct topic_id topic, uint32_t partition);
int delete_group(void);
int describe(enum group_state *ret_state, uint32_t *ret_members);
void assert_state(enum group_state state, uint32_t members);

#endif
