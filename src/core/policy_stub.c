/* Stand-ins for core/policy.c: there are no policies. */
#include "core/space.h"

__attribute__((weak)) void policy_of_queue(struct shard *s, struct queue_info *q)
{
    (void)s;
    (void)q;
}

__attribute__((weak)) void policy_of_exchange(struct shard *s, struct exchange *x)
{
    (void)s;
    (void)x;
}
