#include "client.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ledger.h"
#include "stage.h"

bool client_connect(struct client *c)
{
    c->peer = sim_connect(STAGE_ADDRESS);
    return c->peer != NULL;
}

void client_close(struct client *c)
{
    if (c->peer)
        sim_peer_close(c->peer);
    c->peer = NULL;
}

bool client_is_cut(const struct client *c)
{
    return sim_peer_closed(c->peer);
}

static const struct wire_message *message_of(int16_t key, bool response)
{
    for (size_t i = 0; i < kafka_messages_count; i++)
        if (kafka_messages[i].key == key && kafka_messages[i].response == response)
            return &kafka_messages[i];
    abort();
}

static void send_queue(struct client *c, struct outq *q)
{
    uint8_t *all = mem_alloc(q->len);
    size_t at = 0;
    for (size_t i = 0; i < q->count; i++) {
        memcpy(all + at, q->slices[q->first + i].ptr, q->slices[q->first + i].len);
        at += q->slices[q->first + i].len;
    }
    sim_peer_send(c->peer, span_of(all, at));
    mem_free(all);
}

int32_t client_send(struct client *c, int16_t key, int version, const void *request)
{
    const struct kafka_api_info *api = kafka_find_api(key);
    struct kafka_request_header h = {key, (int16_t)version, ++c->next_correlation, span_str("sim")};
    struct chunk_pool pool;
    struct outq q;
    struct writer w;
    chunk_pool_init(&pool, "client", 16 << 10, 0);
    outq_init(&q, &pool);
    writer_init(&w, &q);
    uint8_t *length = write_reserve_u32(&w);
    kafka_request_header_write(&w, kafka_request_header_version(api, version), &h);
    message_of(key, false)->write(&w, version, request);
    write_patch_u32(length, (uint32_t)q.len - 4);
    send_queue(c, &q);
    outq_fini(&q);
    chunk_pool_fini(&pool);
    return h.correlation_id;
}

bool client_receive(struct client *c, int16_t key, int version, struct answer *ret)
{
    struct span in = sim_peer_received(c->peer);
    struct kafka_response_header h;
    struct reader r;
    if (in.len < 4)
        return false;
    reader_init(&r, in, NULL);
    uint32_t len = read_u32(&r);
    if (len < 4 || len > 64 << 20)
        ledger_violation("an answer of %u bytes", len);
    if (in.len < 4 + (size_t)len)
        return false;
    arena_init(&ret->arena);
    uint8_t *copy = arena_copy(&ret->arena, in.ptr + 4, len);
    sim_peer_consume(c->peer, 4 + (size_t)len);
    reader_init(&r, span_of(copy, len), &ret->arena);
    kafka_response_header_read(&r, kafka_response_header_version(kafka_find_api(key), version), &h);
    ret->correlation = h.correlation_id;
    ret->body = span_of(r.p, reader_left(&r));
    return true;
}

void client_decode(struct answer *a, int16_t key, int version, void *ret_message)
{
    struct reader r;
    reader_init(&r, a->body, &a->arena);
    message_of(key, true)->read(&r, version, ret_message);
    if (r.err || reader_left(&r))
        ledger_violation("an answer to API %d version %d does not decode: %s", key, version,
                         r.what ? r.what : "bytes are left");
}
