/* What is listened to, from this shard's replica: every shard has every text, with the counts of all.
 *
 * There may be very many, and clients choose them, so the best are picked in one pass instead of sorting all.
 */
#include <stdlib.h>

#include "app/admin_backend.h"
#include "base/err.h"
#include "core/glob.h"
#include "core/space.h"
#include "core/subject.h"

struct found {
    const struct interest *in;
    const char *vhost;
};

/* Room for twice the limit: when it is full the worse half goes. */
struct best {
    struct admin_call *call;
    struct admin_heard_list *list;
    const char *vhost;
    struct found *items;
    size_t count, cap;
    bool trimmed; /* items[limit - 1] and those before are sorted, and nothing worse is wanted */
};

static int by_rank(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->in->total != y->in->total)
        return x->in->total < y->in->total ? 1 : -1;
    int c = strcmp(x->vhost, y->vhost);
    return c ? c : span_cmp(x->in->text, y->in->text);
}

static void sort(struct best *b)
{
    qsort(b->items, b->count, sizeof(*b->items), by_rank);
    if (b->count > b->call->limit) {
        b->count = b->call->limit;
        b->trimmed = true;
    }
}

static void add(void *arg, const struct interest *in)
{
    struct best *b = arg;
    struct found it = {in, b->vhost};
    if (!span_is_null(b->call->pattern) && !glob_match(b->call->pattern, in->text, false))
        return;
    b->list->texts++;
    b->list->subscriptions += in->total;
    if (b->trimmed && by_rank(&it, &b->items[b->call->limit - 1]) > 0)
        return;
    if (b->count == b->cap)
        sort(b);
    b->items[b->count++] = it;
}

static void put_list(struct best *b)
{
    struct arena *a = &b->call->arena;
    struct admin_heard *out = arena_array(a, b->count + 1, sizeof(*out));
    for (size_t i = 0; i < b->count; i++) {
        const struct interest *in = b->items[i].in;
        struct span text =
            in->text.len > ADMIN_HEARD_BYTES ? span_of(in->text.ptr, ADMIN_HEARD_BYTES) : in->text;
        out[i] = (struct admin_heard){
            .text = span_of(arena_copy(a, text.len ? (const void *)text.ptr : "", text.len), text.len),
            .bytes = in->text.len,
            .vhost = span_str(arena_strndup(a, b->items[i].vhost, strlen(b->items[i].vhost))),
            .subscriptions = in->total,
        };
    }
    b->list->items = out;
    b->list->count = b->count;
}

static bool is_asked_for(const struct admin_call *call, const struct vspace *v)
{
    return admin_sees(call, v) && (span_is_null(call->vhost) || span_eq_str(call->vhost, v->vhost.name));
}

static void gather(struct admin_call *call, enum admin_heard_kind kind, struct vspace *const *all,
                   size_t count)
{
    static const struct {
        enum subject_plane plane;
        enum subject_kind kind;
    } where[ADMIN_HEARD_KINDS] = {[ADMIN_CHANNELS] = {SUBJECT_SHARED, SUBJECT_EXACT},
                                  [ADMIN_PATTERNS] = {SUBJECT_SHARED, SUBJECT_GLOB},
                                  [ADMIN_SHARD_CHANNELS] = {SUBJECT_SHARDED, SUBJECT_EXACT}};
    struct best b = {.call = call, .list = &call->heard[kind]};
    size_t texts = 0;
    for (size_t i = 0; i < count; i++)
        texts += subject_texts(all[i], where[kind].plane, where[kind].kind);
    b.cap = texts < 2 * call->limit ? texts : 2 * call->limit;
    b.items = arena_array(&call->arena, b.cap + 1, sizeof(*b.items));
    for (size_t i = 0; i < count; i++) {
        b.vhost = all[i]->vhost.name;
        subject_each(all[i], where[kind].plane, where[kind].kind, add, &b);
    }
    sort(&b);
    put_list(&b);
}

void admin_gather_heard(struct admin_call *call)
{
    size_t count, n = 0;
    struct vspace **all = space_list(call->shard, &call->arena, &count);
    for (size_t i = 0; i < count; i++)
        if (is_asked_for(call, all[i]))
            all[n++] = all[i];
    if (n == 0 && !span_is_null(call->vhost))
        call->err = ERR_NOT_FOUND;
    for (int kind = 0; kind < ADMIN_HEARD_KINDS; kind++)
        gather(call, (enum admin_heard_kind)kind, all, n);
}

void admin_list_heard(struct admin_call *call)
{
    admin_gather_heard(call);
    call->done(call);
}
