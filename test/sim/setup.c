/* Creating the topic, and a client that sends nonsense. */
#include "actors.h"
#include "client.h"
#include "ledger.h"
#include "stage.h"

enum { API_CREATE_TOPICS = 19, VERSION = 5, ERROR_EXISTS = 36 };

static struct client admin, vandal;
static bool waiting;

void setup_cut(void)
{
    client_close(&admin);
    waiting = false;
}

static void ask(void)
{
    struct kafka_create_topics_request m;
    struct kafka_create_topics_request_topic t;
    kafka_create_topics_request_init(&m);
    kafka_create_topics_request_topic_init(&t);
    t.name = span_str(STAGE_TOPIC);
    t.num_partitions = PARTITIONS;
    t.replication_factor = 1;
    m.topics = &t;
    m.topics_count = 1;
    (void)client_send(&admin, API_CREATE_TOPICS, VERSION, &m);
    waiting = true;
}

static bool is_there(void)
{
    struct answer a;
    struct kafka_create_topics_response m;
    if (!client_receive(&admin, API_CREATE_TOPICS, VERSION, &a))
        return false;
    client_decode(&a, API_CREATE_TOPICS, VERSION, &m);
    waiting = false;
    bool there =
        m.topics_count == 1 && (m.topics[0].error_code == 0 || m.topics[0].error_code == ERROR_EXISTS);
    arena_fini(&a.arena);
    return there;
}

bool setup_step(void)
{
    if (!admin.peer) {
        (void)client_connect(&admin);
        return false;
    }
    bool there = waiting && is_there();
    if (there || client_is_cut(&admin))
        setup_cut();
    else if (!waiting)
        ask();
    return there;
}

/* ---- nonsense ------------------------------------------------------------------------------------------ */

void vandal_cut(void)
{
    client_close(&vandal);
}

void vandal_step(void)
{
    uint8_t bytes[64];
    if (!vandal.peer) {
        (void)client_connect(&vandal);
        return;
    }
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)sim_random();
    if (sim_random_below(2)) /* a length that may be right */
        bytes[0] = bytes[1] = 0;
    if (sim_random_below(4) == 0)
        bytes[2] = bytes[4] = bytes[6] = 0, bytes[7] &= 15;
    sim_peer_send(vandal.peer, span_of(bytes, sim_random_below(sizeof(bytes))));
    if (client_is_cut(&vandal) || sim_random_below(10) == 0)
        vandal_cut();
}
