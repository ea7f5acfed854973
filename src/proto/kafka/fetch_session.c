#include "proto/kafka/fetch_session.h"

#include <assert.h>

#include "base/mem.h"
#include "core/broker.h"

enum { FETCH_SESSION_MAGIC = 0x46534553, NS_PER_MS = 1000000 };

/* The sessions of one shard. */
struct fetch_sessions {
    struct shard_keep keep;
    struct shard *shard;
    struct map by_id;
    struct list used; /* struct fetch_session.used: the longest unused first */
    uint32_t slots;
    uint64_t partitions, max_partitions; /* of all of them */
};

/* ---- what is in a session ----------------------------------------------------------------------------- */

static struct span topic_key(const struct fetch_session *s, const struct span *name,
                             const struct kafka_uuid *id)
{
    return s->by_id ? span_of(id->bytes, sizeof(id->bytes)) : name->ptr ? *name : wire_empty;
}

static uint64_t part_key(const struct fetch_topic *t, int32_t index)
{
    return (uint64_t)t->number << 32 | (uint32_t)index;
}

static struct fetch_topic *find_topic(const struct fetch_session *s, struct span name,
                                      const struct kafka_uuid *id)
{
    return map_get(&s->topics, topic_key(s, &name, id));
}

static struct fetch_topic *add_topic(struct fetch_session *s, struct span name, const struct kafka_uuid *id)
{
    struct fetch_topic *t = mem_zalloc(sizeof(*t));
    t->number = s->next_number++;
    t->epoch = FETCH_EPOCH_NONE;
    if (s->by_id)
        t->id = *id;
    else
        t->name = span_of(mem_strndup(name.ptr, name.len), name.len);
    map_put(&s->topics, topic_key(s, &t->name, &t->id), t);
    return t;
}

static void free_topic(struct fetch_topic *t)
{
    mem_free((void *)t->name.ptr);
    mem_free(t);
}

static void count_parts(struct fetch_session *s, int32_t delta)
{
    if (!s->cache)
        return;
    s->cache->partitions += (uint64_t)(int64_t)delta;
    metrics_gauge_add_at(s->cache->shard->metrics, METRIC_KAFKA_FETCH_SESSION_PARTITIONS, 0, delta);
}

static void heat(struct fetch_session *s, struct fetch_part *p)
{
    if (list_linked(&p->link))
        return;
    list_add_tail(&s->hot, &p->link);
    s->hot_count++;
}

static void unlink_hot(struct fetch_session *s, struct fetch_part *p)
{
    if (!list_linked(&p->link))
        return;
    list_del(&p->link);
    s->hot_count--;
}

static struct fetch_part *add_part(struct fetch_session *s, struct fetch_topic *t, int32_t index)
{
    struct fetch_part *p = mem_zalloc(sizeof(*p));
    *p = (struct fetch_part){
        .topic = t, .index = index, .epoch = FETCH_EPOCH_NONE, .high_watermark = -1, .log_start = -1};
    t->parts++;
    list_init(&p->link);
    map_put_u64(&s->parts, part_key(t, index), p);
    count_parts(s, 1);
    return p;
}

static void drop_part(struct fetch_session *s, struct fetch_topic *t, int32_t index)
{
    struct fetch_part *p = map_del_u64(&s->parts, part_key(t, index));
    if (!p)
        return;
    if (p->watched)
        watch_drop(s->watches[p->shard], p->log_id);
    unlink_hot(s, p);
    mem_free(p);
    count_parts(s, -1);
    t->parts--;
}

void fetch_part_set(struct fetch_part *p, const struct kafka_fetch_request_partition *in)
{
    p->index = in->partition;
    p->offset = in->fetch_offset;
    p->max_bytes = in->partition_max_bytes;
    p->leader_epoch = in->current_leader_epoch;
    p->last_epoch = in->last_fetched_epoch;
}

void fetch_topic_remember(struct fetch_topic *t, struct span name)
{
    if (span_eq(t->name, name))
        return;
    mem_free((void *)t->name.ptr);
    t->name = span_of(mem_strndup(name.ptr, name.len), name.len);
}

static void update_topic(struct fetch_session *s, const struct kafka_fetch_request_topic *in)
{
    struct fetch_topic *t = find_topic(s, in->topic, &in->topic_id);
    if (!t && in->partitions_count > 0)
        t = add_topic(s, in->topic, &in->topic_id);
    for (int32_t i = 0; i < in->partitions_count; i++) {
        struct fetch_part *p = map_get_u64(&s->parts, part_key(t, in->partitions[i].partition));
        if (!p)
            p = add_part(s, t, in->partitions[i].partition);
        fetch_part_set(p, &in->partitions[i]);
        heat(s, p);
    }
}

static void forget_topic(struct fetch_session *s, const struct kafka_fetch_request_forgotten_topic *in)
{
    struct fetch_topic *t = find_topic(s, in->topic, &in->topic_id);
    for (int32_t i = 0; t && i < in->partitions_count; i++)
        drop_part(s, t, in->partitions[i]);
    if (t && t->parts == 0) {
        map_del(&s->topics, topic_key(s, &t->name, &t->id));
        free_topic(t);
    }
}

void fetch_session_update(struct fetch_session *s, const struct kafka_fetch_request *in)
{
    for (int32_t i = 0; i < in->topics_count; i++)
        update_topic(s, &in->topics[i]);
    for (int32_t i = 0; i < in->forgotten_topics_data_count; i++)
        forget_topic(s, &in->forgotten_topics_data[i]);
    fetch_session_send(s);
}

/* ---- cold partitions ---------------------------------------------------------------------------------- */

static void fired(void *user, uint64_t tag)
{
    struct fetch_session *s = user;
    assert(s->magic == FETCH_SESSION_MAGIC);
    struct fetch_part *p = map_get_u64(&s->parts, tag);
    if (!p) /* forgotten meanwhile */
        return;
    p->watched = false;
    heat(s, p);
    if (s->active)
        s->woken(s);
}

void fetch_session_cool(struct fetch_session *s, struct fetch_part *p, const struct topic_partition *where)
{
    unlink_hot(s, p);
    if (p->watched && p->log_id == where->log_id)
        return; /* it has not fired, so the log is still as it was then */
    if (!s->watches[where->shard])
        s->watches[where->shard] = watch_new(s->home, where->shard, fired, s);
    p->watched = true;
    p->shard = (uint16_t)where->shard;
    p->log_id = where->log_id;
    watch_arm(s->watches[where->shard], where->log_id, part_key(p->topic, p->index),
              (uint64_t)p->high_watermark, (uint64_t)p->log_start);
}

void fetch_session_send(struct fetch_session *s)
{
    for (unsigned i = 0; i < s->home->broker->shard_count; i++)
        if (s->watches[i])
            watch_send(s->watches[i]);
}

int32_t fetch_next_epoch(int32_t epoch)
{
    if (epoch < 0)
        return FETCH_EPOCH_FINAL;
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

/* ---- life --------------------------------------------------------------------------------------------- */

struct fetch_session *fetch_session_new(struct shard *home, bool by_id)
{
    struct fetch_session *s = mem_zalloc(sizeof(*s));
    s->magic = FETCH_SESSION_MAGIC;
    s->epoch = FETCH_EPOCH_FULL;
    s->by_id = by_id;
    s->home = home;
    s->refs = 1;
    list_init(&s->used);
    list_init(&s->hot);
    map_init(&s->topics);
    map_init(&s->parts);
    return s;
}

static void free_if_unused(struct fetch_session *s)
{
    struct fetch_topic *t;
    struct fetch_part *p;
    if (s->refs > 0 || s->cache)
        return;
    for (unsigned i = 0; i < KAFKA_MAX_SHARDS; i++)
        if (s->watches[i] && !s->ending)
            watch_close(s->watches[i]);
    for (size_t i = 0; (p = map_next(&s->parts, &i));)
        mem_free(p);
    for (size_t i = 0; (t = map_next(&s->topics, &i));)
        free_topic(t);
    map_fini(&s->topics);
    map_fini(&s->parts);
    s->magic = 0;
    mem_free(s);
}

void fetch_session_unref(struct fetch_session *s)
{
    assert(s->magic == FETCH_SESSION_MAGIC && s->refs > 0);
    s->refs--;
    free_if_unused(s);
}

void fetch_session_remove(struct fetch_session *s)
{
    struct fetch_sessions *c = s->cache;
    if (!c)
        return;
    map_del_u64(&c->by_id, (uint64_t)s->id);
    list_del(&s->used);
    c->partitions -= fetch_session_count(s);
    metrics_gauge_add_at(c->shard->metrics, METRIC_KAFKA_FETCH_SESSIONS, 0, -1);
    metrics_gauge_add_at(c->shard->metrics, METRIC_KAFKA_FETCH_SESSION_PARTITIONS, 0,
                         -(int64_t)fetch_session_count(s));
    s->cache = NULL;
    free_if_unused(s);
}

/* ---- the cache ---------------------------------------------------------------------------------------- */

static void free_cache(struct shard_keep *k)
{
    struct fetch_sessions *c = container_of(k, struct fetch_sessions, keep);
    while (!list_empty(&c->used)) {
        struct fetch_session *s = list_entry(list_first(&c->used), struct fetch_session, used);
        s->ending = true;
        fetch_session_remove(s);
    }
    map_fini(&c->by_id);
    mem_free(c);
}

/* The slots are dealt out evenly, as connections are; a shard has one at least unless there are none. */
static uint32_t slots_of(const struct shard *s)
{
    uint64_t all = s->config->kafka_fetch_sessions;
    unsigned shards = s->broker->shard_count;
    return (uint32_t)((all + shards - 1) / shards);
}

struct fetch_sessions *fetch_sessions_of(struct shard *s)
{
    struct shard_keep *k = shard_keep_find(s, free_cache);
    if (k)
        return container_of(k, struct fetch_sessions, keep);
    struct fetch_sessions *c = mem_zalloc(sizeof(*c));
    c->keep.free = free_cache;
    c->shard = s;
    c->slots = slots_of(s);
    c->max_partitions = (uint64_t)c->slots * FETCH_SESSION_PARTITIONS_PER_SLOT;
    map_init(&c->by_id);
    list_init(&c->used);
    shard_keep_add(s, &c->keep);
    return c;
}

static void touch(struct fetch_session *s)
{
    s->used_ns = s->cache->shard->now_ns;
    list_del(&s->used);
    list_add_tail(&s->cache->used, &s->used);
}

struct fetch_session *fetch_session_find(struct fetch_sessions *c, int32_t id)
{
    struct fetch_session *s = id > 0 ? map_get_u64(&c->by_id, (uint64_t)id) : NULL;
    if (s)
        touch(s);
    return s;
}

static bool older_than(const struct fetch_sessions *c, uint64_t since_ns, uint64_t ms)
{
    return c->shard->now_ns - since_ns > ms * NS_PER_MS;
}

/* FetchSessionCache.tryEvict(), without followers: one that nobody used for long, else the smallest of those
 * that are not new, if the session that wants its place is larger. NULL: none. */
static struct fetch_session *find_victim(const struct fetch_sessions *c, uint32_t partitions,
                                         const struct fetch_session *keep)
{
    struct fetch_session *least = NULL;
    list_each (l, &c->used) {
        struct fetch_session *s = list_entry(l, struct fetch_session, used);
        if (s == keep)
            continue;
        if (older_than(c, s->used_ns, FETCH_SESSION_STALE_MS))
            return s;
        if (older_than(c, s->created_ns, FETCH_SESSION_STALE_MS) &&
            (!least || fetch_session_count(s) < fetch_session_count(least)))
            least = s;
    }
    return least && fetch_session_count(least) < partitions ? least : NULL;
}

static void evict(struct fetch_sessions *c, struct fetch_session *s)
{
    metrics_add(c->shard->metrics, METRIC_KAFKA_FETCH_SESSION_EVICTIONS, 1);
    fetch_session_remove(s);
}

static bool is_full(const struct fetch_sessions *c, uint32_t sessions, uint64_t partitions)
{
    return c->by_id.count + sessions > c->slots || c->partitions + partitions > c->max_partitions;
}

bool fetch_session_fits(struct fetch_sessions *c, uint32_t partitions)
{
    if (c->slots == 0 || partitions > c->max_partitions)
        return false;
    return !is_full(c, 1, partitions) || find_victim(c, partitions, NULL);
}

bool fetch_session_add(struct fetch_sessions *c, struct fetch_session *s)
{
    assert(!s->cache);
    if (c->slots == 0 || fetch_session_count(s) > c->max_partitions)
        return false;
    while (is_full(c, 1, fetch_session_count(s))) {
        struct fetch_session *victim = find_victim(c, fetch_session_count(s), NULL);
        if (!victim)
            return false;
        evict(c, victim);
    }
    unsigned shards = c->shard->broker->shard_count;
    uint32_t n;
    do { /* positive, and told from those of other shards by the remainder */
        os_random(&n, sizeof(n));
        n = (n & INT32_MAX) / shards * shards + c->shard->index;
    } while (n == 0 || n > INT32_MAX || map_get_u64(&c->by_id, n));
    s->id = (int32_t)n;
    s->cache = c;
    s->created_ns = c->shard->now_ns;
    map_put_u64(&c->by_id, n, s);
    c->partitions += fetch_session_count(s);
    touch(s);
    metrics_add(c->shard->metrics, METRIC_KAFKA_FETCH_SESSIONS_TOTAL, 1);
    metrics_gauge_add_at(c->shard->metrics, METRIC_KAFKA_FETCH_SESSIONS, 0, 1);
    metrics_gauge_add_at(c->shard->metrics, METRIC_KAFKA_FETCH_SESSION_PARTITIONS, 0, fetch_session_count(s));
    return true;
}

bool fetch_session_grow(struct fetch_session *s, uint32_t more)
{
    struct fetch_sessions *c = s->cache;
    while (is_full(c, 0, more)) {
        struct fetch_session *victim = find_victim(c, fetch_session_count(s) + more, s);
        if (!victim)
            return false;
        evict(c, victim);
    }
    return true;
}

void fetch_sessions_expire(struct shard *shard)
{
    struct shard_keep *k = shard_keep_find(shard, free_cache);
    struct fetch_sessions *c = k ? container_of(k, struct fetch_sessions, keep) : NULL;
    uint64_t ms = shard->config->kafka_idle_timeout_ms;
    while (c && !list_empty(&c->used) && ms < CONFIG_UNLIMITED / NS_PER_MS) {
        struct fetch_session *s = list_entry(list_first(&c->used), struct fetch_session, used);
        if (shard->now_ns - s->used_ns < ms * NS_PER_MS)
            break;
        evict(c, s);
    }
}
