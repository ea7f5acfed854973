/* What the files of the real system share: the loop's insides and the mapping of errno. */
#ifndef COLOBUS_OS_REAL_REAL_H
#define COLOBUS_OS_REAL_REAL_H

#include <uv.h>

#include "os/address.h"
#include "os/os.h"

enum { LOOP_MAGIC = 0x4c4f4f50, SOCK_MAGIC = 0x534f434b, LISTENER_MAGIC = 0x4c53544e };

/* ERR_ code of a positive errno from a file call. */
int real_file_err(int errnum);
/* ERR_ code of a negative libuv error, or of -errno, from a socket call. */
int real_sock_err(int uv_err);

/* Threads of ours take no signals: those are the main thread's. Creates, or stops the process: without its
 * threads the broker cannot start. */
void real_thread_start(pthread_t *ret_thread, const char *name, void *(*fn)(void *arg), void *arg);

/* Everything but the atomics belongs to the loop's thread.
 *
 * 1. A node is on `done` or `moved` => a wake came after it was put there.
 * 2. woken => the loop will pass take_activity() again, which clears it before the lists are emptied. */
struct os_loop {
    uint32_t magic;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t timer;
    uv_idle_t kick; /* keeps the poll from waiting when the timer was due before it */
    uv_signal_t sigterm, sigint;
    void (*on_stop_signal)(void *arg);
    void *on_stop_signal_arg;
    void (*turn)(void *arg);
    void *arg;
    uint64_t deadline; /* of the timer, UINT64_MAX if it is off */
    bool active;       /* something happened in this round */
    bool again;        /* the loop's own thread asked for a turn */
    unsigned open;     /* sockets and listeners that were not told to close */
    unsigned closing;  /* handles whose close callback is outstanding */
    atomic_bool woken;
    atomic_bool stopping;
    _Atomic(struct os_job *) done;   /* newest first */
    _Atomic(struct os_sock *) moved; /* newest first */
    pthread_t thread;
};

/* From the pool's threads: has done() called. */
void loop_job_done(struct os_loop *loop, struct os_job *job);
/* Calls accept() of sockets that other loops handed over, oldest first. */
void sock_take_moved(struct os_loop *loop);
/* Sockets handed over to a loop that has ended. */
void sock_drop_moved(struct os_loop *loop);
/* A socket around a fresh descriptor, which it owns; it knows its peer and local address already. */
struct os_sock *sock_new(struct os_loop *loop, int fd, const struct sockaddr *peer);

#endif
