/* A world for the tests of queues: a broker on the simulated system, somebody who declares, publishes and
 * consumes. Everything runs until it is answered unless a name says otherwise. */
#ifndef COLOBUS_CORE_QUEUE_TESTKIT_H
#define COLOBUS_CORE_QUEUE_TESTKIT_H

#include "core/queue_impl.h"

enum { KIT_BODY = 64, KIT_SEEN = 1024 };

extern struct config config;

/* A consumer, and what has come to it. */
struct taker {
    struct handle consumer;
    unsigned shard;
    struct {
        char body[KIT_BODY];
        uint64_t lease;
        uint32_t count;
        bool redelivered;
    } seen[KIT_SEEN];
    unsigned seen_count;
    unsigned cancelled, available, active;
    uint32_t unused;
    size_t bytes;
};

void kit_start(void **state); /* *state: the number of shards, a text */
void kit_set(const char *key, const char *value);
void kit_boot(void);
void kit_stop(void);
void kit_crash(int mode); /* enum sim_crash_mode; boots again */
void kit_restart(void);
void kit_run_ms(uint64_t ms);
struct shard *kit_shard(void); /* where the test's clients live: the last */

/* Arguments as "x-name=value;..." : numbers are l, true and false t, all else S. */
void kit_declare(const char *name, bool durable, const char *args);
void kit_delete(const char *name);
void kit_bind(const char *exchange, const char *queue, const char *key);
struct queue_info *kit_queue(const char *name);
struct log *kit_log(const char *queue); /* of level 0 */
/* The error of its item; through the default exchange. */
int kit_publish(const char *queue, const char *body, bool persistent);
int kit_publish_with(const char *queue, const char *body, bool persistent, int priority, int64_t ttl_ms);
void kit_declare_delayed(const char *exchange); /* of type x-delayed-message, direct after that */
int kit_publish_delayed(const char *exchange, const char *key, const char *body, int64_t delay_ms,
                        int64_t ttl_ms);
/* So many of them in one operation. */
void kit_publish_burst(const char *queue, const char *body, unsigned count, int64_t ttl_ms);
/* As a move from this log, of this number. */
int kit_move(const char *queue, uint64_t origin, uint64_t seq, const char *body, size_t len);
/* Does not wait for the answer. */
void kit_publish_async(const char *queue, const char *body, bool persistent);
struct taker *kit_consume(const char *queue, uint32_t prefetch, bool no_ack);
struct taker *kit_consume_with(const char *queue, struct op_consume options, int *ret_err);
void kit_settle(struct taker *t, uint64_t first, uint64_t last, enum outcome outcome, bool durable);
void kit_window(struct taker *t, size_t bytes, uint32_t credit);
void kit_limit(struct taker *t, enum window_limit limit, uint32_t credit);
void kit_release(struct taker *t);
uint64_t kit_ready(const char *queue);
uint64_t kit_unacked(const char *queue);
uint64_t kit_purge(const char *queue);
/* The bodies that wait, in order, with blanks between; they are gone then. In static memory. */
const char *kit_drain(const char *queue);
/* The same, and they stay. */
const char *kit_peek(const char *queue);
void kit_check(void); /* the invariants of every queue */

#endif
