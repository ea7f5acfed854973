#include "core/topic_post.h"

#include <assert.h>

#include "base/err.h"
#include "core/fields.h"
#include "core/space.h"
#include "core/topic_table.h"
#include "store/batch.h"

/* ---- Kafka's partitioner ------------------------------------------------------------------------------- */

uint32_t topic_murmur2(struct span key)
{
    enum { SEED = 0x9747b28c, R = 24 };
    const uint32_t m = 0x5bd1e995;
    const uint8_t *p = key.ptr;
    size_t len = key.len;
    uint32_t h = (uint32_t)SEED ^ (uint32_t)len;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> R;
        h = h * m ^ k * m;
    }
    for (size_t i = len; i > 0; i--)
        h ^= (uint32_t)p[i - 1] << 8 * (i - 1);
    if (len > 0)
        h *= m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

/* ---- x-key-from ---------------------------------------------------------------------------------------- */

static const char HEADER[] = "header:";
enum { HEADER_BYTES = sizeof(HEADER) - 1 };

static bool is_header(struct span from)
{
    return from.len > HEADER_BYTES && memcmp(from.ptr, HEADER, HEADER_BYTES) == 0;
}

int topic_check_binding(struct span args, struct arena *a, const char **ret_reason)
{
    struct field f;
    if (!fields_get_str(args, "x-key-from", &f))
        return 0;
    if (f.tag == 'S' && (span_eq_str(f.bytes, "routing-key") || span_eq_str(f.bytes, "message-id") ||
                         span_eq_str(f.bytes, "none") || is_header(f.bytes)))
        return 0;
    *ret_reason = arena_printf(
        a, "invalid arg 'x-key-from': %s is none of 'routing-key', 'message-id', 'header:NAME', 'none'",
        field_describe(&f, a));
    return ERR_ARGUMENT;
}

/* A header's value as bytes: null for what is no scalar. */
static struct span text_of(const struct field *f, struct arena *a)
{
    if (f->tag == 'S' || f->tag == 'x')
        return f->bytes.ptr ? f->bytes : span_str("");
    if (f->tag == 'F' || f->tag == 'A' || f->tag == 'V')
        return SPAN_NULL;
    return span_str(field_text(f, a));
}

static struct span key_of(struct span args, const struct message *m, struct arena *a)
{
    const struct message_format *format = message_formats[m->format];
    struct field f;
    if (!fields_get_str(args, "x-key-from", &f) || f.tag != 'S')
        return SPAN_NULL;
    if (span_eq_str(f.bytes, "routing-key"))
        return m->key.ptr ? m->key : span_str("");
    if (!format)
        return SPAN_NULL;
    if (span_eq_str(f.bytes, "message-id"))
        return format->property && format->property(m, span_str("message_id"), &f) ? text_of(&f, a)
                                                                                   : SPAN_NULL;
    if (is_header(f.bytes) && format->headers) {
        struct span name = span_of(f.bytes.ptr + HEADER_BYTES, f.bytes.len - HEADER_BYTES);
        if (fields_get(format->headers(m), name, &f))
            return text_of(&f, a);
    }
    return SPAN_NULL;
}

/* ---- streams ------------------------------------------------------------------------------------------- */

/* "NAME-3": how RabbitMQ's clients call the partitions of a super stream. */
static bool split(struct span name, struct span *ret_topic, uint32_t *ret_partition)
{
    size_t at = name.len;
    uint64_t n = 0, unit = 1;
    for (; at > 0 && name.ptr[at - 1] >= '0' && name.ptr[at - 1] <= '9' && unit < 1000000000; unit *= 10)
        n += unit * (uint64_t)(name.ptr[--at] - '0');
    bool canonical = at < name.len && (name.ptr[at] != '0' || name.len - at == 1);
    if (at < 2 || !canonical || name.ptr[at - 1] != '-')
        return false;
    *ret_topic = span_of(name.ptr, at - 1);
    *ret_partition = (uint32_t)n;
    return true;
}

bool topic_of_stream(const struct shard *s, struct span name, struct topic **ret_topic,
                     uint32_t *ret_partition)
{
    struct topic *t = name.len ? topic_table_find(s, name) : NULL;
    uint32_t partition = 0;
    if (!t && split(name, &name, &partition))
        t = topic_table_find(s, name);
    if (!t || partition >= t->partition_count)
        return false;
    *ret_topic = t;
    *ret_partition = partition;
    return true;
}

/* ---- a message ----------------------------------------------------------------------------------------- */

bool topic_way_of(const struct dest *d, const struct binding *via, struct topic_way *ret)
{
    if (d->kind != DEST_TOPIC &&
        (d->kind != DEST_QUEUE || container_of(d, struct queue_info, dest)->type != QUEUE_STREAM))
        return false;
    *ret = (struct topic_way){
        .name = d->name, .args = via ? via->args : SPAN_NULL, .stream = d->kind == DEST_QUEUE};
    return true;
}

int topic_post(const struct shard *s, const struct topic_way *way, const struct message *m, struct arena *a,
               struct topic_post *ret)
{
    const struct message_format *format = message_formats[m->format];
    struct span key = key_of(way->args, m, a);
    struct topic *t;
    uint32_t n = 0;
    if (way->stream) {
        if (!topic_of_stream(s, way->name, &t, &n))
            return ERR_NOT_FOUND;
    } else {
        t = topic_table_find(s, way->name);
        if (!t)
            return ERR_NOT_FOUND;
        n = (topic_murmur2(span_is_null(key) ? m->key : key) & INT32_MAX) % t->partition_count;
    }
    *ret = (struct topic_post){
        .log_id = t->partitions[n].log_id, .shard = t->partitions[n].shard, .policy = t->policy};
    if (format && format->record)
        format->record(m, a, &ret->draft);
    ret->draft.key = key;
    ret->draft.value = m->body.ptr ? m->body : span_str("");
    if (t->policy.compacted && span_is_null(key))
        return ERR_BAD_BATCH;
    if (BATCH_HEADER_BYTES + record_build_bytes(&ret->draft) > t->policy.max_message_bytes)
        return ERR_TOO_LARGE;
    return 0;
}

int topic_post_seal(struct shard *s, const struct records_policy *policy, struct record_builder *b,
                    struct span *ret_batch, struct chunk **ret_chunk)
{
    struct span batch = record_build_seal(b);
    struct records_verdict v;
    struct arena a;
    int err = 0;
    *ret_batch = batch;
    *ret_chunk = b->chunk;
    if (policy->append_time || (policy->codec != RECORDS_CODEC_PRODUCER && policy->codec != CODEC_NONE)) {
        arena_init(&a);
        struct records_policy p = *policy;
        p.allow_zstd = true;
        err = records_check(s->compressor, &p, batch, s->now_ms, &a, &s->input_pool, &v);
        if (!err && v.chunk) {
            chunk_unref(b->chunk);
            *ret_batch = v.batch;
            *ret_chunk = v.chunk;
        }
        arena_fini(&a);
    }
    if (err)
        chunk_unref(b->chunk);
    *b = (struct record_builder){0};
    return err;
}
