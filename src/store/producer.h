/* What a log remembers of idempotent producers: the last five batches of each (KIP-98, ProducerStateEntry).
 */
#ifndef COLOBUS_STORE_PRODUCER_H
#define COLOBUS_STORE_PRODUCER_H

#include "base/map.h"

enum { PRODUCER_WINDOW = 5 };

struct producer_batch {
    int32_t first_seq, last_seq;
    uint64_t base_offset;
    int64_t timestamp; /* max timestamp of the batch */
};

struct producer {
    int64_t id;
    int64_t last_ms; /* wall clock of the last append, for expiry */
    int16_t epoch;
    uint8_t count;  /* batches remembered */
    uint8_t newest; /* index of the last one */
    struct producer_batch batches[PRODUCER_WINDOW];
};

struct producers {
    struct map by_id;
};

void producers_init(struct producers *p);
void producers_fini(struct producers *p);

/* May this batch be appended? 0: yes. 1: it was before; *ret_known tells where. ERR_OUT_OF_ORDER,
 * ERR_DUPLICATE_SEQUENCE, ERR_PRODUCER_EPOCH. `batch` is a batch header with producer_id >= 0. */
int producers_check(const struct producers *p, const uint8_t *batch, const struct producer_batch **ret_known);
/* It was appended, at the base offset that its header says. */
void producers_append(struct producers *p, const uint8_t *batch, int64_t now_ms);
/* Forgets who was idle since before `before_ms`. Returns how many were forgotten. */
size_t producers_expire(struct producers *p, int64_t before_ms);

/* Forgets batches at or beyond `next`: the log lost them (LOG_OS after a power cut). */
void producers_truncate(struct producers *p, uint64_t next);

/* For the state entry: each producer in order of id, via an array that the caller frees with mem_free(). */
struct producer **producers_sorted(const struct producers *p, size_t *ret_count);
/* Takes a decoded producer over (replaces one of that id). */
void producers_restore(struct producers *p, const struct producer *from);

#endif
