/* What the sources of dump share: lines out, and a window on the file. */
#ifndef COLOBUS_STORE_DUMP_IMPL_H
#define COLOBUS_STORE_DUMP_IMPL_H

#include "store/dump.h"

enum { DUMP_WINDOW_BYTES = 256 << 10, DUMP_LINE_BYTES = 512, DUMP_TIME_BYTES = 32 };

struct dump {
    int (*put)(void *arg, struct span text);
    void *arg;
    int file, err; /* err: reading or put() failed */
    bool damaged;  /* something is not as it was written */
    uint64_t size;
    uint8_t *window; /* the file's bytes [window_at, window_at + window_len) */
    uint64_t window_at;
    size_t window_len;
};

/* One line; the newline is added. */
void dump_line(struct dump *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* `len` bytes of the file, at most DUMP_WINDOW_BYTES, valid until the next call. NULL: the file ends before.
 */
const uint8_t *dump_at(struct dump *d, uint64_t pos, size_t len);
/* Continues a CRC-32C over that range of the file. False: the file ends before. */
bool dump_crc(struct dump *d, uint64_t pos, uint64_t len, uint32_t *crc);
/* Unix ms as UTC in ISO 8601; "none" below zero. */
const char *dump_time(int64_t ms, char buf[DUMP_TIME_BYTES]);

/* What a record batch's header says, as key=value pairs; into buf, which is returned. */
const char *dump_batch(const uint8_t *header, char buf[DUMP_LINE_BYTES]);
/* Does the batch at this place, of `len` bytes, match its CRC? */
bool dump_batch_crc_ok(struct dump *d, uint64_t pos, uint64_t len);
/* The state of a log that stands there: one line, or all of it. */
void dump_state(struct dump *d, uint64_t pos, uint64_t len, bool all);

void dump_journal(struct dump *d);
void dump_spare(struct dump *d);
void dump_segment(struct dump *d);
void dump_index(struct dump *d);

#endif
