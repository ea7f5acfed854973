/* Fetch sessions (KIP-227): what a client wants to read, kept between its requests, so that a request names
 * only what has changed since, and an answer only what is news.
 *
 * Each shard keeps those that began on its connections, and their ids carry its number: shards share nothing,
 * and a consumer has one connection to a broker. A client that comes back on another shard is told that its
 * session is not found, and begins another with a full request (FetchSessionHandler.handleResponse()). */
#ifndef COLOBUS_PROTO_KAFKA_FETCH_SESSION_H
#define COLOBUS_PROTO_KAFKA_FETCH_SESSION_H

#include "proto/kafka/kafka_wire.gen.h"
#include "core/watch.h"
#include "proto/kafka/request.h"
#include "proto/kafka/spread.h"

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
    struct list link; /* in session->hot, or in no list: it is cold */
    struct fetch_topic *topic;
    int32_t epoch; /* of the last request that looked at it */
    bool watched;  /* a watch is armed, of log_id on `shard`, and has not fired as far as is known */
    uint16_t shard;
    uint64_t log_id;
    int32_t index;
    int32_t max_bytes, leader_epoch, last_epoch;
    int64_t offset;
    int64_t high_watermark, log_start; /* as in the last answer; -1: it had an error, or there was none */
};

/* Most partitions of a large session are idle. Those that the client has read to the end, and knows all
 * about, are cold: a watch (core/watch.h) says when that changes, and no request looks at them before. The
 * others are hot, and are read.
 *
 * Invariants: (1) `parts` holds each partition once, `topics` those they refer to, `hot` some of them; (2)
 * who is not hot is watched; (3) a session in a cache has an id > 0 that is its own; (4) it is freed when it
 * is in no cache and no request refers to it. */
struct fetch_session {
    uint32_t magic;
    int32_t id;
    int32_t epoch; /* that the next request must have */
    bool ending;   /* so does the broker: the watches are freed by their shards */
    bool by_id;    /* it began with Fetch 13 or later: topics by id */
    struct shard *home;
    unsigned refs;                /* requests that are being worked on */
    struct fetch *active;         /* the newest of them, while it waits */
    struct fetch_sessions *cache; /* NULL: not in it (yet, or any more) */
    struct list used;             /* in cache->used */
    uint64_t created_ns, used_ns;
    struct list hot; /* in the order in which they are served: who got something goes to the end */
    uint32_t hot_count;
    uint32_t next_number;
    struct map topics, parts;                    /* by topic_key(), part_key() */
    struct watch_set *watches[KAFKA_MAX_SHARDS]; /* by owner; NULL: none yet */
    void (*woken)(struct fetch_session *s);      /* something has become hot, and `active` waits */
};

static inline uint32_t fetch_session_count(const struct fetch_session *s)
{
    return (uint32_t)s->parts.count;
}

/* Those of this shard, made when first asked for. */
struct fetch_sessions *fetch_sessions_of(struct shard *s);
/* NULL: no such session. It counts as used now. */
struct fetch_session *fetch_session_find(struct fetch_sessions *c, int32_t id);
/* Might a session with so many partitions be added? Evicts nobody yet. */
bool fetch_session_fits(struct fetch_sessions *c, uint32_t partitions);
/* A session with nothing in it, in no cache, with one reference: the caller's. Its epoch is FETCH_EPOCH_FULL.
 */
struct fetch_session *fetch_session_new(struct shard *home, bool by_id);
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
/* A partition has been read to the end, and what is known of it was told: it need not be looked at until that
 * changes. fetch_session_send() must follow. */
void fetch_session_cool(struct fetch_session *s, struct fetch_part *p, const struct topic_partition *where);
void fetch_session_send(struct fetch_session *s);
/* Takes over what a request says of a partition; the told values stay. */
void fetch_part_set(struct fetch_part *p, const struct kafka_fetch_request_partition *in);
/* The name of a topic that was found by its id, for when it is not found any more. */
void fetch_topic_remember(struct fetch_topic *t, struct span name);
/* FetchMetadata.nextEpoch() */
int32_t fetch_next_epoch(int32_t epoch);

#endif
