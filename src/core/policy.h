/* Policies: settings that reach queues and exchanges by a pattern on their names, and can change while these
 * live.
 *
 * Of all policies of a virtual host that match, the one with the highest priority is in force (of equals, the
 * first by name), and likewise one operator policy; the two are merged, the smaller number wins. An argument
 * of the queue wins over a policy, but of two numbers the smaller one does. As RabbitMQ's rabbit_policy,
 * rabbit_policies and rabbit_queue_type_util. */
#ifndef COLOBUS_CORE_POLICY_H
#define COLOBUS_CORE_POLICY_H

#include "core/fields.h"
#include "core/space.h"

enum policy_apply_to {
    POLICY_QUEUES,
    POLICY_CLASSIC,
    POLICY_QUORUM,
    POLICY_STREAMS,
    POLICY_EXCHANGES,
    POLICY_ALL,
    POLICY_APPLY_TOS
};
/* "queues", "classic_queues", "quorum_queues", "streams", "exchanges", "all". -1: none of them. */
int policy_apply_to_of(struct span name);
const char *policy_apply_to_name(enum policy_apply_to to);

/* As it is written. Spans are borrowed. */
struct policy_text {
    struct span pattern;
    enum policy_apply_to apply_to;
    int32_t priority;
    struct span definition; /* a checked table of the names without "x-" */
};
/* ERR_ARGUMENT and *ret_why (arena), in RabbitMQ's words where it has some. `operator`: fewer keys. */
int policy_check(const struct policy_text *p, bool operator_policy, struct arena *a, const char **ret_why);

/* Their names, for lists: of a queue, policy first. Null: none. */
void policy_names(struct shard *s, const struct queue_info *q, struct span *ret_policy,
                  struct span *ret_operator);

#endif
