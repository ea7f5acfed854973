/* Class confirm (RabbitMQ's extension): publisher confirms. */
#include "proto/amqp/channel.h"

void amqp_confirm_select(struct amqp_channel *ch, const struct amqp_method *m)
{
    if (ch->state->transactional) {
        amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, m->id, "cannot switch from tx to confirm mode");
        return;
    }
    ch->state->confirming = true;
    if (!m->confirm_select.nowait)
        amqp_reply(ch, AMQP_CONFIRM_SELECT_OK);
}

void amqp_confirm_later(struct amqp_channel *ch)
{
    if (!list_linked(&ch->state->telling))
        list_add_tail(&ch->ac->shared->telling, &ch->state->telling);
}

static void tell(struct amqp_channel *ch)
{
    struct confirm next;
    while (confirms_next(&ch->state->confirms, &next)) {
        struct amqp_method m;
        if (next.nack)
            m = (struct amqp_method){.id = AMQP_BASIC_NACK,
                                     .basic_nack = {.delivery_tag = next.last, .multiple = next.multiple}};
        else
            m = (struct amqp_method){.id = AMQP_BASIC_ACK,
                                     .basic_ack = {.delivery_tag = next.last, .multiple = next.multiple}};
        amqp_send(ch, &m);
    }
}

void amqp_confirm_tell_all(struct amqp_conn_channels *cc)
{
    struct list *l;
    while ((l = list_first(&cc->telling))) {
        struct amqp_channel_state *st = list_entry(l, struct amqp_channel_state, telling);
        list_del(l);
        tell(st->ch);
    }
}

void amqp_confirm_part(struct amqp_conn *ac, uint64_t tag, int err)
{
    struct amqp_channel *ch = amqp_channel_find(ac, (unsigned)(tag >> 48));
    if (!ch || !ch->state || (ch->state->generation & 0xffff) != (tag >> 32 & 0xffff))
        return; /* it was closed meanwhile */
    if (ch->state->transactional) {
        amqp_tx_part(ch, err);
        return;
    }
    struct confirms *cf = &ch->state->confirms;
    uint64_t seq = cf->first + (uint32_t)((uint32_t)tag - (uint32_t)cf->first);
    if (!confirms_awaits(cf, seq))
        return; /* of a channel that had this number, and the same bits of its generation, long ago */
    confirms_done(cf, seq, err != 0);
    amqp_confirm_later(ch);
}

static void part_over(struct conn *c, uint64_t tag, int err)
{
    struct amqp_conn *ac = amqp_conn_of(c->proto_state);
    if (ac->shared)
        amqp_confirm_part(ac, tag, err);
}

static void parts_told(struct conn *c)
{
    struct amqp_conn *ac = amqp_conn_of(c->proto_state);
    if (ac->shared)
        amqp_confirm_tell_all(ac->shared);
}

const struct publisher_ops amqp_publisher_ops = {.part = part_over, .parts_told = parts_told};
