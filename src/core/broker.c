#include "core/broker.h"

#include <assert.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/alarm.h"
#include "core/group.h"
#include "core/op_impl.h"
#include "core/queue.h"
#include "core/space_impl.h"
#include "core/tap.h"
#include "core/topic_table.h"
#include "core/user_table.h"

enum { MAX_SHARDS = 64 };

/* ---- what the store reports ---------------------------------------------------------------------------- */

static void on_advanced(void *arg, struct log *l)
{
    (void)arg;
    if (!queue_advanced(l))
        partition_advanced(l);
}

static void on_space(void *arg, unsigned shard, int err)
{
    struct broker *b = arg;
    shard_space(&b->shards[shard], err);
}

void broker_fail(struct broker *b, int err, const char *what)
{
    if (atomic_exchange(&b->failed, true))
        return;
    atomic_store(&b->failure, what ? what : err_text(err));
    say_error("broker", "failed, stopping: nothing is acknowledged from here on", "reason=\"%s\" error=%s",
              what, err_name(err));
    os_loop_wake(b->loops[0]);
}

static void on_failed(void *arg, int err, const char *what)
{
    broker_fail(arg, err, what);
}

static void on_snapshot(void *arg, uint64_t log_id, struct outq *out)
{
    struct broker *b = arg;
    if (log_id == STORE_META_LOG)
        meta_snapshot(b->meta, out);
    else if (log_id >= QUEUE_COMMAND_LOGS)
        queues_snapshot(&b->shards[store_shard_of(b->store, log_id)], (unsigned)(log_id - QUEUE_COMMAND_LOGS),
                        out);
    else
        groups_snapshot(&b->shards[store_shard_of(b->store, log_id)], (unsigned)(log_id - STORE_COMMAND_LOGS),
                        out);
}

static void on_commit(void *arg, uint64_t ns, uint32_t groups, uint64_t bytes)
{
    struct metrics_shard *m = ((struct broker *)arg)->journal_metrics;
    metrics_observe(m, METRIC_JOURNAL_COMMIT_TIME, ns / 1000);
    metrics_observe(m, METRIC_JOURNAL_COMMIT_GROUPS, groups);
    metrics_observe(m, METRIC_JOURNAL_COMMIT_BYTES, bytes);
    metrics_add(m, METRIC_JOURNAL_BYTES, bytes);
}

enum broker_health broker_health(const struct broker *b, const char **ret_reason)
{
    const char *failure = atomic_load(&b->failure);
    if (atomic_load(&b->failed)) {
        *ret_reason = failure ? failure : "the store failed";
        return BROKER_FAILED;
    }
    struct store_figures figures;
    store_figures(b->store, &figures);
    if (figures.disk_full) {
        *ret_reason = "the disk is full: nothing can be published";
        return BROKER_DEGRADED;
    }
    if (b->damaged_logs) {
        *ret_reason = "logs are damaged and set aside, see the log lines of the start";
        return BROKER_DEGRADED;
    }
    *ret_reason = "ok";
    return BROKER_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static void make_shards(struct broker *b)
{
    uint64_t n = b->config->shards ? b->config->shards : os_cpu_count();
    b->shard_count = n < MAX_SHARDS ? (unsigned)n : MAX_SHARDS;
    b->shards = mem_zalloc(b->shard_count * sizeof(*b->shards));
    b->loops = mem_zalloc(b->shard_count * sizeof(*b->loops));
    for (unsigned i = 0; i < b->shard_count; i++) {
        shard_init(&b->shards[i], b, i);
        b->loops[i] = b->shards[i].loop;
        metrics_add_pool(b->metrics, i, &b->shards[i].input_pool);
        metrics_add_pool(b->metrics, i, &b->shards[i].small_input_pool);
        metrics_add_pool(b->metrics, i, &b->shards[i].output_pool);
        metrics_add_pool(b->metrics, i, &b->shards[i].read_pool);
    }
}

static int open_store(struct broker *b, bool accept_loss)
{
    const struct config *c = b->config;
    struct store_options opt = {
        .dir = c->data_dir,
        .shards = b->shard_count,
        .journal_file_bytes = c->journal_file_bytes,
        .journal_max_bytes = c->journal_max_bytes,
        .tail_bytes = c->memory_tail_bytes,
        .max_open_files = (unsigned)c->files_max_open,
        .disk_threads = (unsigned)c->disk_threads,
        .accept_loss = accept_loss,
    };
    struct store_events ev = {on_advanced, on_space, on_failed, on_snapshot, b};
    return store_open(&opt, &ev, &b->store);
}

static int replay_command(void *arg, struct span command)
{
    return meta_replay(arg, command);
}

static int replay_snapshot(void *arg, struct span snapshot)
{
    return meta_restore(arg, snapshot);
}

static int recover_partition(struct broker *b, const struct topic *t, uint32_t i)
{
    const struct topic_partition *tp = &t->partitions[i];
    struct shard *s = &b->shards[tp->shard];
    struct log_config cfg;
    struct log *log;
    if (partition_find(s, tp->log_id)) {
        say_error("broker", "two partitions claim one log", "topic=%s partition=%u", t->name, i);
        return ERR_CORRUPT;
    }
    topic_config_log(&t->config, &cfg);
    int err = store_recover_log(b->store, tp->log_id, &cfg, &log);
    if (err) {
        say_error("broker", "cannot recover a log", "topic=%s partition=%u error=%s", t->name, i,
                  err_name(err));
        return err;
    }
    if (log_damaged(log)) {
        b->damaged_logs++;
        say_error("broker", "a log is damaged and set aside", "topic=%s partition=%u log=%llu", t->name, i,
                  (unsigned long long)tp->log_id);
    }
    partition_new(s, log);
    return 0;
}

static void say_progress(const struct broker *b, uint64_t *last_ns, size_t done, size_t all)
{
    (void)b;
    uint64_t now = os_mono_ns();
    if (now - *last_ns < 1000000000)
        return;
    *last_ns = now;
    say_info("broker", "recovering topics", "done=%zu of=%zu", done, all);
}

static int recover_logs(struct broker *b)
{
    struct arena a;
    size_t count;
    uint64_t last_ns = os_mono_ns();
    int err = 0;
    arena_init(&a);
    struct topic **topics = topic_table_sorted(&b->shards[0], &a, &count);
    for (size_t i = 0; i < count && !err; i++) {
        say_progress(b, &last_ns, i, count);
        for (uint32_t k = 0; k < topics[i]->partition_count && !err; k++)
            err = recover_partition(b, topics[i], k);
    }
    arena_fini(&a);
    return err;
}

/* Recovery may have begun a new epoch. Clients compare the one in a shard's replica with the log's, KIP-320.
 */
static void note_epochs(struct shard *replica)
{
    struct broker *b = replica->broker;
    struct topic *t;
    for (size_t i = 0; (t = map_next(&replica->topics_by_id, &i));) {
        for (uint32_t k = 0; k < t->partition_count; k++) {
            struct topic_partition *tp = &t->partitions[k];
            tp->leader_epoch = (int32_t)log_epoch(partition_find(&b->shards[tp->shard], tp->log_id)->log);
        }
    }
}

static int replay_group_command(void *arg, struct span command)
{
    return groups_replay(arg, command);
}

static int replay_group_snapshot(void *arg, struct span snapshot)
{
    return groups_restore(arg, snapshot);
}

static int recover_groups(struct broker *b)
{
    int err = 0;
    for (unsigned i = 0; i < GROUP_LOGS && !err; i++) {
        uint64_t log = STORE_COMMAND_LOGS + i;
        struct shard *s = &b->shards[store_shard_of(b->store, log)];
        err = store_replay_commands(b->store, log, replay_group_snapshot, replay_group_command, s);
        if (err)
            say_error("broker", "the consumer groups cannot be read", "log=%u error=%s", i, err_name(err));
    }
    return err;
}

static int replay_queue_command(void *arg, struct span command)
{
    return queues_replay(arg, command);
}

static int replay_queue_snapshot(void *arg, struct span snapshot)
{
    return queues_restore(arg, snapshot);
}

/* What the queues' command logs say; queue_recover() takes it up. */
static int recover_deliveries(struct broker *b)
{
    int err = 0;
    for (unsigned i = 0; i < STORE_LOG_SLOTS && !err; i++) {
        uint64_t log = QUEUE_COMMAND_LOGS + i;
        struct shard *s = &b->shards[store_shard_of(b->store, log)];
        err = store_replay_commands(b->store, log, replay_queue_snapshot, replay_queue_command, s);
        if (err)
            say_error("broker", "acknowledgements of queues cannot be read", "log=%u error=%s", i,
                      err_name(err));
    }
    return err;
}

static int recover(struct broker *b)
{
    for (unsigned i = 0; i < b->shard_count; i++)
        b->shards[i].store = store_shard(b->store, i);
    int err = store_replay_commands(b->store, STORE_META_LOG, replay_snapshot, replay_command, b->meta);
    if (err) {
        say_error("broker", "the metadata cannot be read", "error=%s", err_name(err));
        return err;
    }
    err = recover_groups(b);
    if (!err)
        err = recover_deliveries(b);
    if (!err)
        err = recover_logs(b);
    if (err)
        return err;
    for (unsigned i = 0; i < b->shard_count; i++)
        note_epochs(&b->shards[i]);
    for (unsigned i = 0; i < b->shard_count && !err; i++)
        err = space_recover_queues(&b->shards[i]);
    if (err)
        return err;
    store_on_commit(b->store, on_commit, b);
    err = store_start(b->store, b->loops);
    for (unsigned i = 0; i < b->shard_count && !err; i++)
        groups_start(&b->shards[i]);
    for (unsigned i = 0; i < b->shard_count; i++) {
        queues_start(&b->shards[i]);
        taps_start(&b->shards[i]);
    }
    alarm_start(&b->shards[0]);
    return err;
}

static void seed_hashes(void)
{
    uint64_t seed;
    os_random(&seed, sizeof(seed));
    hash_seed(seed);
}

static void put_alarms(void *arg, struct metrics_writer *w)
{
    static const char name[] = "colobus_alarm";
    unsigned now = atomic_load(&((struct broker *)arg)->alarms);
    metrics_family(w, name, "gauge", "1 while publishers to queues are held back because of it.");
    metrics_sample(w, name, (struct metrics_label[]){{"alarm", span_str("memory")}}, 1,
                   !!(now & ALARM_MEMORY));
    metrics_sample(w, name, (struct metrics_label[]){{"alarm", span_str("disk")}}, 1, !!(now & ALARM_DISK));
}

static void name_metrics(struct broker *b)
{
    for (unsigned i = 0; i < METRICS_SLOTS_DEATH; i++) {
        struct metrics_label label = {"reason", span_str(death_reason_name((enum death_reason)i))};
        metrics_name_slot(b->metrics, METRICS_DIM_DEATH, i, &label, 1);
    }
    metrics_add_limit(b->metrics, "queue", b->config->memory_queue_bytes);
    metrics_add_collector(b->metrics, put_alarms, b);
}

static struct broker *broker_new(const struct broker_options *opt)
{
    struct broker *b = mem_zalloc(sizeof(*b));
    b->config = opt->config;
    atomic_init(&b->subject_limits.hard, opt->config->pubsub_hard_limit_bytes);
    atomic_init(&b->subject_limits.soft, opt->config->pubsub_soft_limit_bytes);
    atomic_init(&b->subject_limits.soft_ms, opt->config->pubsub_soft_limit_ms);
    b->hooks = opt->hooks;
    b->ready = opt->ready;
    b->arg = opt->arg;
    b->started_ns = os_mono_ns();
    b->started_ms = os_wall_ms();
    b->metrics = metrics_new();
    b->journal_metrics = metrics_shard_new(b->metrics);
    name_metrics(b);
    seed_hashes();
    topic_config_init(opt->config);
    make_shards(b);
    b->meta = meta_new(&b->shards[0], b->shard_count);
    b->users = users_new(&b->shards[0], b->shard_count);
    broker_stop_init(b);
    return b;
}

int broker_open(const struct broker_options *opt, struct broker **ret_broker)
{
    struct broker *b = broker_new(opt);
    int err = open_store(b, opt->accept_loss);
    if (!err)
        err = recover(b);
    if (err) {
        broker_close(b);
        return err;
    }
    say_info("broker", "recovered", "topics=%u shards=%u ms=%llu", b->shards[0].topics_by_id.count,
             b->shard_count, (unsigned long long)((os_mono_ns() - b->started_ns) / 1000000));
    for (unsigned i = 0; i < b->shard_count; i++)
        os_loop_wake(b->loops[i]);
    *ret_broker = b;
    return 0;
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* URL-safe base64 without padding, as Kafka shows its ids. RFC 4648, 5. */
static void id_text(const uint8_t id[16], char ret[23])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (unsigned i = 0; i < 22; i++) {
        unsigned bit = i * 6, byte = bit / 8, shift = bit % 8;
        unsigned two = (unsigned)id[byte] << 8 | (byte + 1 < 16 ? id[byte + 1] : 0);
        ret[i] = digits[two >> (10 - shift) & 63];
    }
    ret[22] = 0;
}

static void cluster_known(struct meta *m, struct meta_change *ch, int err)
{
    struct broker *b = m->shard->broker;
    (void)ch;
    if (err) {
        broker_fail(b, err, "the cluster id cannot be stored");
    } else {
        if (b->config->kafka_cluster_id[0])
            memcpy(b->cluster_id, b->config->kafka_cluster_id, sizeof(b->cluster_id) - 1);
        else
            id_text(m->cluster_id, b->cluster_id);
        if (b->phase == BROKER_STARTING)
            b->phase = BROKER_RUNNING;
    }
    if (b->ready)
        b->ready(b->arg, b, err);
}

/* Before the cluster id, which says that the broker is not new: a crash in between makes the user again. */
static void default_user_known(struct broker *b, int err)
{
    if (err)
        broker_fail(b, err, "the default user cannot be stored");
    meta_ensure_cluster_id(b->meta, cluster_known);
}

static void first_turn(struct broker *b)
{
    if (b->meta->has_cluster_id)
        meta_ensure_cluster_id(b->meta, cluster_known);
    else
        users_add_default(b->users, default_user_known);
}

void broker_turn_ended(struct shard *s)
{
    struct broker *b = s->broker;
    if (s->index == 0 && !b->begun) {
        b->begun = true;
        first_turn(b);
    }
    broker_stop_step(s);
}

int broker_run(struct broker *b)
{
    os_loops_run(b->loops, b->shard_count);
    return b->exit_code;
}

/* ---- closing ------------------------------------------------------------------------------------------- */

/* The loops have ended, so this thread may play every shard: what is still on its way comes home and is
 * freed. */
static void bring_home(struct broker *b)
{
    enum { ROUNDS = 100 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = 0;
        for (unsigned i = 0; i < b->shard_count; i++) {
            struct shard *s = &b->shards[i];
            s->stopping = s->saving = true;
            n += msg_run_inbox(s);
            shard_space(s, ERR_STOPPING);
            groups_stop(s);
            queues_stop(s);
            partition_wake_all(s);
            read_serve_woken(s);
            for (struct msg *m; (m = msg_pop(&s->done)); n++) {
                struct op *op = container_of(m, struct op, msg);
                op->complete(NULL, op);
            }
        }
        if (n == 0)
            return;
    }
}

void broker_close(struct broker *b)
{
    if (!b)
        return;
    if (b->store) {
        if (b->begun)
            bring_home(b);
        store_close(b->store);
    }
    op_space_free(b->disk_look);
    users_free(b->users);
    meta_free(b->meta);
    for (unsigned i = 0; i < b->shard_count; i++)
        shard_fini(&b->shards[i]);
    mem_free(b->shards);
    mem_free(b->loops);
    mem_free(b->orders);
    metrics_free(b->metrics);
    mem_free(b);
}
