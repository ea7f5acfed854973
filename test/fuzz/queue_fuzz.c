/* Fuzzes what is written about queues: commands, snapshots and records of messages, which may come from a
 * damaged disk. Input: one byte that says which, then the bytes. */
#include <stdlib.h>

#include "core/queue_impl.h"
#include "store/le.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FAR = 1 << 20, HEAD_BYTES = 25, RANGE_BYTES = 16 };

static struct shard shard;
static struct queues queues;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* A set of acknowledgements takes time and memory by its span: what would be of no interest but that. */
static bool is_long(struct span command)
{
    if (command.len < HEAD_BYTES + 4)
        return false;
    if (be64(command.ptr + 9) > FAR)
        return true;
    for (size_t at = HEAD_BYTES + 4; at + RANGE_BYTES <= command.len; at += RANGE_BYTES)
        if (be64(command.ptr + at) > FAR || be64(command.ptr + at + 8) > FAR)
            return true;
    return false;
}

static void replay(struct span bytes)
{
    if (!is_long(bytes))
        (void)queues_replay(&shard, bytes);
}

/* The commands of a snapshot are looked at before it is taken as one. */
static void restore(struct span bytes)
{
    size_t at = 5;
    while (at + 4 <= bytes.len) {
        size_t len = be64(bytes.ptr + at - 4) & UINT32_MAX;
        if (len > bytes.len - at - 4)
            break;
        if (is_long(span_of(bytes.ptr + at + 4, len)))
            return;
        at += 4 + len;
    }
    (void)queues_restore(&shard, bytes);
}

/* What is read is written again as the same bytes. */
static void check_record(struct span bytes)
{
    struct message m;
    int64_t queued;
    size_t len;
    if (message_read(bytes, &m, &queued, &len))
        return;
    require(len <= bytes.len && message_record_bytes(&m) <= len);
    uint8_t *again = malloc(message_record_bytes(&m));
    struct message back;
    int64_t at;
    message_write(again, &m, queued);
    require(message_read(span_of(again, message_record_bytes(&m)), &back, &at, NULL) == 0);
    require(at == queued && span_eq(back.body, m.body) && span_eq(back.props, m.props) &&
            span_eq(back.key, m.key));
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    queues = (struct queues){.shard = &shard};
    map_init(&queues.folds);
    shard.queues = &queues;
    struct span rest = span_of(data + 1, size - 1);
    if (data[0] == 'c')
        replay(rest);
    else if (data[0] == 's')
        restore(rest);
    else
        check_record(rest);
    queues_folds_fini(&queues);
    return 0;
}
