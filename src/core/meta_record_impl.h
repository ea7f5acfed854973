/* What core/meta.c and the shard do with records. */
#ifndef COLOBUS_CORE_META_RECORD_IMPL_H
#define COLOBUS_CORE_META_RECORD_IMPL_H

#include "core/meta.h"
#include "core/meta_record.h"

/* ERR_CORRUPT: a kind of the future. Other commands are ignored. */
int records_apply(struct shard *s, const struct meta_command *c, bool live);
void records_snapshot(const struct shard *s, struct writer *w);
void records_vhost_drop(struct shard *s, struct span vhost);
void records_init(struct shard *s);
void records_bury(struct shard *s);
void records_fini(struct shard *s);

#endif
