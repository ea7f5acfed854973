/* One Kafka request from its complete frame to its answer, with the operations it waits for in between. */
#ifndef COLOBUS_PROTO_KAFKA_REQUEST_H
#define COLOBUS_PROTO_KAFKA_REQUEST_H

#include "base/arena.h"
#include "base/list.h"
#include "base/outq.h"
#include "core/op.h"
#include "core/shard.h"
#include "proto/kafka/api.h"
#include "proto/kafka/errors.h"

struct kafka_conn;

enum { KAFKA_REQUEST_MAGIC = 0x4b524551 };

/* Lives from its frame until it is answered, and beyond the death of its connection until the last of its
 * operations has come back: op.user points here. The connection's shard only.
 *
 * 1. kc is NULL if the connection has died; then nothing is answered.
 * 2. While `pending` > 0 the request is not freed.
 * 3. `done` says that the answer is complete (or that there is none); it never becomes false again. */
struct kafka_request {
    uint32_t magic;
    struct kafka_conn *kc;
    struct shard *shard;
    struct list link; /* in kc->requests */

    const struct kafka_api *api; /* NULL: unknown; then the request only fails */
    const struct kafka_api_info *info;
    int16_t version;
    int32_t correlation_id;
    struct span client_id;
    const void *message; /* the decoded request; its spans lie in `chunk` */
    struct chunk *chunk; /* one reference: the input it was borrowed from; NULL: borrowed from a test */
    struct arena arena;
    uint64_t start_ns;
    size_t credit; /* bytes taken from the connection's */

    uint32_t pending; /* operations submitted and not back yet */
    void *state;      /* the handler's, in the arena */
    /* Called when no operation is pending and the connection lives: right after the handler, and after the
     * last completion. Answers, or submits more. */
    void (*finish)(struct kafka_request *r);
    /* The connection died and operations are pending: cancel what can be. NULL: nothing to cancel. */
    void (*abandon)(struct kafka_request *r);

    bool done;
    int fail_err; /* not 0: the connection ends when this request is first */
    const char *fail_why;
    struct outq out; /* the answer, unless it could be written to the connection at once */
};

/* Reads header and body of a frame (without its length), dispatches it, and queues it in `kc`. What cannot be
 * served poisons the connection. */
void kafka_request_start(struct kafka_conn *kc, struct span frame, struct chunk *chunk);
/* Queues the end of the connection behind the requests that came before. */
void kafka_request_poison(struct kafka_conn *kc, int err, const char *why);
/* Out of the list, credit given back; freed now, or when its last operation is back. */
void kafka_request_release(struct kafka_request *r);

/* ---- for handlers ------------------------------------------------------------------------------------- */

/* A new operation of this request, counted as pending; submit it before the handler returns. */
void *kafka_op_new(struct kafka_request *r, size_t size, void (*complete)(struct conn *c, struct op *op));
/* First and last act of every complete(): the request it belongs to, and going on with it. Free the operation
 * in between. Results matter only if kafka_request_alive(). */
struct kafka_request *kafka_op_request(const struct op *op);
void kafka_op_returned(struct kafka_request *r);

static inline bool kafka_request_alive(const struct kafka_request *r)
{
    return r->kc != NULL;
}

/* The answer: a struct kafka_X_response. Once. */
void kafka_respond(struct kafka_request *r, const void *response);
/* No answer is due (acks = 0). */
void kafka_respond_nothing(struct kafka_request *r);
/* Ends the connection once the requests before this one are answered. `why` lives as long as the arena. */
void kafka_fail(struct kafka_request *r, int err, const char *why);

/* Counts an error in the metrics of this API and gives Kafka's code back; 0 stays 0. */
int16_t kafka_error(struct kafka_request *r, int kafka_code);
/* The same for one of ours. */
int16_t kafka_error_of(struct kafka_request *r, int err);

const struct actor *kafka_actor(const struct kafka_request *r);
const struct config *kafka_config(const struct kafka_request *r);
/* False after kafka_fail(): the request names more partitions or topics than kafka.max-array-elements. */
bool kafka_check_count(struct kafka_request *r, uint64_t count);

#endif
