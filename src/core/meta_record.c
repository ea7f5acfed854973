#include "core/meta_record.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/access_impl.h"
#include "core/broker.h"
#include "core/meta_record_impl.h"
#include "core/op_impl.h"
#include "core/policy_impl.h"
#include "core/tap.h"

const struct meta_record_ops *meta_record_ops[RECORD_KINDS] = {
    [RECORD_USER] = &user_record_ops,
    [RECORD_PERMISSION] = &permission_record_ops,
    [RECORD_TOPIC_PERMISSION] = &topic_permission_record_ops,
    [RECORD_POLICY] = &policy_record_ops,
    [RECORD_OPERATOR_POLICY] = &operator_policy_record_ops,
    [RECORD_PARAMETER] = &parameter_record_ops,
    [RECORD_TAP] = &tap_record_ops,
};

/* A shard's replica. */
struct record_table {
    struct map kinds[RECORD_KINDS]; /* struct record_node by key */
    struct list dead;               /* freed at the end of the turn */
};

struct record_node {
    struct meta_record record;
    struct list link; /* in record_table.dead */
    uint8_t *value;
    uint8_t key[];
};

static struct record_node *find(const struct shard *s, unsigned kind, struct span key)
{
    /* A null key would be a number to the map. */
    return map_get(&s->records->kinds[kind], key.len ? key : span_str(""));
}

static void free_node(struct record_node *n)
{
    mem_free(n->value);
    mem_free(n);
}

/* ---- look-ups ------------------------------------------------------------------------------------------ */

struct meta_record *meta_record_find(const struct shard *s, enum meta_record_kind kind, struct span key)
{
    struct record_node *n = find(s, kind, key);
    return n ? &n->record : NULL;
}

struct meta_record *meta_record_next(const struct shard *s, enum meta_record_kind kind, size_t *cursor)
{
    struct record_node *n = map_next(&s->records->kinds[kind], cursor);
    return n ? &n->record : NULL;
}

size_t meta_record_count(const struct shard *s, enum meta_record_kind kind)
{
    return s->records->kinds[kind].count;
}

static int by_key(const void *a, const void *b)
{
    return span_cmp((*(struct meta_record *const *)a)->key, (*(struct meta_record *const *)b)->key);
}

struct meta_record **meta_record_list(const struct shard *s, enum meta_record_kind kind, struct arena *a,
                                      size_t *ret_count)
{
    struct meta_record **all = arena_array(a, meta_record_count(s, kind) + 1, sizeof(struct meta_record *)),
                       *r;
    size_t n = 0;
    for (size_t i = 0; (r = meta_record_next(s, kind, &i));)
        all[n++] = r;
    qsort(all, n, sizeof(struct meta_record *), by_key);
    *ret_count = n;
    return all;
}

/* ---- applying ------------------------------------------------------------------------------------------ */

static struct record_node *new_node(struct span key)
{
    struct record_node *n = mem_zalloc(sizeof(*n) + key.len + 1);
    list_init(&n->link);
    if (key.len)
        memcpy(n->key, key.ptr, key.len);
    n->record.key = span_of(n->key, key.len);
    return n;
}

static void put(struct shard *s, unsigned kind, struct span key, struct span value, bool live)
{
    const struct meta_record_ops *ops = meta_record_ops[kind];
    struct record_node *n = find(s, kind, key);
    uint8_t *old = NULL;
    struct span before = SPAN_NULL;
    if (!n) {
        n = new_node(key);
        map_put(&s->records->kinds[kind], n->record.key, n);
    } else {
        old = n->value;
        before = n->record.value;
    }
    n->value = (uint8_t *)mem_strndup(value.len ? (const void *)value.ptr : "", value.len);
    n->record.value = span_of(n->value, value.len);
    if (ops && ops->put)
        ops->put(s, &n->record, before, live);
    mem_free(old);
}

static void drop(struct shard *s, unsigned kind, struct span key, bool live)
{
    const struct meta_record_ops *ops = meta_record_ops[kind];
    struct record_node *n = find(s, kind, key);
    if (!n)
        return;
    if (ops && ops->drop)
        ops->drop(s, &n->record, live);
    map_del(&s->records->kinds[kind], n->record.key);
    list_add_tail(&s->records->dead, &n->link);
}

void meta_record_remove(struct shard *s, enum meta_record_kind kind, struct span key)
{
    drop(s, kind, key, true);
}

void records_vhost_drop(struct shard *s, struct span vhost)
{
    for (unsigned k = 0; k < RECORD_KINDS; k++)
        if (meta_record_ops[k] && meta_record_ops[k]->vhost_drop)
            meta_record_ops[k]->vhost_drop(s, vhost);
}

int records_apply(struct shard *s, const struct meta_command *c, bool live)
{
    const struct meta_entity *e = &c->entity;
    if (c->type != META_RECORD_PUT && c->type != META_RECORD_DROP)
        return 0;
    if (e->kind == 0 || e->kind >= RECORD_KINDS)
        return ERR_CORRUPT;
    if (c->type == META_RECORD_PUT)
        put(s, e->kind, e->name, e->args, live);
    else
        drop(s, e->kind, e->name, live);
    return 0;
}

void records_snapshot(const struct shard *s, struct writer *w)
{
    for (unsigned k = 0; k < RECORD_KINDS; k++) {
        struct meta_record *r;
        for (size_t i = 0; (r = meta_record_next(s, k, &i));)
            meta_snapshot_add(
                w, &(struct meta_command){.type = META_RECORD_PUT,
                                          .entity = {.kind = (uint8_t)k, .name = r->key, .args = r->value}});
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void records_init(struct shard *s)
{
    s->records = mem_zalloc(sizeof(*s->records));
    list_init(&s->records->dead);
    for (unsigned k = 0; k < RECORD_KINDS; k++)
        map_init(&s->records->kinds[k]);
}

void records_bury(struct shard *s)
{
    list_each_safe (l, tmp, &s->records->dead)
        free_node(list_entry(l, struct record_node, link));
    list_init(&s->records->dead);
}

void records_fini(struct shard *s)
{
    records_bury(s);
    for (unsigned k = 0; k < RECORD_KINDS; k++) {
        const struct meta_record_ops *ops = meta_record_ops[k];
        struct record_node *n;
        for (size_t i = 0; (n = map_next(&s->records->kinds[k], &i));) {
            if (ops && ops->fini)
                ops->fini(s, &n->record);
            free_node(n);
        }
        map_fini(&s->records->kinds[k]);
    }
    mem_free(s->records);
}

/* ---- the operation ------------------------------------------------------------------------------------- */

/* One key of the round: this record. */
static void claim(struct meta_change *ch, const struct op_record *r)
{
    uint8_t *key = arena_alloc(&ch->arena, r->key.len + 2);
    key[0] = META_KEY_RECORD;
    key[1] = (uint8_t)r->kind;
    if (r->key.len)
        memcpy(key + 2, r->key.ptr, r->key.len);
    meta_change_key(ch, span_of(key, r->key.len + 2), true);
}

static int check(struct meta *m, struct op_record *r)
{
    const struct meta_record *old = meta_record_find(m->shard, r->kind, r->key);
    if (r->key.len > RECORD_MAX_KEY || r->value.len > RECORD_MAX_VALUE)
        return ERR_LIMIT;
    int err = r->check ? r->check(m->shard, r, old) : 0;
    if (!err && !old && span_is_null(r->value))
        return ERR_NOT_FOUND;
    return err;
}

static int prepare(struct meta *m, struct meta_change *ch)
{
    struct op_record *r = container_of(ch->op, struct op_record, op);
    assert(r->kind > 0 && r->kind < RECORD_KINDS);
    if (ch->key_count == 0)
        claim(ch, r);
    if (ch->key_count == 1 && r->kind == RECORD_TAP && !span_is_null(r->value))
        meta_change_key(ch, tap_edges_key(), true);
    if (!meta_change_free(m, ch))
        return META_LATER;
    int err = check(m, r);
    if (err)
        return err < 0 ? err : META_NOTHING;
    struct meta_entity *e = &ch->command.entity;
    bool put_it = !span_is_null(r->value);
    ch->command.type = put_it ? META_RECORD_PUT : META_RECORD_DROP;
    e->kind = (uint8_t)r->kind;
    e->name = meta_change_keep(ch, r->key);
    e->args = put_it ? meta_change_keep(ch, r->value) : SPAN_NULL;
    return META_APPEND;
}

static void finish(struct meta *m, struct meta_change *ch, int err)
{
    ch->op->err = err;
    op_return(m->shard, ch->op);
}

static void start(struct shard *s, struct msg *msg)
{
    meta_submit(s->broker->meta, meta_change_new(container_of(msg, struct op, msg), prepare, finish));
}

void op_record_submit(struct op_record *r)
{
    op_send(&r->op, op_owner(&r->op, 0), start);
}

void op_record_free(struct op_record *r)
{
    if (!r)
        return;
    arena_fini(&r->arena);
    op_free(r);
}
