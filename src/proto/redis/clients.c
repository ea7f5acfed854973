/* Who is connected: a list on each shard. Whoever asks about all of them sends a message through the shards,
 * which writes down or ends the clients that it finds. */
#include "proto/redis/clients.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/user_table.h"

/* Those of one shard, oldest first. */
struct redis_clients {
    struct shard_keep keep;
    struct list list; /* struct redis_conn.link */
    /* visits that its clients have asked for */
    struct list waiting; /* struct redis_clients_visit.link */
    unsigned under_way;
};

enum { UNDER_WAY_MAX = 4 };

static void clients_free(struct shard_keep *k)
{
    struct redis_clients *cs = container_of(k, struct redis_clients, keep);
    list_each_safe (l, next, &cs->waiting)
        redis_clients_visit_free(list_entry(l, struct redis_clients_visit, link));
    mem_free(cs);
}

static struct redis_clients *clients_of(struct shard *s)
{
    struct shard_keep *k = shard_keep_find(s, clients_free);
    if (k)
        return container_of(k, struct redis_clients, keep);
    struct redis_clients *cs = mem_zalloc(sizeof(*cs));
    cs->keep.free = clients_free;
    list_init(&cs->list);
    list_init(&cs->waiting);
    shard_keep_add(s, &cs->keep);
    return cs;
}

void redis_clients_add(struct redis_conn *rc)
{
    struct shard *s = rc->conn->shard;
    list_add_tail(&clients_of(s)->list, &rc->link);
    metrics_gauge_add_at(s->metrics, METRIC_REDIS_CLIENTS, 0, 1);
    metrics_add(s->metrics, METRIC_REDIS_CLIENTS_TOTAL, 1);
}

void redis_clients_del(struct redis_conn *rc)
{
    list_del(&rc->link);
    metrics_gauge_add_at(rc->conn->shard->metrics, METRIC_REDIS_CLIENTS, 0, -1);
}

/* ---- one client ---------------------------------------------------------------------------------------- */

/* Redis's letters that mean something here. */
static void put_flags(struct redis_text *t, const struct redis_conn *rc)
{
    char flags[8];
    size_t n = 0;
    if (redis_is_subscribed(rc))
        flags[n++] = 'P';
    if (rc->multi)
        flags[n++] = 'x';
    if (rc->closing || rc->conn->closing)
        flags[n++] = 'c';
    if (rc->no_evict)
        flags[n++] = 'e';
    if (rc->no_touch)
        flags[n++] = 'T';
    if (n == 0)
        flags[n++] = 'N';
    redis_text_put(t, span_of(flags, n));
}

static void put_command(struct redis_text *t, const struct redis_command *c)
{
    if (c && c->parent)
        redis_text_printf(t, "%s|", c->parent->name);
    redis_text_put(t, span_str(c ? c->name : "NULL"));
}

static unsigned seconds_since(const struct redis_conn *rc, uint64_t ms)
{
    uint64_t now = (uint64_t)rc->conn->shard->now_ms;
    return now > ms ? (unsigned)((now - ms) / 1000) : 0; /* the wall clock may jump */
}

/* networking.c: catClientInfoString() of 7.2. No descriptor is known here, and what Redis says of its
 * buffers is said of what waits: an unfinished command, and the output. */
void redis_client_line(struct redis_text *t, const struct redis_conn *rc)
{
    const struct conn *c = rc->conn;
    size_t unread = c->out.len + rc->sub.later.len;
    redis_text_printf(t, "id=%llu addr=%s laddr=%s fd=-1 name=", (unsigned long long)rc->id, c->peer,
                      c->local);
    redis_text_put(t, span_str(rc->name));
    redis_text_printf(t, " age=%u idle=%u flags=", seconds_since(rc, rc->opened_ms),
                      seconds_since(rc, rc->last_ms));
    put_flags(t, rc);
    redis_text_printf(
        t, " db=%u sub=%u psub=%u ssub=%u multi=%d", (unsigned)rc->db,
        rc->sub.counts[SUBJECT_SHARED][SUBJECT_EXACT], rc->sub.counts[SUBJECT_SHARED][SUBJECT_GLOB],
        rc->sub.counts[SUBJECT_SHARDED][SUBJECT_EXACT], rc->multi ? (int)redis_multi_count(rc) : -1);
    redis_text_printf(t,
                      " qbuf=%zu qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=%zu omem=%zu "
                      "tot-mem=%zu events=%s cmd=",
                      rc->parser.at, c->out.count + rc->sub.later.count, unread,
                      sizeof(*c) + sizeof(*rc) + unread, unread ? "rw" : "r");
    put_command(t, rc->last);
    redis_text_put(t, span_str(" user="));
    redis_text_put(t, span_str(rc->user ? rc->user : "default"));
    redis_text_printf(t, " redir=-1 resp=%u lib-name=", (unsigned)rc->out.version);
    redis_text_put(t, span_str(rc->lib_name));
    redis_text_put(t, span_str(" lib-ver="));
    redis_text_put(t, span_str(rc->lib_version));
    redis_text_put(t, span_str("\n"));
}

bool redis_describe(const struct conn *c, struct redis_conn_info *ret)
{
    const struct redis_conn *rc = c->proto == &redis_proto ? redis_conn_of(c->proto_state) : NULL;
    if (!rc || rc->magic != REDIS_CONN_MAGIC || rc->may_do_nothing)
        return false;
    *ret = (struct redis_conn_info){
        .name = rc->name,
        .library = rc->lib_name,
        .library_version = rc->lib_version,
        .user = rc->user,
        .vhost = c->shard->config->redis_vhost,
        .resp = rc->out.version,
        .subscriptions = rc->sub.counts[SUBJECT_SHARED][SUBJECT_EXACT] +
                         rc->sub.counts[SUBJECT_SHARED][SUBJECT_GLOB] +
                         rc->sub.counts[SUBJECT_SHARDED][SUBJECT_EXACT],
        .unread = c->out.len + rc->sub.later.len,
        .opened_ms = (int64_t)rc->opened_ms,
    };
    return true;
}

bool redis_client_type_parse(struct span text, enum redis_client_type *ret)
{
    static const struct {
        const char *name;
        enum redis_client_type type;
    } names[] = {{"normal", REDIS_CLIENT_NORMAL},
                 {"slave", REDIS_CLIENT_REPLICA},
                 {"replica", REDIS_CLIENT_REPLICA},
                 {"pubsub", REDIS_CLIENT_PUBSUB},
                 {"master", REDIS_CLIENT_MASTER}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (redis_is(text, names[i].name)) {
            *ret = names[i].type;
            return true;
        }
    return false;
}

/* ---- all clients --------------------------------------------------------------------------------------- */

static int by_number(const void *key, const void *item)
{
    uint64_t a = *(const uint64_t *)key, b = *(const uint64_t *)item;
    return (a > b) - (a < b);
}

static bool is_listed(const struct redis_client_filter *f, uint64_t id)
{
    return !f->ids || bsearch(&id, f->ids, f->id_count, sizeof(*f->ids), by_number);
}

static bool is_or_any(struct span wanted, const char *it)
{
    return span_is_null(wanted) || span_eq_str(wanted, it);
}

static bool is_wanted(const struct redis_client_filter *f, const struct redis_conn *rc)
{
    enum redis_client_type type = redis_is_subscribed(rc) ? REDIS_CLIENT_PUBSUB : REDIS_CLIENT_NORMAL;
    return (f->type == REDIS_CLIENT_ANY || f->type == type) && is_listed(f, rc->id) &&
           is_or_any(f->addr, rc->conn->peer) && is_or_any(f->laddr, rc->conn->local) &&
           is_or_any(f->user, rc->user ? rc->user : "default") &&
           (f->max_age_s == 0 || seconds_since(rc, rc->opened_ms) > f->max_age_s) && f->but_not != rc->id;
}

/* What it heard before is still written, as it is in Redis, where that was done in the turn before. Who
 * leaves more unread than a socket takes is not waited for. */
static void end_client(struct redis_conn *rc)
{
    enum { WRITTEN_MAX = 64 << 10 };
    if (rc->conn->out.len + rc->sub.later.len > WRITTEN_MAX) {
        conn_abort(rc->conn);
        return;
    }
    rc->closing = true;
    conn_finish(rc->conn);
}

static void found(struct redis_clients_visit *v, struct redis_conn *rc)
{
    struct conn *c = rc->conn;
    if (!v->kill) {
        redis_client_line(&v->lines, rc);
        return;
    }
    v->killed++;
    if (c->shard == v->op.home && c->handle.index == v->op.conn.index &&
        c->handle.generation == v->op.conn.generation)
        v->killed_self = true; /* after its answer */
    else
        end_client(rc);
}

/* The user that everybody is who has not said a name is always there. */
static bool is_user(struct shard *shard0, struct span name)
{
    return span_eq_str(name, "default") || user_find(shard0->broker->users, name);
}

static void visit(struct shard *here, struct msg *m);

static void begin(struct redis_clients *cs, struct redis_clients_visit *v)
{
    struct shard *home = v->op.home;
    cs->under_way++;
    v->op.msg.run = visit;
    msg_send(home, &home->broker->shards[0], &v->op.msg);
}

static void came_home(struct shard *home, struct msg *m)
{
    struct op *op = container_of(m, struct op, msg);
    struct redis_clients *cs = clients_of(home);
    struct list *next = list_first(&cs->waiting);
    cs->under_way--;
    if (next) {
        list_del(next);
        begin(cs, list_entry(next, struct redis_clients_visit, link));
    }
    op->complete(handle_get(&home->conns, op->conn), op);
}

static void visit(struct shard *here, struct msg *m)
{
    struct redis_clients_visit *v = container_of(m, struct redis_clients_visit, op.msg);
    struct broker *b = here->broker;
    if (here->index == 0 && !span_is_null(v->filter.user) && !is_user(here, v->filter.user))
        v->op.err = ERR_NOT_FOUND;
    list_each (l, &clients_of(here)->list) {
        struct redis_conn *rc = list_entry(l, struct redis_conn, link);
        if (!v->op.err && !rc->conn->aborted && is_wanted(&v->filter, rc))
            found(v, rc);
    }
    if (v->op.err || ++v->next == b->shard_count) {
        m->run = came_home;
        msg_send(here, v->op.home, m);
    } else {
        msg_send(here, &b->shards[v->next], m);
    }
}

struct redis_clients_visit *redis_clients_visit_new(struct redis_conn *rc,
                                                    void (*complete)(struct conn *c, struct op *op))
{
    struct redis_clients_visit *v = op_new(rc->conn, sizeof(*v), complete, NULL);
    arena_init(&v->arena);
    return v;
}

void redis_clients_visit_free(struct redis_clients_visit *v)
{
    redis_text_free(&v->lines);
    arena_fini(&v->arena);
    op_free(v);
}

void redis_clients_visit_submit(struct redis_clients_visit *v)
{
    struct redis_clients *cs = clients_of(v->op.home);
    if (v->filter.ids)
        qsort(v->filter.ids, v->filter.id_count, sizeof(*v->filter.ids), by_number);
    if (cs->under_way >= UNDER_WAY_MAX)
        list_add_tail(&cs->waiting, &v->link);
    else
        begin(cs, v);
}

bool redis_output_is_full(const struct shard *s, size_t more)
{
    size_t used = more;
    for (unsigned i = 0; i < s->broker->shard_count; i++)
        used += atomic_load_explicit(&s->broker->shards[i].output_pool.used_bytes, memory_order_relaxed);
    return used > s->config->memory_output_bytes;
}
