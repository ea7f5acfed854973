/* From a message to its destinations: exchanges are visited one after the other, each once, with all keys of
 * the message, as rabbit_exchange:route1() does. `seen` in exchanges and destinations says in which walk they
 * were found, so that nothing has to be cleared. */
#include <assert.h>

#include "base/mem.h"
#include "core/exchange_impl.h"

/* RabbitMQ's ERL_MAX_T: a longer delay is none. */
#define MAX_DELAY_MS INT64_C(4294967295)

/* A stamp for each walk, of all threads: blocks of them are taken at a time, so that nobody shares a cache
 * line. */
static uint64_t next_stamp(void)
{
    enum { BLOCK = 1 << 20 };
    static uint64_t blocks;
    static _Thread_local uint64_t next, end;
    if (next == end) {
        next = __atomic_fetch_add(&blocks, BLOCK, __ATOMIC_RELAXED) + 1;
        end = next + BLOCK - 1;
    }
    return next++;
}

/* Kept between walks, for its memory. */
struct route_work {
    struct exchange **todo; /* found, not visited yet: a stack */
    uint32_t todo_count, todo_cap;
    struct span *keys;
    uint32_t key_count, key_cap;
    struct header_list headers;
    bool headers_ready;
};

struct walk {
    struct route *r;
    struct route_work *work;
    const struct route_space *sp;
    const struct message *m;
    uint64_t stamp; /* of exchanges */
    uint64_t *dice;
    bool skip_delay;
    bool found; /* the exchange that is being visited leads somewhere */
};

void route_init(struct route *r)
{
    *r = (struct route){0};
    r->work = mem_zalloc(sizeof(*r->work));
}

void route_fini(struct route *r)
{
    if (r->work) {
        mem_free(r->work->todo);
        mem_free(r->work->keys);
        header_list_fini(&r->work->headers);
    }
    mem_free(r->work);
    mem_free(r->dests);
    mem_free(r->via);
    mem_free(r->delays);
    *r = (struct route){0};
}

void route_reset(struct route *r)
{
    r->count = r->delay_count = 0;
    r->delayed = NULL;
    r->delay_ms = 0;
    r->subjects = false;
}

/* ---- what a walk finds --------------------------------------------------------------------------------- */

static void add_exchange(struct walk *w, struct exchange *x)
{
    struct route_work *k = w->work;
    if (x->seen == w->stamp)
        return;
    x->seen = w->stamp;
    if (k->todo_count == k->todo_cap) {
        k->todo_cap = k->todo_cap ? k->todo_cap * 2 : 8;
        k->todo = mem_realloc(k->todo, k->todo_cap * sizeof(*k->todo));
    }
    k->todo[k->todo_count++] = x;
}

static void add_dest(struct walk *w, struct dest *d, struct binding *via)
{
    struct route *r = w->r;
    w->found = true;
    if (d->kind == DEST_EXCHANGE) {
        add_exchange(w, container_of(d, struct exchange, dest));
        return;
    }
    if (d->seen == r->stamp)
        return;
    d->seen = r->stamp;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        r->dests = mem_realloc(r->dests, r->cap * sizeof(struct dest *));
        r->via = mem_realloc(r->via, r->cap * sizeof(struct binding *));
    }
    r->dests[r->count] = d;
    r->via[r->count++] = via;
}

static void add_bindings(void *arg, struct binding *const *bindings, uint32_t count)
{
    struct walk *w = arg;
    for (uint32_t i = 0; i < count; i++)
        add_dest(w, bindings[i]->dest, bindings[i]);
}

/* Of a key that no wildcard of another protocol matches. */
static void add_literal_bindings(void *arg, struct binding *const *bindings, uint32_t count)
{
    struct walk *w = arg;
    for (uint32_t i = 0; i < count; i++)
        if (span_eq(bindings[i]->key, w->m->key))
            add_dest(w, bindings[i]->dest, bindings[i]);
}

static void add_delay(struct route *r, struct exchange *x, int64_t delay_ms)
{
    for (uint32_t i = 0; i < r->delay_count; i++)
        if (r->delays[i] == x)
            return;
    if (r->delay_count == r->delay_cap) {
        r->delay_cap = r->delay_cap ? r->delay_cap * 2 : 4;
        r->delays = mem_realloc(r->delays, r->delay_cap * sizeof(struct exchange *));
    }
    r->delays[r->delay_count++] = x;
    r->delayed = r->delays[0];
    r->delay_ms = delay_ms;
}

/* ---- the message --------------------------------------------------------------------------------------- */

static void add_key(void *arg, struct span key)
{
    struct route_work *k = arg;
    if (key.len > UINT8_MAX) /* no binding has such a key, and none but `#` could match it */
        return;
    if (k->key_count == k->key_cap) {
        k->key_cap = k->key_cap ? k->key_cap * 2 : 8;
        k->keys = mem_realloc(k->keys, k->key_cap * sizeof(*k->keys));
    }
    k->keys[k->key_count++] = key;
}

static void collect_keys(struct walk *w)
{
    const struct message_format *format = message_formats[w->m->format];
    w->work->key_count = 0;
    add_key(w->work, w->m->key);
    if (format && format->more_keys)
        format->more_keys(w->m, add_key, w->work);
    w->r->cacheable &= w->work->key_count == 1;
}

static struct span headers_of(const struct message *m)
{
    const struct message_format *format = message_formats[m->format];
    return format && format->headers ? format->headers(m) : SPAN_NULL;
}

static const struct header_list *header_list_of(struct walk *w)
{
    if (!w->work->headers_ready)
        headers_collect(&w->work->headers, headers_of(w->m));
    w->work->headers_ready = true;
    return &w->work->headers;
}

static double parse_delay(struct span s)
{
    double v = 0;
    size_t i = s.len > 1 && s.ptr[0] == '+';
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        v = v * 10 + (s.ptr[i] - '0');
    }
    return v;
}

/* The plugin's get_delay(): integers, strings of digits, numbers with a fraction cut; 0: none that counts. */
static int64_t delay_of(const struct message *m)
{
    struct field f;
    double v;
    if (!fields_get_str(headers_of(m), "x-delay", &f))
        return 0;
    if (field_is_integer(&f) && f.tag != 'T')
        return f.integer > 0 && f.integer <= MAX_DELAY_MS ? f.integer : 0;
    if (f.tag == 'S')
        v = parse_delay(f.bytes);
    else if (strchr("fdD", f.tag))
        v = f.number;
    else
        return 0;
    return v >= 1 && v < (double)MAX_DELAY_MS + 1 ? (int64_t)v : 0;
}

bool subject_is_reserved(struct span key)
{
    static const char inbox[] = "_INBOX";
    return (key.len > 0 && key.ptr[0] == '$') ||
           (key.len >= sizeof(inbox) - 1 && memcmp(key.ptr, inbox, sizeof(inbox) - 1) == 0);
}

/* ---- one exchange -------------------------------------------------------------------------------------- */

static void match_default(struct walk *w)
{
    for (uint32_t i = 0; i < w->work->key_count; i++) {
        struct dest *d = w->sp->queue(w->sp->arg, w->work->keys[i]);
        if (d)
            add_dest(w, d, NULL);
    }
}

static void match_fanout(struct walk *w, struct exchange *x)
{
    list_each (it, &x->bindings) {
        struct binding *b = list_entry(it, struct binding, by_source);
        add_dest(w, b->dest, b);
    }
}

static void match_headers(struct walk *w, struct exchange *x)
{
    const struct header_list *headers = header_list_of(w);
    list_each (it, &x->bindings) {
        struct binding *b = list_entry(it, struct binding, by_source);
        if (headers_match(b->args, headers))
            add_dest(w, b->dest, b);
    }
}

static uint32_t draw(uint64_t *dice, uint32_t n)
{
    uint64_t v = *dice += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    v ^= v >> 31;
    return (uint32_t)((v >> 32) * n >> 32);
}

static void match_one(struct walk *w, struct exchange *x)
{
    const struct binding_group *g = &((struct matcher *)x->matcher)->every;
    struct binding *b;
    if (g->count == 0)
        return;
    if (x->inner == EXCHANGE_HASH || x->inner == EXCHANGE_MODULUS_HASH)
        b = hash_choose(g, x->inner == EXCHANGE_HASH, hash_of_message(x, w->m));
    else
        b = binding_group_items(g)[draw(w->dice, g->count)];
    add_dest(w, b->dest, b);
}

static void match(struct walk *w, struct exchange *x)
{
    struct matcher *m = x->matcher;
    /* Bindings are AMQP's. */
    bool literal = x->subjects && w->m->format == MESSAGE_FORMAT_REDIS && subject_is_reserved(w->m->key);
    switch (x->inner) {
    case EXCHANGE_DEFAULT:
        match_default(w);
        return;
    case EXCHANGE_FANOUT:
        match_fanout(w, x);
        return;
    case EXCHANGE_HEADERS:
        match_headers(w, x);
        return;
    case EXCHANGE_DIRECT:
        for (uint32_t i = 0; i < w->work->key_count; i++)
            direct_match(m, w->work->keys[i], add_bindings, w);
        return;
    case EXCHANGE_TOPIC:
        for (uint32_t i = 0; i < w->work->key_count; i++)
            topic_tree_match(m->topics, w->work->keys[i], literal ? add_literal_bindings : add_bindings, w);
        return;
    default:
        match_one(w, x);
    }
}

static bool depends_on_key_alone(const struct exchange *x)
{
    return x->type == EXCHANGE_DEFAULT || x->type == EXCHANGE_DIRECT || x->type == EXCHANGE_FANOUT ||
           x->type == EXCHANGE_TOPIC;
}

static void visit(struct walk *w, struct exchange *x)
{
    int64_t delay_ms;
    w->r->cacheable &= depends_on_key_alone(x);
    if (x->type == EXCHANGE_DELAYED && !w->skip_delay && (delay_ms = delay_of(w->m)) > 0) {
        add_delay(w->r, x, delay_ms);
        return;
    }
    w->r->subjects |= x->subjects;
    w->found = false;
    match(w, x);
    if (w->found || !x->alternate.ptr)
        return;
    struct exchange *alternate = w->sp->exchange(w->sp->arg, x->alternate);
    if (alternate)
        add_exchange(w, alternate);
}

void route_message(struct route *r, const struct route_space *sp, struct exchange *x, const struct message *m,
                   bool skip_delay, uint64_t *dice)
{
    struct walk w = {.r = r,
                     .work = r->work,
                     .sp = sp,
                     .m = m,
                     .stamp = next_stamp(),
                     .dice = dice,
                     .skip_delay = skip_delay};
    if (r->count == 0 && !r->delayed) { /* reset, by whatever way */
        r->delay_count = 0;
        r->stamp = w.stamp;
        r->cacheable = true;
        r->subjects = false;
    }
    w.work->todo_count = 0;
    w.work->headers_ready = false;
    collect_keys(&w);
    add_exchange(&w, x);
    while (w.work->todo_count)
        visit(&w, w.work->todo[--w.work->todo_count]);
}

bool route_is_cacheable(const struct exchange *x)
{
    const struct matcher *m = x->matcher;
    return depends_on_key_alone(x) && !x->alternate.ptr && m->to_exchanges == 0;
}
