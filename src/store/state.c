/* State entries: everything a log knows beyond its records, so that recovery need not read them.
 *
 * Format, all integers little-endian:
 *
 *      0  u32  magic "CST1"
 *      4  u32  flags (1: damaged, see quarantine.c)
 *      8  u64  as-of offset: entries from there on are applied on top
 *     16  u64  log start
 *     24  i64  largest timestamp
 *     32  u32  number of segments
 *     36  u32  number of leader epochs
 *     40  u32  number of producers
 *     44  u32  zero
 *
 *   Segment, 40 bytes:
 *      0  u64  base offset
 *      8  u64  next offset
 *     16  u64  synced length
 *     24  i64  largest timestamp
 *     32  i64  created, ms
 *
 *   Leader epoch, 12 bytes:
 *      0  u32  epoch
 *      4  u64  first offset
 *
 *   Producer, 20 bytes and its batches:
 *      0  i64  id
 *      8  i64  last append, ms
 *     16  i16  epoch
 *     18  u8   number of batches, 1 to 5
 *     19  u8   index of the newest
 *
 *   Batch of a producer, 24 bytes:
 *      0  i32  first sequence
 *      4  i32  last sequence
 *      8  u64  base offset
 *     16  i64  largest timestamp
 *
 * A state longer than 64 KiB stands in a file of its own, states/LOG-RANDOM.state (spill.c), and the entry
 * (flag JOURNAL_SPILLED) holds: u64 log start, u64 length, u32 CRC-32C, then the name of the file, 48 bytes.
 */
#include "base/err.h"
#include "base/mem.h"
#include "store/le.h"
#include "store/log_impl.h"

/* ---- encode ---- */

static uint8_t *encode_producer(uint8_t *p, const struct producer *x)
{
    le_put_u64(p, (uint64_t)x->id);
    le_put_u64(p + 8, (uint64_t)x->last_ms);
    p[16] = (uint8_t)x->epoch;
    p[17] = (uint8_t)((uint16_t)x->epoch >> 8);
    p[18] = x->count;
    p[19] = x->newest;
    p += STATE_PRODUCER_BYTES;
    for (int i = 0; i < x->count; i++, p += STATE_BATCH_BYTES) {
        le_put_u32(p, (uint32_t)x->batches[i].first_seq);
        le_put_u32(p + 4, (uint32_t)x->batches[i].last_seq);
        le_put_u64(p + 8, x->batches[i].base_offset);
        le_put_u64(p + 16, (uint64_t)x->batches[i].timestamp);
    }
    return p;
}

static uint8_t *encode_segments(uint8_t *p, const struct log *l)
{
    for (size_t i = 0; i < l->segment_count; i++, p += STATE_SEGMENT_BYTES) {
        const struct segment *seg = l->segments[i];
        le_put_u64(p, seg->base);
        le_put_u64(p + 8, seg->next);
        le_put_u64(p + 16, seg->len);
        le_put_u64(p + 24, (uint64_t)seg->max_ts);
        le_put_u64(p + 32, (uint64_t)seg->created_ms);
    }
    return p;
}

uint8_t *state_encode(const struct log *l, uint64_t as_of, size_t *ret_len)
{
    size_t count, len = STATE_HEADER_BYTES + l->segment_count * STATE_SEGMENT_BYTES +
                        l->epoch_count * STATE_EPOCH_BYTES;
    struct producer **all = producers_sorted(&l->producers, &count);
    for (size_t i = 0; i < count; i++)
        len += STATE_PRODUCER_BYTES + all[i]->count * (size_t)STATE_BATCH_BYTES;
    uint8_t *bytes = mem_zalloc(len), *p = bytes + STATE_HEADER_BYTES;
    le_put_u32(bytes, STATE_MAGIC);
    le_put_u32(bytes + 4, l->damaged ? STATE_FLAG_DAMAGED : 0);
    le_put_u64(bytes + 8, as_of);
    le_put_u64(bytes + STATE_START_AT, l->start);
    le_put_u64(bytes + 24, (uint64_t)l->max_ts);
    le_put_u32(bytes + 32, (uint32_t)l->segment_count);
    le_put_u32(bytes + 36, (uint32_t)l->epoch_count);
    le_put_u32(bytes + 40, (uint32_t)count);
    p = encode_segments(p, l);
    for (size_t i = 0; i < l->epoch_count; i++, p += STATE_EPOCH_BYTES) {
        le_put_u32(p, l->epochs[i].epoch);
        le_put_u64(p + 4, l->epochs[i].start);
    }
    for (size_t i = 0; i < count; i++)
        p = encode_producer(p, all[i]);
    mem_free(all);
    *ret_len = len;
    return bytes;
}

/* ---- decode: bytes from a disk, so every length is checked ---- */

static int decode_producer(struct log *l, const uint8_t **p, const uint8_t *end)
{
    const uint8_t *b = *p;
    if (end - b < STATE_PRODUCER_BYTES)
        return ERR_CORRUPT;
    struct producer x = {
        .id = (int64_t)le_u64(b),
        .last_ms = (int64_t)le_u64(b + 8),
        .epoch = (int16_t)(b[16] | b[17] << 8),
        .count = b[18],
        .newest = b[19],
    };
    b += STATE_PRODUCER_BYTES;
    if (x.count == 0 || x.count > PRODUCER_WINDOW || x.newest >= x.count ||
        end - b < x.count * (ptrdiff_t)STATE_BATCH_BYTES)
        return ERR_CORRUPT;
    for (int i = 0; i < x.count; i++, b += STATE_BATCH_BYTES) {
        x.batches[i] = (struct producer_batch){(int32_t)le_u32(b), (int32_t)le_u32(b + 4), le_u64(b + 8),
                                               (int64_t)le_u64(b + 16)};
    }
    producers_restore(&l->producers, &x);
    *p = b;
    return 0;
}

static int decode_segments(struct log *l, const uint8_t *p, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, p += STATE_SEGMENT_BYTES) {
        uint64_t base = le_u64(p), next = le_u64(p + 8), len = le_u64(p + 16);
        bool follows = i == 0 || l->segments[i - 1]->next == base;
        if (!follows || next < base || len > UINT32_MAX)
            return ERR_CORRUPT;
        struct segment *seg = segment_new(l, base);
        seg->next = next;
        seg->len = seg->synced_len = len;
        seg->max_ts = (int64_t)le_u64(p + 24);
        seg->created_ms = (int64_t)le_u64(p + 32);
        l->segment_bytes += len;
        l->written = l->saved = next;
    }
    return 0;
}

int state_decode(struct log *l, struct span bytes, uint64_t *ret_as_of)
{
    const uint8_t *p = bytes.ptr, *end = bytes.ptr + bytes.len;
    if (bytes.len < STATE_HEADER_BYTES || le_u32(p) != STATE_MAGIC)
        return ERR_CORRUPT;
    uint64_t segments = le_u32(p + 32), epochs = le_u32(p + 36), producers = le_u32(p + 40);
    if (segments * STATE_SEGMENT_BYTES + epochs * STATE_EPOCH_BYTES > bytes.len - STATE_HEADER_BYTES)
        return ERR_CORRUPT;
    l->damaged = le_u32(p + 4) & STATE_FLAG_DAMAGED;
    *ret_as_of = le_u64(p + 8);
    l->start = le_u64(p + STATE_START_AT);
    l->max_ts = (int64_t)le_u64(p + 24);
    p += STATE_HEADER_BYTES;
    int err = decode_segments(l, p, (uint32_t)segments);
    p += segments * STATE_SEGMENT_BYTES;
    l->epochs = mem_alloc((epochs + 1) * sizeof(*l->epochs));
    for (; !err && l->epoch_count < epochs; p += STATE_EPOCH_BYTES)
        l->epochs[l->epoch_count++] = (struct epoch_start){le_u32(p), le_u64(p + 4)};
    for (uint64_t i = 0; !err && i < producers; i++)
        err = decode_producer(l, &p, end);
    return !err && p != end ? ERR_CORRUPT : err;
}

/* ---- on its way to the journal ---- */

/* Tries to put l->state into this turn's group; waits in ss->states if the journal has no room. */
static void try_append(struct log *l)
{
    struct store_shard *ss = l->ss;
    if (group_admit(ss, l->state_len, true) != 0) {
        if (!list_linked(&l->state_link))
            list_add_tail(&ss->states, &l->state_link);
        return;
    }
    list_del(&l->state_link);
    bool spilled = l->spill != NULL;
    le_put_u64(l->state + (spilled ? 0 : STATE_START_AT),
               l->start); /* it may have moved since: START entries are
                           * cleared by this state becoming durable */
    struct journal_entry e = {
        .log_id = l->id,
        .base = l->state_as_of,
        .type = JOURNAL_STATE,
        .flags = spilled ? JOURNAL_SPILLED : 0,
        .body = span_of(l->state, l->state_len),
        .user = l,
    };
    l->state = NULL;
    group_add(ss, &e);
}

/* The newest state is in this file; NULL: in the journal. */
static void name_spill(struct log *l, const char *name)
{
    mem_free(l->old_spill);
    l->old_spill = l->spill;
    l->spill = name ? mem_strndup(name, strlen(name)) : NULL;
}

static void spilled(struct spill *s)
{
    struct log *l = s->owner;
    if (s->err && s->err != ERR_NO_SPACE) {
        store_fail(l->ss->st, s->err, "writing a log's state");
    } else if (s->err || l->deleted) {
        l->saving = false; /* the journal keeps what it has; recycling will ask again */
        if (!s->err)
            spill_remove(l->ss->st, s->file.name);
    } else {
        l->state_len = STATE_SPILL_BYTES;
        l->state = mem_alloc(STATE_SPILL_BYTES);
        spill_encode(&s->file, 0, l->state);
        name_spill(l, s->file.name);
        try_append(l);
    }
    log_unref(l);
}

void state_append(struct log *l, uint8_t *state, size_t len, uint64_t as_of)
{
    l->saving = true;
    l->state_as_of = as_of;
    if (spill_wanted(l->ss, len)) {
        l->refs++;
        spill_start(l->ss, l->id, "state", state, len, spilled, l);
        return;
    }
    name_spill(l, NULL);
    l->state = state;
    l->state_len = len;
    try_append(l);
}

void state_retry(struct store_shard *ss)
{
    list_each_safe (it, tmp, &ss->states) {
        struct log *l = list_entry(it, struct log, state_link);
        try_append(l);
        if (l->state)
            break; /* still no room */
    }
}

void state_replaced(struct log *l)
{
    spill_remove(l->ss->st, l->old_spill);
    mem_free(l->old_spill);
    l->old_spill = NULL;
}

void state_unlink(const struct log *l)
{
    spill_remove(l->ss->st, l->spill);
}

int state_read_spilled(struct store *st, struct span body, uint8_t **ret_bytes, size_t *ret_len,
                       char ret_name[STATE_NAME_BYTES])
{
    struct spill_file file;
    uint8_t *bytes;
    int err = spill_decode(body, &file);
    if (err)
        return err;
    memcpy(ret_name, file.name, STATE_NAME_BYTES);
    err = file.len < STATE_HEADER_BYTES ? ERR_CORRUPT : spill_read(st, &file, &bytes);
    if (err)
        return err;
    le_put_u64(bytes + STATE_START_AT, le_u64(body.ptr)); /* the start as of the entry */
    *ret_bytes = bytes;
    *ret_len = file.len;
    return 0;
}
