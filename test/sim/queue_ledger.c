/* What was published, delivered and settled, and the rules:
 *
 * (1) What was confirmed, or seen, and cannot have gone with its broker, is taken in the end, or has gone for
 * a cause: acknowledged, expired, dropped by a limit, purged, deleted with its queue, or rejected; and where
 *     its queue dead-letters, then it stands in every target. (2) Nothing is delivered that was not published
 * to that queue, or cannot have died on its way there; nothing of an earlier life that was not durable. (3) A
 *     message is in one place: not delivered while leased, nor after it was acknowledged; in a later life
 * only if the acknowledgement need not have been durable. (4) redelivered says the truth, and so does the
 * count; with limits it survives what was durable. (5) First deliveries of one publisher and priority to a
 * consumer are in order. (6) Nothing is delivered after it has expired. */
#include "queue_sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

enum { TABLE = 1 << 16, SLACK_MS = 60, DELAY_MS = 1000 /* before the first retry, unless set */ };

enum fate { FATE_UNKNOWN, FATE_KNOWN, FATE_REFUSED };

struct sent {
    unsigned publisher, seq, life, priority, count;
    bool persistent;
    int64_t ttl, asked_ms;
    struct {
        unsigned queue, gen;
        enum fate fate;
        int64_t answered_ms; /* 0: not yet */
        bool purged;         /* for good */
    } targets[TARGETS];
};

/* A settlement that need not be durable yet. */
struct pending {
    struct copy *copy;
    unsigned shard;
    uint64_t number, answered; /* 0: not answered */
    bool acked;
    uint32_t low, rejects;
    int64_t not_before;
};

static struct {
    struct sent *sent;
    uint64_t count, cap, ticks, deliveries, dead, again, acked;
    unsigned seqs[PUBLISHERS];
    struct copy *copies[TABLE];
    struct pending *pending;
    size_t pending_count, pending_cap;
} ledger;

uint64_t ledger_messages(void)
{
    return ledger.count;
}

uint64_t ledger_deliveries(void)
{
    return ledger.deliveries;
}

void ledger_tell(void)
{
    printf("%llu messages, %llu deliveries, %llu again, %llu dead, %llu acknowledged: ok\n",
           (unsigned long long)ledger.count, (unsigned long long)ledger.deliveries,
           (unsigned long long)ledger.again, (unsigned long long)ledger.dead,
           (unsigned long long)ledger.acked);
}

uint64_t ledger_tick(void)
{
    return ++ledger.ticks;
}

void ledger_reset(void)
{
    for (unsigned i = 0; i < TABLE; i++) {
        for (struct copy *c = ledger.copies[i], *next; c; c = next) {
            next = c->chained;
            mem_free(c);
        }
    }
    mem_free(ledger.sent);
    mem_free(ledger.pending);
    memset(&ledger, 0, sizeof(ledger));
}

static struct sent *sent_of(uint64_t id)
{
    if (id == 0 || id > ledger.count)
        violation("message %llu was never published", (unsigned long long)id);
    return &ledger.sent[id - 1];
}

/* ---- trails ---------------------------------------------------------------------------------------------
 */

/* What a message's properties are here: a hop for each queue that it died in. */
static struct span dead(const struct message *m, const struct death *d, struct arena *a)
{
    uint8_t *p = arena_alloc(a, m->props.len + HOP_BYTES);
    if (m->props.len)
        memcpy(p, m->props.ptr, m->props.len);
    p[m->props.len] = d->queue.ptr[0];
    p[m->props.len + 1] = (uint8_t)death_reason_name(d->reason)[0];
    p[m->props.len + 2] = d->retries < 0 ? '-' : (uint8_t)('0' + d->retries);
    return span_of(p, m->props.len + HOP_BYTES);
}

/* A cycle without a rejection in it. */
static bool closes_cycle(struct span trail, uint8_t queue)
{
    bool rejected = false;
    for (size_t i = trail.len; i > 0; i -= HOP_BYTES) {
        rejected |= trail.ptr[i - 2] == 'r';
        if (trail.ptr[i - 3] == queue)
            return !rejected;
    }
    return false;
}

static bool cycles(const struct message *m, struct span queue)
{
    return closes_cycle(m->props, queue.ptr[0]) || m->props.len > (HOPS_MAX - 1) * (size_t)HOP_BYTES;
}

static const struct message_format format = {.name = "sim", .dead = dead, .cycles = cycles};

__attribute__((constructor)) static void install(void)
{
    message_formats[MESSAGE_FORMAT_AMQP] = &format;
}

/* ---- copies ---------------------------------------------------------------------------------------------
 */

static uint64_t hash_of(uint64_t id, struct span trail, unsigned queue, unsigned gen)
{
    uint64_t h = id * 0x9e3779b97f4a7c15u + queue * 1000003u + gen * 7919u;
    for (size_t i = 0; i < trail.len; i++)
        h = (h ^ trail.ptr[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

static struct copy *find(uint64_t id, struct span trail, unsigned queue, unsigned gen)
{
    uint64_t h = hash_of(id, trail, queue, gen);
    for (struct copy *c = ledger.copies[h % TABLE]; c; c = c->chained)
        if (c->hash == h && c->id == id && c->queue == queue && c->gen == gen &&
            c->hops * HOP_BYTES == trail.len && (!trail.len || memcmp(c->trail, trail.ptr, trail.len) == 0))
            return c;
    return NULL;
}

static struct span trail_of(const struct copy *c)
{
    return span_of(c->trail, c->hops * (size_t)HOP_BYTES);
}

static struct copy *find_or_make(uint64_t id, struct span trail, unsigned queue, unsigned gen)
{
    struct copy *c = find(id, trail, queue, gen);
    if (c)
        return c;
    if (trail.len % HOP_BYTES || trail.len > sizeof(c->trail))
        violation("message %llu has a trail of %zu bytes", (unsigned long long)id, trail.len);
    c = mem_zalloc(sizeof(*c));
    c->hash = hash_of(id, trail, queue, gen);
    c->id = id;
    c->queue = queue;
    c->gen = gen;
    c->hops = (unsigned)(trail.len / HOP_BYTES);
    if (trail.len)
        memcpy(c->trail, trail.ptr, trail.len);
    c->chained = ledger.copies[c->hash % TABLE];
    ledger.copies[c->hash % TABLE] = c;
    return c;
}

/* "12[Ar-Be-] in C" */
static const char *name_of(const struct copy *c)
{
    static char text[128];
    snprintf(text, sizeof(text), "message %llu [%.*s] in %s (publisher %u, seq %u, life %u)",
             (unsigned long long)c->id, (int)(c->hops * HOP_BYTES), (const char *)c->trail,
             plans[c->queue].name, sent_of(c->id)->publisher, sent_of(c->id)->seq, sent_of(c->id)->life);
    return text;
}

uint64_t ledger_follows;

static void follow(const struct copy *c, const char *what, int64_t n)
{
    if (c->id == ledger_follows)
        fprintf(stderr, "%8.3f life %u: %s: %s %lld\n", (double)os_mono_ns() / 1e9, scene.life, name_of(c),
                what, (long long)n);
}

/* ---- publishing -----------------------------------------------------------------------------------------
 */

uint64_t ledger_publish(unsigned publisher, bool persistent, unsigned priority, int64_t ttl,
                        const unsigned *queues, unsigned count)
{
    if (ledger.count == ledger.cap) {
        ledger.cap = ledger.cap ? ledger.cap * 2 : 1024;
        ledger.sent = mem_realloc(ledger.sent, ledger.cap * sizeof(*ledger.sent));
    }
    struct sent *s = &ledger.sent[ledger.count++];
    *s = (struct sent){.publisher = publisher,
                       .seq = ++ledger.seqs[publisher],
                       .life = scene.life,
                       .priority = priority,
                       .persistent = persistent,
                       .ttl = ttl,
                       .asked_ms = os_wall_ms(),
                       .count = count};
    for (unsigned i = 0; i < count; i++) {
        s->targets[i].queue = queues[i];
        s->targets[i].gen = plans[queues[i]].gen;
    }
    return ledger.count;
}

/* Its number and a filling that tells it from all others. */
size_t ledger_body(uint64_t id, char *at, size_t cap)
{
    size_t len = (size_t)snprintf(at, cap, "%llu ", (unsigned long long)id),
           fill = id % 11 ? id % 90 : id * 37 % 5000;
    for (size_t i = 0; i < fill; i++)
        at[len + i] = (char)('a' + (id + i) % 26);
    return len + fill;
}

void ledger_published(uint64_t id, unsigned targets, unsigned life, int err)
{
    struct sent *s = sent_of(id);
    (void)life;
    for (unsigned i = 0; i < s->count; i++) {
        if (!(targets & 1u << i))
            continue;
        s->targets[i].answered_ms = os_wall_ms();
        follow(&(struct copy){.id = id, .queue = s->targets[i].queue}, "answered with", err);
        if (!err)
            s->targets[i].fate = FATE_KNOWN;
        else if (err == ERR_REFUSED && targets == 1u << i)
            s->targets[i].fate = FATE_REFUSED; /* of several it may be in some */
    }
}

/* ---- deliveries -----------------------------------------------------------------------------------------
 */

static uint64_t read_body(struct span body)
{
    char text[24] = {0}, wanted[6000];
    memcpy(text, body.ptr, body.len < sizeof(text) - 1 ? body.len : sizeof(text) - 1);
    uint64_t id = strtoull(text, NULL, 10);
    (void)sent_of(id);
    size_t len = ledger_body(id, wanted, sizeof(wanted));
    if (len != body.len || memcmp(wanted, body.ptr, len) != 0)
        violation("message %llu has another body", (unsigned long long)id);
    return id;
}

static int64_t ttl_of(const struct sent *s, const struct copy *c)
{
    int64_t ttl = plans[c->queue].ttl;
    if (c->hops == 0 && s->ttl >= 0 && (ttl < 0 || s->ttl < ttl))
        ttl = s->ttl;
    return ttl;
}

static int target_of(const struct sent *s, const struct copy *c)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->targets[i].queue == c->queue && s->targets[i].gen == c->gen)
            return (int)i;
    return -1;
}

static bool dead_letters_refused(const struct plan *p)
{
    return p->overflow && strcmp(p->overflow, "reject-publish-dlx") == 0;
}

/* What comes by a queue that is not durable, or that was made anew, may come again: that queue forgets what
 * it had. So does one of what was moved there and that it refused. */
static bool is_solid(const struct copy *c)
{
    for (unsigned i = 0; i < c->hops; i++) {
        const uint8_t *hop = &c->trail[i * (size_t)HOP_BYTES];
        const struct plan *p = &plans[hop[0] - 'A'];
        if (!p->durable || p->deleted >= sent_of(c->id)->asked_ms ||
            (i > 0 && hop[1] == 'm' && dead_letters_refused(p)))
            return false;
    }
    return plans[c->queue].durable;
}

/* Could it die there of that, as far as is known? */
static bool may_die(const struct sent *s, const struct copy *parent, uint8_t reason)
{
    const struct plan *p = &plans[parent->queue];
    switch (reason) {
    case 'r':
        return parent->rejects > 0 && p->max_retries < 0;
    case 'e':
        return ttl_of(s, parent) >= 0;
    case 'm':
        return p->max_length >= 0;
    default:
        return (p->max_retries >= 0 && parent->rejects > p->max_retries) ||
               (p->delivery_limit >= 0 && parent->high > p->delivery_limit);
    }
}

/* It died in another queue, whose copy has gone with that. */
static void check_descent(struct copy *c, const struct sent *s)
{
    const uint8_t *hop = &c->trail[(c->hops - 1) * (size_t)HOP_BYTES];
    unsigned from = hop[0] - 'A';
    bool known = false;
    struct span before = span_of(c->trail, (c->hops - 1) * (size_t)HOP_BYTES);
    if (from >= QUEUES || !(plan_dead_targets(from) & 1u << c->queue))
        violation("%s: %c does not dead-letter to there", name_of(c), hop[0]);
    if (hop[1] == 'd' && plans[from].max_retries >= 0 && plans[from].delivery_limit < 0 &&
        hop[2] != '0' + plans[from].max_retries)
        violation("%s died after %c retries", name_of(c), hop[2]);
    for (unsigned gen = plans[from].gen + 1; gen-- > 0 && !known;) {
        struct copy probe = {.id = c->id, .queue = from, .gen = gen, .hops = c->hops - 1};
        struct copy *parent = find(c->id, before, from, gen);
        known = may_die(s, parent ? parent : &probe, hop[1]);
        if (!parent || !is_solid(c))
            continue;
        if (parent->leased && parent->seen_life == scene.life && gen == plans[from].gen)
            violation("%s is also leased in %s", name_of(c), plans[from].name);
        parent->child_durable |= s->persistent && plans[c->queue].durable;
        parent->left_life = scene.life;
    }
    if (!known)
        violation("%s cannot have died so", name_of(c));
}

static void check_origin(struct copy *c, struct sent *s)
{
    if (c->hops > 0) {
        check_descent(c, s);
    } else {
        int i = target_of(s, c);
        if (i < 0)
            violation("%s was not published there", name_of(c));
        if (s->targets[i].fate == FATE_REFUSED)
            violation("%s was refused", name_of(c));
        if (s->targets[i].purged)
            violation("%s was purged", name_of(c));
    }
    if (s->life < scene.life && (!s->persistent || (c->hops == 0 && !plans[c->queue].durable)))
        violation("%s was not durable", name_of(c));
}

static void check_place(const struct copy *c)
{
    if (c->seen_life == scene.life && c->leased)
        violation("%s is delivered twice at a time", name_of(c));
    if (c->left_life == scene.life)
        violation("%s was settled, and comes back", name_of(c));
    if (c->ack_durable)
        violation("%s was acknowledged durably, and comes back", name_of(c));
    if (c->child_durable && plans[c->queue].durable)
        violation("%s was dead-lettered, and comes back", name_of(c));
}

/* After a start everything that was there before is marked. Of a message that moved it is not known when. */
static void check_marks(const struct copy *c, const struct sent *s, const struct delivery *d)
{
    const struct plan *p = &plans[c->queue];
    bool must = c->returned_life == scene.life || (c->ever && c->seen_life < scene.life) ||
                (c->hops == 0 && s->life < scene.life);
    bool may = must || (c->hops > 0 && s->life < scene.life);
    if (must && !d->redelivered)
        violation("%s is not marked as redelivered", name_of(c));
    if (!may && d->redelivered)
        violation("%s is marked as redelivered for no cause", name_of(c));
    if (d->count > c->high || d->count < c->low)
        violation("%s came back %u times, not %u to %u", name_of(c), d->count, c->low, c->high);
    if (p->max_retries >= 0 && c->rejects_low > p->max_retries)
        violation("%s was rejected %u times, and comes back", name_of(c), c->rejects_low);
    if (os_wall_ms() + SLACK_MS < c->not_before)
        violation("%s comes back %lld ms too early", name_of(c), (long long)(c->not_before - os_wall_ms()));
    if (p->delivery_limit >= 0 && p->max_retries < 0 && d->count > p->delivery_limit)
        violation("%s came back more often than the limit", name_of(c));
}

static void check_time(const struct copy *c, const struct sent *s, const struct delivery *d)
{
    int64_t ttl = ttl_of(s, c), now = os_wall_ms(), at = d->msg.expires_ms;
    int i = c->hops ? -1 : target_of(s, c);
    if ((ttl < 0) != (at == 0))
        violation("%s expires at %lld, with a TTL of %lld", name_of(c), (long long)at, (long long)ttl);
    if (ttl < 0)
        return;
    if (at < s->asked_ms + ttl - SLACK_MS)
        violation("%s expires too early", name_of(c));
    int64_t answered = i >= 0 && s->targets[i].fate == FATE_KNOWN ? s->targets[i].answered_ms : now;
    if (at > answered + ttl)
        violation("%s expires too late", name_of(c));
    /* A TTL of 0 allows for delivery at once. */
    if (now > at + SLACK_MS && (ttl > 0 || (i >= 0 && now > answered + SLACK_MS)))
        violation("%s is delivered %lld ms after it expired", name_of(c), (long long)(now - at));
}

struct copy *ledger_delivered(unsigned queue, unsigned gen, const struct delivery *d, bool no_ack,
                              uint32_t order[PUBLISHERS][4])
{
    uint64_t id = read_body(d->msg.body);
    struct sent *s = sent_of(id);
    struct copy *c = find_or_make(id, d->msg.props, queue, gen);
    unsigned level = s->priority < plans[queue].max_priority ? s->priority : plans[queue].max_priority;
    (void)no_ack;
    ledger.deliveries++;
    ledger.again += d->redelivered;
    ledger.dead += c->hops > 0;
    follow(c, d->redelivered ? "delivered again, lease" : "delivered, lease", (int64_t)d->lease);
    check_origin(c, s);
    if (c->hops == 0 || is_solid(c) || (s->life == scene.life && !scene.was_full)) {
        check_place(c);
        check_marks(c, s, d);
    }
    check_time(c, s, d);
    if (!c->ever && c->hops == 0) {
        if (s->seq < order[s->publisher][level])
            violation("%s comes after %u of that publisher", name_of(c), order[s->publisher][level]);
        order[s->publisher][level] = s->seq;
    }
    c->low = c->high = d->count;
    c->leased = c->ever = true;
    c->acked = false;
    c->seen_life = scene.life;
    return c;
}

/* ---- settling -------------------------------------------------------------------------------------------
 */

/* `dies`: perhaps not, and nothing is counted then. */
static void come_back(struct copy *c, bool dies)
{
    c->leased = false;
    c->returned_life = scene.life;
    c->low += !dies;
    c->high++;
}

void ledger_returned(struct copy *c)
{
    come_back(c, plans[c->queue].delivery_limit >= 0 && c->high >= plans[c->queue].delivery_limit);
}

void ledger_settle(struct copy *c, enum outcome outcome, uint64_t number, unsigned shard)
{
    const struct plan *p = &plans[c->queue];
    bool dies = false;
    if (is_solid(c) && (!c->leased || c->seen_life != scene.life))
        violation("%s is not leased", name_of(c));
    c->leased = false;
    follow(c, "settled with", outcome);
    switch (outcome) {
    case OUTCOME_ACK:
        c->acked = true;
        c->left_life = scene.life;
        ledger.acked++;
        break;
    case OUTCOME_REJECT:
        c->rejects++;
        c->rejects_low++;
        if (c->rejects_low > p->max_retries) /* -1: there are none */
            c->left_life = scene.life;
        dies = c->rejects > p->max_retries;
        come_back(c, dies);
        if (!dies)
            c->not_before = os_wall_ms() + (p->retry_min >= 0 ? p->retry_min : DELAY_MS);
        break;
    case OUTCOME_REQUEUE:
        dies = p->delivery_limit >= 0 && c->high >= p->delivery_limit;
        come_back(c, dies);
        break;
    case OUTCOME_RELEASE:
        break;
    }
    if (ledger.pending_count == ledger.pending_cap) {
        ledger.pending_cap = ledger.pending_cap ? ledger.pending_cap * 2 : 1024;
        ledger.pending = mem_realloc(ledger.pending, ledger.pending_cap * sizeof(*ledger.pending));
    }
    bool counted = (p->delivery_limit >= 0 || p->max_retries >= 0) && !dies;
    ledger.pending[ledger.pending_count++] = (struct pending){c,
                                                              shard,
                                                              number,
                                                              0,
                                                              outcome == OUTCOME_ACK,
                                                              counted ? c->low : 0,
                                                              counted ? c->rejects_low : 0,
                                                              dies ? 0 : c->not_before};
}

void ledger_settled(uint64_t number, bool durable)
{
    uint64_t now = ledger_tick();
    for (size_t i = ledger.pending_count; i-- > 0 && ledger.pending[i].number >= number;)
        if (ledger.pending[i].number == number)
            ledger.pending[i].answered = durable ? number - 1 : now;
}

static void is_durable(const struct pending *p)
{
    struct copy *c = p->copy;
    c->ack_durable |= p->acked;
    follow(c, "that is durable", p->acked);
    if (c->low_durable < p->low)
        c->low_durable = p->low;
    if (c->rejects_durable < p->rejects)
        c->rejects_durable = p->rejects;
    if (c->not_before_durable < p->not_before)
        c->not_before_durable = p->not_before;
}

void ledger_durable(unsigned shard, uint64_t number)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger.pending_count; i++) {
        const struct pending *p = &ledger.pending[i];
        if (p->shard == shard && p->answered && p->answered < number)
            is_durable(p);
        else
            ledger.pending[kept++] = *p;
    }
    ledger.pending_count = kept;
}

/* What was confirmed when it was asked for, and that nobody has ever seen, is gone. */
void ledger_purged(unsigned queue, unsigned gen, int64_t asked_ms)
{
    for (uint64_t id = 1; id <= ledger.count; id++) {
        struct sent *s = sent_of(id);
        for (unsigned i = 0; i < s->count; i++) {
            if (s->targets[i].queue != queue || s->targets[i].gen != gen ||
                s->targets[i].fate != FATE_KNOWN || s->targets[i].answered_ms >= asked_ms)
                continue;
            const struct copy *c = find(id, span_of(NULL, 0), queue, gen);
            s->targets[i].purged |= !c || !c->ever;
        }
    }
}

/* `clean`: the broker was stopped in order, and what was answered is durable. */
void ledger_new_life(bool clean)
{
    for (size_t i = 0; i < ledger.pending_count; i++)
        if (clean && ledger.pending[i].answered)
            is_durable(&ledger.pending[i]);
    ledger.pending_count = 0;
    for (unsigned i = 0; i < TABLE; i++) {
        for (struct copy *c = ledger.copies[i]; c; c = c->chained) {
            c->low = c->low_durable;
            c->rejects_low = c->rejects_durable;
            c->not_before = c->not_before_durable;
        }
    }
}

/* ---- the end --------------------------------------------------------------------------------------------
 */

static bool accounted(uint64_t id, struct span trail, unsigned queue, unsigned gen, unsigned depth);

/* It died of that: it stands in every target, if its queue dead-letters. */
static bool went_on(uint64_t id, struct span trail, unsigned queue, uint8_t reason, unsigned depth)
{
    unsigned targets = plan_dead_targets(queue);
    static const char retries[] = "-01234";
    uint8_t after[HOPS_MAX * HOP_BYTES];
    if (!targets)
        return true;
    if (trail.len + HOP_BYTES > (HOPS_MAX - 1) * (size_t)HOP_BYTES || depth > HOPS_MAX)
        return true; /* refused as a cycle */
    if (trail.len)
        memcpy(after, trail.ptr, trail.len);
    after[trail.len] = (uint8_t)('A' + queue);
    after[trail.len + 1] = reason;
    for (const char *r = retries; *r; r++) {
        bool all = true;
        after[trail.len + 2] = (uint8_t)*r;
        struct span t = span_of(after, trail.len + HOP_BYTES);
        for (unsigned q = 0; q < QUEUES && all; q++)
            if (targets & 1u << q && !closes_cycle(t, (uint8_t)('A' + q)))
                all = accounted(id, t, q, plans[q].gen, depth + 1);
        if (all)
            return true;
    }
    return false;
}

static bool accounted(uint64_t id, struct span trail, unsigned queue, unsigned gen, unsigned depth)
{
    const struct plan *p = &plans[queue];
    const struct sent *s = sent_of(id);
    const struct copy *c = find(id, trail, queue, gen);
    struct copy probe = {.id = id, .queue = queue, .gen = gen, .hops = (unsigned)(trail.len / HOP_BYTES)};
    if ((c && c->acked) || gen != p->gen || p->deleted >= s->asked_ms || p->purged >= s->asked_ms)
        return true;
    if (p->max_length >= 0 && p->overflow && trail.len)
        return true; /* it was refused there, and what was refused is not durable */
    if (!c)
        c = &probe;
    for (const char *reason = "remd"; *reason; reason++)
        if (may_die(s, c, (uint8_t)*reason) && went_on(id, trail, queue, (uint8_t)*reason, depth))
            return true;
    return false;
}

static void lost(const struct copy *c, const char *how)
{
    for (unsigned i = 0; i < TABLE; i++)
        for (const struct copy *o = ledger.copies[i]; o; o = o->chained)
            if (o->id == c->id)
                fprintf(stderr, "   %s: seen in life %u, rejected %u times%s%s\n", name_of(o), o->seen_life,
                        o->rejects, o->acked ? ", acknowledged" : "", o->ack_durable ? " durably" : "");
    violation("%s %s and is lost", name_of(c), how);
}

void ledger_check_end(void)
{
    for (uint64_t id = 1; id <= ledger.count; id++) {
        const struct sent *s = sent_of(id);
        for (unsigned i = 0; i < s->count; i++) {
            unsigned q = s->targets[i].queue, gen = s->targets[i].gen;
            bool there = s->life == scene.life || (s->persistent && plans[q].durable);
            struct copy probe = {.id = id, .queue = q, .gen = gen};
            if (s->targets[i].fate == FATE_KNOWN && there && !accounted(id, span_of(NULL, 0), q, gen, 0))
                lost(&probe, "was confirmed");
        }
    }
    for (unsigned i = 0; i < TABLE; i++)
        for (const struct copy *c = ledger.copies[i]; c; c = c->chained)
            if (sent_of(c->id)->persistent && plans[c->queue].durable &&
                !accounted(c->id, trail_of(c), c->queue, c->gen, 0))
                lost(c, "was seen");
}
