/* Alarms: memory for messages in queues, or space on the disk, runs short. Publishers are held back then, in
 * their protocol's words; acknowledgements and consumers go on, since only they can end it.
 *
 * Memory: at 80 % of memory.queue-bytes, until 60 %. Disk: below disk.free-limit, looked at every two
 * seconds, until there is half as much again; or while the store refuses publishers. */
#ifndef COLOBUS_CORE_ALARM_H
#define COLOBUS_CORE_ALARM_H

#include "core/shard.h"

enum alarm { ALARM_MEMORY = 1, ALARM_DISK = 2 };

/* Somebody who wants to hear of it, on his shard. */
struct alarm_listener {
    struct list link;
    /* In a turn; `alarms` of enum alarm, 0: none. */
    void (*changed)(struct alarm_listener *l, struct shard *s, unsigned alarms);
};
void alarm_listen(struct shard *s, struct alarm_listener *l);
/* Those in force as this shard knows them. */
unsigned alarm_state(const struct shard *s);
/* "low on memory", "low on disk", "low on memory and disk"; NULL: none. */
const char *alarm_reason(unsigned alarms);

/* For shard.c: once in each turn. `bytes`: what messages of queues take on this shard now. */
void alarm_look(struct shard *s, uint64_t bytes);
/* For broker.c: shard 0 begins to look at the disk. */
void alarm_start(struct shard *shard0);

#endif
