/* The broker: shards over one store, from opening the data directory to the last turn. */
#ifndef COLOBUS_CORE_BROKER_H
#define COLOBUS_CORE_BROKER_H

#include "core/meta.h"
#include "core/shard.h"
#include "core/subject_limits.h"

enum broker_health { BROKER_OK, BROKER_DEGRADED, BROKER_FAILED };

enum broker_phase {
    BROKER_STARTING, /* until the cluster id is durable */
    BROKER_RUNNING,
    BROKER_DRAINING, /* no new connections, answers in flight go out */
    BROKER_SAVING,   /* the store stops */
    BROKER_ENDED,    /* loops were told to stop */
};

struct broker_options {
    const struct config *config;     /* outlives the broker */
    const struct shard_hooks *hooks; /* of proto/front.c; NULL: no connections */
    /* Shard 0's thread, once: the broker can be used (err 0), or never will (it stops by itself). */
    void (*ready)(void *arg, struct broker *b, int err);
    void *arg;
    bool accept_loss; /* start in spite of a damaged journal */
};

struct broker_order; /* messages of start and stop, one per shard */

struct broker {
    const struct config *config;
    const struct shard_hooks *hooks;
    void (*ready)(void *arg, struct broker *b, int err);
    void *arg;

    struct store *store;
    unsigned shard_count;
    struct shard *shards;
    struct os_loop **loops;
    struct metrics *metrics;
    struct metrics_shard *journal_metrics; /* written by the journal's thread */
    struct meta *meta;
    struct users *users; /* of user_table.c */
    struct subject_limits subject_limits;
    void *front; /* of proto/front.c */

    char cluster_id[65]; /* text; set before ready() */
    uint64_t started_ns;
    int64_t started_ms;
    _Atomic unsigned alarms;       /* enum alarm, of alarm.h */
    _Atomic uint64_t queue_bytes;  /* what messages of queues take in memory, all shards */
    struct shard_timer disk_timer; /* shard 0's: when to look at the room on the disk */
    struct op_space *disk_look;    /* on its way; at the end it may never be answered */
    _Atomic unsigned damaged_logs; /* quarantined at recovery, and not deleted since */

    _Atomic bool failed;           /* the store failed: nothing is acknowledged any more */
    _Atomic(const char *) failure; /* why, static text */

    /* Shard 0's thread. */
    enum broker_phase phase;
    bool begun;
    unsigned open_conns; /* of all shards, counted by who accepts and buries them */
    bool hurried;
    unsigned acks_left;
    struct shard_timer stop_timer;
    struct broker_order *orders;
    int exit_code;
};

/* Opens the data directory, recovers everything, starts the store and makes the loops. Errors as
 * store_open(), ERR_CORRUPT for metadata that do not fit; logged. */
int broker_open(const struct broker_options *opt, struct broker **ret_broker);
/* Runs the loops until the broker has stopped. The exit code: 0 clean, 1 failed. */
int broker_run(struct broker *b);
/* Begins to stop; a second call hurries. Shard 0's thread. */
void broker_stop(struct broker *b);
/* After the loops have ended. */
void broker_close(struct broker *b);

/* Any thread. *ret_reason is a static text, never NULL. */
enum broker_health broker_health(const struct broker *b, const char **ret_reason);
/* Any thread: the store is lost, or something that cannot be gone on with. The process ends soon. */
void broker_fail(struct broker *b, int err, const char *what);

/* For shard.c: the last act of each turn. */
void broker_turn_ended(struct shard *s);

/* broker_stop.c */
void broker_stop_init(struct broker *b);
void broker_stop_step(struct shard *s);

#endif
