/* Consumers of streams: queues that are topics (core/topic_post.h). Each reads on its own from where it
 * began; acknowledgements make room for more deliveries and are nothing else. */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/metrics.h"
#include "core/records.h"
#include "proto/amqp/channel.h"
#include "proto/amqp/record.h"

enum {
    READ_BYTES = 256 << 10,
    LOOK_AGAIN_S = 5, /* a reader that waits sees within this time that its queue is gone */
};

struct amqp_stream {
    struct amqp_consumer *k;
    struct span queue; /* its name; owned */
    uint64_t log_id;
    size_t max_decoded_bytes;
    uint32_t prefetch;
    uint64_t next;         /* offset of the next record to look at */
    bool from_batch;       /* begin with the batch of `next`, not in the midst of it */
    struct op_read *asked; /* on its way */
    struct op_read *have;  /* what is being delivered */
    size_t slice, at;      /* in its data: where the next batch begins */
    struct records_iter it;
    uint64_t batch_end;
    bool open;           /* `it` is inside a batch, */
    struct chunk *chunk; /* which lies here: borrowed from `have`, or `plain` */
    struct chunk *plain; /* decompressed; one reference */
    struct list hungry;  /* in amqp_conn_channels.hungry */
    struct span *filters;
    uint32_t filter_count;
    bool unfiltered; /* what has no value passes, too */
};

/* ---- life ---------------------------------------------------------------------------------------------- */

static void drop_data(struct amqp_stream *st)
{
    op_read_free(st->have);
    chunk_unref(st->plain);
    st->have = NULL;
    st->plain = st->chunk = NULL;
    st->open = false;
}

void amqp_stream_free(struct amqp_consumer *k)
{
    struct amqp_stream *st = k->stream;
    if (!st)
        return;
    if (st->asked && !st->asked->cancelled)
        op_read_cancel(st->asked); /* it finds nobody when it is back */
    drop_data(st);
    list_del(&st->hungry);
    for (uint32_t i = 0; i < st->filter_count; i++)
        amqp_span_free(&st->filters[i]);
    mem_free(st->filters);
    amqp_span_free(&st->queue);
    mem_free(st);
    k->stream = NULL;
}

void amqp_stream_hungry(struct amqp_consumer *k)
{
    struct amqp_stream *st = k->stream;
    if (k->phase == AMQP_CONSUMER_LIVE && !list_linked(&st->hungry))
        list_add_tail(&k->ch->ac->shared->hungry, &st->hungry);
}

void amqp_streams_feed(struct amqp_conn_channels *cc)
{
    struct list *l;
    while ((l = list_first(&cc->hungry))) {
        struct amqp_stream *st = list_entry(l, struct amqp_stream, hungry);
        list_del(l);
        amqp_stream_pump(st->k);
    }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void arrived(struct conn *c, struct op *op)
{
    struct op_read *r = (struct op_read *)op;
    struct amqp_conn *ac = c ? amqp_conn_of(c->proto_state) : NULL;
    struct amqp_consumer *k =
        ac && ac->shared ? map_get_u64(&ac->shared->consumers, (uint64_t)(uintptr_t)op->user) : NULL;
    struct amqp_stream *st = k ? k->stream : NULL;
    if (!st || st->asked != r) {
        op_read_free(r);
        return;
    }
    const struct read_item *it = &r->items[0];
    int err = op->err ? op->err : it->err;
    st->asked = NULL;
    if (err == ERR_OFFSET_RANGE) /* retention was faster, or the topic ends earlier than it did */
        st->next = it->log_start > st->next ? it->log_start : it->durable;
    if (!err && it->read.data.len > 0) {
        st->have = r;
        st->slice = st->at = 0;
    } else {
        op_read_free(r);
    }
    if (k->phase != AMQP_CONSUMER_LIVE || err == ERR_STOPPING)
        return;
    if (err && err != ERR_OFFSET_RANGE)
        amqp_consumer_gone(k);
    else
        amqp_stream_pump(k);
}

static void ask(struct amqp_stream *st)
{
    struct conn *c = st->k->ch->ac->conn;
    struct op_read *r = op_new(c, sizeof(*r), arrived, (void *)(uintptr_t)st->k->id);
    r->shard = st->k->shard;
    r->count = 1;
    r->items = mem_zalloc(sizeof(*r->items));
    r->items[0] = (struct read_item){.log_id = st->log_id,
                                     .offset = st->next,
                                     .max_bytes = READ_BYTES,
                                     .leader_epoch = -1,
                                     .last_epoch = -1};
    r->max_bytes = READ_BYTES;
    r->wait_bytes = 1;
    r->deadline_mono_ns = c->shard->now_ns + LOOK_AGAIN_S * 1000000000ull;
    st->asked = r;
    op_read_submit(r);
}

/* ---- from batches to records --------------------------------------------------------------------------- */

/* What the compressor gave is its scratch: keep a copy. */
static int keep_plain(struct amqp_stream *st, struct shard *s)
{
    size_t len = (size_t)(st->it.end - st->it.p);
    struct chunk *c = chunk_new(&s->read_pool, len ? len : 1);
    if (!c)
        return ERR_NO_MEMORY;
    if (len > 0)
        memcpy(c->data, st->it.p, len);
    st->it.p = c->data;
    st->it.end = c->data + len;
    chunk_unref(st->plain);
    st->plain = st->chunk = c;
    return 0;
}

static int open_batch(struct amqp_stream *st, const struct slice *in, struct span batch)
{
    struct shard *s = st->k->ch->ac->conn->shard;
    if ((uint64_t)batch_next_offset(batch.ptr) <= st->next)
        return 0;
    if (st->from_batch && (uint64_t)batch_base_offset(batch.ptr) >= st->have->items[0].log_start)
        st->next = (uint64_t)batch_base_offset(batch.ptr);
    st->from_batch = false;
    if (batch_attributes(batch.ptr) & BATCH_CONTROL) {
        st->next = (uint64_t)batch_next_offset(batch.ptr);
        return 0;
    }
    int err = records_open(s->compressor, batch, st->max_decoded_bytes, &st->it);
    st->chunk = in->chunk;
    if (!err && batch_codec(batch.ptr) != CODEC_NONE)
        err = keep_plain(st, s);
    st->batch_end = (uint64_t)batch_next_offset(batch.ptr);
    st->open = !err;
    return err;
}

/* 1: the next batch is open, or was skipped; 0: there is none in hand. */
static int next_batch(struct amqp_stream *st)
{
    if (!st->have)
        return 0;
    const struct rope *data = &st->have->items[0].read.data;
    while (st->slice < data->count && st->at >= data->slices[st->slice].len) {
        st->slice++;
        st->at = 0;
    }
    if (st->slice == data->count) {
        drop_data(st);
        return 0;
    }
    const struct slice *in = &data->slices[st->slice];
    struct span rest = span_of(in->ptr + st->at, in->len - st->at);
    size_t len;
    int err = batch_peek(rest, &len);
    if (err)
        return err;
    st->at += len;
    err = open_batch(st, in, span_of(rest.ptr, len));
    return err ? err : 1;
}

/* 1: *ret is the next record; 0: there is none in hand. */
static int next_record(struct amqp_stream *st, struct record *ret)
{
    for (;;) {
        if (!st->open) {
            int more = next_batch(st);
            if (more <= 0)
                return more;
            continue;
        }
        int more = records_next(&st->it, ret);
        if (more < 0)
            return more;
        if (more > 0 && ret->offset >= (int64_t)st->next)
            return more;
        if (more == 0) { /* compaction may have taken its last records */
            st->open = false;
            st->next = st->batch_end > st->next ? st->batch_end : st->next;
        }
    }
}

/* ---- deliveries ---------------------------------------------------------------------------------------- */

static bool passes(const struct amqp_stream *st, const struct record *r)
{
    struct span value;
    if (st->filter_count == 0)
        return true;
    if (!amqp_record_header(r, AMQP_FILTER_VALUE, &value) || span_is_null(value))
        return st->unfiltered;
    for (uint32_t i = 0; i < st->filter_count; i++)
        if (span_eq(st->filters[i], value))
            return true;
    return false;
}

static void deliver(struct amqp_stream *st, const struct record *r)
{
    struct amqp_consumer *k = st->k;
    struct message msg = {.exchange = span_str(""), .key = st->queue};
    struct field offset = {.tag = 'l', .integer = r->offset};
    struct arena a;
    arena_init(&a);
    amqp_message_of_record(r, false, &a, &msg);
    struct amqp_method m = {.id = AMQP_BASIC_DELIVER,
                            .basic_deliver = {.consumer_tag = k->tag,
                                              .delivery_tag = k->ch->state->next_tag++,
                                              .exchange = msg.exchange,
                                              .routing_key = msg.key}};
    amqp_unacked_begin(k->ch, k, m.basic_deliver.delivery_tag, 0);
    metrics_add(amqp_shard(k->ch)->metrics, METRIC_AMQP_DELIVERED, 1);
    amqp_send_content(k->ch, &m, amqp_props_with_header(msg.props, "x-stream-offset", &offset, &a), msg.body,
                      st->chunk);
    arena_fini(&a);
}

/* It has room, and its client reads. */
static bool may_deliver(struct amqp_consumer *k)
{
    struct amqp_conn *ac = k->ch->ac;
    if (k->phase != AMQP_CONSUMER_LIVE || k->stream->asked || k->unacked >= k->stream->prefetch)
        return false;
    if (ac->conn->out.len <= AMQP_OUT_BUSY) {
        list_del(&k->owed_link);
        return true;
    }
    if (!list_linked(&k->owed_link))
        list_add_tail(&ac->shared->owed, &k->owed_link);
    return false;
}

void amqp_stream_pump(struct amqp_consumer *k)
{
    struct amqp_stream *st = k->stream;
    struct record r;
    while (may_deliver(k)) {
        int more = next_record(st, &r);
        if (more < 0 || !queue_info_by_id(amqp_shard(k->ch), k->queue_id)) {
            amqp_consumer_gone(k);
            return;
        }
        if (more == 0) {
            ask(st);
            return;
        }
        st->next = (uint64_t)r.offset + 1;
        if (passes(st, &r))
            deliver(st, &r);
    }
}

/* ---- consume ------------------------------------------------------------------------------------------- */

/* Where a reader begins. */
struct start {
    int64_t from; /* an offset, or: */
    enum { FROM_OFFSET, FROM_FIRST, FROM_LAST, FROM_NEXT, FROM_TIME } kind;
    int64_t time_ms;
};

struct consume {
    struct op_offsets op;
    uint64_t id;
    struct start start;
};

/* rabbit_stream_queue:parse_offset_arg(). */
static bool parse_start(const struct field *f, int64_t now_ms, struct start *ret)
{
    *ret = (struct start){.kind = FROM_NEXT};
    if (!f || (f->tag == 'S' && span_eq_str(f->bytes, "next")))
        return true;
    ret->kind = FROM_TIME;
    if (f->tag == 'S') {
        int64_t age = stream_max_age_ms(f->bytes);
        ret->time_ms = age >= 0 && age < now_ms ? now_ms - age : 0;
        if (span_eq_str(f->bytes, "first"))
            ret->kind = FROM_FIRST;
        else if (span_eq_str(f->bytes, "last"))
            ret->kind = FROM_LAST;
        else if (age < 0)
            return false;
        return true;
    }
    if (f->tag == 'T') {
        ret->time_ms = f->integer < 0 || f->integer > INT64_MAX / 1000 ? INT64_MAX : f->integer * 1000;
        return true;
    }
    ret->kind = FROM_OFFSET;
    ret->from = f->integer;
    return field_is_integer(f) && f->integer >= 0;
}

static bool refuse(struct amqp_channel *ch, enum amqp_code code, const char *before, struct span queue,
                   const char *after)
{
    amqp_channel_exception(ch, code, AMQP_BASIC_CONSUME, "%squeue '%.*s' in vhost '%s'%s", before,
                           SPAN_ARG(queue), ch->ac->conn->actor.vhost->name, after);
    return false;
}

static bool check_offset(struct amqp_channel *ch, struct span queue, struct span args, struct start *ret)
{
    struct field f;
    bool given = fields_get_str(args, "x-stream-offset", &f);
    if (parse_start(given ? &f : NULL, amqp_shard(ch)->now_ms, ret))
        return true;
    struct arena a;
    arena_init(&a);
    amqp_channel_exception(ch, AMQP_PRECONDITION_FAILED, AMQP_BASIC_CONSUME,
                           "invalid arg 'x-stream-offset' for queue '%.*s' in vhost '%s': "
                           "{invalid_stream_offset_arg,{%s,%s}}",
                           SPAN_ARG(queue), ch->ac->conn->actor.vhost->name, field_type_name(f.tag),
                           f.tag == 'S' ? arena_printf(&a, "<<\"%.*s\">>", SPAN_ARG(f.bytes))
                                        : field_term(&f, &a));
    arena_fini(&a);
    return false;
}

/* In RabbitMQ's order (rabbit_stream_queue:consume()). */
static bool check(struct amqp_channel *ch, const struct amqp_basic_consume *in, struct span queue,
                  struct start *ret)
{
    if (!check_offset(ch, queue, in->arguments, ret))
        return false;
    if (ch->state->prefetch == 0 && ch->state->limiter.limit == 0)
        return refuse(ch, AMQP_PRECONDITION_FAILED, "consumer prefetch count is not set for '", queue, "'");
    if (in->no_ack)
        return refuse(ch, AMQP_NOT_IMPLEMENTED, "automatic acknowledgement not supported by stream queues ",
                      queue, "");
    if (ch->state->limiter.limit > 0)
        return refuse(ch, AMQP_NOT_IMPLEMENTED, "", queue, " does not support global qos");
    return true;
}

static void add_filter(struct amqp_stream *st, const struct field *f)
{
    if (f->tag != 'S')
        return;
    st->filters = mem_realloc(st->filters, (st->filter_count + 1) * sizeof(*st->filters));
    st->filters[st->filter_count++] = amqp_span_dup(f->bytes.ptr ? f->bytes : span_str(""));
}

static void set_filters(struct amqp_stream *st, struct span args)
{
    struct field f, one;
    struct fields_iter it;
    struct span none;
    if (fields_get_str(args, "x-stream-match-unfiltered", &f))
        st->unfiltered = f.tag == 't' && f.integer;
    if (!fields_get_str(args, "x-stream-filter", &f))
        return;
    add_filter(st, &f);
    if (f.tag != 'A')
        return;
    fields_begin_array(&it, f.bytes);
    while (fields_next(&it, &none, &one))
        add_filter(st, &one);
}

static void begin_at(struct amqp_stream *st, const struct start *start, const struct offset_item *items)
{
    uint64_t first = (uint64_t)items[0].offset, end = (uint64_t)items[1].offset;
    switch (start->kind) {
    case FROM_FIRST:
        st->next = first;
        break;
    case FROM_LAST: /* what was appended last as one */
        st->next = end > first ? end - 1 : end;
        st->from_batch = true;
        break;
    case FROM_NEXT:
        st->next = end;
        break;
    case FROM_TIME:
        st->next = items[2].offset >= 0 ? (uint64_t)items[2].offset : end;
        break;
    default:
        st->next = (uint64_t)start->from < first ? first : (uint64_t)start->from;
        if (st->next > end)
            st->next = end;
    }
}

static int failure(const struct op_offsets *o)
{
    int err = o->op.err;
    for (uint32_t i = 0; !err && i < o->count; i++)
        err = o->items[i].err;
    return err;
}

static void found(struct conn *c, struct op *op)
{
    bool nowait;
    struct consume *o = container_of(op, struct consume, op.op);
    struct amqp_channel *ch = amqp_op_over(c, op, &nowait);
    struct amqp_consumer *k = ch ? map_get_u64(&ch->ac->shared->consumers, o->id) : NULL;
    int err = failure(&o->op);
    if (k && err) {
        amqp_consumer_release(k);
        amqp_core_exception(ch, AMQP_BASIC_CONSUME, err, NULL);
    } else if (k) {
        begin_at(k->stream, &o->start, o->op.items);
        k->phase = AMQP_CONSUMER_LIVE;
        struct amqp_method ok = {.id = AMQP_BASIC_CONSUME_OK, .basic_consume_ok = {.consumer_tag = k->tag}};
        if (!nowait)
            amqp_send(ch, &ok);
        amqp_stream_pump(k);
    }
    op_offsets_free(&o->op);
}

static struct amqp_stream *stream_new(struct amqp_consumer *k, const struct topic *t, uint32_t partition,
                                      struct span queue)
{
    struct amqp_stream *st = mem_zalloc(sizeof(*st));
    st->k = k;
    st->queue = amqp_span_dup(queue);
    st->log_id = t->partitions[partition].log_id;
    st->max_decoded_bytes = t->policy.max_decoded_bytes;
    k->prefetch = st->prefetch = k->ch->state->prefetch;
    list_init(&st->hungry);
    return st;
}

void amqp_stream_consume(struct amqp_channel *ch, const struct amqp_basic_consume *in, struct span tag,
                         const struct queue_info *q)
{
    struct start start;
    struct topic *t;
    uint32_t partition;
    if (!check(ch, in, q->dest.name, &start))
        return;
    if (!topic_of_stream(amqp_shard(ch), q->dest.name, &t, &partition)) {
        amqp_lookup_exception(ch, AMQP_BASIC_CONSUME, ERR_NOT_FOUND, "queue", q->dest.name, AUTH_READ);
        return;
    }
    struct amqp_consumer *k = amqp_consumer_new(ch, tag, q);
    k->shard = t->partitions[partition].shard;
    k->stream = stream_new(k, t, partition, q->dest.name);
    set_filters(k->stream, in->arguments);
    struct consume *o = amqp_op_new(ch, sizeof(*o), found, in->nowait);
    o->id = k->id;
    o->start = start;
    o->op.shard = k->shard;
    o->op.count = start.kind == FROM_TIME ? 3 : 2;
    o->op.items = mem_zalloc(3 * sizeof(*o->op.items));
    const int64_t queries[] = {OFFSET_EARLIEST, OFFSET_LATEST, start.time_ms};
    for (uint32_t i = 0; i < 3; i++)
        o->op.items[i] = (struct offset_item){
            .log_id = k->stream->log_id, .timestamp = queries[i], .leader_epoch = -1, .tag = i};
    op_offsets_submit(&o->op);
}
