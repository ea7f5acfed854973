#include "redis/load.h"

#include <stdlib.h>

void publish_open(struct load *l, uint32_t count)
{
    l->publishers = calloc(count > 0 ? count : 1, sizeof(*l->publishers));
    l->due_mask = ((uint64_t)1 << (64 - __builtin_clzll(l->args.pipeline))) - 1;
    if (l->publishers == NULL)
        die("publishers", "no memory");
    while (l->publisher_count < count) {
        struct peer *p = peer_open(l);
        p->publishes = true;
        p->number = l->publisher_count;
        p->due = calloc(l->due_mask + 1, sizeof(*p->due));
        if (p->due == NULL)
            die("publishers", "no memory");
        put_command(&p->out, (const char *const[]){"PING"}, 1);
        p->waiting = 1;
        peer_settle(l, p);
        l->publishers[l->publisher_count++] = p;
    }
}

static const struct channel *channel_of(const struct load *l, const struct peer *p, uint64_t k)
{
    return &l->channels[l->args.channels == 1 ? 0 : (p->number + k) % l->args.channels];
}

/* When the publisher's next one is due. */
static uint64_t due_of(const struct load *l, const struct peer *p, uint64_t now)
{
    if (l->args.rate <= 0)
        return now;
    double ns = (double)(p->made * l->publisher_count + p->number) / l->args.rate * 1e9;
    return l->first_ns + (uint64_t)ns;
}

static void make_one(struct load *l, struct peer *p, uint64_t due)
{
    const struct channel *c = channel_of(l, p, p->made);
    uint8_t *bytes = out_room(&p->out, c->publish_size);
    memcpy(bytes, c->publish, c->publish_size);
    set64(bytes + c->publish_stamp, (uint64_t)p->number << STAMP_NUMBER_BITS | p->made);
    set64(bytes + c->publish_stamp + 8, due);
    p->out.end += c->publish_size;
    p->due[p->made & l->due_mask] = due;
    p->made++;
    l->now.published++;
    l->now.due += c->hearers;
}

static void limit(uint64_t *n, uint64_t allowed)
{
    if (allowed < *n)
        *n = allowed;
}

/* How many this publisher may make now, without its schedule. Pieces are of half a pipeline at least, so that
 * a broker that answers early is not sent small pieces for it. */
static uint64_t quota(const struct load *l, const struct peer *p)
{
    const struct args *a = &l->args;
    uint64_t outstanding = p->made - p->answered, n = a->pipeline - outstanding;
    size_t pending = p->out.end - p->out.start;
    if (p->want_out || pending >= BATCH_BYTES || (a->rate <= 0 && 2 * n < a->pipeline))
        return 0;
    limit(&n, (BATCH_BYTES - pending) / l->channels[0].publish_size + 1);
    if (a->lag > 0 && a->subscribers > 0) {
        uint64_t each = (a->subscribers + a->channels - 1) / a->channels,
                 flying = l->now.due - l->now.received;
        limit(&n, flying < a->lag * each ? (a->lag * each - flying + each - 1) / each : 0);
    }
    if (a->count > 0)
        limit(&n, a->count - l->now.published);
    return n;
}

static int64_t publish_one(struct load *l, struct peer *p, uint64_t now)
{
    for (uint64_t allowed = quota(l, p); allowed > 0; allowed--) {
        uint64_t due = due_of(l, p, now);
        if (due > now)
            return (int64_t)(due - now);
        make_one(l, p, due);
    }
    return -1; /* until written, answered or heard */
}

int64_t publish_round(struct load *l)
{
    int64_t wait = -1;
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < l->publisher_count; i++) {
        struct peer *p = l->publishers[i];
        int64_t next = publish_one(l, p, now);
        if (next >= 0 && (wait < 0 || next < wait))
            wait = next;
        if (p->out.start < p->out.end && !p->want_out)
            peer_flush(l, p);
    }
    return wait;
}

size_t publish_answers(struct load *l, struct peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n) {
        uint64_t heard = 0;
        if (bytes[at] != ':')
            die("publish", bytes[at] == '-' ? "refused" : "answered by no number");
        int64_t size = take_number(bytes + at, n - at, &heard);
        if (size < 0 || p->answered == p->made)
            die("publish", size < 0 ? "answered by no number" : "answered twice");
        if (size == 0)
            break;
        uint64_t due = p->due[p->answered & l->due_mask];
        l->now.wrong_answers += heard != channel_of(l, p, p->answered)->hearers;
        p->answered++;
        l->now.answered++;
        if (due >= l->measure_from && due < l->measure_to)
            histogram_add(&l->answer, l->read_ns > due ? l->read_ns - due : 0);
        at += (size_t)size;
    }
    return at;
}
