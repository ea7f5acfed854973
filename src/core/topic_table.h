/* A shard's replica of the topics, changed by metadata commands in their order. */
#ifndef COLOBUS_CORE_TOPIC_TABLE_H
#define COLOBUS_CORE_TOPIC_TABLE_H

#include "core/meta_format.h"
#include "core/topic.h"

struct topic_node {
    struct topic topic;
    struct list link; /* in shard->graveyard, once deleted */
};

/* Applies one TOPIC_ command; others are ignored. Creates and deletes the logs of partitions that live on
 * this shard if `with_logs`. ERR_CORRUPT: it does not fit what is there (cannot happen to commands that were
 * validated against the same state). */
int topic_table_apply(struct shard *s, const struct meta_command *c, bool with_logs);
/* For the core itself, unauthorised. NULL: absent. */
struct topic *topic_table_find(const struct shard *s, struct span name);
struct topic *topic_table_find_id(const struct shard *s, const struct topic_id *id);
/* All, sorted by name: an arena array. */
struct topic **topic_table_sorted(const struct shard *s, struct arena *a, size_t *ret_count);
/* Frees what was deleted in this turn. */
void topic_table_bury(struct shard *s);
void topic_table_fini(struct shard *s);

#endif
