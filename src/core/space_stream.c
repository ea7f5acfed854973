/* Queues of type stream: topics under the names of queues. What they are is in topic_post.h; here is how they
 * are declared and deleted. */
#include <assert.h>

#include "base/err.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/fields.h"
#include "core/op_impl.h"
#include "core/space_impl.h"
#include "core/topic_post.h"
#include "core/topic_table.h"

/* ---- settings ------------------------------------------------------------------------------------------ */

int64_t stream_max_age_ms(struct span text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'Y', 365 * 86400}, {'M', 30 * 86400}, {'D', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    enum { MAX_TEXT = 12 };
    int64_t n = 0;
    if (text.len < 2 || text.len > MAX_TEXT)
        return -1;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        n = n * 10 + (text.ptr[i] - '0');
    }
    for (unsigned i = 0; n > 0 && i < sizeof(units) / sizeof(*units); i++)
        if (units[i].unit == text.ptr[text.len - 1])
            return n > INT64_MAX / (units[i].seconds * 1000) ? INT64_MAX : n * units[i].seconds * 1000;
    return -1;
}

static void set(struct op_topic_create *t, enum topic_config_id id, int64_t value)
{
    int err = topic_config_set_number(&t->config, id, value, &t->arena);
    assert(err == 0);
    (void)err;
}

/* Room for the largest message that AMQP lets in, properties twice, as far as the journal takes it as one. */
static int64_t max_batch(const struct config *c)
{
    enum { PROPERTIES_BYTES = 512 << 10, JOURNAL_HEAD_BYTES = 8 << 10 };
    uint64_t wanted = c->amqp_max_message_bytes + PROPERTIES_BYTES;
    uint64_t fits = c->journal_file_bytes / 4 - JOURNAL_HEAD_BYTES;
    return (int64_t)(wanted < fits ? wanted : fits);
}

/* Nothing goes by itself unless it was asked for (RabbitMQ). */
static void set_config(struct op_topic_create *t, struct span args, const struct config *c)
{
    struct field f;
    topic_config_default(&t->config);
    if (max_batch(c) > (int64_t)t->config.max_message_bytes)
        set(t, TOPIC_CONFIG_MAX_MESSAGE, max_batch(c));
    bool age = fields_get_str(args, "x-max-age", &f);
    set(t, TOPIC_CONFIG_RETENTION_MS, age ? stream_max_age_ms(f.bytes) : -1);
    bool bytes = fields_get_str(args, "x-max-length-bytes", &f);
    set(t, TOPIC_CONFIG_RETENTION_BYTES, bytes ? f.integer : -1);
    if (fields_get_str(args, "x-stream-max-segment-size-bytes", &f)) {
        int64_t least = STREAM_MIN_SEGMENT_BYTES;
        set(t, TOPIC_CONFIG_SEGMENT,
            f.integer < least       ? least
            : f.integer > INT32_MAX ? INT32_MAX
                                    : f.integer);
    }
}

/* ---- the topic ----------------------------------------------------------------------------------------- */

static void topic_made(struct conn *c, struct op *op)
{
    struct op_queue_declare *d = op->user;
    struct shard *s = op->home;
    (void)c;
    d->topic_made = true;
    meta_again(s->broker->meta); /* the declaration is waiting for it */
}

static void make_topic(struct meta *m, struct op_queue_declare *d)
{
    struct op_topic_create *t = op_new_internal(m->shard, sizeof(*t), topic_made, d);
    t->op.actor = d->e.op.actor;
    t->name = d->name;
    t->partitions = 1;
    set_config(t, d->args, m->shard->config);
    d->topic = t;
    op_topic_create_submit(t);
}

static int refuse(struct op_queue_declare *d, int err, const char *why)
{
    d->e.why =
        arena_printf(&d->e.arena, "%s cannot be a stream: %s", entity_name(&d->e, "queue", d->name), why);
    return err;
}

static int check_topic(struct meta *m, struct op_queue_declare *d)
{
    const struct topic *t = topic_table_find(m->shard, d->name);
    if (d->e.op.actor.vhost->id != DEFAULT_SPACE)
        return refuse(d, ERR_UNSUPPORTED, "topics are in virtual host '/' only");
    if (topic_check_name(d->name))
        return refuse(d, ERR_ARGUMENT, "its name is none that a topic can have");
    if (t && t->partition_count > 1)
        return refuse(d, ERR_ARGUMENT,
                      arena_printf(&d->e.arena,
                                   "the topic has %u partitions, which are queues '%.*s-0' to '-%u'",
                                   t->partition_count, SPAN_ARG(d->name), t->partition_count - 1));
    return entity_auth(&d->e, AUTH_CONFIGURE, AUTH_TOPIC, d->name);
}

int stream_prepare_declare(struct meta *m, struct meta_change *ch, struct op_queue_declare *d)
{
    struct topic *t;
    uint32_t partition;
    int err = check_topic(m, d);
    if (err)
        return err;
    if (topic_of_stream(m->shard, d->name, &t, &partition)) {
        meta_change_key(ch, meta_change_keep(ch, span_of(t->name, t->name_len)), false);
        return meta_change_free(m, ch) ? 0 : META_LATER;
    }
    if (d->topic_made)
        return d->topic->op.err ? d->topic->op.err : ERR_NOT_FOUND;
    if (!d->topic)
        make_topic(m, d);
    meta_change_hold(m, ch);
    return META_LATER;
}

int stream_prepare_delete(struct meta *m, struct meta_change *ch, struct op_queue_delete *d,
                          const struct queue_info *q)
{
    const struct topic *t = topic_table_find(m->shard, q->dest.name);
    if (!t)
        return 0;
    int err = entity_auth(&d->e, AUTH_CONFIGURE, AUTH_TOPIC, q->dest.name);
    if (err)
        return err;
    meta_change_key(ch, meta_change_keep(ch, q->dest.name), true);
    if (!meta_change_free(m, ch))
        return META_LATER;
    ch->command = (struct meta_command){.type = META_TOPIC_DELETE, .topic = t->id};
    return STREAM_DELETES_TOPIC;
}
