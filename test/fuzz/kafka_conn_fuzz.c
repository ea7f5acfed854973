/* Fuzzes whole sessions of the Kafka front end over a core in memory: requests that come and complete in any
 * order, connections that end in between. Input: commands, each one byte (below) and its arguments. What
 * comes out must be whole frames, and nothing may be left when the connection is gone. */
#include <stdlib.h>

#include "base/mem.h"
#include "proto/kafka/api.h"
#include "proto/kafka/fake_core.h"
#include "proto/kafka/kafka_wire.gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 64 * 1024, MAX_DECODED_BYTES = 1 << 20, MAX_STEPS = 1000 };

enum command {
    SEND_RAW,     /* u16 length, bytes */
    SEND_REQUEST, /* u8 API key, u8 version, u16 length, body: framed, with a header */
    RUN,          /* operations complete */
    ADVANCE,      /* u16 ms */
    REVERSE,      /* operations complete newest first */
    DRAIN,        /* the client reads its answers */
    COMMANDS,
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Takes the answers out: whole frames only. */
static void drain(struct fake_client *client)
{
    size_t cap = client->conn.out.len + 1;
    uint8_t *buf = malloc(cap);
    struct span out = fake_client_output(client, buf, cap);
    struct reader r;
    reader_init(&r, out, NULL);
    while (reader_left(&r) > 0) {
        uint32_t len = read_u32(&r);
        require(!r.err && len >= 4 && len <= reader_left(&r));
        read_bytes(&r, len);
    }
    outq_consume(&client->conn.out, out.len);
    free(buf);
}

/* Keys that are not served stand for one that is, so that no input is wasted. */
static const struct kafka_api *pick_api(uint8_t key)
{
    size_t count;
    const struct kafka_api *apis = kafka_api_list(&count), *api = kafka_api_find(key);
    return api ? api : &apis[key % count];
}

static void send_request(struct fake_client *client, struct reader *in)
{
    const struct kafka_api *api = pick_api((uint8_t)read_i8(in));
    uint8_t version = (uint8_t)read_i8(in);
    struct span body = read_bytes(in, read_u16(in));
    bool flexible = version >= kafka_find_api(api->key)->flexible_from;
    uint32_t len = 8 + 2 + flexible + (uint32_t)body.len;
    uint8_t head[] = {(uint8_t)(len >> 24),
                      (uint8_t)(len >> 16),
                      (uint8_t)(len >> 8),
                      (uint8_t)len,
                      0,
                      (uint8_t)api->key,
                      0,
                      version,
                      0,
                      0,
                      0,
                      1,
                      0xff,
                      0xff,
                      0};
    fake_client_send(client, span_of(head, sizeof(head) - !flexible));
    fake_client_send(client, body);
}

static void step(struct fake_client *client, struct reader *in)
{
    struct fake_core *core = client->core;
    switch ((uint8_t)read_i8(in) % COMMANDS) {
    case SEND_RAW:
        fake_client_send(client, read_bytes(in, read_u16(in)));
        break;
    case SEND_REQUEST:
        send_request(client, in);
        break;
    case RUN:
        fake_run(core);
        fake_advance_ms(core, client, 0);
        break;
    case ADVANCE:
        fake_advance_ms(core, client, read_u16(in));
        break;
    case REVERSE:
        core->newest_first = !core->newest_first;
        break;
    default:
        drain(client);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fake_core core;
    struct fake_client client;
    struct reader in;
    if (size > MAX_INPUT_BYTES)
        return 0;
    fake_core_init(&core);
    core.config.kafka_max_decompressed_bytes = MAX_DECODED_BYTES;
    core.config.kafka_max_array_elements = 2000;
    topic_config_init(&core.config);
    fake_topic(&core, "t", 3);
    fake_client_open(&client, &core);
    reader_init(&in, span_of(data, size), NULL);
    for (int i = 0; i < MAX_STEPS && !in.err && reader_left(&in) > 0; i++)
        step(&client, &in);
    fake_client_close(&client);
    fake_run(&core);
    fake_core_fini(&core);
    return 0;
}
