/* Direct reply-to (RabbitMQ's extension): answers that go straight to the channel that asked, without a
 * queue.
 *
 * A client consumes "amq.rabbitmq.reply-to"; that name in reply-to of what it publishes is replaced by an
 * address of its channel. What is published to the address on the default exchange is a message between
 * shards to the connection. It is delivered at most once, and not to a client that leaves too much unread. */
#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "proto/amqp/amqp.h"
#include "proto/amqp/channel.h"

static const char REPLY_TO[] = "amq.rabbitmq.reply-to";
enum {
    NAME_BYTES = sizeof(REPLY_TO) - 1,
    TOKEN_BYTES = 20, /* shard 2, index 4, generation 4, channel 2, key 8 */
    ADDRESS_BYTES = NAME_BYTES + 1 + 2 * TOKEN_BYTES,
    REPLY_OUT_MAX = 8 << 20, /* unread output of a client that gets no more replies */
};

static const char HEX[] = "0123456789abcdef";

void amqp_random_name(struct shard *s, char ret[AMQP_RANDOM_CHARS])
{
    uint8_t bytes[AMQP_RANDOM_CHARS / 2];
    (void)s;
    os_random(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        ret[2 * i] = HEX[bytes[i] >> 4];
        ret[2 * i + 1] = HEX[bytes[i] & 15];
    }
}

bool amqp_is_reply_to(struct span name)
{
    return name.len == NAME_BYTES && memcmp(name.ptr, REPLY_TO, NAME_BYTES) == 0;
}

bool amqp_is_reply_address(struct span key)
{
    return key.len > NAME_BYTES && key.ptr[NAME_BYTES] == '.' && memcmp(key.ptr, REPLY_TO, NAME_BYTES) == 0;
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

struct address {
    struct handle conn;
    uint16_t channel;
    uint64_t key; /* not to be guessed */
};

static void put(uint8_t **at, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        *(*at)++ = (uint8_t)(v >> 8 * bytes);
}

static uint64_t take(const uint8_t **at, unsigned bytes)
{
    uint64_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | *(*at)++;
    return v;
}

static void write_address(const struct amqp_channel *ch, char ret[ADDRESS_BYTES])
{
    uint8_t token[TOKEN_BYTES], *at = token;
    struct handle h = ch->ac->conn->handle;
    put(&at, h.shard, 2);
    put(&at, h.index, 4);
    put(&at, h.generation, 4);
    put(&at, ch->number, 2);
    put(&at, ch->state->reply_key, 8);
    memcpy(ret, REPLY_TO, NAME_BYTES);
    ret[NAME_BYTES] = '.';
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        ret[NAME_BYTES + 1 + 2 * i] = HEX[token[i] >> 4];
        ret[NAME_BYTES + 2 + 2 * i] = HEX[token[i] & 15];
    }
}

static int nibble(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_address(struct span key, const struct broker *b, struct address *ret)
{
    uint8_t token[TOKEN_BYTES];
    const uint8_t *at = token, *hex = key.ptr + NAME_BYTES + 1;
    if (key.len != ADDRESS_BYTES)
        return false;
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        token[i] = (uint8_t)(high << 4 | low);
    }
    ret->conn.shard = (uint16_t)take(&at, 2);
    ret->conn.index = (uint32_t)take(&at, 4);
    ret->conn.generation = (uint32_t)take(&at, 4);
    ret->channel = (uint16_t)take(&at, 2);
    ret->key = take(&at, 8);
    return ret->conn.shard < b->shard_count;
}

/* ---- who asks ------------------------------------------------------------------------------------------ */

void amqp_reply_consume(struct amqp_channel *ch, const struct amqp_basic_consume *in, struct span tag)
{
    struct amqp_channel_state *st = ch->state;
    if (!in->no_ack || !span_is_null(st->reply_tag)) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_CONSUME, "%s",
                               in->no_ack ? "reply consumer already set"
                                          : "reply consumer cannot acknowledge");
        return;
    }
    st->reply_tag = amqp_span_dup(tag);
    os_random(&st->reply_key, sizeof(st->reply_key));
    struct amqp_method ok = {.id = AMQP_BASIC_CONSUME_OK, .basic_consume_ok = {.consumer_tag = tag}};
    if (!in->nowait)
        amqp_send(ch, &ok);
}

struct chunk *amqp_reply_rewrite(struct amqp_channel *ch, const struct amqp_props *props, struct message *m)
{
    char address[ADDRESS_BYTES];
    struct amqp_props p = *props;
    struct arena a;
    write_address(ch, address);
    p.reply_to = span_of(address, sizeof(address));
    arena_init(&a);
    struct span bytes = amqp_props_encode(&p, &a);
    struct span *parts[] = {&m->exchange, &m->key, &m->body};
    size_t len = bytes.len + m->exchange.len + m->key.len + m->body.len;
    struct chunk *c = chunk_new(&amqp_shard(ch)->input_pool, len);
    if (c) {
        memcpy(c->data, bytes.ptr, bytes.len);
        m->props = span_of(c->data, bytes.len);
        c->used = (uint32_t)bytes.len;
        for (int i = 0; i < 3; i++) {
            if (parts[i]->len)
                memcpy(c->data + c->used, parts[i]->ptr, parts[i]->len);
            *parts[i] = span_of(c->data + c->used, parts[i]->len);
            c->used += (uint32_t)parts[i]->len;
        }
    }
    arena_fini(&a);
    return c;
}

/* ---- the way there and back ---------------------------------------------------------------------------- */

struct reply {
    struct op op;
    struct address to;
    bool probe; /* only: is it there? */
    bool found;
    bool mandatory;
    uint64_t tag;     /* of the publish, see struct publish_item */
    uint16_t channel; /* the publisher's, for a return */
    struct message m; /* in `chunk` */
    struct chunk *chunk;
    uint8_t name_len, name[AMQP_SHORTSTR_MAX]; /* of a probe */
};

static void hand_over(struct shard *here, struct reply *r)
{
    struct conn *c = handle_get(&here->conns, r->to.conn);
    if (!c || c->proto != &amqp_proto)
        return;
    struct amqp_channel *ch = amqp_channel_find(amqp_conn_of(c->proto_state), r->to.channel);
    if (!ch || !ch->state || span_is_null(ch->state->reply_tag) || ch->state->reply_key != r->to.key)
        return;
    r->found = true;
    if (r->probe || c->out.len > REPLY_OUT_MAX)
        return;
    struct amqp_method m = {.id = AMQP_BASIC_DELIVER,
                            .basic_deliver = {.consumer_tag = ch->state->reply_tag,
                                              .delivery_tag = ch->state->next_tag++,
                                              .exchange = r->m.exchange,
                                              .routing_key = r->m.key}};
    amqp_send_content(ch, &m, r->m.props, r->m.body, r->chunk);
}

static void came_back(struct shard *here, struct msg *m)
{
    struct op *op = container_of(m, struct op, msg);
    op->complete(handle_get(&here->conns, op->conn), op);
}

static void arrived(struct shard *here, struct msg *m)
{
    struct op *op = container_of(m, struct op, msg);
    hand_over(here, container_of(op, struct reply, op));
    op->msg.run = came_back;
    msg_send(here, op->home, &op->msg);
}

static void go(struct reply *r, bool known)
{
    struct shard *home = r->op.home;
    if (!known || r->to.conn.shard == home->index) {
        if (known)
            hand_over(home, r);
        came_back(home, &r->op.msg);
        return;
    }
    r->op.msg.run = arrived;
    msg_send(home, &home->broker->shards[r->to.conn.shard], &r->op.msg);
}

/* ---- publishing to an address -------------------------------------------------------------------------- */

static void delivered(struct conn *c, struct op *op)
{
    struct reply *r = container_of(op, struct reply, op);
    struct amqp_conn *ac = c ? amqp_conn_of(c->proto_state) : NULL;
    if (ac && ac->shared) {
        struct amqp_channel *ch = amqp_channel_find(ac, r->channel);
        if (ch && r->mandatory && !r->found)
            amqp_return(ch, r->m.exchange, r->m.key, r->m.props, r->m.body, r->chunk);
        if (r->tag) {
            amqp_confirm_part(ac, r->tag, 0);
            amqp_confirm_tell_all(ac->shared);
        }
    }
    chunk_unref(r->chunk);
    op_free(r);
}

void amqp_reply_publish(struct amqp_channel *ch, const struct message *m, struct chunk *chunk, bool mandatory,
                        uint64_t tag)
{
    struct reply *r = op_new(ch->ac->conn, sizeof(*r), delivered, NULL);
    r->m = *m;
    r->chunk = chunk ? chunk_ref(chunk) : NULL;
    r->mandatory = mandatory;
    r->tag = tag;
    r->channel = ch->number;
    go(r, read_address(m->key, amqp_shard(ch)->broker, &r->to));
}

/* ---- declaring one: is it there? ----------------------------------------------------------------------- */

static void declared(struct conn *c, struct op *op)
{
    bool nowait;
    struct reply *r = container_of(op, struct reply, op);
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    struct span name = span_of(r->name, r->name_len);
    struct amqp_method ok = {.id = AMQP_QUEUE_DECLARE_OK,
                             .queue_declare_ok = {.queue = name, .consumer_count = 1}};
    if (ch && !r->found)
        amqp_lookup_exception(ch, AMQP_QUEUE_DECLARE, ERR_NOT_FOUND, "queue", name, AUTH_READ);
    else if (ch && !nowait)
        amqp_send(ch, &ok);
    op_free(r);
}

void amqp_reply_declare(struct amqp_channel *ch, const struct amqp_queue_declare *in)
{
    struct reply *r = amqp_op_new(ch, sizeof(*r), declared, in->nowait);
    r->probe = true;
    r->name_len = (uint8_t)in->queue.len;
    memcpy(r->name, in->queue.ptr, in->queue.len);
    r->found = amqp_is_reply_to(in->queue);
    go(r, !r->found && read_address(in->queue, amqp_shard(ch)->broker, &r->to));
}
