/* Controls of the simulated system: a world of one disk, one clock and one random source, from a seed.
 * Everything runs on the calling thread, in an order that the seed decides. */
#ifndef COLOBUS_OS_SIM_SIM_H
#define COLOBUS_OS_SIM_SIM_H

#include "os/os.h"

/* Forgets everything (disk, loops, pools, sockets, peers) without calling anyone, and starts over from this
 * seed: all handles of the old world are dead, and memory that its callbacks would have freed is the test's
 * to free. Not from inside a callback. Without it the first call makes a world from seed 1. */
void sim_reset(uint64_t seed);
uint64_t sim_random(void);                 /* the world's own dice, also for test programs */
uint64_t sim_random_below(uint64_t limit); /* [0, limit) */
/* A hash of everything that happened since sim_reset(): equal seeds and scripts give equal ones. */
uint64_t sim_trace(void);

/* ---- scheduling ---- */

/* One step: picks by the dice one thing that can happen now (a job's run, a job's done, a loop's turn, socket
 * bytes delivered) and does it. If nothing can, moves the clock to the next timer. False: nothing will ever
 * happen again by itself. Each step also takes up to 20 us of virtual time. Jobs of a pool with n threads are
 * taken from the n oldest; each run(), each done() and each turn is a step. */
bool sim_step(void);
/* Steps until cond(arg) is true (returns true) or `max_steps` were done or nothing is left (false). */
bool sim_run_until(bool (*cond)(void *arg), void *arg, uint64_t max_steps);
void sim_advance_ms(uint64_t ms); /* moves the clock; timers fire in later steps */
/* The loops of the broker under test, as os_loops_run() would get them; sim's os_loops_run() itself steps
 * until all loops are stopped (and returns, where a real one would hang, if nothing will ever happen again).
 */
/* The process died inside a step: a test left it by longjmp. Only images, sim_boot() and sim_reset() may
 * follow. */
void sim_died(void);
void sim_stop_signal(void); /* SIGTERM, to the loops that asked for it */

/* ---- disk ---- */

/* What survives a power cut, chosen by the dice or exactly. Un-synced writes, size changes, creates, renames
 * and unlinks of the log may be lost, kept, torn at 512 bytes, or kept out of order; what fdatasync or
 * os_sync_dir covered is kept always. */
enum sim_crash_mode {
    SIM_CRASH_DROP,   /* nothing un-synced survives */
    SIM_CRASH_KEEP,   /* everything issued survives (kill -9) */
    SIM_CRASH_RANDOM, /* each un-synced operation, each 512-byte sector of it, by the dice */
    SIM_CRASH_TORN,   /* all survive but the last write, which is torn at a 512-byte sector by the dice */
};

/* The disk keeps a log of its operations. Number of operations so far: */
uint64_t sim_disk_ops(void);
/* A marker in the same log, so that a test knows what was acknowledged before an operation. */
void sim_disk_mark(uint64_t value);
/* The highest marker set before operation `op` was issued (0 if none), so one that image(op) must honour. A
 * marker set after the last operation counts for sim_disk_ops() + 1. */
uint64_t sim_disk_mark_before(uint64_t op);

struct sim_image; /* a disk as it may look after a crash */
/* The disk if power failed right after operation number `op` (0 = before the first). Each call throws the
 * dice anew. Fast for ascending numbers. What is synced: fdatasync covers a file's data and size, not its
 * name; os_sync_dir covers the names of that directory (and whole renames out of it or into it). An fdatasync
 * that failed leaves the data un-synced but clean: later ones do not write it, until it is written to again.
 */
struct sim_image *sim_disk_image(uint64_t op, enum sim_crash_mode mode);
/* Boots from the image: sim_reset() but with this disk, all of it synced. Frees the image. */
void sim_boot(struct sim_image *image, uint64_t seed);
void sim_image_free(struct sim_image *image);

/* Keep no log of operations from here on (long simulations); crash then only at the present moment. */
void sim_disk_log(bool on);
void sim_disk_capacity(uint64_t bytes); /* writes, allocations and creates beyond it get ERR_NO_SPACE */
uint64_t sim_disk_used(void);           /* in pages of 4096 bytes, one more for each file and directory */
/* Lets n more file calls succeed, then fails one (or all from there on) with this error. n < 0: off.
 * Which calls count: enum bits, so that a test can aim. */
enum sim_fail_calls {
    SIM_FAIL_READ = 1,
    SIM_FAIL_WRITE = 2,
    SIM_FAIL_SYNC = 4,
    SIM_FAIL_META = 8,
    SIM_FAIL_ALL = 15
};
/* READ: os_pread, os_pread_nowait. WRITE: os_pwrite (whose first bytes may have been written), os_truncate,
 * os_allocate. SYNC: os_fdatasync, os_sync_dir. META: all others but os_close and os_write_hint. */
void sim_disk_fail_after(int64_t n, bool sticky, int err, unsigned calls);
/* How many calls of these kinds there were since sim_reset(), to size the loops of such tests. */
uint64_t sim_disk_calls(unsigned calls);
/* Flips bits of a byte on the disk, synced at once. ERR_NOT_FOUND: no such file, or it is not that long. */
int sim_disk_corrupt(const char *path, uint64_t pos, uint8_t xor_mask);
int sim_open_files(void);

/* ---- scripted connections ---- */

struct sim_peer; /* the client's end of a connection to a listener of the broker */

/* Connects to a listener's address; NULL if none listens there. */
struct sim_peer *sim_connect(const char *address);
/* Queues bytes towards the broker. They are delivered in pieces that the dice cut. */
void sim_peer_send(struct sim_peer *p, struct span bytes);
/* All bytes received from the broker and not yet consumed; valid until the next call on this peer or step. */
struct span sim_peer_received(struct sim_peer *p);
void sim_peer_consume(struct sim_peer *p, size_t len);
bool sim_peer_closed(const struct sim_peer *p); /* the broker closed its end; what it sent is still there */
/* A peer that reads slowly: at most this many unread bytes fit in its window (default 1 MiB). */
void sim_peer_window(struct sim_peer *p, size_t bytes);
void sim_peer_close(struct sim_peer *p); /* closes our end; the peer is freed. What was sent still arrives */

#endif
