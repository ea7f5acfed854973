/* What the files of the simulated file system share. */
#ifndef COLOBUS_OS_SIM_FILE_H
#define COLOBUS_OS_SIM_FILE_H

#include "os/sim/world.h"

/* Counts a call of this kind (one bit of enum sim_fail_calls); its injected error, or 0. */
int fault_check(unsigned kind);

/* Logs an operation and does it. Drops the references of op's blobs. */
void disk_do(struct disk_op op);
/* Whether this many more pages fit. */
bool disk_has_room(uint64_t pages);

/* The directory that holds (or would hold) the path's last name, and that name, a part of `path`. The root's
 * own name is empty. ERR_NOT_FOUND. */
int path_resolve(const char *path, struct inode **ret_dir, struct span *ret_name);
/* NULL if there is none. */
struct inode *path_find(const char *path);
/* Makes an empty file or directory. ERR_NO_SPACE. */
int path_create(enum disk_op_kind kind, struct inode *dir, struct span name, struct inode **ret_inode);

#endif
