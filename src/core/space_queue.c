/* Declaring and deleting queues, as RabbitMQ 3.13 does it (rabbit_channel, rabbit_amqqueue). */
#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/config.h"
#include "core/fields.h"
#include "core/op_impl.h"
#include "core/queue.h"
#include "core/space_impl.h"

const char *queue_locked_why(struct op_entity *e, struct span name)
{
    return arena_printf(&e->arena,
                        "cannot obtain exclusive access to locked %s. It could be originally declared on "
                        "another connection or the exclusive property value does not match that of the "
                        "original declaration.",
                        entity_name(e, "queue", name));
}

static int no_queue(struct op_entity *e, struct span name)
{
    e->why = arena_printf(&e->arena, "no %s", entity_name(e, "queue", name));
    return ERR_NOT_FOUND;
}

static bool is_mine(const struct queue_info *q, const struct op_entity *e)
{
    return q->exclusive && handle_eq(q->owner->handle, e->op.conn);
}

/* ---- asking the queue ---------------------------------------------------------------------------------- */

static struct op_queue_stat *new_stat(struct meta *m, const struct queue_info *q, bool touch,
                                      void (*complete)(struct conn *c, struct op *op), void *user)
{
    struct op_queue_stat *stat = op_new_internal(m->shard, sizeof(*stat), complete, user);
    stat->queue_id = q->id;
    stat->shard = q->shard;
    stat->touch = touch;
    return stat;
}

/* ---- declare: an existing queue ------------------------------------------------------------------------ */

static int differs(struct op_queue_declare *d, const char *what, const char *arg, bool got, bool now)
{
    d->e.why = arena_printf(&d->e.arena, "inequivalent arg '%s' for %s: received '%s' but current is '%s'",
                            arg, what, got ? "true" : "false", now ? "true" : "false");
    return ERR_INEQUIVALENT;
}

/* Of an exclusive queue durability counts for nothing. */
static bool wants_durable(const struct op_queue_declare *d)
{
    return d->durable && !d->exclusive;
}

static int compare(struct op_queue_declare *d, const struct queue_info *q)
{
    const char *what = entity_name(&d->e, "queue", d->name);
    if (q->exclusive != d->exclusive || (q->exclusive && !is_mine(q, &d->e))) {
        d->e.why = queue_locked_why(&d->e, d->name);
        return ERR_LOCKED_OUT;
    }
    if (q->durable != wants_durable(d))
        return differs(d, what, "durable", wants_durable(d), q->durable);
    if (q->auto_delete != d->auto_delete)
        return differs(d, what, "auto_delete", d->auto_delete, q->auto_delete);
    return queue_compare_args(q, d->args, what, &d->e.arena, &d->e.why);
}

static int declare_existing(struct op_queue_declare *d, const struct queue_info *q)
{
    int err = 0;
    if (!d->passive) {
        err = compare(d, q);
    } else if (q->exclusive && !is_mine(q, &d->e)) {
        d->e.why = queue_locked_why(&d->e, d->name);
        err = ERR_LOCKED_OUT;
    }
    return err ? err : META_NOTHING;
}

/* ---- declare: a new queue ------------------------------------------------------------------------------ */

static int refuse_property(struct op_queue_declare *d, const char *property)
{
    d->e.why = arena_printf(&d->e.arena, "invalid property '%s' for %s", property,
                            entity_name(&d->e, "queue", d->name));
    return ERR_ARGUMENT;
}

static int check_type(struct op_queue_declare *d, enum queue_type type)
{
    if (type == QUEUE_CLASSIC)
        return 0;
    if (d->exclusive)
        return refuse_property(d, "exclusive-owner");
    if (!d->durable)
        return refuse_property(d, "non-durable");
    if (type == QUEUE_STREAM && d->auto_delete)
        return refuse_property(d, "auto-delete");
    return 0;
}

/* RabbitMQ asks this of who names a dead-letter exchange: its dead letters are published in that name. */
static int check_dead_letters(struct op_queue_declare *d)
{
    struct field f;
    if (!fields_get_str(d->args, "x-dead-letter-exchange", &f))
        return 0;
    if (f.tag != 'S') {
        d->e.why = arena_printf(&d->e.arena, "invalid type '%s' for arg 'x-dead-letter-exchange' in %s",
                                field_type_name(f.tag), entity_name(&d->e, "queue", d->name));
        return ERR_ARGUMENT;
    }
    int err = entity_auth(&d->e, AUTH_READ, AUTH_QUEUE, d->name);
    return err ? err : entity_auth(&d->e, AUTH_WRITE, AUTH_EXCHANGE, f.bytes);
}

static int check_room(struct meta *m, struct op_queue_declare *d)
{
    if (m->shard->spaces->queues.count + m->round_count < m->shard->config->amqp_max_queues)
        return 0;
    d->e.why = "there are as many queues as there may be";
    return ERR_LIMIT;
}

static int check_new(struct meta *m, struct op_queue_declare *d, enum queue_type *ret_type)
{
    const char *what = entity_name(&d->e, "queue", d->name);
    int err = check_dead_letters(d);
    if (!err)
        err = queue_check_args(d->args, what, &d->e.arena, ret_type, &d->e.why);
    if (!err)
        err = check_type(d, *ret_type);
    if (err)
        return err;
    if (d->exclusive && d->e.op.conn.generation == 0) {
        d->e.why = "only a connection can have an exclusive queue";
        return ERR_ARGUMENT;
    }
    if (d->name.len > META_MAX_NAME)
        return ERR_ARGUMENT;
    return check_room(m, d);
}

/* Logs of durable queues go round robin over the slots, as ids do. A queue that only its connection can use
 * lives where that does. */
static uint64_t choose_id(struct meta *m, const struct op_queue_declare *d)
{
    if (wants_durable(d))
        return m->next_log_id;
    uint64_t id = m->next_volatile_id + 1;
    if (d->exclusive)
        while (store_shard_of(m->shard->broker->store, id) != d->e.op.conn.shard)
            id++;
    return id;
}

static int fill_declare(struct meta *m, struct meta_change *ch, const struct op_queue_declare *d,
                        enum queue_type type)
{
    bool durable = wants_durable(d);
    uint64_t id = choose_id(m, d);
    ch->command = (struct meta_command){.type = META_QUEUE_PUT,
                                        .next = queue_ids_end(id, queue_arg_max_priority(d->args))};
    ch->command.entity = (struct meta_entity){.vhost = d->e.op.actor.vhost->id,
                                              .flags = (uint8_t)((durable ? META_DURABLE : 0) |
                                                                 (d->auto_delete ? META_AUTO_DELETE : 0) |
                                                                 (d->exclusive ? META_EXCLUSIVE : 0)),
                                              .type = (uint8_t)type,
                                              .id = id,
                                              .name = meta_change_keep(ch, d->name),
                                              .args = meta_change_keep(ch, d->args)};
    if (d->exclusive)
        ch->command.entity.owner = d->e.op.conn;
    return durable ? META_APPEND : META_VOLATILE;
}

/* ---- declare ------------------------------------------------------------------------------------------- */

/* "amq.gen-" and 128 random bits in URL-safe base64, as RabbitMQ makes them. */
static struct span make_name(struct arena *a)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    enum { PREFIX = 8, DIGITS = 22 };
    uint8_t random[DIGITS];
    char *name = arena_alloc(a, PREFIX + DIGITS);
    os_random(random, sizeof(random));
    memcpy(name, "amq.gen-", PREFIX);
    for (unsigned i = 0; i < DIGITS; i++)
        name[PREFIX + i] = digits[random[i] & 63];
    return span_of(name, PREFIX + DIGITS);
}

/* The name is one that clients may give; or one is made. Once per operation. */
static int take_name(struct meta *m, struct meta_change *ch, struct op_queue_declare *d)
{
    struct field f;
    (void)m;
    d->name = entity_strip(&d->e, d->name);
    bool made = d->name.len == 0;
    if (made && !d->passive) {
        bool other = fields_get_str(d->args, "x-queue-type", &f) && f.tag == 'S' &&
                     (span_eq_str(f.bytes, "quorum") || span_eq_str(f.bytes, "stream"));
        if (other) {
            d->e.why =
                arena_printf(&d->e.arena, "Cannot declare a server-named queue for type rabbit_%.*s_queue",
                             SPAN_ARG(f.bytes));
            return ERR_ARGUMENT;
        }
        d->name = make_name(&d->e.arena);
    }
    d->ret_name = d->name;
    claim_entity(ch, META_KEY_QUEUE, d->e.op.actor.vhost->id, d->name, true);
    claim_entity(ch, META_KEY_VHOST, d->e.op.actor.vhost->id, SPAN_NULL, false);
    if (d->exclusive)
        claim_owner(ch, d->e.op.conn, false);
    if (!made && !d->passive && d->name.len >= 4 && memcmp(d->name.ptr, "amq.", 4) == 0) {
        d->e.why = arena_printf(&d->e.arena, "queue name '%.*s' contains reserved prefix 'amq.*'",
                                SPAN_ARG(d->name));
        return ERR_RESERVED;
    }
    return 0;
}

static int prepare_declare(struct meta *m, struct meta_change *ch)
{
    struct op_queue_declare *d = container_of(ch->op, struct op_queue_declare, e.op);
    enum queue_type type;
    struct vspace *v;
    int err = ch->key_count ? 0 : take_name(m, ch, d);
    if (err)
        return err;
    if (!meta_change_free(m, ch))
        return META_LATER;
    err = entity_space(m, &d->e, &v);
    if (!err && !d->passive)
        err = entity_auth(&d->e, AUTH_CONFIGURE, AUTH_QUEUE, d->name);
    if (err)
        return err;
    struct queue_info *q = space_queue(v, d->name);
    if (q)
        return declare_existing(d, q);
    if (d->passive)
        return no_queue(&d->e, d->name);
    ch->key_count = d->exclusive ? 3 : 2; /* take_name()'s */
    err = check_new(m, d, &type);
    if (!err && type == QUEUE_STREAM)
        err = stream_prepare_declare(m, ch, d);
    if (err)
        return err;
    d->ret_created = true;
    return fill_declare(m, ch, d, type);
}

static void declare_counted(struct conn *c, struct op *op)
{
    struct op_queue_declare *d = op->user;
    (void)c;
    if (!op->err) {
        d->ret_ready = d->stat->ret_ready;
        d->ret_consumers = d->stat->ret_consumers;
    }
    struct shard *s = op->home;
    op_free(op);
    d->stat = NULL;
    op_return(s, &d->e.op);
}

/* Of one that was there, how full it is; that counts as a use of it. */
static void finish_declare(struct meta *m, struct meta_change *ch, int err)
{
    struct op_queue_declare *d = container_of(ch->op, struct op_queue_declare, e.op);
    struct vspace *v = err || d->ret_created ? NULL : space_find_id(m->shard, d->e.op.actor.vhost->id);
    struct queue_info *q = v ? space_queue(v, d->name) : NULL;
    d->e.op.err = err;
    op_topic_create_free(d->topic);
    d->topic = NULL;
    if (!q) {
        op_return(m->shard, &d->e.op);
        return;
    }
    d->stat = new_stat(m, q, !d->passive, declare_counted, d);
    op_queue_stat_submit(d->stat);
}

static void start_declare(struct shard *s, struct msg *msg)
{
    struct op *op = container_of(msg, struct op, msg);
    meta_submit(s->broker->meta, meta_change_new(op, prepare_declare, finish_declare));
}

void op_queue_declare_submit(struct op_queue_declare *d)
{
    op_send(&d->e.op, op_owner(&d->e.op, 0), start_declare);
}

/* ---- delete -------------------------------------------------------------------------------------------- */

/* One queue goes, and auto-delete exchanges that led to nothing else. May answer META_LATER. */
static int fill_drop(struct meta *m, struct meta_change *ch, struct queue_info *q)
{
    struct cascade cascade = {.change = ch};
    cascade_dest(&cascade, &q->dest, NULL);
    if (!meta_change_free(m, ch))
        return META_LATER;
    ch->command = (struct meta_command){.type = META_QUEUE_DROP};
    ch->command.entity = (struct meta_entity){.vhost = q->space->vhost.id, .id = q->id};
    cascade_fill(&cascade);
    return q->durable || cascade.durable ? META_APPEND : META_VOLATILE;
}

static void delete_counted(struct conn *c, struct op *op)
{
    struct op_queue_delete *d = op->user;
    struct shard *s = op->home;
    (void)c;
    d->counted = true;
    meta_again(s->broker->meta); /* the change is waiting for it */
}

static int check_use(struct op_queue_delete *d)
{
    const char *what = entity_name(&d->e, "queue", d->name);
    if (d->stat->op.err)
        return 0; /* it has gone meanwhile */
    d->ret_ready = d->stat->ret_ready;
    if (d->if_unused && d->stat->ret_consumers) {
        d->e.why = arena_printf(&d->e.arena, "%s in use", what);
        return ERR_IN_USE;
    }
    if (d->if_empty && d->stat->ret_ready) {
        d->e.why = arena_printf(&d->e.arena, "%s not empty", what);
        return ERR_NOT_EMPTY;
    }
    return 0;
}

static int check_delete(struct meta *m, struct op_queue_delete *d, struct queue_info **ret_queue)
{
    struct vspace *v;
    int err = entity_space(m, &d->e, &v);
    if (!err)
        err = entity_auth(&d->e, AUTH_CONFIGURE, AUTH_QUEUE, d->name);
    if (err)
        return err;
    *ret_queue = space_queue(v, d->name);
    if (!*ret_queue || !(*ret_queue)->exclusive || is_mine(*ret_queue, &d->e))
        return 0;
    d->e.why = queue_locked_why(&d->e, d->name);
    return ERR_LOCKED_OUT;
}

static int prepare_delete(struct meta *m, struct meta_change *ch)
{
    enum { OWN_KEYS = 2 };
    struct op_queue_delete *d = container_of(ch->op, struct op_queue_delete, e.op);
    struct queue_info *q;
    if (ch->key_count == 0) {
        d->name = entity_strip(&d->e, d->name);
        claim_entity(ch, META_KEY_QUEUE, d->e.op.actor.vhost->id, d->name, true);
        claim_entity(ch, META_KEY_VHOST, d->e.op.actor.vhost->id, SPAN_NULL, false);
    }
    ch->key_count = OWN_KEYS;
    if (!meta_change_free(m, ch))
        return META_LATER;
    int err = check_delete(m, d, &q);
    if (err || !q)
        return err ? err : META_NOTHING;
    if (!d->stat) {
        d->stat = new_stat(m, q, false, delete_counted, d);
        op_queue_stat_submit(d->stat);
    }
    if (!d->counted) {
        meta_change_hold(m, ch);
        return META_LATER;
    }
    err = check_use(d);
    if (!err && q->type == QUEUE_STREAM)
        err = stream_prepare_delete(m, ch, d, q);
    if (err == STREAM_DELETES_TOPIC)
        return META_APPEND;
    return err ? err : fill_drop(m, ch, q);
}

static void finish_delete(struct meta *m, struct meta_change *ch, int err)
{
    struct op_queue_delete *d = container_of(ch->op, struct op_queue_delete, e.op);
    op_free(d->stat);
    d->stat = NULL;
    entity_finish(m, ch, err);
}

static void start_delete(struct shard *s, struct msg *msg)
{
    struct op *op = container_of(msg, struct op, msg);
    meta_submit(s->broker->meta, meta_change_new(op, prepare_delete, finish_delete));
}

void op_queue_delete_submit(struct op_queue_delete *d)
{
    op_send(&d->e.op, op_owner(&d->e.op, 0), start_delete);
}

/* ---- deletions that nobody waits for ------------------------------------------------------------------- */

static void ignore(struct meta *m, struct meta_change *ch, int err)
{
    (void)m;
    (void)ch;
    (void)err;
}

static int prepare_drop(struct meta *m, struct meta_change *ch)
{
    enum { OWN_KEYS = 2 };
    struct queue_info *q = queue_info_by_id(m->shard, ch->command.entity.id);
    if (!q || q->delays)
        return META_NOTHING;
    if (ch->key_count == 0) {
        claim_entity(ch, META_KEY_QUEUE, q->space->vhost.id, q->dest.name, true);
        claim_entity(ch, META_KEY_VHOST, q->space->vhost.id, SPAN_NULL, false);
    }
    ch->key_count = OWN_KEYS;
    return meta_change_free(m, ch) ? fill_drop(m, ch, q) : META_LATER;
}

void queue_drop_submit(struct meta *m, uint64_t id)
{
    struct meta_change *ch = meta_change_new(NULL, prepare_drop, ignore);
    ch->command.entity.id = id;
    meta_submit(m, ch);
}

/* A message to shard 0: a queue to delete, or a connection that is gone. */
struct order {
    struct msg msg;
    uint64_t queue_id;
    struct handle conn;
};

static void run_expire(struct shard *s, struct msg *msg)
{
    struct order *o = container_of(msg, struct order, msg);
    queue_drop_submit(s->broker->meta, o->queue_id);
    mem_free(o);
}

void space_queue_expire(struct shard *s, uint64_t queue_id)
{
    struct order *o = mem_zalloc(sizeof(*o));
    o->queue_id = queue_id;
    o->msg.run = run_expire;
    msg_send(s, &s->broker->shards[0], &o->msg);
}

/* What it declared before has been decided when this is alone with the owner: then its queues go. */
static int prepare_gone(struct meta *m, struct meta_change *ch)
{
    struct handle conn = ch->command.entity.owner;
    if (ch->key_count == 0)
        claim_owner(ch, conn, true);
    if (!meta_change_free(m, ch))
        return META_LATER;
    struct space_owner *o = space_owner_of(m->shard, conn);
    if (o)
        list_each (l, &o->queues)
            queue_drop_submit(m, list_entry(l, struct queue_info, link)->id);
    return META_NOTHING;
}

static void run_gone(struct shard *s, struct msg *msg)
{
    struct order *o = container_of(msg, struct order, msg);
    struct meta_change *ch = meta_change_new(NULL, prepare_gone, ignore);
    ch->command.entity.owner = o->conn;
    mem_free(o);
    meta_submit(s->broker->meta, ch);
}

void space_conn_gone(struct shard *s, struct handle conn)
{
    struct order *o = mem_zalloc(sizeof(*o));
    o->conn = conn;
    o->msg.run = run_gone;
    msg_send(s, &s->broker->shards[0], &o->msg);
}
