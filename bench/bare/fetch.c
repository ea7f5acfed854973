#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bare/bare.h"
#include "bare/wire.h"

enum { BATCH_HEADER_BYTES = 61, LAST_OFFSET_DELTA_AT = 23, RECORD_COUNT_AT = 57 };

/* The partitions of one connection. */
struct reader {
    struct bare_flow *flow;
    int socket;
    int32_t id;
    uint32_t count;
    int32_t *partition;
    int64_t *from, *next, *end; /* where reading begins, goes on, and the log's end when the run began */
    uint8_t *request, *response;
    size_t request_room, response_room;
};

static void *get_memory(size_t n)
{
    void *p = calloc(1, n);
    if (p == NULL)
        wire_die("fetch", "no memory");
    return p;
}

static void reader_init(struct reader *r, struct bare_flow *f)
{
    const struct bare_args *a = f->args;
    *r = (struct reader){.flow = f, .socket = wire_connect(a->broker)};
    r->request_room = 512 + (size_t)a->partitions * 16;
    r->response_room = (size_t)a->fetch_bytes * 2 + (2 << 20) + (size_t)a->partitions * 64;
    r->request = get_memory(r->request_room);
    r->response = get_memory(r->response_room);
    memset(r->response, 1, r->response_room); /* so that its page faults are not in the measure */
    r->partition = get_memory((a->partitions + 1) * sizeof(*r->partition));
    r->from = get_memory((a->partitions + 1) * sizeof(*r->from));
    r->next = get_memory((a->partitions + 1) * sizeof(*r->next));
    r->end = get_memory((a->partitions + 1) * sizeof(*r->end));
    for (uint32_t p = f->number % a->partitions; p < a->partitions; p += a->connections)
        r->partition[r->count++] = (int32_t)p;
}

static void reader_fini(struct reader *r)
{
    free(r->request);
    free(r->response);
    free(r->partition);
    free(r->from);
    free(r->next);
    free(r->end);
}

/* ListOffsets v1: the end of each partition, which may come in any order. */
static void find_ends(struct reader *r)
{
    struct wire w = {r->request, r->request_room, 0};
    wire_begin(&w, WIRE_LIST_OFFSETS, 1, r->id);
    put_i32(&w, -1);
    put_i32(&w, 1);
    put_text(&w, r->flow->args->topic);
    put_i32(&w, (int32_t)r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        put_i32(&w, r->partition[i]);
        put_i64(&w, -1);
    }
    wire_end(&w, 0);
    wire_send(r->socket, w.bytes, w.at, NULL, 0);
    w = wire_receive(r->socket, r->response, r->response_room, r->id++);
    skip(&w, 4);
    skip_text(&w);
    for (int32_t n = get_i32(&w); n > 0; n--) {
        int32_t partition = get_i32(&w);
        if (get_i16(&w) != 0)
            wire_die("list offsets", "refused");
        skip(&w, 8);
        int64_t end = get_i64(&w), last = (int64_t)r->flow->args->last;
        for (uint32_t i = 0; i < r->count; i++) {
            if (r->partition[i] == partition) {
                r->end[i] = end;
                r->from[i] = r->next[i] = last > 0 && end > last ? end - last : 0;
            }
        }
    }
}

static bool left(const struct reader *r, uint32_t i)
{
    return r->next[i] < r->end[i];
}

/* Fetch v4; first those partitions that come after the one that the last response ended with: a broker fills
 * a response in the order of the request. */
static void ask(struct reader *r, uint32_t first)
{
    const struct bare_args *a = r->flow->args;
    struct wire w = {r->request, r->request_room, 0};
    int32_t wanted = 0;
    for (uint32_t i = 0; i < r->count; i++)
        wanted += left(r, i);
    wire_begin(&w, WIRE_FETCH, 4, r->id);
    put_i32(&w, -1);
    put_i32(&w, 500);
    put_i32(&w, 1);
    put_i32(&w, (int32_t)a->fetch_bytes);
    put_i8(&w, 0);
    put_i32(&w, 1);
    put_text(&w, a->topic);
    put_i32(&w, wanted);
    for (uint32_t n = 0; n < r->count; n++) {
        uint32_t i = (first + n) % r->count;
        if (!left(r, i))
            continue;
        put_i32(&w, r->partition[i]);
        put_i64(&w, r->next[i]);
        put_i32(&w, (int32_t)a->fetch_bytes);
    }
    wire_end(&w, 0);
    wire_send(r->socket, w.bytes, w.at, NULL, 0);
}

/* Walks the headers of the batches; the last may be cut. */
static void take_batches(struct reader *r, uint32_t i, const uint8_t *bytes, size_t n)
{
    while (n >= BATCH_HEADER_BYTES) {
        struct wire w = {(uint8_t *)(uintptr_t)bytes, BATCH_HEADER_BYTES, 0};
        int64_t base = get_i64(&w);
        size_t size = 12 + (size_t)get_i32(&w);
        if (size > n)
            return;
        w.at = LAST_OFFSET_DELTA_AT;
        r->next[i] = base + get_i32(&w) + 1;
        w.at = RECORD_COUNT_AT;
        r->flow->records += (uint64_t)get_i32(&w);
        r->flow->bytes += size;
        bytes += size;
        n -= size;
    }
}

/* The number, among the connection's, of the last partition that had something. */
static uint32_t take_response(struct reader *r, struct wire w)
{
    uint32_t last = 0;
    skip(&w, 4 + 4);
    skip_text(&w);
    for (int32_t n = get_i32(&w); n > 0; n--) {
        uint32_t i = 0;
        for (int32_t partition = get_i32(&w); r->partition[i] != partition; i++) {
            if (i + 1 >= r->count)
                wire_die("fetch", "a partition that was not asked for");
        }
        if (get_i16(&w) != 0)
            wire_die("fetch", "refused");
        skip(&w, 16);
        int32_t aborted = get_i32(&w);
        skip(&w, aborted > 0 ? (size_t)aborted * 16 : 0);
        int32_t bytes = get_i32(&w);
        if (bytes <= 0)
            continue;
        take_batches(r, i, w.bytes + w.at, (size_t)bytes);
        skip(&w, (size_t)bytes);
        last = i;
    }
    return last;
}

static bool all_read(const struct reader *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (left(r, i))
            return false;
    }
    return true;
}

void bare_fetch(struct bare_flow *f)
{
    struct reader r;
    uint32_t first = 0;
    reader_init(&r, f);
    find_ends(&r);
    f->begin_ns = f->end_ns = wire_now_ns();
    uint64_t end = f->begin_ns + (uint64_t)(f->args->seconds * 1e9);
    while (f->args->last == 0 || f->end_ns < end) {
        if (all_read(&r)) {
            if (f->args->last == 0 || r.count == 0)
                break;
            memcpy(r.next, r.from, r.count * sizeof(*r.next));
        }
        uint64_t asked = wire_now_ns();
        ask(&r, first);
        first = take_response(&r, wire_receive(r.socket, r.response, r.response_room, r.id)) + 1;
        r.id++;
        f->requests++;
        f->end_ns = wire_now_ns();
        histogram_add(&f->latency, f->end_ns - asked);
    }
    reader_fini(&r);
}
