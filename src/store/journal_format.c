/* Journal file format, version 1. All integers little-endian. doc/formats.md repeats it for readers.
 *
 *   File:   [file header, 4096] [group] [group] ... [zeros or an older use of the file]
 *
 *   File header, one block of 4096 bytes:
 *      0  u64  magic "CLBJRNL1"
 *      8  u32  version = 1
 *     12  u32  CRC-32C of the block with this field zero
 *     16  16   uuid of the journal
 *     32  u64  file number: grows by one for each file, never used again
 *     40  u64  salt: random, new each time the file is used
 *     48  u32  chain value of the last group in the file before (0: the first)
 *
 *   Group, starting at a multiple of 4096, padded with zeros to one:
 *      0  u32  magic "CGRP"
 *      4  u32  CRC-32C of header and entry headers, with this field zero; also the group's chain value
 *      8  u64  salt of the file
 *     16  u64  lsn: file number << 32 | position in the file
 *     24  u64  synced lsn: everything before it was durable when this group was written
 *     32  u32  chain value of the group before
 *     36  u32  number of entries
 *     40  u32  length of header and entry headers
 *     44  u32  zero
 *     48  u64  length of the bodies
 *     56  i64  wall clock, ms
 *     64       entry headers of 32 bytes, then the bodies, without gaps
 *
 *   Entry header:
 *      0  u64  log id
 *      8  u64  base (see enum journal_entry_type)
 *     16  u32  length of the body
 *     20  u32  CRC-32C of the body; 0 for JOURNAL_BATCH, whose own CRC counts
 *     24  u8   type    25 u8 flags    26 u16 zero
 *     28  u32  leader epoch
 *
 * Validity. A group counts if (1) magic, salt and lsn are right for its place, (2) the directory's CRC is,
 * (3) prev_chain is the chain value of the group before, (4) every body matches its checksum; for a batch
 * also its length, magic, base offset and epoch must be those of the entry header, since its CRC leaves them
 * out, and its counts must be possible.
 *
 * Recovery. One write is in flight at a time, so only the last group can be incomplete. Sectors of an
 * unsynced write land in any order: what is invalid above the highest synced lsn of any valid group is torn
 * and cut; what is invalid at or below it was durable once, so it is damage, and is never dropped silently.
 * The last group, above every synced lsn, may be only in the page cache: it is written and synced again
 * before anybody sees it. The salt is what keeps a producer from storing a record that looks like a group. */
#include "store/journal_format.h"

#include "base/crc32c.h"
#include "base/err.h"
#include "store/batch.h"
#include "store/le.h"

static const char file_magic[8] = "CLBJRNL1";
enum { FILE_VERSION = 1, GROUP_MAGIC = 0x50524743 /* "CGRP" */ };

_Static_assert(JOURNAL_GROUP_HEADER_BYTES % 8 == 0 && JOURNAL_ENTRY_HEADER_BYTES % 8 == 0, "alignment");

void journal_file_header_encode(const struct journal_file_header *h, uint8_t block[JOURNAL_BLOCK_BYTES])
{
    memset(block, 0, JOURNAL_BLOCK_BYTES);
    memcpy(block, file_magic, 8);
    le_put_u32(block + 8, FILE_VERSION);
    memcpy(block + 16, h->uuid, 16);
    le_put_u64(block + 32, h->file_no);
    le_put_u64(block + 40, h->salt);
    le_put_u32(block + 48, h->prev_chain);
    le_put_u32(block + 12, crc32c(block, JOURNAL_BLOCK_BYTES));
}

int journal_file_header_decode(const uint8_t block[JOURNAL_BLOCK_BYTES], struct journal_file_header *ret)
{
    static const uint8_t zero[4];
    if (memcmp(block, file_magic, 8) != 0 || le_u32(block + 8) != FILE_VERSION)
        return ERR_CORRUPT;
    uint32_t crc = crc32c(block, 12);
    crc = crc32c_more(crc, zero, 4);
    crc = crc32c_more(crc, block + 16, JOURNAL_BLOCK_BYTES - 16);
    if (crc != le_u32(block + 12))
        return ERR_CORRUPT;
    memcpy(ret->uuid, block + 16, 16);
    ret->file_no = le_u64(block + 32);
    ret->salt = le_u64(block + 40);
    ret->prev_chain = le_u32(block + 48);
    return 0;
}

void journal_entry_encode(const struct journal_entry *e, uint8_t ret[JOURNAL_ENTRY_HEADER_BYTES])
{
    le_put_u64(ret, e->log_id);
    le_put_u64(ret + 8, e->base);
    le_put_u32(ret + 16, (uint32_t)e->body.len);
    le_put_u32(ret + 20, e->type == JOURNAL_BATCH ? 0 : crc32c(e->body.ptr, e->body.len));
    ret[24] = e->type;
    ret[25] = e->flags;
    ret[26] = ret[27] = 0;
    le_put_u32(ret + 28, e->epoch);
}

static uint32_t dir_crc(const uint8_t *dir, uint32_t dir_len)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(dir, 4);
    crc = crc32c_more(crc, zero, 4);
    return crc32c_more(crc, dir + 8, dir_len - 8);
}

void journal_group_encode(struct journal_group_header *h, uint8_t *dir)
{
    memset(dir, 0, JOURNAL_GROUP_HEADER_BYTES);
    le_put_u32(dir, GROUP_MAGIC);
    le_put_u64(dir + 8, h->salt);
    le_put_u64(dir + 16, h->lsn);
    le_put_u64(dir + 24, h->synced_lsn);
    le_put_u32(dir + 32, h->prev_chain);
    le_put_u32(dir + 36, h->entry_count);
    le_put_u32(dir + 40, h->dir_len);
    le_put_u64(dir + 48, h->body_len);
    le_put_u64(dir + 56, (uint64_t)h->wall_ms);
    h->dir_crc = dir_crc(dir, h->dir_len);
    le_put_u32(dir + 4, h->dir_crc);
}

int journal_group_decode(const uint8_t b[JOURNAL_GROUP_HEADER_BYTES], uint64_t salt, uint64_t lsn,
                         uint64_t room, struct journal_group_header *ret)
{
    if (le_u32(b) != GROUP_MAGIC || le_u64(b + 8) != salt || le_u64(b + 16) != lsn)
        return ERR_EOF;
    struct journal_group_header h = {
        .dir_crc = le_u32(b + 4),
        .salt = salt,
        .lsn = lsn,
        .synced_lsn = le_u64(b + 24),
        .prev_chain = le_u32(b + 32),
        .entry_count = le_u32(b + 36),
        .dir_len = le_u32(b + 40),
        .body_len = le_u64(b + 48),
        .wall_ms = (int64_t)le_u64(b + 56),
    };
    if (h.entry_count > JOURNAL_MAX_ENTRIES ||
        h.dir_len != JOURNAL_GROUP_HEADER_BYTES + h.entry_count * JOURNAL_ENTRY_HEADER_BYTES ||
        h.dir_len > room || h.body_len > room - h.dir_len || h.synced_lsn > lsn)
        return ERR_EOF;
    *ret = h;
    return 0;
}

bool journal_dir_valid(const struct journal_group_header *h, const uint8_t *dir)
{
    return dir_crc(dir, h->dir_len) == h->dir_crc;
}

/* Rule (4) for a batch: what its CRC leaves out must agree with the entry header, whose CRC covers it. */
static bool batch_body_ok(const struct journal_replay_entry *e)
{
    const uint8_t *b = e->body.ptr;
    return batch_check_header(e->body) == 0 && (uint64_t)batch_base_offset(b) == e->base &&
           (uint32_t)batch_leader_epoch(b) == e->epoch && batch_check_crc(e->body) == 0;
}

struct journal_replay_entry journal_entry_header_decode(const uint8_t b[JOURNAL_ENTRY_HEADER_BYTES],
                                                        uint32_t *ret_crc)
{
    *ret_crc = le_u32(b + 20);
    return (struct journal_replay_entry){
        .log_id = le_u64(b),
        .base = le_u64(b + 8),
        .epoch = le_u32(b + 28),
        .body_len = le_u32(b + 16),
        .type = b[24],
        .flags = b[25],
    };
}

int journal_entry_decode(const struct journal_group_header *h, const uint8_t *dir, uint32_t i,
                         const uint8_t *bodies, uint64_t *cursor, struct journal_replay_entry *ret)
{
    const uint8_t *b = dir + JOURNAL_GROUP_HEADER_BYTES + (size_t)i * JOURNAL_ENTRY_HEADER_BYTES;
    uint32_t crc;
    struct journal_replay_entry e = journal_entry_header_decode(b, &crc);
    if (e.body_len > h->body_len - *cursor)
        return ERR_CORRUPT;
    e.lsn = h->lsn;
    e.body_at = h->lsn + h->dir_len + *cursor;
    e.body = span_of(bodies + *cursor, e.body_len);
    e.body_ok = e.type == JOURNAL_BATCH ? batch_body_ok(&e) : crc32c(e.body.ptr, e.body_len) == crc;
    *cursor += e.body_len;
    *ret = e;
    return 0;
}
