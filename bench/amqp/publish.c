#include "amqp/load.h"

#include <stdio.h>
#include <stdlib.h>

static void put_header(const struct args *a, struct out *o)
{
    size_t at = frame_begin(o, FRAME_HEADER, 1);
    put16(o, 60);
    put16(o, 0);
    put64(o, a->size);
    put16(o, 1 << 12); /* delivery-mode */
    put8(o, a->persistent ? 2 : 1);
    frame_end(o, at);
}

static void put_body(const struct args *a, struct out *o, struct template *t)
{
    for (uint32_t at = 0; at < a->size;) {
        uint32_t n = a->size - at < FRAME_MAX - FRAME_EXTRA ? a->size - at : FRAME_MAX - FRAME_EXTRA;
        size_t frame = frame_begin(o, FRAME_BODY, 1);
        if (at == 0 && n >= 8)
            t->stamp = (uint32_t)(o->end - o->start);
        for (uint32_t i = 0; i < n; i++)
            put8(o, (uint8_t)('a' + (at + i) % 26));
        frame_end(o, frame);
        at += n;
    }
}

static void make_template(const struct args *a, uint32_t queue, struct template *t)
{
    char name[256];
    struct out o = {0};
    size_t at = method_begin(&o, 1, BASIC_PUBLISH);
    put16(&o, 0);
    snprintf(name, sizeof(name), a->fanout ? "%s-fanout" : "%s-%u", a->prefix, queue);
    put_short(&o, a->fanout ? name : "");
    put_short(&o, a->fanout ? "" : name);
    put8(&o, 0);
    frame_end(&o, at);
    put_header(a, &o);
    put_body(a, &o, t);
    t->bytes = o.ptr;
    t->size = (uint32_t)o.end;
}

void publish_templates(struct load *l)
{
    uint32_t n = l->args.fanout ? 1 : l->args.queues;
    l->templates = calloc(n, sizeof(*l->templates));
    if (l->templates == NULL)
        die("messages", "no memory");
    for (uint32_t i = 0; i < n; i++)
        make_template(&l->args, i, &l->templates[i]);
}

void publish_templates_free(struct load *l)
{
    uint32_t n = l->args.fanout ? 1 : l->args.queues;
    for (uint32_t i = 0; i < n && l->templates; i++)
        free(l->templates[i].bytes);
    free(l->templates);
    l->templates = NULL;
}

static void set_channel(uint8_t *bytes, uint32_t size, uint16_t channel)
{
    for (uint32_t at = 0; at < size; at += get32(bytes + at + 3) + FRAME_EXTRA)
        set16(bytes + at + 1, channel);
}

static uint64_t due_of(const struct load *l, const struct publisher *u)
{
    double ns = (double)(u->made * l->publisher_count + u->number) / l->args.rate * 1e9;
    return l->first_ns + (uint64_t)ns;
}

static void make_one(struct load *l, struct out *o, struct channel *c, uint64_t now)
{
    struct publisher *u = &c->pub;
    const struct template *t = &l->templates[l->args.fanout ? 0 : u->queue];
    uint64_t due = l->args.rate > 0 ? u->next_due_ns : now;
    uint8_t *bytes = out_room(o, t->size);
    memcpy(bytes, t->bytes, t->size);
    if (t->stamp > 0)
        set64(bytes + t->stamp, due);
    if (c->id != 1)
        set_channel(bytes, t->size, c->id);
    o->end += t->size;
    u->made++;
    u->queue = (u->queue + l->publisher_count) % l->args.queues;
    if (l->args.window > 0) {
        u->due[u->made & u->mask] = due;
        u->outstanding++;
    }
    if (l->args.rate > 0)
        u->next_due_ns = due_of(l, u);
}

static void limit(uint64_t *n, uint64_t allowed)
{
    if (allowed < *n)
        *n = allowed;
}

/* How many messages this channel may make now, without its schedule. */
static uint64_t quota(const struct load *l, const struct peer *p, const struct publisher *u)
{
    const struct args *a = &l->args;
    uint64_t n = UINT64_MAX, copies = a->fanout ? a->queues : 1;
    size_t pending = p->out.end - p->out.start;
    if (!p->writable || p->blocked || pending >= a->batch_bytes)
        return 0;
    limit(&n, (a->batch_bytes - pending) / l->templates[0].size + 1);
    if (a->window > 0) {
        limit(&n, a->window > u->outstanding ? a->window - u->outstanding : 0);
        limit(&n, u->low + u->mask - u->made);
    }
    if (a->in_flight > 0) {
        uint64_t out = l->now.sent * copies, flying = out > l->now.received ? out - l->now.received : 0;
        limit(&n, flying < a->in_flight ? (a->in_flight - flying + copies - 1) / copies : 0);
    }
    if (a->count > 0)
        limit(&n, a->count - l->now.sent);
    return n;
}

static int64_t publish_channel(struct load *l, struct peer *p, struct channel *c, uint64_t now)
{
    uint64_t allowed = quota(l, p, &c->pub), made = 0;
    while (made < allowed && (l->args.rate <= 0 || c->pub.next_due_ns <= now)) {
        make_one(l, &p->out, c, now);
        made++;
    }
    l->now.sent += made;
    if (made == allowed) /* until written, confirmed or received */
        return made > 0 ? 0 : -1;
    return (int64_t)(c->pub.next_due_ns - now);
}

int64_t publish_round(struct load *l)
{
    int64_t wait = -1;
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < l->peer_count; i++) {
        struct peer *p = l->peers[i];
        for (uint32_t k = 0; k < p->channel_count; k++) {
            if (!p->channels[k].publishes)
                continue;
            int64_t next = publish_channel(l, p, &p->channels[k], now);
            if (next >= 0 && (wait < 0 || next < wait))
                wait = next;
        }
        if (p->writable && p->out.start < p->out.end)
            peer_flush(l, p);
    }
    return wait;
}

static void confirm_one(struct load *l, struct publisher *u, uint64_t number, bool nack)
{
    uint64_t due = u->due[number & u->mask];
    if (due == 0)
        return;
    u->due[number & u->mask] = 0;
    u->outstanding--;
    l->now.confirmed++;
    l->now.nacked += nack;
    if (due >= l->measure_from && due < l->measure_to)
        histogram_add(&l->confirm, l->read_ns > due ? l->read_ns - due : 0);
}

void publish_confirmed(struct load *l, struct channel *c, uint64_t tag, bool multiple, bool nack)
{
    if (c == NULL || !c->publishes || l->args.window == 0 || tag > c->pub.made)
        die("confirm", "of a message that was not sent");
    struct publisher *u = &c->pub;
    if (tag == 0)
        tag = u->made;
    for (uint64_t i = multiple ? u->low + 1 : tag; i <= tag; i++) {
        if (i > u->low)
            confirm_one(l, u, i, nack);
    }
    while (u->low < u->made && u->due[(u->low + 1) & u->mask] == 0)
        u->low++;
    l->now.last_confirm_ns = l->read_ns;
}
