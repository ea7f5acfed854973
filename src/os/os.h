/* The seam: everything Colobus asks of the operating system. Nothing above this header calls the system,
 * reads a clock or draws a random number.
 *
 * Two implementations are chosen at link time: os/real (libuv and threads) for the program, and os/sim
 * (memory disk, virtual clock, seeded random, scripted connections, one thread) for simulation and tests. */
#ifndef COLOBUS_OS_OS_H
#define COLOBUS_OS_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* ---- time and random ------------------------------------------------------------------------------- */

uint64_t os_mono_ns(void);                   /* monotonic; only differences mean something */
int64_t os_wall_ms(void);                    /* Unix time; may jump */
void os_random(void *ret_bytes, size_t len); /* cryptographic in os/real */
unsigned os_cpu_count(void);                 /* processors this process may use, at least 1 */
uint64_t os_cpu_time_us(void);               /* user + system time of this process */
uint64_t os_rss_bytes(void);                 /* resident memory of this process */
unsigned os_process_id(void);

/* ---- files: blocking calls, for start-up, the journal thread and pool jobs --------------------------- */

/* Errors are ERR_NOT_FOUND, ERR_EXISTS, ERR_NO_SPACE (ENOSPC, EDQUOT), ERR_LIMIT (EMFILE, ENFILE),
 * ERR_DENIED, ERR_LOCKED, and ERR_IO for all else. EINTR and short transfers are dealt with inside. */
enum os_open_flags {
    OS_READ = 0,
    OS_WRITE = 1,  /* read and write */
    OS_CREATE = 2, /* if it is absent; with OS_WRITE */
    OS_EXCL = 4,   /* with OS_CREATE: ERR_EXISTS if it is there */
    OS_TRUNC = 8,
};

int os_open(const char *path, int flags); /* a handle >= 0 */
void os_close(int file);
/* Bytes read; less than len only at the end of the file. */
int64_t os_pread(int file, void *ret_bytes, size_t len, uint64_t pos);
/* As os_pread, but ERR_AGAIN where it would wait for the disk (or where the system cannot tell). May return
 * fewer bytes: those that were in memory. */
int64_t os_pread_nowait(int file, void *ret_bytes, size_t len, uint64_t pos);
/* Writes everything or fails; what is on the disk after a failure is undefined between pos and the end. */
int os_pwrite(int file, const struct span *spans, size_t count, uint64_t pos);
int os_fdatasync(int file);
int64_t os_size(int file);
int os_truncate(int file, uint64_t len);
/* Makes room for [pos, pos + len), len > 0, without changing the file's size. ERR_NO_SPACE if there is none;
 * ERR_UNSUPPORTED where the file system has no such call. */
int os_allocate(int file, uint64_t pos, uint64_t len);
/* Asks the system to start writing dirty pages of the range, for smooth write-back; never durability. */
void os_write_hint(int file, uint64_t pos, uint64_t len);

int os_rename(const char *from, const char *to); /* replaces `to` */
int os_unlink(const char *path);
int os_mkdir(const char *path); /* ERR_EXISTS if it is there */
int os_rmdir(const char *path); /* must be empty */
int os_sync_dir(const char *path);
int os_path_size(const char *path, uint64_t *ret_bytes); /* of a file, without opening it */
/* Calls fn for every entry but "." and "..", in bytewise order of the names. fn's non-zero answer ends it and
 * is returned. fn may change the directory. */
int os_list(const char *dir, int (*fn)(void *arg, const char *name, bool is_dir), void *arg);
int os_disk_space(const char *dir, uint64_t *ret_total, uint64_t *ret_free);
/* Takes the lock file, made if absent, until os_close() or death: a handle >= 0, or ERR_LOCKED if another
 * process (or this one) holds it. The holder's process id is written into it, for people. */
int os_lock(const char *path);

/* ---- jobs: blocking work, on threads of its own ------------------------------------------------------ */

struct os_loop;
struct os_pool;

/* run() is called on a thread of the pool, done() afterwards on `home`'s thread, in its turn. The job is
 * the submitter's memory and must live until done() is called; done() may free it. home == NULL: no done(),
 * and run() itself may give the job away as its last act. */
struct os_job {
    void (*run)(struct os_job *job);
    void (*done)(struct os_job *job);
    struct os_loop *home;
    struct os_job *next; /* the implementation's */
};

/* Jobs are started in the order of submission; with one thread they run one after the other, and their
 * done() come in that order too. A pool is freed before the loops that are homes of its jobs. */
struct os_pool *os_pool_new(const char *name, unsigned threads);
/* Any thread. Never blocks and never fails; the caller bounds how many it has out. */
void os_pool_submit(struct os_pool *pool, struct os_job *job);
/* Waits for all jobs submitted so far to finish run(), then ends the threads. Takes NULL. A done() whose loop
 * has ended by then is never called. */
void os_pool_free(struct os_pool *pool);

/* ---- loops: one thread each, for a shard ------------------------------------------------------------- */

/* turn() is called on the loop's thread after each poll: when something arrived on a socket, a job is done,
 * the timer is due, or someone called os_loop_wake(). Socket callbacks come before it in the same round and
 * should only note what happened. There is no turn before something happens: wake a loop to get its first.
 * From the first loop on, SIGPIPE is ignored. */
struct os_loop *os_loop_new(void (*turn)(void *arg), void *arg);
/* Runs loops[0] on the calling thread and the others on threads of their own, until all were stopped. */
void os_loops_run(struct os_loop **loops, unsigned count);
/* Makes the loop take a turn soon. Any thread; several wakes may give one turn. */
void os_loop_wake(struct os_loop *loop);
/* One wake-up at this monotonic time; replaces the previous one. UINT64_MAX: none. Loop thread only. */
void os_loop_timer(struct os_loop *loop, uint64_t deadline_mono_ns);
/* Ends the loop after the present turn. Any thread. Its sockets and listeners must be closed by then
 * (asserted); closed() of the last of them still comes, but no other callback and no turn. */
void os_loop_stop(struct os_loop *loop);
/* After os_loops_run(), or instead of it. Takes NULL. Sockets moved to it and not yet seen are closed. */
void os_loop_free(struct os_loop *loop);
/* SIGTERM and SIGINT call fn on the loop's thread, every time. A turn follows. */
void os_loop_on_stop_signal(struct os_loop *loop, void (*fn)(void *arg), void *arg);

/* ---- stream sockets ---------------------------------------------------------------------------------- */

struct os_sock;
struct os_listener;

/* All callbacks come on the socket's loop thread. After closed() none comes and the os_sock is gone. */
struct os_sock_ops {
    /* Where the next bytes may go: *ret_len 0 means "not now", and reading pauses until
     * os_sock_read_start(). It may be asked again without an input() in between: then nothing was placed. */
    void (*room)(void *user, uint8_t **ret_ptr, size_t *ret_len);
    /* n > 0: that many bytes were placed in the last room. 0: the peer sends no more. < 0: ERR_CLOSED or
     * ERR_IO, the connection is broken. After n <= 0 nothing more is read. */
    void (*input)(void *user, int64_t n);
    /* The write that did not finish at once has finished (0) or failed (negative). */
    void (*written)(void *user, int status);
    /* The last callback, after os_sock_close(). */
    void (*closed)(void *user);
};

/* Starts the life of an accepted socket: reading begins. */
void os_sock_start(struct os_sock *s, const struct os_sock_ops *ops, void *user);
void os_sock_read_stop(struct os_sock *s);
void os_sock_read_start(struct os_sock *s);
/* Writes now what the system takes. Returns 1 if all is written; 0 if written() will tell, until when the
 * bytes must stay as they are and no other write may be started; negative: broken. */
enum { OS_SOCK_SPANS = 64 }; /* at the most */
int os_sock_write(struct os_sock *s, const struct span *spans, size_t count);
/* Closes; calls closed() later in another round, and no other callback any more. A write in progress is given
 * up: its bytes may go at once, written() does not come. A socket that was not started is gone at once,
 * without closed(). Bytes written before still reach the peer, unless input was left unread. */
void os_sock_close(struct os_sock *s);
/* Numeric "127.0.0.1:9092" or "[::1]:9092" of either end; the text lives as long as the socket. */
const char *os_sock_peer(const struct os_sock *s);
const char *os_sock_local(const struct os_sock *s);

/* Listens on "host:port" ("127.0.0.1:0" picks a free port; host may be an IPv4 address, an IPv6 address in
 * brackets, or "localhost"). Connections are handed to accept() on the loop's thread, which owns the os_sock
 * from then on and starts, moves or closes it. Called on the loop's thread, or before the loop runs.
 * ERR_EXISTS: the address is in use; ERR_INVALID: no such address, or not of this machine; ERR_DENIED;
 * ERR_LIMIT. While descriptors have run out, new connections are accepted and closed. */
int os_listen(struct os_loop *loop, const char *address, int backlog,
              void (*accept)(void *user, struct os_sock *s), void *user, struct os_listener **ret_listener);
const char *os_listener_address(const struct os_listener *l); /* with the real port */
void os_listener_close(struct os_listener *l);
/* Hands a socket that was accepted on one loop, and not yet started, to another: accept() is called with it
 * on that loop's thread. Sockets moved from one loop to another arrive in order. */
void os_sock_move(struct os_sock *s, struct os_loop *to, void (*accept)(void *user, struct os_sock *s),
                  void *user);

/* ---- process ----------------------------------------------------------------------------------------- */

/* Raises the limit of open files as far as allowed; returns it. */
uint64_t os_raise_file_limit(void);
int os_write_stdout(struct span bytes);
int os_write_stderr(struct span bytes);

#endif
