/* The bytes of a journal file: file header, group directories, entry headers. The layout is specified at the
 * top of journal_format.c. */
#ifndef COLOBUS_STORE_JOURNAL_FORMAT_H
#define COLOBUS_STORE_JOURNAL_FORMAT_H

#include "store/journal.h"
#include "store/le.h"

enum {
    JOURNAL_BLOCK_BYTES = 4096,
    JOURNAL_GROUP_HEADER_BYTES = 64,
    JOURNAL_ENTRY_HEADER_BYTES = 32,
    JOURNAL_MAX_ENTRIES = 1 << 20, /* of one directory */
};

struct journal_file_header {
    uint8_t uuid[16];    /* of the journal: a file of another one is not ours */
    uint64_t file_no;    /* the generation: grows by one per file */
    uint64_t salt;       /* random per use of the file: no peer can forge a group inside its data */
    uint32_t prev_chain; /* chain value of the last group of the file before */
};

struct journal_group_header {
    uint64_t salt, lsn, synced_lsn, body_len;
    int64_t wall_ms;
    uint32_t dir_crc, prev_chain, entry_count, dir_len;
};

/* lsn: the file's number and the position of the group in it. */
static inline uint64_t journal_lsn(uint64_t file_no, uint64_t pos)
{
    return file_no << 32 | pos;
}
static inline uint64_t journal_lsn_file(uint64_t lsn)
{
    return lsn >> 32;
}
static inline uint64_t journal_lsn_pos(uint64_t lsn)
{
    return lsn & 0xffffffff;
}

/* Bytes on disk of a group: directory and bodies, padded to whole blocks. */
static inline uint64_t journal_padded(uint64_t len)
{
    return (len + JOURNAL_BLOCK_BYTES - 1) & ~(uint64_t)(JOURNAL_BLOCK_BYTES - 1);
}

void journal_file_header_encode(const struct journal_file_header *h, uint8_t ret_block[JOURNAL_BLOCK_BYTES]);
/* ERR_CORRUPT if this is no header of ours. */
int journal_file_header_decode(const uint8_t block[JOURNAL_BLOCK_BYTES], struct journal_file_header *ret);

/* dir: header, then entry_count entry headers; fills in dir_crc. The chain value is the group's dir_crc. */
void journal_entry_encode(const struct journal_entry *e, uint8_t ret[JOURNAL_ENTRY_HEADER_BYTES]);
void journal_group_encode(struct journal_group_header *h, uint8_t *dir);

/* What the group says of its file's salt. */
static inline uint64_t journal_group_salt(const uint8_t bytes[JOURNAL_GROUP_HEADER_BYTES])
{
    return le_u64(bytes + 8);
}
/* Checks magic, salt, lsn and the plausibility of the lengths against `room` bytes left in the file.
 * ERR_EOF: no group of this file stands here. */
int journal_group_decode(const uint8_t bytes[JOURNAL_GROUP_HEADER_BYTES], uint64_t salt, uint64_t lsn,
                         uint64_t room, struct journal_group_header *ret);
bool journal_dir_valid(const struct journal_group_header *h, const uint8_t *dir);
/* The fields of one entry header: body, body_ok, lsn and body_at stay zero. *ret_crc: the body's, if not a
 * batch. */
struct journal_replay_entry journal_entry_header_decode(const uint8_t b[JOURNAL_ENTRY_HEADER_BYTES],
                                                        uint32_t *ret_crc);
/* Entry number i of a valid directory, whose bodies start at `bodies`; *cursor runs over the bodies and is 0
 * for the first. ERR_CORRUPT: the entries say more than body_len. */
int journal_entry_decode(const struct journal_group_header *h, const uint8_t *dir, uint32_t i,
                         const uint8_t *bodies, uint64_t *cursor, struct journal_replay_entry *ret);

#endif
