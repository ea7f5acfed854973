#include "proto/kafka/fake_core.h"

#include <assert.h>
#include <stdlib.h>

#include "base/compress.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/batch.h"

enum { INPUT_CHUNK_BYTES = 8 << 20, OUTPUT_CHUNK_BYTES = 4096, MS = 1000000 };

static struct fake_core *core_of(const struct op *op)
{
    return container_of(op->home->broker, struct fake_core, broker);
}

/* ---- topics and logs ---------------------------------------------------------------------------------- */

static struct fake_log *log_find(struct fake_core *core, uint64_t id)
{
    return id >= 1 && id <= FAKE_LOGS && core->logs[id - 1].id == id ? &core->logs[id - 1] : NULL;
}

struct fake_log *fake_log_of(struct fake_core *core, const struct topic *t, uint32_t partition)
{
    return log_find(core, t->partitions[partition].log_id);
}

static bool add_log(struct fake_core *core, struct topic_partition *ret)
{
    for (uint64_t i = 0; i < FAKE_LOGS; i++) {
        if (core->logs[i].id)
            continue;
        core->logs[i] = (struct fake_log){.id = i + 1};
        *ret = (struct topic_partition){.log_id = i + 1, .shard = (unsigned)i % FAKE_SHARDS};
        return true;
    }
    return false;
}

static void free_log(struct fake_core *core, uint64_t id)
{
    struct fake_log *l = log_find(core, id);
    for (uint32_t i = 0; l && i < l->count; i++)
        chunk_unref(l->batches[i].chunk);
    if (l)
        *l = (struct fake_log){0};
}

static int grow(struct fake_core *core, struct topic *t, uint32_t partitions)
{
    if (partitions > FAKE_LOGS)
        return ERR_LIMIT;
    t->partitions = mem_realloc(t->partitions, partitions * sizeof(*t->partitions));
    while (t->partition_count < partitions) {
        if (!add_log(core, &t->partitions[t->partition_count]))
            return ERR_LIMIT;
        t->partition_count++;
    }
    return 0;
}

static struct topic **find_slot(struct fake_core *core, struct span name)
{
    for (unsigned i = 0; i < FAKE_TOPICS; i++)
        if (core->topics[i] && span_eq(span_of(core->topics[i]->name, core->topics[i]->name_len), name))
            return &core->topics[i];
    return NULL;
}

static void free_topic(struct fake_core *core, struct topic *t)
{
    for (uint32_t i = 0; i < t->partition_count; i++)
        free_log(core, t->partitions[i].log_id);
    mem_free(t->partitions);
    topic_config_disown(&t->config);
    mem_free((char *)t->name);
    mem_free(t);
}

static int create(struct fake_core *core, struct span name, uint32_t partitions,
                  const struct topic_config *cfg, struct topic **ret_topic)
{
    for (unsigned i = 0; i < FAKE_TOPICS; i++) {
        if (core->topics[i])
            continue;
        struct topic *t = mem_zalloc(sizeof(*t));
        t->name = mem_strndup(name.ptr, name.len);
        t->name_len = name.len;
        t->config = *cfg;
        topic_config_own(&t->config);
        memset(t->id.bytes, (int)i + 1, sizeof(t->id.bytes));
        topic_config_policy(&t->config, &t->policy);
        if (grow(core, t, partitions)) {
            free_topic(core, t);
            return ERR_LIMIT;
        }
        *ret_topic = core->topics[i] = t;
        return 0;
    }
    return ERR_LIMIT;
}

struct topic *fake_topic(struct fake_core *core, const char *name, uint32_t partitions)
{
    struct topic *t = NULL;
    struct topic_config cfg;
    topic_config_default(&cfg);
    int err = create(core, span_str(name), partitions, &cfg, &t);
    assert(err == 0);
    return t;
}

int topic_find(struct shard *s, const struct actor *actor, enum auth_action action, struct span name,
               struct topic **ret_topic)
{
    struct topic **slot = find_slot(container_of(s->broker, struct fake_core, broker), name);
    if (!slot)
        return ERR_NOT_FOUND;
    *ret_topic = *slot;
    return 0;
}

int topic_find_id(struct shard *s, const struct actor *actor, enum auth_action action,
                  const struct topic_id *id, struct topic **ret_topic)
{
    struct fake_core *core = container_of(s->broker, struct fake_core, broker);
    for (unsigned i = 0; i < FAKE_TOPICS; i++) {
        if (core->topics[i] && memcmp(core->topics[i]->id.bytes, id->bytes, sizeof(id->bytes)) == 0) {
            *ret_topic = core->topics[i];
            return 0;
        }
    }
    return ERR_UNKNOWN_TOPIC_ID;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct topic *const *)a)->name, (*(struct topic *const *)b)->name);
}

struct topic **topic_list(struct shard *s, const struct actor *actor, struct arena *a, size_t *ret_count)
{
    struct fake_core *core = container_of(s->broker, struct fake_core, broker);
    struct topic **all = arena_array(a, FAKE_TOPICS, sizeof(struct topic *));
    *ret_count = 0;
    for (unsigned i = 0; i < FAKE_TOPICS; i++)
        if (core->topics[i])
            all[(*ret_count)++] = core->topics[i];
    qsort(all, *ret_count, sizeof(struct topic *), by_name);
    return all;
}

/* ---- operations --------------------------------------------------------------------------------------- */

void *op_new(struct conn *c, size_t size, void (*complete)(struct conn *c, struct op *op), void *user)
{
    struct op *op = mem_zalloc(size);
    op->home = c->shard;
    op->conn = c->handle;
    op->actor = c->actor;
    op->complete = complete;
    op->user = user;
    return op;
}

void op_free(void *op)
{
    mem_free(op);
}

static void submit(struct op *op, void (*run)(struct fake_core *core, struct op *op, bool *ret_done))
{
    struct fake_core *core = core_of(op);
    if (core->op_count == core->op_cap) {
        core->op_cap = core->op_cap ? core->op_cap * 2 : 16;
        core->pending = mem_realloc(core->pending, core->op_cap * sizeof(*core->pending));
    }
    core->pending[core->op_count++] = (struct fake_pending){op, run};
    core->submitted++;
}

void fake_submit(struct op *op, void (*run)(struct fake_core *core, struct op *op, bool *ret_done))
{
    submit(op, run);
}

static void append_one(struct fake_core *core, struct append_item *it)
{
    struct fake_log *l = log_find(core, it->log_id);
    it->timestamp = -1;
    it->err = !l ? ERR_NOT_FOUND : l->count == FAKE_BATCHES ? ERR_NO_SPACE : core->append_err;
    if (it->err)
        return;
    struct chunk *c = chunk_new(&core->log_pool, it->batch.len);
    memcpy(c->data, it->batch.ptr, it->batch.len);
    batch_set_base_offset(c->data, (int64_t)l->next);
    l->batches[l->count] = (struct slice){c, c->data, it->batch.len};
    l->bases[l->count++] = it->base_offset = l->next;
    it->log_start = l->start;
    l->next += (uint64_t)batch_last_offset_delta(c->data) + 1;
}

static void run_append(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_append *a = (struct op_append *)op;
    for (uint32_t i = 0; i < a->count; i++) {
        assert(log_find(core, a->items[i].log_id) == NULL ||
               (a->items[i].log_id - 1) % FAKE_SHARDS == a->shard);
        append_one(core, &a->items[i]);
    }
    *ret_done = true;
}

void op_append_submit(struct op_append *a)
{
    submit(&a->op, run_append);
}

void op_append_free(struct op_append *a)
{
    for (uint32_t i = 0; i < a->count; i++)
        chunk_unref(a->items[i].chunk);
    mem_free(a->items);
    mem_free(a);
}

static void add_slice(struct rope *data, const struct slice *s)
{
    data->slices = mem_realloc(data->slices, (data->count + 1) * sizeof(*data->slices));
    data->slices[data->count++] = (struct slice){chunk_ref(s->chunk), s->ptr, s->len};
    data->len += s->len;
}

static int check_epoch(int32_t epoch)
{
    return epoch <= 0 ? 0 : ERR_UNKNOWN_EPOCH;
}

static void read_one(struct fake_core *core, struct op_read *r, struct read_item *it, uint64_t *total)
{
    struct fake_log *l = log_find(core, it->log_id);
    it->diverging_epoch = -1;
    it->err = l ? check_epoch(it->leader_epoch) : ERR_NOT_FOUND;
    if (it->err)
        return;
    it->log_start = l->start;
    it->durable = l->next;
    if (it->offset < l->start || it->offset > l->next)
        it->err = ERR_OFFSET_RANGE;
    for (uint32_t i = 0; !it->err && i < l->count; i++) {
        uint64_t end = i + 1 < l->count ? l->bases[i + 1] : l->next;
        size_t len = l->batches[i].len;
        bool fits = it->read.data.len + len <= it->max_bytes && *total + len <= r->max_bytes;
        if (end <= it->offset)
            continue;
        if (!fits && *total > 0)
            return;
        add_slice(&it->read.data, &l->batches[i]);
        *total += len;
    }
}

void log_read_fini(struct log_read *r)
{
    for (size_t i = 0; i < r->data.count; i++)
        chunk_unref(r->data.slices[i].chunk);
    mem_free(r->data.slices);
    r->data = (struct rope){0};
}

static void run_read(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_read *r = (struct op_read *)op;
    uint64_t total = 0;
    bool settled = false;
    for (uint32_t i = 0; i < r->count; i++) {
        assert(r->items[i].log_id == 0 || (r->items[i].log_id - 1) % FAKE_SHARDS == r->shard);
        core->items_read++;
        log_read_fini(&r->items[i].read);
        read_one(core, r, &r->items[i], &total);
        settled = settled || r->items[i].err;
    }
    *ret_done = settled || r->cancelled || total >= r->wait_bytes || r->deadline_mono_ns <= op->home->now_ns;
}

void op_read_submit(struct op_read *r)
{
    submit(&r->op, run_read);
}

void op_read_cancel(struct op_read *r)
{
    assert(!r->cancelled);
    r->cancelled = true;
}

void op_read_free(struct op_read *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++)
        log_read_fini(&r->items[i].read);
    mem_free(r->items);
    mem_free(r);
}

static void run_offsets(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_offsets *o = (struct op_offsets *)op;
    for (uint32_t i = 0; i < o->count; i++) {
        struct offset_item *it = &o->items[i];
        struct fake_log *l = log_find(core, it->log_id);
        it->err = l ? check_epoch(it->leader_epoch) : ERR_NOT_FOUND;
        it->ret_timestamp = -1;
        it->offset = !l ? -1 : it->timestamp == OFFSET_EARLIEST ? (int64_t)l->start : (int64_t)l->next;
    }
    *ret_done = true;
}

void op_offsets_submit(struct op_offsets *o)
{
    submit(&o->op, run_offsets);
}

void op_offsets_free(struct op_offsets *o)
{
    mem_free(o->items);
    mem_free(o);
}

static void run_epochs(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_epochs *e = (struct op_epochs *)op;
    for (uint32_t i = 0; i < e->count; i++) {
        struct epoch_item *it = &e->items[i];
        struct fake_log *l = log_find(core, it->log_id);
        it->err = l ? check_epoch(it->leader_epoch) : ERR_NOT_FOUND;
        it->ret_epoch = 0;
        it->ret_end = l ? (int64_t)l->next : -1;
    }
    *ret_done = true;
}

void op_epochs_submit(struct op_epochs *e)
{
    submit(&e->op, run_epochs);
}

void op_epochs_free(struct op_epochs *e)
{
    mem_free(e->items);
    mem_free(e);
}

static void run_trim(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_trim *t = (struct op_trim *)op;
    for (uint32_t i = 0; i < t->count; i++) {
        struct trim_item *it = &t->items[i];
        struct fake_log *l = log_find(core, it->log_id);
        it->err = !l ? ERR_NOT_FOUND : it->before > (int64_t)l->next ? ERR_OFFSET_RANGE : 0;
        if (it->err)
            continue;
        uint64_t before = it->before < 0 ? l->next : (uint64_t)it->before;
        l->start = before > l->start ? before : l->start;
        it->log_start = l->start;
    }
    *ret_done = true;
}

void op_trim_submit(struct op_trim *t)
{
    submit(&t->op, run_trim);
}

void op_trim_free(struct op_trim *t)
{
    mem_free(t->items);
    mem_free(t);
}

static void run_create(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_topic_create *t = (struct op_topic_create *)op;
    struct topic *made = NULL;
    t->ret_partitions = t->partitions < 0 ? 1 : (uint32_t)t->partitions;
    if (find_slot(core, t->name))
        op->err = ERR_EXISTS;
    else if (!t->validate_only)
        op->err = create(core, t->name, t->ret_partitions, &t->config, &made);
    if (made)
        t->id = made->id;
    *ret_done = true;
}

void op_topic_create_submit(struct op_topic_create *t)
{
    submit(&t->op, run_create);
}

void op_topic_create_free(struct op_topic_create *t)
{
    arena_fini(&t->arena);
    mem_free(t);
}

static void run_delete(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_topic_delete *t = (struct op_topic_delete *)op;
    struct topic *found = NULL;
    *ret_done = true;
    op->err = topic_find_id(op->home, &op->actor, AUTH_CONFIGURE, &t->id, &found);
    if (op->err)
        return;
    *find_slot(core, span_of(found->name, found->name_len)) = NULL;
    free_topic(core, found);
}

void op_topic_delete_submit(struct op_topic_delete *t)
{
    submit(&t->op, run_delete);
}

void op_topic_delete_free(struct op_topic_delete *t)
{
    arena_fini(&t->arena);
    mem_free(t);
}

static void run_grow(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_topic_grow *t = (struct op_topic_grow *)op;
    struct topic **slot = find_slot(core, t->name);
    op->err = slot ? 0 : ERR_NOT_FOUND;
    if (slot && !t->validate_only)
        op->err = grow(core, *slot, (uint32_t)t->partitions);
    *ret_done = true;
}

void op_topic_grow_submit(struct op_topic_grow *t)
{
    submit(&t->op, run_grow);
}

void op_topic_grow_free(struct op_topic_grow *t)
{
    arena_fini(&t->arena);
    mem_free(t);
}

static void run_alter(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_topic_alter *t = (struct op_topic_alter *)op;
    struct topic **slot = find_slot(core, t->name);
    struct topic_config config;
    *ret_done = true;
    op->err = ERR_NOT_FOUND;
    if (!slot)
        return;
    topic_config_copy(&config, &(*slot)->config, &t->arena);
    op->err = topic_config_alter(&config, t->items, t->count, t->replace, &t->arena, &t->ret_reason);
    if (op->err || t->validate_only)
        return;
    topic_config_disown(&(*slot)->config);
    (*slot)->config = config;
    topic_config_own(&(*slot)->config);
}

void op_topic_alter_submit(struct op_topic_alter *t)
{
    submit(&t->op, run_alter);
}

void op_topic_alter_free(struct op_topic_alter *t)
{
    arena_fini(&t->arena);
    mem_free(t);
}

static void run_sizes(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_sizes *o = (struct op_sizes *)op;
    for (uint32_t i = 0; i < o->count; i++) {
        const struct fake_log *l = log_find(core, o->items[i].log_id);
        o->items[i].err = l ? 0 : ERR_NOT_FOUND;
        for (uint32_t k = 0; l && k < l->count; k++)
            o->items[i].bytes += l->batches[k].len;
    }
    *ret_done = true;
}

void op_sizes_submit(struct op_sizes *o)
{
    submit(&o->op, run_sizes);
}

void op_sizes_free(struct op_sizes *o)
{
    mem_free(o->items);
    mem_free(o);
}

static void run_space(struct fake_core *core, struct op *op, bool *ret_done)
{
    struct op_space *o = (struct op_space *)op;
    o->ret_total = 1000000;
    o->ret_free = 400000;
    *ret_done = true;
}

void op_space_submit(struct op_space *o)
{
    submit(&o->op, run_space);
}

void op_space_free(struct op_space *o)
{
    mem_free(o);
}

static void run_producer_id(struct fake_core *core, struct op *op, bool *ret_done)
{
    ((struct op_producer_id *)op)->producer_id = core->next_producer_id++;
    *ret_done = true;
}

void op_producer_id_submit(struct op_producer_id *p)
{
    submit(&p->op, run_producer_id);
}

/* ---- the turn ----------------------------------------------------------------------------------------- */

static bool run_op(struct fake_core *core, unsigned i)
{
    struct op *op = core->pending[i].op;
    bool done = false;
    core->pending[i].run(core, op, &done);
    if (!done)
        return false;
    core->op_count--;
    memmove(&core->pending[i], &core->pending[i + 1], (core->op_count - i) * sizeof(core->pending[0]));
    op->complete(handle_get(&op->home->conns, op->conn), op);
    return true;
}

void fake_run(struct fake_core *core)
{
    for (bool progress = true; progress;) {
        progress = fake_watch_run(core);
        for (unsigned n = core->op_count, i = 0; i < n && !progress; i++)
            progress = run_op(core, core->newest_first ? n - 1 - i : i);
    }
}

/* ---- life --------------------------------------------------------------------------------------------- */

static void init_shard(struct fake_core *core, unsigned i)
{
    struct shard *s = &core->shards[i];
    s->broker = &core->broker;
    s->index = i;
    s->config = &core->config;
    s->now_ns = 1000000000;
    s->now_ms = 1700000000000;
    s->metrics = metrics_shard_new(core->broker.metrics);
    heap_init(&s->conn_deadlines);
    list_init(&s->ready);
    list_init(&s->flush);
    handle_table_init(&s->conns, (uint16_t)i);
    chunk_pool_init(&s->input_pool, "input", INPUT_CHUNK_BYTES, 2);
    chunk_pool_init(&s->output_pool, "output", OUTPUT_CHUNK_BYTES, 4);
    s->compressor = compressor_new();
}

/* The seam's, which is not linked here: any numbers will do. */
void os_random(void *ret_bytes, size_t len)
{
    static uint32_t n;
    uint8_t *p = ret_bytes;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((n = n * 1664525 + 1013904223) >> 24);
}

void fake_core_init(struct fake_core *core)
{
    memset(core, 0, sizeof(*core));
    config_init(&core->config);
    topic_config_init(&core->config);
    core->broker.metrics = metrics_new();
    core->broker.config = &core->config;
    core->broker.shard_count = FAKE_SHARDS;
    core->broker.shards = core->shards;
    core->next_producer_id = 1000;
    list_init(&core->watch_sets);
    strcpy(core->broker.cluster_id, "fake-cluster");
    chunk_pool_init(&core->log_pool, "logs", 4096, 4);
    for (unsigned i = 0; i < FAKE_SHARDS; i++)
        init_shard(core, i);
}

void fake_core_fini(struct fake_core *core)
{
    assert(core->op_count == 0);
    mem_free(core->pending);
    for (unsigned i = 0; i < FAKE_TOPICS; i++)
        if (core->topics[i])
            free_topic(core, core->topics[i]);
    for (unsigned i = 0; i < FAKE_SHARDS; i++) {
        struct shard *s = &core->shards[i];
        shard_keeps_free(s);
        heap_fini(&s->conn_deadlines);
        handle_table_fini(&s->conns);
        compressor_free(s->compressor);
        chunk_pool_fini(&s->input_pool);
        chunk_pool_fini(&s->output_pool);
    }
    fake_watch_fini(core);
    chunk_pool_fini(&core->log_pool);
    metrics_free(core->broker.metrics);
}

void fake_client_open(struct fake_client *client, struct fake_core *core)
{
    struct conn *c = &client->conn;
    *client = (struct fake_client){.core = core, .listener = {.name = "kafka", .bound = "127.0.0.1:9092"}};
    c->magic = CONN_MAGIC;
    c->shard = &core->shards[0];
    c->handle = handle_new(&c->shard->conns, c);
    c->actor = (struct actor){&auth_anonymous, &auth_default_vhost};
    c->proto = &kafka_proto;
    c->listener = &client->listener;
    c->peer = "127.0.0.1:50000";
    c->local = "127.0.0.1:9092";
    c->ops_left = c->ops_max = (int32_t)core->config.kafka_max_in_flight;
    c->bytes_left = 64 << 20;
    outq_init(&c->out, &c->shard->output_pool);
    list_init(&c->flush_link);
    list_init(&c->ready_link);
    c->proto_state = mem_zalloc(kafka_proto.state_bytes);
    client->input = chunk_new(&c->shard->input_pool, INPUT_CHUNK_BYTES);
    kafka_proto.open(c, c->proto_state);
}

/* As proto/front.c: as long as it consumes and may read. */
static void pump(struct fake_client *client)
{
    struct conn *c = &client->conn;
    while (conn_can_read(c) && client->taken < client->input->used) {
        struct span rest = span_of(client->input->data + client->taken, client->input->used - client->taken);
        size_t need = 0;
        int64_t n = kafka_proto.input(c, c->proto_state, rest, client->input, &need);
        assert(n <= (int64_t)rest.len);
        assert(n != 0 || need == 0 || need > rest.len);
        if (n <= 0)
            break;
        client->taken += (size_t)n;
    }
}

void fake_client_send(struct fake_client *client, struct span bytes)
{
    assert(client->input->cap - client->input->used >= bytes.len);
    if (bytes.len)
        memcpy(client->input->data + client->input->used, bytes.ptr, bytes.len);
    client->input->used += (uint32_t)bytes.len;
    pump(client);
}

struct span fake_client_output(struct fake_client *client, uint8_t *buf, size_t cap)
{
    const struct outq *q = &client->conn.out;
    size_t at = 0;
    assert(q->len <= cap);
    for (size_t i = 0; i < q->count; i++) {
        memcpy(buf + at, q->slices[q->first + i].ptr, q->slices[q->first + i].len);
        at += q->slices[q->first + i].len;
    }
    assert(at == q->len);
    return span_of(buf, at);
}

void fake_advance_ms(struct fake_core *core, struct fake_client *client, uint64_t ms)
{
    for (unsigned i = 0; i < FAKE_SHARDS; i++) {
        core->shards[i].now_ns += ms * MS;
        core->shards[i].now_ms += (int64_t)ms;
    }
    struct heap *h = &core->shards[0].conn_deadlines;
    struct heap_node *n = heap_first(h);
    if (n && n->key <= core->shards[0].now_ns) {
        heap_remove(h, n);
        kafka_proto.tick(&client->conn, client->conn.proto_state, core->shards[0].now_ns);
    }
    fake_run(core);
    pump(client);
}

void fake_client_close(struct fake_client *client)
{
    struct conn *c = &client->conn;
    handle_free(&c->shard->conns, c->handle);
    kafka_proto.closed(c, c->proto_state);
    assert(conn_quiet(c)); /* all credit is back */
    conn_set_deadline(c, UINT64_MAX);
    outq_fini(&c->out);
    list_del(&c->flush_link);
    list_del(&c->ready_link);
    mem_free(c->proto_state);
    chunk_unref(client->input);
    client->closed = true;
}
