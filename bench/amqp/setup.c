#include "amqp/load.h"

#include <stdio.h>
#include <stdlib.h>

enum { AT_ONCE = 500 }; /* requests on their way */

static void queue_name(const struct load *l, uint32_t queue, char name[256])
{
    snprintf(name, 256, "%s-%u", l->args.prefix, queue);
}

static void fanout_name(const struct load *l, char name[256])
{
    snprintf(name, 256, "%s-fanout", l->args.prefix);
}

static void asked(struct load *l, struct peer *p, size_t at)
{
    frame_end(&p->out, at);
    if (++p->waiting >= AT_ONCE)
        load_settle(l);
}

static void declare_queue(struct load *l, struct peer *p, uint16_t channel, uint32_t queue, bool passive)
{
    char name[256];
    size_t at = method_begin(&p->out, channel, QUEUE_DECLARE);
    queue_name(l, queue, name);
    put16(&p->out, 0);
    put_short(&p->out, name);
    put8(&p->out, (uint8_t)(passive | l->args.durable << 1));
    put_table(&p->out, passive ? NULL : l->args.arguments);
    asked(l, p, at);
}

static void declare_fanout(struct load *l, struct peer *p)
{
    char name[256];
    size_t at = method_begin(&p->out, 1, EXCHANGE_DECLARE);
    fanout_name(l, name);
    put16(&p->out, 0);
    put_short(&p->out, name);
    put_short(&p->out, "fanout");
    put8(&p->out, (uint8_t)(l->args.durable << 1));
    put_table(&p->out, NULL);
    asked(l, p, at);
}

static void bind(struct load *l, struct peer *p, uint32_t queue)
{
    char name[256];
    size_t at = method_begin(&p->out, 1, QUEUE_BIND);
    put16(&p->out, 0);
    queue_name(l, queue, name);
    put_short(&p->out, name);
    fanout_name(l, name);
    put_short(&p->out, name);
    put_short(&p->out, "");
    put8(&p->out, 0);
    put_table(&p->out, NULL);
    asked(l, p, at);
}

void setup_queues(struct load *l, struct peer *p, double *ret_seconds)
{
    uint64_t began = now_ns();
    if (l->args.fanout)
        declare_fanout(l, p);
    for (uint32_t i = 0; i < l->args.queues; i++) {
        declare_queue(l, p, 1, i, false);
        if (l->args.fanout)
            bind(l, p, i);
    }
    load_settle(l);
    *ret_seconds = (double)(now_ns() - began) / 1e9;
}

void setup_remove(struct load *l, struct peer *p, double *ret_seconds)
{
    char name[256];
    uint64_t began = now_ns();
    for (uint32_t i = 0; i < l->args.queues; i++) {
        size_t at = method_begin(&p->out, 1, QUEUE_DELETE);
        queue_name(l, i, name);
        put16(&p->out, 0);
        put_short(&p->out, name);
        put8(&p->out, 0);
        asked(l, p, at);
    }
    if (l->args.fanout) {
        size_t at = method_begin(&p->out, 1, EXCHANGE_DELETE);
        fanout_name(l, name);
        put16(&p->out, 0);
        put_short(&p->out, name);
        put8(&p->out, 0);
        asked(l, p, at);
    }
    load_settle(l);
    *ret_seconds = (double)(now_ns() - began) / 1e9;
}

static void put_consume(struct load *l, struct peer *p, uint16_t channel, uint32_t queue)
{
    char name[256];
    size_t at = method_begin(&p->out, channel, BASIC_CONSUME);
    put16(&p->out, 0);
    queue_name(l, queue, name);
    put_short(&p->out, name);
    snprintf(name, sizeof(name), "c%u-%u", channel, queue);
    put_short(&p->out, name);
    put8(&p->out, (uint8_t)(!l->args.ack << 1));
    put_table(&p->out, NULL);
    asked(l, p, at);
}

void setup_consume(struct load *l, struct peer *p, struct channel *c, uint32_t number, uint32_t consumers)
{
    c->consumes = true;
    if (l->args.prefetch > 0) {
        size_t at = method_begin(&p->out, c->id, BASIC_QOS);
        put32(&p->out, 0);
        put16(&p->out, (uint16_t)l->args.prefetch);
        put8(&p->out, 0);
        asked(l, p, at);
    }
    if (number >= l->args.queues) /* more consumers than queues: they share */
        put_consume(l, p, c->id, number % l->args.queues);
    for (uint32_t q = number; q < l->args.queues; q += consumers)
        put_consume(l, p, c->id, q);
}

void setup_publish(struct load *l, struct peer *p, struct channel *c, uint32_t number)
{
    struct publisher *u = &c->pub;
    c->publishes = true;
    u->number = number;
    u->queue = number % l->args.queues;
    if (l->args.window == 0)
        return;
    uint32_t places = 2;
    while (places < 2 * l->args.window)
        places *= 2;
    u->mask = places - 1;
    u->due = calloc(places, sizeof(*u->due));
    if (u->due == NULL)
        die("confirms", "no memory");
    size_t at = method_begin(&p->out, c->id, CONFIRM_SELECT);
    put8(&p->out, 0);
    asked(l, p, at);
}

uint64_t setup_ready(struct load *l, struct peer *p, uint16_t channel)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < l->args.queues; i++) {
        declare_queue(l, p, channel, i, true);
        load_settle(l);
        sum += p->last_count;
    }
    return sum;
}
