/* The one world of the simulator, and what its parts share. */
#ifndef COLOBUS_OS_SIM_WORLD_H
#define COLOBUS_OS_SIM_WORLD_H

#include "base/list.h"
#include "os/sim/dice.h"
#include "os/sim/disk.h"
#include "os/sim/oplog.h"
#include "os/sim/sim.h"

/* Something that can happen now. */
struct action {
    void (*act)(void *object);
    void *object;
};

struct actions {
    struct action *items;
    size_t count, cap;
};

struct handle {
    uint32_t ino; /* 0: free */
    int flags;
    bool locked;
};

enum { FAIL_KINDS = 4 }; /* bits of enum sim_fail_calls */

struct world {
    struct dice dice;
    uint64_t now_ns;
    uint64_t trace; /* a hash of everything that happened */
    struct actions actions;
    bool stepping;
    uint64_t steps;

    struct disk *disk;
    struct oplog log;
    uint64_t capacity;
    struct handle *handles;
    size_t handle_count, handle_cap;
    int open_files;
    uint64_t calls[FAIL_KINDS];
    struct {
        bool on, sticky;
        int64_t left;
        int err;
        unsigned calls;
    } fault;

    /* In order of creation, so that nothing hangs on where the heap placed it. */
    struct list loops, pools, listeners, socks, peers;
    uint32_t next_id;
    uint16_t next_port;
};

/* Made from seed 1 if sim_reset() was not called yet. */
struct world *world(void);
/* Adds to the hash of what happened. */
void world_trace(uint64_t what, uint64_t a, uint64_t b);
void world_add_action(void (*act)(void *object), void *object);
uint32_t world_id(void);

/* ---- loops and pools ---- */

struct os_loop {
    struct list link;
    uint32_t id;
    void (*turn)(void *arg);
    void *arg;
    bool woken, stopped, signalled;
    uint64_t deadline;
    struct os_job *done, **done_last;
    void (*on_stop_signal)(void *arg);
    void *on_stop_signal_arg;
    uint64_t accept_step; /* the step for which its first waiting connection was offered */
};

void loops_add_actions(void);
/* The earliest timer of a running loop, UINT64_MAX if there is none. */
uint64_t loops_next_deadline(void);
void loops_drop_all(void);
void loop_job_done(struct os_loop *loop, struct os_job *job);

void pools_add_actions(void);
void pools_drop_all(void);

/* ---- sockets ---- */

void socks_add_actions(void);
void socks_drop_all(void);
/* Sockets and listeners of the loop that were not told to close; sockets that still owe closed(). */
unsigned socks_open(const struct os_loop *loop);
unsigned socks_closing(const struct os_loop *loop);

#endif
