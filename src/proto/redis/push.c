/* Messages on their way to subscribers: "message", "pmessage" and "smessage", as arrays in RESP2 and pushes
 * in RESP3 (pubsub.c: addReplyPubsubMessage(), addReplyPubsubPatMessage()).
 *
 * Encoded once for all clients on the shard that speak the same RESP. Neighbours in one chunk become one
 * slice of a client's output, so that a burst costs a client little more than an addition. A client that
 * falls behind gets copies instead: small messages must not keep whole chunks alive. */
#include "proto/redis/redis_impl.h"

enum {
    DIRECT_MAX = 8 << 10, /* what one client alone hears is written into its output up to here */
    SLICES_MAX = 16,      /* in a client's output, after which messages up to COPY_MAX are copied */
    COPY_MAX = 4 << 10,
    SMALL_SLICES_MAX = 4, /* the same, up to SMALL_MAX: a slice costs more than to copy one of these */
    SMALL_MAX = 512,
};

struct parts {
    const char *word; /* with its length and CRLF */
    size_t word_len;
    const struct interest *pattern; /* NULL: none is named */
    const struct subject_message *m;
    uint8_t version;
};

static struct parts parts_of(const struct interest *in, const struct subject_message *m, uint8_t version)
{
    static const char message[] = "$7\r\nmessage\r\n", pmessage[] = "$8\r\npmessage\r\n",
                      smessage[] = "$8\r\nsmessage\r\n";
    struct parts p = {.m = m, .version = version};
    if (in->kind == SUBJECT_GLOB) {
        p.word = pmessage;
        p.word_len = sizeof(pmessage) - 1;
        p.pattern = in;
    } else if (in->plane == SUBJECT_SHARDED) {
        p.word = smessage;
        p.word_len = sizeof(smessage) - 1;
    } else {
        p.word = message;
        p.word_len = sizeof(message) - 1;
    }
    return p;
}

static size_t digits(size_t n)
{
    size_t d = 1;
    for (; n >= 10; n /= 10)
        d++;
    return d;
}

static size_t bulk_bytes(size_t len)
{
    return 1 + digits(len) + 2 + len + 2;
}

static size_t bytes_of(const struct parts *p)
{
    size_t n = 4 + p->word_len + bulk_bytes(p->m->key.len) + bulk_bytes(p->m->body.len);
    return p->pattern ? n + bulk_bytes(p->pattern->text.len) : n;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t len)
{
    if (len)
        memcpy(at, bytes, len);
    return at + len;
}

static uint8_t *put_bulk(uint8_t *at, struct span s)
{
    size_t n = s.len, d = digits(n);
    *at++ = '$';
    for (size_t i = d; i-- > 0; n /= 10)
        at[i] = (uint8_t)('0' + n % 10);
    at = put(at + d, "\r\n", 2);
    at = put(at, s.ptr, s.len);
    return put(at, "\r\n", 2);
}

static void encode(uint8_t *at, const struct parts *p)
{
    *at++ = p->version == 3 ? '>' : '*';
    *at++ = p->pattern ? '4' : '3';
    at = put(at, "\r\n", 2);
    at = put(at, p->word, p->word_len);
    if (p->pattern)
        at = put_bulk(at, p->pattern->text);
    at = put_bulk(at, p->m->key);
    (void)put_bulk(at, p->m->body);
}

static void append(struct outq *out, const struct subject_wire *wire)
{
    size_t most = wire->bytes.len <= SMALL_MAX ? SMALL_SLICES_MAX : SLICES_MAX;
    if (out->count >= most && wire->bytes.len <= COPY_MAX &&
        !outq_continues(out, wire->chunk, wire->bytes.ptr))
        (void)outq_copy(out, wire->bytes); /* without memory it is not heard */
    else
        outq_ref(out, wire->chunk, wire->bytes);
}

static void deliver(struct subscriber *w, const struct interest *in, const struct subject_message *m,
                    struct subject_wire wires[SUBJECT_WIRES], bool alone)
{
    struct redis_conn *rc = container_of(w, struct redis_conn, sub);
    if (rc->deaf)
        return;
    struct parts p = parts_of(in, m, rc->out.version);
    struct subject_wire *wire = &wires[p.version == 3 ? SUBJECT_WIRE_RESP3 : SUBJECT_WIRE_RESP2];
    struct outq *out = subscriber_out(w);
    conn_wake_output(w->conn);
    if (alone) {
        size_t len = bytes_of(&p);
        uint8_t *at = len <= DIRECT_MAX ? outq_reserve(out, len) : NULL;
        if (at) {
            encode(at, &p);
            return;
        }
    }
    if (!wire->chunk) {
        uint8_t *at = subject_wire_make(w->conn->shard, wire, bytes_of(&p));
        if (!at)
            return;
        encode(at, &p);
    }
    append(out, wire);
}

static void settled(struct subscriber *w)
{
    struct redis_conn *rc = container_of(w, struct redis_conn, sub);
    rc->deaf = false;
    outq_move(&rc->conn->out, &rc->answer);
    conn_wake_output(rc->conn);
    redis_command_over(rc);
}

const struct subscriber_ops redis_subscriber_ops = {deliver, settled};
