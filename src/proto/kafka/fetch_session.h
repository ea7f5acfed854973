/* Fetch sessions (KIP-227): what a client wants to read, kept between its requests, so that a request names
 * only what has changed since, and an answer only what is news.
 *
 * Each shard keeps those that began on its connections, and their ids carry its number: shards share nothing,
 * and a consumer has one connection to a broker. A client that comes back on another shard is told that its
 * session is not found, and begins another with a full request (FetchSessionHandler.handleResponse()). */
#ifndef COLOBUS_PROTO_KAFKA_FETCH_SESSION_H
#define COLOBUS_PROTO_KAFKA_FETCH_SESSION_H

#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/request.h"

enum {
    FETCH_EPOCH_FULL = 0,            /* FetchMetadata.INITIAL_EPOCH: begins a session */
    FETCH_EPOCH_FINAL = -1,          /* FetchMetadata.FINAL_EPOCH: ends one */
    FETCH_SESSION_STALE_MS = 120000, /* min.incremental.fetch.session.eviction.ms */
    /* What all sessions remember together, for each slot: some 200 bytes each. One session may use it all. */
    FETCH_SESSION_PARTITIONS_PER_SLOT = 256,
};

/* A topic that is asked for: by its name, or, from Fetch 13, by its id. */
struct fetch_topic {
    struct span name; /* with an id: what it was called when last found; empty: it never was */
    struct kafka_uuid id;
    uint32_t number; /* within its session */
    uint32_t parts;  /* that refer to it */
    /* The look-up of the request that is being begun. */
    int32_t epoch; /* of that request; FETCH_EPOCH_NONE: none yet */
    int err;
    struct topic *found; /* valid in the turn of the look-up only */
};
#define FETCH_EPOCH_NONE INT32_MIN

/* A partition that is asked for, and what was told of it. */
struct fetch_part {
    struct list link; /* in session->parts */
    struct fetch_topic *topic;
    int32_t index;
    int32_t max_bytes, leader_epoch, last_epoch;
    int64_t offset;
    int64_t high_watermark, log_start; /* as in the last answer; -1: it had an error, or there was none */
};

/* Invariants: (1) `parts` and `parts_by_key` hold the same, each partition once, `topics` those they refer
 * to; (2) a session in a cache has an id > 0 that is its own; (3) it is freed when it is in no cache and no
 * request refers to it. */
struct fetch_session {
    uint32_t magic;
    int32_t id;
    int32_t epoch;                /* that the next request must have */
    bool by_id;                   /* it began with Fetch 13 or later: topics by id */
    unsigned refs;                /* requests that are being worked on */
    struct fetch *active;         /* the newest of them, while it waits */
    struct fetch_sessions *cache; /* NULL: not in it (yet, or any more) */
    struct list used;             /* in cache->used */
    uint64_t created_ns, used_ns;
    struct list parts; /* in the order in which they are served: who got something goes to the end */
    uint32_t count;
    uint32_t next_number;
    struct map topics, parts_by_key;
};

/* Those of this shard, made when first asked for. */
struct fetch_sessions *fetch_sessions_of(struct shard *s);
/* NULL: no such session. It counts as used now. */
struct fetch_session *fetch_session_find(struct fetch_sessions *c, int32_t id);
/* Might a session with so many partitions be added? Evicts nobody yet. */
bool fetch_session_fits(struct fetch_sessions *c, uint32_t partitions);
/* A session with nothing in it, in no cache, with one reference: the caller's. Its epoch is FETCH_EPOCH_FULL.
 */
struct fetch_session *fetch_session_new(bool by_id);
/* Gives it an id and a place, evicting one that is worth less (FetchSessionCache.tryEvict()). False: there is
 * no room, nothing has changed. */
bool fetch_session_add(struct fetch_sessions *c, struct fetch_session *s);
/* Makes room for so many more partitions in a session of the cache. */
bool fetch_session_grow(struct fetch_session *s, uint32_t more);
/* Nobody finds it any more. Harmless if it is in no cache. */
void fetch_session_remove(struct fetch_session *s);
void fetch_session_unref(struct fetch_session *s);
/* Forgets sessions that nobody used in kafka.idle-timeout: whoever had them is gone. */
void fetch_sessions_expire(struct shard *s);

/* FetchSession.update(): takes over what a request names, and drops what it forgets. */
void fetch_session_update(struct fetch_session *s, const struct kafka_fetch_request *in);
/* Takes over what a request says of a partition; the told values stay. */
void fetch_part_set(struct fetch_part *p, const struct kafka_fetch_request_partition *in);
/* The name of a topic that was found by its id, for when it is not found any more. */
void fetch_topic_remember(struct fetch_topic *t, struct span name);
/* FetchMetadata.nextEpoch() */
int32_t fetch_next_epoch(int32_t epoch);

#endif
