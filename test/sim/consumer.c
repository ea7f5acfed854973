/* Consumers: each reads all partitions, checks what it sees, and goes on where it was after a reconnect. */
#include <stdlib.h>

#include "actors.h"
#include "base/err.h"
#include "client.h"
#include "core/records.h"
#include "ledger.h"
#include "stage.h"

enum { API_FETCH = 1, SLOW_WINDOW = 2048 };

struct consumer {
    struct client client;
    int version;
    bool slow, waiting, scanning;
    uint64_t position[PARTITIONS], high_watermark[PARTITIONS];
    bool known[PARTITIONS]; /* high_watermark was told in this scan */
};

static struct consumer consumers[CONSUMERS], scanner;

static void reset(struct consumer *c)
{
    static const int versions[] = {4, 6, 11, 12};
    *c = (struct consumer){.version = versions[sim_random_below(4)], .slow = sim_random_below(4) == 0};
}

void consumers_reset(void)
{
    for (unsigned i = 0; i < CONSUMERS; i++)
        reset(&consumers[i]);
}

static void send_fetch(struct consumer *c)
{
    struct kafka_fetch_request m;
    struct kafka_fetch_request_topic t;
    struct kafka_fetch_request_partition parts[PARTITIONS];
    kafka_fetch_request_init(&m);
    kafka_fetch_request_topic_init(&t);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        kafka_fetch_request_partition_init(&parts[i]);
        parts[i].partition = (int32_t)i;
        parts[i].fetch_offset = (int64_t)c->position[i];
        parts[i].partition_max_bytes = 1 << (8 + sim_random_below(10));
    }
    t.topic = span_str(STAGE_TOPIC);
    t.partitions = parts;
    t.partitions_count = PARTITIONS;
    m.replica_id = -1;
    m.max_wait_ms = c->scanning ? 0 : (int32_t)sim_random_below(500);
    m.min_bytes = sim_random_below(4) ? 1 : (int32_t)sim_random_below(20000);
    m.max_bytes = 1 << (10 + sim_random_below(10));
    m.topics = &t;
    m.topics_count = 1;
    (void)client_send(&c->client, API_FETCH, c->version, &m);
    c->waiting = true;
}

static uint64_t value_of(const struct record *r)
{
    uint64_t v = 0;
    for (size_t i = 0; i < r->value.len && r->value.ptr[i] >= '0' && r->value.ptr[i] <= '9'; i++)
        v = v * 10 + (r->value.ptr[i] - '0');
    return v;
}

static void take_record(struct consumer *c, unsigned p, const struct record *r)
{
    if ((uint64_t)r->offset < c->position[p])
        return; /* the first batch may begin before the offset asked for */
    if ((uint64_t)r->offset != c->position[p])
        ledger_violation("partition %u: offset %lld follows %llu", p, (long long)r->offset,
                         (unsigned long long)c->position[p] - 1);
    if (c->scanning)
        ledger_scan(p, (uint64_t)r->offset, value_of(r));
    else
        ledger_seen(p, (uint64_t)r->offset, value_of(r));
    c->position[p]++;
}

static void take_batch(struct consumer *c, unsigned p, struct span batch)
{
    struct records_iter it;
    struct record r;
    int more;
    if (batch_check_header(batch) || batch_check_crc(batch) || records_open(NULL, batch, 1 << 20, &it))
        ledger_violation("partition %u: a damaged batch at offset %llu", p,
                         (unsigned long long)c->position[p]);
    while ((more = records_next(&it, &r)) == 1)
        take_record(c, p, &r);
    if (more)
        ledger_violation("partition %u: damaged records", p);
}

static void take_records(struct consumer *c, unsigned p, const struct rope *rope)
{
    struct span rest = rope->count ? span_of(rope->slices[0].ptr, rope->slices[0].len) : SPAN_NULL;
    while (rest.len > 0) {
        size_t len;
        int err = batch_peek(rest, &len);
        if (err == ERR_EOF)
            return; /* a client must bear a batch that is cut */
        if (err)
            ledger_violation("partition %u: no batch", p);
        take_batch(c, p, span_of(rest.ptr, len));
        rest = span_of(rest.ptr + len, rest.len - len);
    }
}

static void take_partition(struct consumer *c, const struct kafka_fetch_response_partition *r)
{
    unsigned p = (unsigned)r->partition_index;
    bool failing = atomic_load(&stage.broker->failed);
    if (p >= PARTITIONS)
        ledger_violation("partition %u was not asked for", p);
    if (r->error_code && !failing)
        ledger_violation("partition %u: fetching at %llu gave error %d", p,
                         (unsigned long long)c->position[p], r->error_code);
    if (r->error_code)
        return;
    if ((uint64_t)r->high_watermark < c->position[p])
        ledger_violation("partition %u: a high watermark of %lld, below the position %llu", p,
                         (long long)r->high_watermark, (unsigned long long)c->position[p]);
    c->high_watermark[p] = (uint64_t)r->high_watermark;
    c->known[p] = true;
    if (c->scanning)
        ledger_watermark(p, c->high_watermark[p]);
    take_records(c, p, &r->records);
}

static void receive(struct consumer *c)
{
    struct answer a;
    struct kafka_fetch_response m;
    if (!client_receive(&c->client, API_FETCH, c->version, &a))
        return;
    client_decode(&a, API_FETCH, c->version, &m);
    c->waiting = false;
    if (m.error_code)
        ledger_violation("a fetch as a whole gave error %d", m.error_code);
    for (int32_t t = 0; t < m.responses_count; t++)
        for (int32_t i = 0; i < m.responses[t].partitions_count; i++)
            take_partition(c, &m.responses[t].partitions[i]);
    arena_fini(&a.arena);
}

static void cut(struct consumer *c)
{
    client_close(&c->client);
    c->waiting = false;
}

static void step(struct consumer *c)
{
    if (!c->client.peer) {
        if (client_connect(&c->client) && c->slow)
            sim_peer_window(c->client.peer, SLOW_WINDOW);
        return;
    }
    if (c->slow && sim_random_below(20))
        return;
    if (c->waiting)
        receive(c);
    if (client_is_cut(&c->client) || (!c->scanning && sim_random_below(3000) == 0))
        cut(c);
    else if (!c->waiting)
        send_fetch(c);
}

void consumer_step(unsigned i)
{
    step(&consumers[i]);
}

void consumers_cut(void)
{
    for (unsigned i = 0; i < CONSUMERS; i++)
        cut(&consumers[i]);
    cut(&scanner);
}

/* ---- reading everything at the end --------------------------------------------------------------------- */

void scan_reset(void)
{
    cut(&scanner);
    reset(&scanner);
    scanner.slow = false;
    scanner.scanning = true;
}

bool scan_step(void)
{
    step(&scanner);
    for (unsigned p = 0; p < PARTITIONS; p++)
        if (!scanner.known[p] || scanner.position[p] < scanner.high_watermark[p])
            return false;
    return true;
}
