/* Journal files in words. Follows the rules of journal_format.c, but reads on after what it cannot make sense
 * of, and needs only the one file: what the files before and after would tell is left open. */
#include <stdio.h>

#include "base/crc32c.h"
#include "base/err.h"
#include "store/batch.h"
#include "store/dump_impl.h"
#include "store/journal_format.h"
#include "store/le.h"
#include "store/store.h"

struct journal_dump {
    struct dump *d;
    struct journal_file_header header;
    uint64_t pos;
    uint32_t chain;
    bool any_damage;
    uint64_t first_damage, synced; /* lsn of the first damage; highest synced lsn of any group */
    uint64_t groups, entries;
};

#define LSN_FORMAT    "%llu:%llu"
#define LSN_ARGS(lsn) (unsigned long long)journal_lsn_file(lsn), (unsigned long long)journal_lsn_pos(lsn)

static void note_damage(struct journal_dump *j, uint64_t lsn)
{
    if (!j->any_damage || lsn < j->first_damage)
        j->first_damage = lsn;
    j->any_damage = true;
}

/* ---- the file header ---- */

/* A damaged header hides the salt, but the first group repeats it. */
static void guess_header(struct journal_dump *j)
{
    const uint8_t *g = dump_at(j->d, JOURNAL_BLOCK_BYTES, JOURNAL_GROUP_HEADER_BYTES);
    if (!g)
        return;
    j->header.salt = le_u64(g + 8);
    j->header.file_no = journal_lsn_file(le_u64(g + 16));
    j->header.prev_chain = le_u32(g + 32);
}

static void print_uuid(const uint8_t uuid[16], char ret[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(ret + 2 * i, 3, "%02x", uuid[i]);
}

static void print_header(struct journal_dump *j)
{
    struct dump *d = j->d;
    const uint8_t *block = dump_at(d, 0, JOURNAL_BLOCK_BYTES);
    char uuid[33];
    if (!block || journal_file_header_decode(block, &j->header) != 0) {
        dump_line(d, "journal file, %llu bytes, header DAMAGED", (unsigned long long)d->size);
        d->damaged = true;
        guess_header(j);
        return;
    }
    print_uuid(j->header.uuid, uuid);
    dump_line(d, "journal file %llu, %llu bytes, journal=%s salt=%016llx chain_before=%08x",
              (unsigned long long)j->header.file_no, (unsigned long long)d->size, uuid,
              (unsigned long long)j->header.salt, j->header.prev_chain);
}

void dump_spare(struct dump *d)
{
    struct journal_file_header h;
    const uint8_t *block = dump_at(d, 0, JOURNAL_BLOCK_BYTES);
    dump_line(d, "spare journal file, %llu bytes", (unsigned long long)d->size);
    if (block && journal_file_header_decode(block, &h) == 0)
        dump_line(d, "it was journal file %llu once; nothing in it counts any more",
                  (unsigned long long)h.file_no);
    else
        dump_line(d, "it was not used yet");
}

/* ---- entries ---- */

static const char *type_name(uint8_t type)
{
    static const char *const names[] = {
        [JOURNAL_BATCH] = "batch", [JOURNAL_COMMAND] = "command", [JOURNAL_STATE] = "state",
        [JOURNAL_START] = "start", [JOURNAL_MARK] = "broker",
    };
    return type < sizeof(names) / sizeof(*names) && names[type] ? names[type] : "unknown";
}

/* Rule (4) of journal_format.c, without the whole body in memory. */
static bool body_ok(struct dump *d, const struct journal_replay_entry *e, uint64_t pos, uint32_t want)
{
    uint32_t crc = 0;
    if (e->type != JOURNAL_BATCH)
        return dump_crc(d, pos, e->body_len, &crc) && crc == want;
    if (!dump_batch_crc_ok(d, pos, e->body_len))
        return false;
    const uint8_t *b = dump_at(d, pos, BATCH_HEADER_BYTES);
    return b && batch_check_header(span_of(b, e->body_len)) == 0 && /* looks at the header's bytes only */
           (uint64_t)batch_base_offset(b) == e->base && (uint32_t)batch_leader_epoch(b) == e->epoch;
}

static void print_spilled(struct dump *d, bool commands, uint64_t pos, uint32_t len)
{
    enum { NAME_AT = 20 };
    char name[64];
    const uint8_t *p = len > NAME_AT && len < sizeof(name) + NAME_AT ? dump_at(d, pos, len) : NULL;
    if (!p)
        return;
    size_t n = 0;
    for (; n < len - NAME_AT && p[NAME_AT + n] > 0x20 && p[NAME_AT + n] < 0x7f; n++)
        name[n] = (char)p[NAME_AT + n];
    name[n] = 0;
    if (commands)
        dump_line(d, "    the snapshot is %llu bytes in the file states/%s",
                  (unsigned long long)le_u64(p + 8), name);
    else
        dump_line(d, "    start=%llu, the state is %llu bytes in the file states/%s",
                  (unsigned long long)le_u64(p), (unsigned long long)le_u64(p + 8), name);
}

static void print_body(struct dump *d, const struct journal_replay_entry *e, uint64_t pos)
{
    char buf[DUMP_LINE_BYTES];
    const uint8_t *b = e->type == JOURNAL_BATCH && e->body_len >= BATCH_HEADER_BYTES
                           ? dump_at(d, pos, BATCH_HEADER_BYTES)
                           : NULL;
    if (b)
        dump_line(d, "    %s", dump_batch(b, buf));
    else if (e->type == JOURNAL_STATE && e->flags & JOURNAL_SPILLED)
        print_spilled(d, store_is_command_log(e->log_id), pos, e->body_len);
    else if (e->type == JOURNAL_STATE && !store_is_command_log(e->log_id))
        dump_state(d, pos, e->body_len, false);
}

static void print_entry(struct journal_dump *j, const struct journal_replay_entry *e, uint64_t pos, bool ok)
{
    struct dump *d = j->d;
    if (e->type == JOURNAL_MARK) {
        dump_line(d, "  broker %s%s", e->base == JOURNAL_MARK_STOPPED ? "stopped cleanly" : "started",
                  ok ? "" : " body=DAMAGED");
        return;
    }
    dump_line(d, "  %s log=%llu base=%llu epoch=%u length=%u body=%s%s%s", type_name(e->type),
              (unsigned long long)e->log_id, (unsigned long long)e->base, e->epoch, e->body_len,
              ok ? "ok" : "DAMAGED", e->flags & JOURNAL_COPIED ? " copied" : "",
              e->flags & JOURNAL_SPILLED ? " spilled" : "");
    if (ok)
        print_body(d, e, pos);
}

/* Entry headers are copied out some at a time, so that the window need not go back for each. */
enum { HEADERS = 128 };

static bool read_headers(struct journal_dump *j, uint32_t from, uint32_t count,
                         uint8_t ret[HEADERS * JOURNAL_ENTRY_HEADER_BYTES])
{
    size_t n = count < HEADERS ? count : HEADERS, len = n * JOURNAL_ENTRY_HEADER_BYTES;
    uint64_t at = j->pos + JOURNAL_GROUP_HEADER_BYTES + (uint64_t)from * JOURNAL_ENTRY_HEADER_BYTES;
    const uint8_t *p = dump_at(j->d, at, len);
    if (p)
        memcpy(ret, p, len);
    return p;
}

static void print_entries(struct journal_dump *j, const struct journal_group_header *h)
{
    uint8_t headers[HEADERS * JOURNAL_ENTRY_HEADER_BYTES];
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < h->entry_count && !j->d->err; i++) {
        uint32_t crc;
        if (i % HEADERS == 0 && !read_headers(j, i, h->entry_count - i, headers))
            return;
        struct journal_replay_entry e =
            journal_entry_header_decode(headers + (size_t)(i % HEADERS) * JOURNAL_ENTRY_HEADER_BYTES, &crc);
        if (e.body_len > h->body_len - cursor) {
            dump_line(j->d, "  DAMAGED: the entries say more than the group holds");
            note_damage(j, h->lsn);
            return;
        }
        uint64_t pos = j->pos + h->dir_len + cursor;
        bool ok = body_ok(j->d, &e, pos, crc);
        print_entry(j, &e, pos, ok);
        if (!ok)
            note_damage(j, h->lsn);
        cursor += e.body_len;
        j->entries++;
    }
}

/* ---- groups ---- */

static bool dir_ok(struct dump *d, uint64_t pos, const struct journal_group_header *h)
{
    static const uint8_t zero[4];
    uint32_t crc = 0;
    if (!dump_crc(d, pos, 4, &crc))
        return false;
    crc = crc32c_more(crc, zero, sizeof(zero));
    return dump_crc(d, pos + 8, h->dir_len - 8, &crc) && crc == h->dir_crc;
}

/* NULL: a group of this file stands at pos. Else what stands there instead. */
static const char *look_at(struct journal_dump *j, uint64_t pos, struct journal_group_header *ret)
{
    static const uint8_t zeros[JOURNAL_GROUP_HEADER_BYTES];
    uint64_t lsn = journal_lsn(j->header.file_no, pos);
    const uint8_t *b = dump_at(j->d, pos, JOURNAL_GROUP_HEADER_BYTES);
    if (!b)
        return "the end of the file";
    if (memcmp(b, zeros, sizeof(zeros)) == 0)
        return "nothing was written from here on";
    if (memcmp(b, "CGRP", 4) != 0)
        return "no group begins here (left from an earlier use of the file, torn, or damaged)";
    if (le_u64(b + 8) != j->header.salt)
        return "a group from an earlier use of the file";
    if (le_u64(b + 16) != lsn)
        return "a group that belongs to another place";
    if (journal_group_decode(b, j->header.salt, lsn, j->d->size - pos, ret) != 0)
        return "a group with impossible lengths";
    if (!dir_ok(j->d, pos, ret))
        return "a group whose directory does not match its checksum (torn, being written, or damaged)";
    return NULL;
}

static void print_group(struct journal_dump *j, const struct journal_group_header *h)
{
    char time[DUMP_TIME_BYTES];
    uint64_t len = journal_padded(h->dir_len + h->body_len);
    dump_line(j->d,
              "group " LSN_FORMAT " position=%llu entries=%u synced=" LSN_FORMAT " bytes=%llu time=%s%s",
              LSN_ARGS(h->lsn), (unsigned long long)j->pos, h->entry_count, LSN_ARGS(h->synced_lsn),
              (unsigned long long)len, dump_time(h->wall_ms, time),
              h->prev_chain == j->chain ? "" : " DOES NOT FOLLOW the group before");
    if (h->prev_chain != j->chain)
        note_damage(j, h->lsn);
    print_entries(j, h);
    j->chain = h->dir_crc;
    j->groups++;
    if (h->synced_lsn > j->synced)
        j->synced = h->synced_lsn;
    j->pos += len < j->d->size - j->pos ? len : j->d->size - j->pos;
}

/* The next position where a valid group stands, or the end of the file. */
static uint64_t next_group(struct journal_dump *j, uint64_t pos, struct journal_group_header *ret)
{
    do {
        pos += JOURNAL_BLOCK_BYTES;
    } while (pos < j->d->size && !j->d->err && look_at(j, pos, ret));
    return pos < j->d->size ? pos : j->d->size;
}

/* Groups ended at j->pos. True: others follow, and the dump goes on there. */
static bool print_end(struct journal_dump *j, const char *why)
{
    struct journal_group_header h = {0};
    uint64_t next = next_group(j, j->pos, &h);
    if (next >= j->d->size || j->d->err) {
        dump_line(j->d, "groups end at position %llu: %s", (unsigned long long)j->pos, why);
        return false;
    }
    dump_line(j->d, "DAMAGED at position %llu: %s; %llu bytes up to the next group",
              (unsigned long long)j->pos, why, (unsigned long long)(next - j->pos));
    note_damage(j, journal_lsn(j->header.file_no, j->pos));
    j->pos = next;
    j->chain = h.prev_chain;
    return true;
}

void dump_journal(struct dump *d)
{
    struct journal_dump j = {.d = d, .pos = JOURNAL_BLOCK_BYTES};
    struct journal_group_header h = {0};
    print_header(&j);
    j.chain = j.header.prev_chain;
    for (;;) {
        const char *why = look_at(&j, j.pos, &h);
        if (!why)
            print_group(&j, &h);
        else if (!print_end(&j, why))
            break;
    }
    dump_line(d, "%llu groups with %llu entries; durable at least up to " LSN_FORMAT,
              (unsigned long long)j.groups, (unsigned long long)j.entries, LSN_ARGS(j.synced));
    if (j.any_damage && j.first_damage >= j.synced)
        dump_line(d, "what does not fit lies beyond that: recovery cuts it off, or a later file says that it "
                     "was durable");
    d->damaged |= j.any_damage && j.first_damage < j.synced;
}
