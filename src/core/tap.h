/* Taps: what is appended to a topic goes on into an exchange, by itself.
 *
 * A tap has a cursor for each partition, on the partition's shard. It reads what is durable, routes each
 * record as a message with the tap's routing key, and remembers its place as a committed position of the
 * group "tap.NAME", so that Kafka's tools show how far it has come. A durable queue remembers the last record
 * that it took from each partition by this tap, in one group of the journal with the message, so that what is
 * read again after a crash comes in once; the other targets (topics, queues that are not durable) may see it
 * twice then. A queue that refuses stalls the cursor, never who produces; so does an exchange that is not
 * there. What is not routed is dropped, as a publish is.
 *
 * A tap's name is its identity: made again under that name it goes on where it was. Topics and so taps are in
 * the virtual host "/". */
#ifndef COLOBUS_CORE_TAP_H
#define COLOBUS_CORE_TAP_H

#include "core/exchange.h"
#include "core/meta_record.h"

struct tap {
    struct span name, topic, exchange;
    struct span key; /* routing key; null: the topic's name */
    bool from_next;  /* begin with what comes; else with the oldest record */
};

/* Fills an operation that puts or drops a tap; what it needs is copied to its arena. Checked against the
 * tables: ERR_NOT_FOUND (topic, exchange, or tap), ERR_DENIED (topic: read, exchange: write), ERR_ARGUMENT (a
 * name is empty or too long; it would close a cycle), with `why`. */
void tap_fill_put(struct op_record *r, const struct tap *tap);
void tap_fill_drop(struct op_record *r, struct span name);
/* What a record of kind RECORD_TAP says; spans are the record's. */
void tap_of_record(const struct meta_record *r, struct tap *ret);
/* Would messages go in a circle through a tap, if `source` also led to this? For who makes a binding. */
bool tap_closes_cycle(const struct shard *s, struct span source, enum dest_kind kind, struct span dest);

/* A change that makes a tap, or an edge that taps may lead to, claims this (meta_change_key()): a tap alone,
 * an edge alone if there are taps, so that no two of one round close a circle together. */
struct span tap_edges_key(void);

/* For meta_record.c, and when the broker starts: cursors begin. */
extern const struct meta_record_ops tap_record_ops;
void taps_start(struct shard *s);

#endif
