/* The state of a log in words. Reads the format of state.c piece by piece, for a state may be large. */
#include "store/dump_impl.h"
#include "store/le.h"
#include "store/state_format.h"

/* Walks over [pos, end) of the file. */
struct state_dump {
    struct dump *d;
    uint64_t pos, end;
    bool all;
};

static const uint8_t *take(struct state_dump *s, size_t len)
{
    const uint8_t *p = len <= s->end - s->pos ? dump_at(s->d, s->pos, len) : NULL;
    if (p)
        s->pos += len;
    return p;
}

static bool print_segments(struct state_dump *s, uint32_t count)
{
    char time[DUMP_TIME_BYTES], created[DUMP_TIME_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = take(s, STATE_SEGMENT_BYTES);
        if (!p)
            return false;
        if (s->all)
            dump_line(s->d, "segment base=%llu next=%llu synced_bytes=%llu max_time=%s created=%s",
                      (unsigned long long)le_u64(p), (unsigned long long)le_u64(p + 8),
                      (unsigned long long)le_u64(p + 16), dump_time((int64_t)le_u64(p + 24), time),
                      dump_time((int64_t)le_u64(p + 32), created));
    }
    return true;
}

static bool print_epochs(struct state_dump *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = take(s, STATE_EPOCH_BYTES);
        if (!p)
            return false;
        if (s->all)
            dump_line(s->d, "epoch %u from offset %llu", le_u32(p), (unsigned long long)le_u64(p + 4));
    }
    return true;
}

static bool print_producer_batches(struct state_dump *s, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        const uint8_t *p = take(s, STATE_BATCH_BYTES);
        if (!p)
            return false;
        if (s->all)
            dump_line(s->d, "  sequences=%d..%d offset=%llu", (int32_t)le_u32(p), (int32_t)le_u32(p + 4),
                      (unsigned long long)le_u64(p + 8));
    }
    return true;
}

static bool print_producers(struct state_dump *s, uint32_t count)
{
    char time[DUMP_TIME_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = take(s, STATE_PRODUCER_BYTES);
        if (!p)
            return false;
        uint8_t batches = p[18];
        if (s->all)
            dump_line(s->d, "producer %lld/%d last=%s", (long long)le_u64(p), (int16_t)(p[16] | p[17] << 8),
                      dump_time((int64_t)le_u64(p + 8), time));
        if (!print_producer_batches(s, batches))
            return false;
    }
    return true;
}

void dump_state(struct dump *d, uint64_t pos, uint64_t len, bool all)
{
    struct state_dump s = {d, pos, pos + len, all};
    char time[DUMP_TIME_BYTES];
    const uint8_t *p = take(&s, STATE_HEADER_BYTES);
    const char *indent = all ? "" : "    ";
    if (!p || le_u32(p) != STATE_MAGIC) {
        dump_line(d, "%sDAMAGED: this is no state", indent);
        d->damaged = true;
        return;
    }
    uint32_t segments = le_u32(p + 32), epochs = le_u32(p + 36), producers = le_u32(p + 40);
    bool damaged = le_u32(p + 4) & STATE_FLAG_DAMAGED;
    dump_line(d, "%sas_of=%llu start=%llu max_time=%s segments=%u epochs=%u producers=%u%s", indent,
              (unsigned long long)le_u64(p + 8), (unsigned long long)le_u64(p + STATE_START_AT),
              dump_time((int64_t)le_u64(p + 24), time), segments, epochs, producers,
              damaged ? " QUARANTINED" : "");
    bool ok = print_segments(&s, segments) && print_epochs(&s, epochs) && print_producers(&s, producers);
    if (!ok || s.pos != s.end) {
        dump_line(d, "%sDAMAGED: the state's length does not fit its contents", indent);
        d->damaged = true;
    }
}
