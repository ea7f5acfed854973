/* Blobs: named runs of bytes for what is not the journal: segments, their indexes, large states, what is
 * saved of damaged logs. The second of the store's two interfaces.
 *
 * A name is "folder/.../name", relative to the store. This is the interface; blobs_file.c is the
 * implementation on local files. Errors are those of os/os.h. All calls may block: start-up and disk jobs,
 * but for read_cached(), close() and open() of what is there. */
#ifndef COLOBUS_STORE_BLOBS_H
#define COLOBUS_STORE_BLOBS_H

#include "base/span.h"

struct blobs;

enum blob_open_flags {
    BLOB_READ = 0,
    BLOB_WRITE = 1,  /* read and append */
    BLOB_CREATE = 2, /* with its folder, if it is absent */
    BLOB_EMPTY = 4,  /* and begin with nothing */
};

struct blob_ops {
    /* Whole, under its name at once or not at all, and durable. Replaces one of that name. */
    int (*put)(struct blobs *b, const char *name, struct span bytes);
    int (*size)(struct blobs *b, const char *name, uint64_t *ret_bytes);
    /* Names directly below a folder, in bytewise order. ERR_NOT_FOUND: no such folder. */
    int (*list)(struct blobs *b, const char *folder, int (*fn)(void *arg, const char *name, bool is_folder),
                void *arg);
    int (*remove)(struct blobs *b, const char *name);
    int (*remove_folder)(struct blobs *b, const char *folder); /* must be empty */

    /* Growing ones: a handle >= 0. */
    int (*open)(struct blobs *b, const char *name, int flags);
    void (*close)(struct blobs *b, int blob);
    int64_t (*read)(struct blobs *b, int blob, void *ret_bytes, size_t len, uint64_t pos);
    /* ERR_AGAIN where it would wait; may return fewer bytes. */
    int64_t (*read_cached)(struct blobs *b, int blob, void *ret_bytes, size_t len, uint64_t pos);
    /* Makes room, at pos or beyond, where that can be done beforehand: ERR_NO_SPACE comes before anything is
     * half written. */
    int (*reserve)(struct blobs *b, int blob, uint64_t pos, uint64_t len);
    /* At pos, which is the end or what a failed append left there. */
    int (*append)(struct blobs *b, int blob, const struct span *spans, size_t count, uint64_t pos);
    void (*write_soon)(struct blobs *b, int blob, uint64_t pos, uint64_t len); /* a hint, never durability */
    int (*sync)(struct blobs *b, int blob);                                    /* its bytes, not its name */
    int (*cut)(struct blobs *b, int blob, uint64_t len);
    /* The names made and removed in this folder so far are durable, and so is its own. */
    int (*sync_names)(struct blobs *b, const char *folder);
    void (*free)(struct blobs *b);
};

struct blobs {
    const struct blob_ops *ops;
};

/* On the file system below `root`, which exists. */
struct blobs *blobs_file_new(const char *root);

#endif
