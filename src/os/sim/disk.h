/* The simulated disk: a tree of inodes, each in two versions (what programs see now, and what is synced), and
 * the un-synced operations in between. It only changes by disk_apply(), so that replaying a log of operations
 * gives the same disk. */
#ifndef COLOBUS_OS_SIM_DISK_H
#define COLOBUS_OS_SIM_DISK_H

#include <stdbool.h>

#include "os/sim/content.h"
#include "os/sim/names.h"

enum { DISK_ROOT = 1 };

enum disk_op_kind {
    DISK_CREATE, /* ino at dir/name */
    DISK_MKDIR,
    DISK_UNLINK,
    DISK_RMDIR,
    DISK_RENAME,      /* ino from dir/name to dir2/name2 */
    DISK_WRITE,       /* data at pos of ino */
    DISK_TRUNCATE,    /* ino to size pos */
    DISK_ALLOCATE,    /* [pos, pos + len) of ino */
    DISK_SYNC,        /* ino's data and size */
    DISK_SYNC_FAILED, /* the same, but the system reported an error */
    DISK_SYNC_DIR,    /* the entries of dir */
    DISK_CORRUPT,     /* data at pos of ino, beneath everyone, synced at once */
};

/* Owns a reference to each blob. */
struct disk_op {
    enum disk_op_kind kind;
    uint32_t ino, dir, dir2;
    struct blob *name, *name2, *data;
    uint64_t pos, len;
};

void disk_op_fini(struct disk_op *op);
struct disk_op disk_op_copy(const struct disk_op *op);

/* A write or truncate of this file that no sync has covered. */
struct unsynced {
    bool is_truncate; /* to pos */
    uint64_t pos;
    struct blob *data;
};

/* 1. now = synced, then the clean pages as they are now, then every pending operation in order.
 * 2. A page is in `clean` => a sync of it failed and nothing has written to it since: the system takes it for
 *    written, and no later sync writes it (as Linux does, "fsyncgate").
 * 3. An inode lives while a name, a pending directory operation or a handle refers to it. */
struct inode {
    uint32_t ino;
    bool is_dir;
    unsigned links;   /* present names: 0 or 1 */
    unsigned held;    /* synced names and pending directory operations */
    unsigned handles; /* open files; always 0 on a replayed disk */
    uint64_t charge;  /* its part of disk.used */
    struct content now, synced;
    struct unsynced *pending;
    size_t pending_count, pending_cap;
    uint64_t *clean; /* page numbers, ascending */
    size_t clean_count, clean_cap;
    struct names names_now, names_synced; /* of a directory */
};

struct disk {
    uint64_t ops; /* applied so far */
    struct inode **inodes;
    uint32_t inode_count; /* the next number; numbers are never used twice */
    size_t inode_cap;
    struct disk_op *dir_ops; /* un-synced directory operations, oldest first */
    size_t dir_op_count, dir_op_cap;
    uint64_t used;       /* bytes: a page for each file and directory, and their pages */
    uint32_t last_write; /* the inode of the last DISK_WRITE, 0 if there was none */
};

struct disk *disk_new(void);
void disk_free(struct disk *d); /* takes NULL */
struct disk *disk_clone(const struct disk *d);
/* NULL if it is gone. */
struct inode *disk_inode(const struct disk *d, uint32_t ino);
/* Adds an inode with this number and nothing else. */
struct inode *disk_add_inode(struct disk *d, uint32_t ino, bool is_dir);
/* After a change of the inode's handles or pages: keeps `used` right, and drops the inode if nothing holds
 * it. */
void disk_settle(struct disk *d, struct inode *f);
/* The operation must be legal (the caller looked). What it is about may be gone on a replayed disk. */
void disk_apply(struct disk *d, const struct disk_op *op);
/* Does a directory operation to one set of tables: those of `names_now` or of `names_synced`. */
void disk_link(struct names *from, struct names *to, const struct disk_op *op);
bool disk_op_is_dir(const struct disk_op *op);

#endif
