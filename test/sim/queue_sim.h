/* Queues in simulation, shared by its sources: the world, its queues, and the ledger. */
#ifndef COLOBUS_SIM_QUEUE_SIM_H
#define COLOBUS_SIM_QUEUE_SIM_H

#include "core/broker.h"
#include "core/queue_impl.h"
#include "os/sim/sim.h"

enum { QUEUES = 8, PUBLISHERS = 4, TAKERS = 8, TARGETS = 3, HOPS_MAX = 8, HOP_BYTES = 3 };

/* ---- the broker (queue_stage.c) -------------------------------------------------------------------------
 */

struct scene {
    uint64_t seed;
    struct config config;
    struct broker *broker;
    struct shard *home; /* of all clients: what comes to it, it hears in the order of each queue's shard */
    unsigned life;
    bool ready, up; /* up: what is heard counts */
    bool was_full;  /* in this life */
    bool unsaved;   /* the journal had no room for the last acknowledgements of a clean stop */
};
extern struct scene scene;

/* Prints what is wrong, with the seed, and ends the program. */
void violation(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void stage_init(uint64_t seed);
void stage_boot(unsigned shards);
bool stage_step(void); /* false: the broker has ended by itself (a failed store) */
void stage_stop(void);
void stage_crash(enum sim_crash_mode mode);
/* The numbered invariants of core/queue_impl.h, of every queue (queue_check.c). */
void check_invariants(void);
/* Nothing is under way in any queue: delayed, moving, or being written. */
bool queues_are_quiet(void);

/* ---- what queues there are (queue_plan.c) ---------------------------------------------------------------
 */

enum plan_state { PLAN_ABSENT, PLAN_BUSY, PLAN_PRESENT };
enum plan_dead { DEAD_NOWHERE, DEAD_TO_QUEUE, DEAD_TO_FANOUT };

struct plan {
    char name[8];
    bool durable, single, fan; /* fan: bound to amq.fanout */
    bool unbound;              /* that has still to be done, since it was made */
    int64_t ttl, max_length, max_retries, retry_min, delivery_limit; /* -1: not set */
    const char *overflow;                                            /* NULL: drop-head */
    unsigned max_priority;
    enum plan_dead dead;
    unsigned dead_queue;
    enum plan_state state;
    unsigned gen;            /* counts up when it is made anew */
    int64_t deleted, purged; /* when it was last away, or that was asked for, ms; -1: never */
};
extern struct plan plans[QUEUES];

void plans_init(void);
void plans_tell(void); /* on stderr */
void plan_declare(unsigned q);
void plan_delete(unsigned q);
void plan_purge(unsigned q);
void plans_new_life(void);
bool plans_are_present(void);
struct queue_info *plan_info(unsigned q); /* NULL: it is not there */
/* What dies in q goes to these (a set of bits); whether or not they are there. */
unsigned plan_dead_targets(unsigned q);

/* ---- clients (queue_clients.c) --------------------------------------------------------------------------
 */

void clients_new_life(void);
void publisher_step(unsigned p);
void taker_step(unsigned t);
void takers_drain(void); /* one who takes and acknowledges everything, at each queue */
bool clients_idle(void); /* nothing waits for an answer */

/* ---- the ledger (queue_ledger.c) ------------------------------------------------------------------------
 */

/* One message in one queue, by the way that it took there: the hops of its trail. */
struct copy {
    uint64_t hash, id;
    uint8_t trail[HOPS_MAX * HOP_BYTES];
    unsigned hops, queue, gen;
    struct copy *chained;
    bool leased, acked, ack_durable, ever, child_durable;
    unsigned seen_life, left_life, returned_life; /* the last in which it was delivered, settled, returned */
    uint32_t low, high, low_durable;              /* how often it came back */
    uint32_t rejects, rejects_low, rejects_durable;
    int64_t not_before, not_before_durable; /* ms: it waits for its next attempt */
};

uint64_t ledger_publish(unsigned publisher, bool persistent, unsigned priority, int64_t ttl,
                        const unsigned *queues, unsigned count);
size_t ledger_body(uint64_t id, char *at, size_t cap);
void ledger_published(uint64_t id, unsigned targets, unsigned life, int err); /* targets: a set of bits */
/* `order`: of the consumer, the highest sequence of each publisher and priority so far. */
struct copy *ledger_delivered(unsigned queue, unsigned gen, const struct delivery *d, bool no_ack,
                              uint32_t order[PUBLISHERS][4]);
/* The settlement is on its way: what it means from now on. Numbered by ledger_tick(). */
void ledger_settle(struct copy *c, enum outcome outcome, uint64_t number, unsigned shard);
/* A consumer has gone, the copy is back in its queue. */
void ledger_returned(struct copy *c);
uint64_t ledger_tick(void);
void ledger_settled(uint64_t number, bool durable);
/* On that shard, all that was answered before `number` was given out is durable. */
void ledger_durable(unsigned shard, uint64_t number);
void ledger_purged(unsigned queue, unsigned gen, int64_t asked_ms);
void ledger_new_life(bool clean);
void ledger_reset(void);
void ledger_check_end(void);
uint64_t ledger_messages(void);
uint64_t ledger_deliveries(void);
void ledger_tell(void);         /* counters, to stdout */
extern uint64_t ledger_follows; /* a message whose life is told on stderr; 0: none */

#endif
