#include "redis/load.h"

#include <stdio.h>
#include <stdlib.h>

enum { AT_ONCE = 32 }; /* connections being opened: not more than the backlog of the listening socket */

static struct peer *open_one(struct load *l, uint32_t number)
{
    char name[256];
    const struct args *a = &l->args;
    struct peer *p = peer_open(l);
    p->number = number;
    p->channel = number % a->channels;
    p->next = calloc(a->publishers > 0 ? a->publishers : 1, sizeof(*p->next));
    if (p->next == NULL)
        die("subscribers", "no memory");
    for (uint32_t u = 0; u < a->publishers; u++) /* (u + k) % channels == channel */
        p->next[u] = (p->channel + a->channels - u % a->channels) % a->channels;
    if (a->resp == 3)
        put_command(&p->out, (const char *const[]){"HELLO", "3"}, 2);
    if (a->pattern)
        snprintf(name, sizeof(name), "%s.*", a->prefix);
    else
        snprintf(name, sizeof(name), "%s.%u", a->prefix, p->channel);
    put_command(&p->out, (const char *const[]){a->pattern ? "PSUBSCRIBE" : "SUBSCRIBE", name}, 2);
    p->waiting = a->resp == 3 ? 2 : 1;
    peer_flush(l, p);
    return p;
}

void subscribe_open(struct load *l, uint32_t count)
{
    l->subscribers = calloc(count > 0 ? count : 1, sizeof(*l->subscribers));
    if (l->subscribers == NULL)
        die("subscribers", "no memory");
    for (uint32_t settled = 0; settled < count;) {
        while (l->subscriber_count < count && l->subscriber_count - settled < AT_ONCE) {
            l->subscribers[l->subscriber_count] = open_one(l, l->subscriber_count);
            l->subscriber_count++;
        }
        peer_settle(l, l->subscribers[settled++]);
    }
}

static void check_number(struct load *l, struct peer *p, uint64_t stamp)
{
    uint64_t from = stamp >> STAMP_NUMBER_BITS, k = stamp & (((uint64_t)1 << STAMP_NUMBER_BITS) - 1);
    if (from >= l->args.publishers)
        die("message", "of nobody");
    uint64_t wanted = p->next[from];
    if (k < wanted)
        l->now.disordered++;
    else
        l->now.lost += (k - wanted) / l->args.channels;
    if (k >= wanted)
        p->next[from] = k + l->args.channels;
}

size_t subscribe_messages(struct load *l, struct peer *p, const uint8_t *bytes, size_t n)
{
    const struct channel *c = &l->channels[p->channel];
    size_t at = 0, rest = c->message_stamp + STAMP_BYTES;
    bool own = l->args.mode == MODE_FLOW; /* payloads are ours */
    for (; n - at >= c->message_size; at += c->message_size) {
        const uint8_t *m = bytes + at;
        if (memcmp(m, c->message, c->message_stamp) != 0 || memcmp(m + c->message_size - 2, "\r\n", 2) != 0)
            die("message", "is not as it should be");
        l->now.received++;
        if (!own)
            continue;
        if (memcmp(m + rest, c->message + rest, c->message_size - rest) != 0)
            die("message", "has another payload than was published");
        check_number(l, p, get64(m + c->message_stamp));
        uint64_t due = get64(m + c->message_stamp + 8);
        if (due >= l->measure_from && due < l->measure_to)
            histogram_add(&l->latency, l->read_ns > due ? l->read_ns - due : 0);
    }
    size_t head = n - at < c->message_stamp ? n - at : c->message_stamp;
    if (memcmp(bytes + at, c->message, head) != 0)
        die("message", "begins as it should not");
    return at;
}
