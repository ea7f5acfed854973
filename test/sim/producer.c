/* Producers: each writes unique values to one partition, up to five batches in flight. */
#include <stdio.h>
#include <stdlib.h>

#include "actors.h"
#include "client.h"
#include "core/records_testkit.h"
#include "ledger.h"
#include "stage.h"

enum { WINDOW = 5, API_PRODUCE = 0, API_INIT_PRODUCER_ID = 22, MAX_PADDING = 3000 };
enum { ERROR_NONE = 0, ERROR_OUT_OF_ORDER = 45, ERROR_STORAGE = 56, ERROR_TIMED_OUT = 7 };

enum kind { IDEMPOTENT, RETRIES, NEVER_RETRIES, KINDS };

struct batch {
    uint64_t first; /* values first .. first + count - 1 */
    unsigned count;
    int32_t sequence;
    int32_t correlation; /* 0: not in flight */
    bool maybe;          /* it was sent, and no answer came */
};

struct producer {
    struct client client;
    enum kind kind;
    unsigned number, partition;
    int64_t id; /* -1: none yet */
    int16_t epoch;
    int32_t id_correlation, next_sequence;
    int version;
    bool rewinding; /* one of those in flight failed: all answers first, then again from there */
    struct batch window[WINDOW];
    unsigned count;
};

static struct producer producers[PRODUCERS];

void producers_reset(void)
{
    static const int versions[] = {3, 7, 8, 9, 11};
    for (unsigned i = 0; i < PRODUCERS; i++)
        producers[i] = (struct producer){.kind = (enum kind)(i % KINDS),
                                         .number = i,
                                         .partition = (unsigned)sim_random_below(PARTITIONS),
                                         .version = versions[sim_random_below(5)],
                                         .id = -1};
}

static void forget_batch(struct producer *p, unsigned at)
{
    p->count--;
    for (unsigned i = at; i < p->count; i++)
        p->window[i] = p->window[i + 1];
}

static void each_value(const struct batch *b, void (*fn)(uint64_t value))
{
    for (unsigned i = 0; i < b->count; i++)
        fn(b->first + i);
}

/* ---- the connection is lost ---------------------------------------------------------------------------- */

static void lose_connection(struct producer *p)
{
    client_close(&p->client);
    p->id_correlation = 0;
    p->rewinding = false;
    for (unsigned i = 0; i < p->count;) {
        struct batch *b = &p->window[i];
        b->maybe |= b->correlation != 0;
        b->correlation = 0;
        if (p->kind == NEVER_RETRIES && b->maybe) {
            each_value(b, ledger_unknown);
            forget_batch(p, i);
        } else {
            i++;
        }
    }
}

void producers_cut(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        lose_connection(&producers[i]);
}

bool producers_idle(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        if (producers[i].count)
            return false;
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static struct span encode(const struct producer *p, const struct batch *b)
{
    static struct kit kit;
    static char text[MAX_PADDING + 64];
    kit_init(&kit);
    for (unsigned i = 0; i < b->count; i++) {
        unsigned padding =
            (unsigned)((b->first + i) * 2654435761u % MAX_PADDING); /* the same in each attempt */
        int n = snprintf(text, sizeof(text), "%llu ", (unsigned long long)(b->first + i));
        memset(text + n, 'x', padding);
        text[n + (int)padding] = 0;
        kit_record(&kit, KIT_MS + i, i % 2 ? "key" : NULL, text);
    }
    if (p->kind == IDEMPOTENT) {
        batch_set_producer_id(kit.bytes, p->id);
        batch_set_producer_epoch(kit.bytes, p->epoch);
        batch_set_base_sequence(kit.bytes, b->sequence);
    }
    return kit_seal(&kit);
}

static void send_batch(struct producer *p, struct batch *b)
{
    struct span bytes = encode(p, b);
    struct slice slice = {NULL, bytes.ptr, bytes.len};
    struct kafka_produce_request m;
    struct kafka_produce_request_topic t;
    struct kafka_produce_request_partition part;
    kafka_produce_request_init(&m);
    kafka_produce_request_topic_init(&t);
    kafka_produce_request_partition_init(&part);
    part.index = (int32_t)p->partition;
    part.records = (struct rope){&slice, 1, bytes.len};
    t.name = span_str(STAGE_TOPIC);
    t.partition_data = &part;
    t.partition_data_count = 1;
    m.transactional_id = SPAN_NULL;
    m.acks = -1;
    m.timeout_ms = 30000;
    m.topic_data = &t;
    m.topic_data_count = 1;
    each_value(b, ledger_sent);
    b->correlation = client_send(&p->client, API_PRODUCE, p->version, &m);
}

static void new_batch(struct producer *p)
{
    struct batch *b = &p->window[p->count++];
    *b = (struct batch){.count = 1 + (unsigned)sim_random_below(4), .sequence = p->next_sequence};
    for (unsigned i = 0; i < b->count; i++) {
        uint64_t v = ledger_new(p->partition, p->number, p->kind == IDEMPOTENT);
        if (i == 0)
            b->first = v;
    }
    p->next_sequence += (int32_t)b->count;
}

static void ask_for_id(struct producer *p)
{
    struct kafka_init_producer_id_request m;
    kafka_init_producer_id_request_init(&m);
    m.transactional_id = SPAN_NULL;
    p->id_correlation = client_send(&p->client, API_INIT_PRODUCER_ID, 3, &m);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static void got_id(struct producer *p)
{
    struct answer a;
    struct kafka_init_producer_id_response m;
    if (!client_receive(&p->client, API_INIT_PRODUCER_ID, 3, &a))
        return;
    client_decode(&a, API_INIT_PRODUCER_ID, 3, &m);
    if (a.correlation != p->id_correlation)
        ledger_violation("an answer out of order");
    p->id_correlation = 0;
    if (m.error_code == ERROR_NONE) {
        p->id = m.producer_id;
        p->epoch = m.producer_epoch;
    }
    arena_fini(&a.arena);
}

static unsigned oldest_in_flight(const struct producer *p)
{
    unsigned at = WINDOW;
    for (unsigned i = 0; i < p->count; i++)
        if (p->window[i].correlation &&
            (at == WINDOW || p->window[i].correlation < p->window[at].correlation))
            at = i;
    return at;
}

static void batch_refused(struct producer *p, unsigned at, int code)
{
    struct batch *b = &p->window[at];
    bool known =
        code == ERROR_STORAGE || code == ERROR_TIMED_OUT || (code == ERROR_OUT_OF_ORDER && p->rewinding);
    if (!known)
        ledger_violation("producer %u got error %d for value %llu%s", p->number, code,
                         (unsigned long long)b->first, p->rewinding ? " while rewinding" : "");
    bool certain = !atomic_load(&stage.broker->failed); /* else it may have been stored before the failure */
    b->correlation = 0;
    b->maybe |= !certain;
    if (p->kind == NEVER_RETRIES) {
        each_value(b, b->maybe ? ledger_unknown : ledger_refused);
        forget_batch(p, at);
    } else {
        p->rewinding = true;
    }
}

static void got_answer(struct producer *p, struct answer *a)
{
    struct kafka_produce_response m;
    unsigned at = oldest_in_flight(p);
    if (at == WINDOW || p->window[at].correlation != a->correlation)
        ledger_violation("producer %u got an answer out of order", p->number);
    client_decode(a, API_PRODUCE, p->version, &m);
    if (m.responses_count != 1 || m.responses[0].partition_responses_count != 1)
        ledger_violation("an answer with other partitions than the request");
    const struct kafka_produce_response_partition *r = m.responses[0].partition_responses;
    if (r->error_code != ERROR_NONE) {
        batch_refused(p, at, r->error_code);
        return;
    }
    const struct batch *b = &p->window[at];
    for (unsigned i = 0; i < b->count; i++)
        ledger_acked(b->first + i, (uint64_t)r->base_offset + i);
    forget_batch(p, at);
}

static void receive(struct producer *p)
{
    struct answer a;
    if (p->id_correlation) {
        got_id(p);
        return;
    }
    while (client_receive(&p->client, API_PRODUCE, p->version, &a)) {
        got_answer(p, &a);
        arena_fini(&a.arena);
    }
    if (p->rewinding && oldest_in_flight(p) == WINDOW)
        p->rewinding = false;
}

static void transmit(struct producer *p, bool may_send_new)
{
    if (p->rewinding || p->id_correlation)
        return;
    if (p->kind == IDEMPOTENT && p->id < 0) {
        ask_for_id(p);
        return;
    }
    for (unsigned i = 0; i < p->count; i++)
        if (!p->window[i].correlation) {
            send_batch(p, &p->window[i]);
            return;
        }
    if (!may_send_new || p->count == WINDOW || sim_random_below(4))
        return;
    new_batch(p);
    send_batch(p, &p->window[p->count - 1]);
}

void producer_step(unsigned i, bool may_send_new)
{
    struct producer *p = &producers[i];
    if (!p->client.peer) {
        if (sim_random_below(8) == 0)
            (void)client_connect(&p->client);
        return;
    }
    receive(p);
    if (client_is_cut(&p->client) || sim_random_below(3000) == 0) {
        lose_connection(p);
        return;
    }
    transmit(p, may_send_new);
}
