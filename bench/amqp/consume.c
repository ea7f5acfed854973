#include "amqp/load.h"

void consume_ack(struct load *l, struct peer *p, struct channel *c)
{
    if (c->con.unacked == 0 || !l->args.ack)
        return;
    size_t at = method_begin(&p->out, c->id, BASIC_ACK);
    put64(&p->out, c->con.last_tag);
    put8(&p->out, c->con.unacked > 1);
    frame_end(&p->out, at);
    c->con.unacked = 0;
}

void consume_deliver(struct load *l, struct channel *c, const uint8_t *body, uint32_t size)
{
    uint32_t tag = body[0];
    if (c == NULL || !c->consumes || size < tag + 12)
        die("deliver", "to a channel that does not consume");
    c->con.last_tag = get64(body + 1 + tag);
    if (body[9 + tag] != 0)
        l->now.redelivered++;
}

static void message_done(struct load *l, struct peer *p, struct channel *c)
{
    l->now.received++;
    l->now.last_receive_ns = l->read_ns;
    if (++c->con.unacked >= l->args.ack_every)
        consume_ack(l, p, c);
}

void consume_header(struct load *l, struct peer *p, struct channel *c, const uint8_t *payload, uint32_t size)
{
    if (size < 14)
        die("header", "shorter than its fields");
    c->con.body_left = get64(payload + 4);
    if (!c->consumes) /* of a message that was returned */
        return;
    if (c->con.body_left != l->args.size)
        l->now.wrong_size++;
    if (c->con.body_left == 0)
        message_done(l, p, c);
}

static void add_latency(struct load *l, uint64_t due)
{
    if (due >= l->measure_from && due < l->measure_to)
        histogram_add(&l->latency, l->read_ns > due ? l->read_ns - due : 0);
}

void consume_body(struct load *l, struct peer *p, struct channel *c, const uint8_t *payload, uint32_t size)
{
    if (size > c->con.body_left)
        die("body", "longer than its header says");
    if (!c->consumes)
        return;
    if (c->con.body_left == l->args.size && size >= 8) /* its first frame */
        c->con.due_ns = get64(payload);
    c->con.body_left -= size;
    if (c->con.body_left > 0)
        return;
    if (l->args.size >= 8)
        add_latency(l, c->con.due_ns);
    message_done(l, p, c);
}
