/* Prints any file of a data directory in words, for people: colobus dump FILE. */
#ifndef COLOBUS_STORE_DUMP_H
#define COLOBUS_STORE_DUMP_H

#include "base/span.h"

/* Reads the file without locking or changing anything, so a broker may be using it; memory stays below 1 MiB
 * however large the file is. put() gets whole lines, borrowed during the call; its non-zero answer ends the
 * dump and is returned. ERR_CORRUPT: damage was found; what is readable was shown all the same.
 * ERR_UNSUPPORTED: this is no file of a store. ERR_NOT_FOUND, ERR_DENIED, ERR_IO. Any thread. */
int dump_file(const char *path, int (*put)(void *arg, struct span text), void *arg);

#endif
