/* Members of a group: what they said, their sessions, and ids that were given out. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "core/group_impl.h"

/* ---- finding ------------------------------------------------------------------------------------------- */

struct group_member *member_find(const struct group *g, struct span id)
{
    return map_get(&g->by_id, id);
}

struct group_member *member_find_instance(const struct group *g, struct span instance_id)
{
    return span_is_null(instance_id) ? NULL : map_get(&g->by_instance, instance_id);
}

/* ClassicGroup.validateMember() */
int member_validate(const struct group *g, struct span id, struct span instance_id, struct group_member **ret)
{
    if (!span_is_null(instance_id)) {
        const struct group_member *holder = member_find_instance(g, instance_id);
        if (!holder)
            return ERR_UNKNOWN_MEMBER;
        if (!span_eq(holder->id, id))
            return ERR_FENCED_INSTANCE;
    }
    *ret = member_find(g, id);
    return *ret ? 0 : ERR_UNKNOWN_MEMBER;
}

/* ---- what it said -------------------------------------------------------------------------------------- */

/* Fills one block front to back. */
struct block {
    char *at;
};

static struct span put(struct block *b, struct span s)
{
    if (span_is_null(s))
        return s;
    struct span copy = span_of(b->at, s.len);
    if (s.len)
        memcpy(b->at, s.ptr, s.len);
    b->at += s.len;
    return copy;
}

/* What a member says: from a join, or from a command at start-up. */
struct words {
    struct span id, instance_id, client_id, client_host, protocol_type;
    const struct group_protocol *protocols;
    uint32_t protocol_count;
    const struct span *topics;
    uint32_t topic_count;
};

static size_t size_of(const struct words *w)
{
    size_t n = w->protocol_count * sizeof(struct group_protocol) + w->topic_count * sizeof(struct span);
    n += w->id.len + w->instance_id.len + w->client_id.len + w->client_host.len + w->protocol_type.len + 1;
    for (uint32_t i = 0; i < w->protocol_count; i++)
        n += w->protocols[i].name.len + w->protocols[i].metadata.len;
    for (uint32_t i = 0; i < w->topic_count; i++)
        n += w->topics[i].len;
    return n;
}

static int say_words(struct group_member *m, const struct words *w)
{
    struct groups *gs = m->group->groups;
    size_t size = size_of(w);
    if (!groups_room(gs, size))
        return ERR_LIMIT;
    char *said = mem_try(size);
    if (!said)
        return ERR_NO_MEMORY;
    m->protocols = (struct group_protocol *)said;
    m->topics = (struct span *)(m->protocols + w->protocol_count);
    struct block b = {(char *)(m->topics + w->topic_count)};
    m->id = put(&b, w->id);
    m->instance_id = put(&b, w->instance_id);
    m->client_id = put(&b, w->client_id);
    m->client_host = put(&b, w->client_host);
    m->protocol_type = put(&b, w->protocol_type);
    for (uint32_t i = 0; i < w->protocol_count; i++)
        m->protocols[i] =
            (struct group_protocol){put(&b, w->protocols[i].name), put(&b, w->protocols[i].metadata)};
    for (uint32_t i = 0; i < w->topic_count; i++)
        m->topics[i] = put(&b, w->topics[i]);
    m->protocol_count = w->protocol_count;
    m->topic_count = w->topic_count;
    groups_account(gs, size, m->said_bytes);
    mem_free(m->said);
    m->said = said;
    m->said_bytes = size;
    return 0;
}

int member_say(struct group_member *m, const struct op_group_join *j, struct span id)
{
    struct words w = {.id = id,
                      .instance_id = j->instance_id,
                      .client_id = j->client_id,
                      .client_host = j->client_host,
                      .protocol_type = j->protocol_type,
                      .protocols = j->protocols,
                      .protocol_count = j->protocol_count,
                      .topics = j->topics,
                      .topic_count = j->topic_count};
    struct group *g = m->group;
    bool linked = list_linked(&m->link);
    if (linked) { /* the tables borrow their keys from the block that goes */
        map_del(&g->by_id, m->id);
        if (!span_is_null(m->instance_id))
            map_del(&g->by_instance, m->instance_id);
    }
    int err = say_words(m, &w);
    if (!err) {
        m->session_timeout_ms = j->session_timeout_ms;
        m->rebalance_timeout_ms = j->rebalance_timeout_ms;
    }
    if (linked) {
        map_put(&g->by_id, m->id, m);
        if (!span_is_null(m->instance_id))
            map_put(&g->by_instance, m->instance_id, m);
    }
    return err;
}

struct span member_metadata(const struct group_member *m, struct span protocol)
{
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (span_eq(m->protocols[i].name, protocol))
            return m->protocols[i].metadata;
    return span_of("", 0);
}

bool member_same_protocols(const struct group_member *m, const struct op_group_join *j)
{
    if (m->protocol_count != j->protocol_count)
        return false;
    for (uint32_t i = 0; i < m->protocol_count; i++)
        if (!span_eq(m->protocols[i].name, j->protocols[i].name) ||
            !span_eq(m->protocols[i].metadata, j->protocols[i].metadata))
            return false;
    return true;
}

void member_set_assignment(struct group_member *m, struct span bytes)
{
    groups_account(m->group->groups, bytes.len, m->assignment.len);
    group_drop(&m->assignment);
    if (bytes.len)
        m->assignment = group_keep(bytes);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool member_awaits(const struct group_member *m)
{
    return m->join || m->sync;
}

static void session_over(struct shard *s, struct shard_timer *t)
{
    struct group_member *m = container_of(t, struct group_member, session);
    struct group *g = m->group;
    say_info("group", "a member was not heard of and is removed",
             "group=\"%.*s\" member=\"%.*s\" timeout_ms=%d", SPAN_ARG(g->name), SPAN_ARG(m->id),
             (int)m->session_timeout_ms);
    metrics_add(s->metrics, METRIC_GROUP_EXPIRED_MEMBERS, 1);
    member_remove(m, ERR_UNKNOWN_MEMBER);
    rebalance_member_gone(g);
}

/* While a member waits for an answer of ours its silence means nothing; a new one may do so for a while only,
 * or every client that gave up would leave a member behind (KAFKA-7610). */
void member_touch(struct group_member *m)
{
    struct shard *s = m->group->groups->shard;
    if (s->groups->stopped)
        return;
    if (m->is_new && m->join)
        shard_timer_set(s, &m->session, s->now_ns + GROUP_NEW_MEMBER_MS * 1000000ull);
    else if (member_awaits(m))
        shard_timer_cancel(s, &m->session);
    else
        shard_timer_set(s, &m->session, s->now_ns + (uint64_t)m->session_timeout_ms * 1000000);
}

struct group_member *member_new(struct group *g)
{
    struct group_member *m = mem_zalloc(sizeof(*m));
    m->group = g;
    m->session.fire = session_over;
    list_init(&m->link);
    groups_account(g->groups, sizeof(*m), 0);
    return m;
}

void member_free(struct group_member *m)
{
    assert(!list_linked(&m->link) && !m->join && !m->sync);
    shard_timer_cancel(m->group->groups->shard, &m->session);
    groups_account(m->group->groups, 0, sizeof(*m) + m->said_bytes + m->assignment.len);
    group_drop(&m->assignment);
    mem_free(m->said);
    mem_free(m);
}

void member_add(struct group_member *m)
{
    struct group *g = m->group;
    list_add_tail(&g->members, &m->link);
    map_put(&g->by_id, m->id, m);
    if (!span_is_null(m->instance_id))
        map_put(&g->by_instance, m->instance_id, m);
    if (!g->leader)
        g->leader = m;
    metrics_gauge_add_at(g->groups->shard->metrics, METRIC_GROUP_MEMBERS, 0, 1);
}

/* The next leader is a member that has joined the rebalance under way, else the one that has been there
 * longest. */
static struct group_member *next_leader(const struct group *g)
{
    list_each (l, &g->members)
        if (list_entry(l, struct group_member, link)->join)
            return list_entry(l, struct group_member, link);
    return list_empty(&g->members) ? NULL : list_entry(list_first(&g->members), struct group_member, link);
}

void member_remove(struct group_member *m, int err)
{
    struct group *g = m->group;
    rebalance_answer_join(m, err);
    if (m->sync) {
        struct op_group_sync *s = m->sync;
        m->sync = NULL;
        group_op_return(g->groups->shard, &s->g, err);
    }
    list_del(&m->link);
    map_del(&g->by_id, m->id);
    if (!span_is_null(m->instance_id))
        map_del(&g->by_instance, m->instance_id);
    if (g->leader == m)
        g->leader = next_leader(g);
    metrics_gauge_add_at(g->groups->shard->metrics, METRIC_GROUP_MEMBERS, 0, -1);
    member_free(m);
}

/* ClassicGroup.replaceStaticMember(): the same member under a new id, with what it was assigned. */
int member_replace(struct group_member *m, const struct op_group_join *j, struct span new_id)
{
    struct shard *s = m->group->groups->shard;
    rebalance_answer_join(m, ERR_FENCED_INSTANCE);
    if (m->sync) {
        struct op_group_sync *sync = m->sync;
        m->sync = NULL;
        group_op_return(s, &sync->g, ERR_FENCED_INSTANCE);
    }
    return member_say(m, j, new_id);
}

int member_restore(struct group *g, const struct group_command_member *c, struct span protocol_type,
                   struct span protocol, struct group_member **ret)
{
    struct group_protocol only = {protocol, c->metadata};
    struct words w = {.id = c->id,
                      .instance_id = c->instance_id,
                      .client_id = c->client_id,
                      .client_host = c->client_host,
                      .protocol_type = protocol_type,
                      .protocols = &only,
                      .protocol_count = 1,
                      .topics = c->topics,
                      .topic_count = c->topic_count};
    if (member_find(g, c->id) || member_find_instance(g, c->instance_id))
        return ERR_CORRUPT;
    struct group_member *m = member_new(g);
    int err = say_words(m, &w);
    if (err) {
        member_free(m);
        return err;
    }
    m->session_timeout_ms = c->session_timeout_ms;
    m->rebalance_timeout_ms = c->rebalance_timeout_ms;
    member_set_assignment(m, c->assignment);
    member_add(m);
    *ret = m;
    return 0;
}

/* ---- ids ----------------------------------------------------------------------------------------------- */

struct span member_make_id(struct arena *a, struct span prefix)
{
    uint8_t b[16];
    os_random(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562, 5.4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *id = arena_printf(a, "%.*s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                            SPAN_ARG(prefix), b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9],
                            b[10], b[11], b[12], b[13], b[14], b[15]);
    return span_str(id);
}

static void pending_free(struct group_pending *p)
{
    shard_timer_cancel(p->group->groups->shard, &p->timer);
    map_del(&p->group->pending_by_id, p->id);
    list_del(&p->link);
    groups_account(p->group->groups, 0, sizeof(*p) + p->id.len);
    mem_free(p);
}

static void pending_over(struct shard *s, struct shard_timer *t)
{
    struct group_pending *p = container_of(t, struct group_pending, timer);
    struct group *g = p->group;
    (void)s;
    pending_free(p);
    rebalance_maybe_complete(g);
}

void pending_add(struct group *g, struct span id, int32_t session_timeout_ms)
{
    struct group_pending *p = mem_zalloc(sizeof(*p) + id.len);
    memcpy(p->bytes, id.ptr, id.len);
    p->id = span_of(p->bytes, id.len);
    p->group = g;
    p->timer.fire = pending_over;
    list_add_tail(&g->pending, &p->link);
    map_put(&g->pending_by_id, p->id, p);
    groups_account(g->groups, sizeof(*p) + id.len, 0);
    struct shard *s = g->groups->shard;
    shard_timer_set(s, &p->timer, s->now_ns + (uint64_t)session_timeout_ms * 1000000);
}

bool pending_remove(struct group *g, struct span id)
{
    struct group_pending *p = map_get(&g->pending_by_id, id);
    if (p)
        pending_free(p);
    return p;
}

void pending_clear(struct group *g)
{
    while (!list_empty(&g->pending))
        pending_free(list_entry(list_first(&g->pending), struct group_pending, link));
}
