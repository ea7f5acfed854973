#include "proto/kafka/request.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/conn.h"

/* ---- life --------------------------------------------------------------------------------------------- */

static struct kafka_request *request_new(struct kafka_conn *kc, struct chunk *chunk, size_t bytes)
{
    struct kafka_request *r = mem_zalloc(sizeof(*r));
    r->magic = KAFKA_REQUEST_MAGIC;
    r->kc = kc;
    r->shard = kc->conn->shard;
    r->chunk = chunk ? chunk_ref(chunk) : NULL;
    r->start_ns = r->shard->now_ns;
    r->credit = bytes;
    arena_init(&r->arena);
    outq_init(&r->out, &r->shard->output_pool);
    list_add_tail(&kc->requests, &r->link);
    conn_take_credit(kc->conn, bytes);
    return r;
}

static void request_free(struct kafka_request *r)
{
    assert(r->pending == 0 && !list_linked(&r->link));
    outq_fini(&r->out);
    arena_fini(&r->arena);
    chunk_unref(r->chunk);
    r->magic = 0;
    mem_free(r);
}

void kafka_request_release(struct kafka_request *r)
{
    assert(r->magic == KAFKA_REQUEST_MAGIC && r->kc);
    list_del(&r->link);
    conn_give_credit(r->kc->conn, r->credit);
    r->kc = NULL;
    if (r->pending == 0)
        request_free(r);
    else if (r->abandon)
        r->abandon(r);
}

/* Goes on with a request when nothing is pending: finish(), until it waits again or is done. */
static void settle(struct kafka_request *r)
{
    if (r->pending > 0)
        return;
    if (!r->kc) {
        request_free(r);
        return;
    }
    if (!r->done)
        r->finish(r);
    assert(r->done || r->pending > 0);
    if (r->done && r->pending == 0)
        kafka_conn_advance(r->kc);
}

/* ---- operations --------------------------------------------------------------------------------------- */

void *kafka_op_new(struct kafka_request *r, size_t size, void (*complete)(struct conn *c, struct op *op))
{
    assert(r->kc && !r->done);
    r->pending++;
    return op_new(r->kc->conn, size, complete, r);
}

struct kafka_request *kafka_op_request(const struct op *op)
{
    struct kafka_request *r = op->user;
    assert(r->magic == KAFKA_REQUEST_MAGIC && r->pending > 0);
    return r;
}

void kafka_op_returned(struct kafka_request *r)
{
    assert(r->pending > 0);
    r->pending--;
    settle(r);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static bool is_first(const struct kafka_request *r)
{
    return list_first(&r->kc->requests) == &r->link && !r->kc->failed;
}

static void write_frame(struct kafka_request *r, struct outq *q, const void *response)
{
    size_t before = q->len;
    struct writer w;
    writer_init(&w, q);
    uint8_t *length = write_reserve_u32(&w);
    struct kafka_response_header h = {.correlation_id = r->correlation_id};
    kafka_response_header_write(&w, kafka_response_header_version(r->info, r->version), &h);
    r->api->write(&w, r->version, response);
    if (w.err) {
        kafka_fail(r, w.err, "the answer does not fit in memory");
        return;
    }
    write_patch_u32(length, (uint32_t)(q->len - before - 4));
}

static void answered(struct kafka_request *r)
{
    assert(r->kc && !r->done);
    r->done = true;
    metrics_observe_at(r->shard->metrics, METRIC_KAFKA_REQUEST_TIME, (unsigned)r->api->key,
                       (r->shard->now_ns - r->start_ns) / 1000);
}

void kafka_respond(struct kafka_request *r, const void *response)
{
    /* The first in the queue writes to the connection at once; nothing is before it. */
    struct outq *q = is_first(r) && r->pending == 0 ? &r->kc->conn->out : &r->out;
    write_frame(r, q, response);
    if (!r->done)
        answered(r);
}

void kafka_respond_nothing(struct kafka_request *r)
{
    answered(r);
}

void kafka_fail(struct kafka_request *r, int err, const char *why)
{
    assert(err < 0);
    r->done = true;
    if (r->fail_err)
        return;
    r->fail_err = err;
    r->fail_why = why;
}

/* ---- help for handlers -------------------------------------------------------------------------------- */

int16_t kafka_error(struct kafka_request *r, int kafka_code)
{
    if (kafka_code)
        metrics_kafka_error(r->shard->metrics, (unsigned)r->api->key, kafka_code);
    return (int16_t)kafka_code;
}

int16_t kafka_error_of(struct kafka_request *r, int err)
{
    return kafka_error(r, err_kafka(err));
}

const struct actor *kafka_actor(const struct kafka_request *r)
{
    return &r->kc->conn->actor;
}

const struct config *kafka_config(const struct kafka_request *r)
{
    return r->shard->config;
}

bool kafka_check_count(struct kafka_request *r, uint64_t count)
{
    if (count <= kafka_config(r)->kafka_max_array_elements)
        return true;
    kafka_fail(r, ERR_LIMIT, "a request names more than kafka.max-array-elements");
    return false;
}

/* ---- start -------------------------------------------------------------------------------------------- */

void kafka_request_poison(struct kafka_conn *kc, int err, const char *why)
{
    struct kafka_request *r = request_new(kc, NULL, 0);
    kafka_fail(r, err, why);
    kc->poisoned = true;
    kafka_conn_advance(kc);
}

/* What cannot be dispatched ends the connection as in Kafka's SocketServer, but for an unknown version of
 * ApiVersions, which is answered (KIP-511). */
static void refuse(struct kafka_request *r, int err, const char *why)
{
    kafka_fail(r, err, why);
    r->kc->poisoned = true;
}

static void read_body(struct kafka_request *r, struct reader *in)
{
    void *m = arena_alloc(&r->arena, r->api->request_bytes);
    r->api->read(in, r->version, m);
    r->message = m;
    if (in->err)
        refuse(r, in->err,
               arena_printf(&r->arena, "malformed %s request, version %d: %s", r->api->name, r->version,
                            in->what));
}

/* The fields that every version of the header begins with; false: no such API. */
static bool find_api(struct kafka_request *r, struct span frame)
{
    struct reader in;
    reader_init(&in, frame, &r->arena);
    int16_t key = read_i16(&in);
    r->version = read_i16(&in);
    r->correlation_id = read_i32(&in);
    metrics_add_at(r->shard->metrics, METRIC_KAFKA_REQUESTS, (uint16_t)key, 1);
    r->api = kafka_api_find(key);
    r->info = kafka_find_api(key);
    if (!r->api)
        refuse(r, ERR_UNSUPPORTED, arena_printf(&r->arena, "unknown API key %d", key));
    return r->api != NULL;
}

static bool check_version(struct kafka_request *r)
{
    if (r->version >= r->info->min && r->version <= r->info->max)
        return true;
    if (r->api->handle == kafka_api_versions)
        kafka_api_versions_unsupported(r);
    else
        refuse(r, ERR_UNSUPPORTED,
               arena_printf(&r->arena, "version %d of %s is not supported", r->version, r->api->name));
    return false;
}

static void dispatch(struct kafka_request *r, struct span frame)
{
    if (!find_api(r, frame) || !check_version(r))
        return;
    struct reader in;
    reader_init(&in, frame, &r->arena);
    struct kafka_request_header h;
    kafka_request_header_read(&in, kafka_request_header_version(r->info, r->version), &h);
    r->client_id = h.client_id;
    read_body(r, &in);
    if (!r->done)
        r->api->handle(r);
}

void kafka_request_start(struct kafka_conn *kc, struct span frame, struct chunk *chunk)
{
    assert(frame.len >= KAFKA_MIN_HEADER_BYTES);
    struct kafka_request *r = request_new(kc, chunk, frame.len);
    dispatch(r, frame);
    settle(r);
}
