/* Watching many logs for as long as nothing happens to them: costs memory, and no time.
 *
 * A set of watches belongs to one shard (its home) and covers logs of one other, or of the same (the owner).
 * A watch is armed with what is known of its log, fires once when that is not true any more, and is gone.
 * What fires in one turn is reported together, and while a report is on its way the next one gathers, so a
 * slow home is not flooded. Orders and reports are messages; on one shard they are calls. */
#ifndef COLOBUS_CORE_WATCH_H
#define COLOBUS_CORE_WATCH_H

#include "core/msg.h"
#include "core/shard.h"

struct watch_set;

/* Called on the home shard when a watch has fired: in the mailboxes or completions phase, or inside
 * watch_send(). It must not close the set. */
typedef void watch_fired_fn(void *user, uint64_t tag);

/* A new set; the caller's until watch_close(). If the broker ends first, the owner's shard frees it. */
struct watch_set *watch_new(struct shard *home, unsigned owner, watch_fired_fn *fired, void *user);
/* Fires when the log's high watermark or start are not these (at once, if so), or when it is deleted. Goes
 * out with watch_send(). */
void watch_arm(struct watch_set *set, uint64_t log_id, uint64_t tag, uint64_t high_watermark, uint64_t start);
/* Its watches of this log are gone; one that has fired may still be reported. */
void watch_drop(struct watch_set *set, uint64_t log_id);
void watch_send(struct watch_set *set);
/* Nothing is reported any more. */
void watch_close(struct watch_set *set);

/* For the core: the watches of a log look at it; all of them fire if it is being deleted. */
struct partition;
void watch_look(struct partition *p);
void watch_log_deleted(struct partition *p);
/* The end of a shard: frees the sets that look at its logs. */
void watch_fini(struct shard *s);

#endif
