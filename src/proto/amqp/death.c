/* What the core must know of AMQP properties: headers, further keys, and what a message's death adds to them.
 *
 * x-death is an array of tables, the latest first, one for each (queue, reason): count (long), reason, queue,
 * time (timestamp: of the first), exchange, routing-keys; original-expiration before them if the message had
 * one. Beside it stand x-first-death-{reason,queue,exchange}, which never change, and x-last-death-*.
 * RabbitMQ 3.13 keeps the fields in that order. An x-death that the publisher sent counts, as in RabbitMQ up
 * to 3.12: programs republish what they got and rely on it (rabbitmq-server#10709). All other headers stay
 * byte for byte. */
#include "base/err.h"
#include "proto/amqp/props.h"
#include "proto/amqp/record.h"

static bool props_of(const struct message *m, struct amqp_props *ret)
{
    return m->props.len >= 2 && amqp_props_decode(m->props, ret) == 0;
}

static struct span headers(const struct message *m)
{
    struct amqp_props p;
    return props_of(m, &p) ? p.headers : SPAN_NULL;
}

/* ---- CC and BCC --------------------------------------------------------------------------------------- */

static void each_key(struct span table, const char *name, void (*fn)(void *arg, struct span key), void *arg)
{
    struct field f, key;
    struct fields_iter it;
    struct span none;
    if (!fields_get_str(table, name, &f) || f.tag != 'A')
        return;
    fields_begin_array(&it, f.bytes);
    while (fields_next(&it, &none, &key))
        if (key.tag == 'S' && key.bytes.len <= 255)
            fn(arg, key.bytes);
}

static void more_keys(const struct message *m, void (*fn)(void *arg, struct span key), void *arg)
{
    struct span table = headers(m);
    if (table.len == 0)
        return;
    each_key(table, "CC", fn, arg);
    each_key(table, "BCC", fn, arg);
}

/* ---- x-death ---------------------------------------------------------------------------------------------
 */

static struct span text_of(struct span table, const char *name)
{
    struct field f;
    return fields_get_str(table, name, &f) && f.tag == 'S' ? f.bytes : SPAN_NULL;
}

static bool is_same_death(struct span table, struct span queue, const char *reason)
{
    return span_eq(text_of(table, "queue"), queue) && span_eq_str(text_of(table, "reason"), reason);
}

/* The array; empty if there is none, or it is not what it should be. */
static struct span deaths_of(struct span table)
{
    struct field f;
    return fields_get_str(table, "x-death", &f) && f.tag == 'A' ? f.bytes : SPAN_NULL;
}

static void add_key(void *arg, struct span key)
{
    fields_add_str(arg, key);
}

/* The key it was published with and CC, not BCC. */
static struct span routing_keys(const struct message *m, struct span table, struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    fields_add_str(&w, m->key);
    if (table.len > 0)
        each_key(table, "CC", add_key, &w);
    return fields_done(&w);
}

static struct span new_death(const struct message *m, const struct amqp_props *p, const struct death *d,
                             struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    if (p->flags & AMQP_EXPIRATION)
        fields_put_str(&w, span_str("original-expiration"), p->expiration);
    fields_put_int(&w, span_str("count"), 'l', 1);
    fields_put_str(&w, span_str("reason"), span_str(death_reason_name(d->reason)));
    fields_put_str(&w, span_str("queue"), d->queue);
    fields_put_int(&w, span_str("time"), 'T', d->time_ms / 1000);
    fields_put_str(&w, span_str("exchange"), m->exchange);
    fields_put_array(&w, span_str("routing-keys"), routing_keys(m, p->headers, a));
    return fields_done(&w);
}

/* The same but for its count, which stays where it is; one without is put in front. */
static struct span counted_death(struct span table, struct arena *a)
{
    struct fields_writer w;
    struct fields_iter it;
    struct span name, count_name = span_str("count");
    struct field f;
    bool has = fields_get(table, count_name, &f);
    int64_t count = has && field_is_integer(&f) ? f.integer : 1;
    count += count < INT64_MAX;
    fields_writer_init(&w, a);
    if (!has)
        fields_put_int(&w, count_name, 'l', count);
    fields_begin(&it, table);
    for (const uint8_t *from = it.p; fields_next(&it, &name, &f); from = it.p)
        if (span_eq(name, count_name))
            fields_put_int(&w, count_name, 'l', count);
        else
            amqp_headers_put_raw(&w, span_of(from, (size_t)(it.p - from)));
    return fields_done(&w);
}

/* The latest death in front, the others as they were. */
static struct span all_deaths(const struct message *m, const struct amqp_props *p, const struct death *d,
                              struct arena *a)
{
    const char *reason = death_reason_name(d->reason);
    struct span old = deaths_of(p->headers), latest = SPAN_NULL, none;
    struct fields_writer rest, all;
    struct fields_iter it;
    struct field f;
    fields_writer_init(&rest, a);
    fields_begin_array(&it, old);
    for (const uint8_t *from = it.p; fields_next(&it, &none, &f); from = it.p)
        if (f.tag == 'F' && is_same_death(f.bytes, d->queue, reason)) {
            if (span_is_null(latest))
                latest = counted_death(f.bytes, a);
        } else {
            amqp_headers_put_raw(&rest, span_of(from, (size_t)(it.p - from)));
        }
    if (span_is_null(latest))
        latest = new_death(m, p, d, a);
    fields_writer_init(&all, a);
    fields_add_table(&all, latest);
    amqp_headers_put_raw(&all, fields_done(&rest));
    return fields_done(&all);
}

/* ---- the headers of the dead -------------------------------------------------------------------------- */

static bool is_ours(struct span name)
{
    return span_eq_str(name, "x-death") || span_eq_str(name, "x-last-death-reason") ||
           span_eq_str(name, "x-last-death-queue") || span_eq_str(name, "x-last-death-exchange");
}

static bool is_retry(struct span name)
{
    return span_eq_str(name, "x-retry-count") || span_eq_str(name, "x-last-error-time") ||
           span_eq_str(name, "x-original-queue");
}

static bool is_copy(struct span name)
{
    return span_eq_str(name, "CC") || span_eq_str(name, "BCC");
}

static bool leave_nothing(struct span name)
{
    return false;
}

static void keep(struct fields_writer *w, struct span from, bool (*leave_out)(struct span name))
{
    amqp_headers_copy(w, from, leave_out);
}

static void put_where(struct fields_writer *w, const char *which, const struct message *m,
                      const struct death *d)
{
    struct arena *a = w->arena;
    fields_put_str(w, span_str(arena_printf(a, "x-%s-death-reason", which)),
                   span_str(death_reason_name(d->reason)));
    fields_put_str(w, span_str(arena_printf(a, "x-%s-death-queue", which)), d->queue);
    fields_put_str(w, span_str(arena_printf(a, "x-%s-death-exchange", which)), m->exchange);
}

static void put_retries(struct fields_writer *w, const struct death *d)
{
    fields_put_int(w, span_str("x-retry-count"), 'l', d->retries);
    fields_put_int(w, span_str("x-last-error-time"), 'T', d->time_ms / 1000);
    fields_put_str(w, span_str("x-original-queue"), d->queue);
}

static struct span without(struct span table, bool (*leave_out)(struct span name), struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    keep(&w, table, leave_out);
    return fields_done(&w);
}

static struct span dead(const struct message *m, const struct death *d, struct arena *a)
{
    struct amqp_props p;
    struct fields_writer w;
    struct field f;
    if (!props_of(m, &p))
        p = (struct amqp_props){0};
    struct span old = without(p.headers, is_ours, a);
    bool first = !fields_get_str(old, "x-first-death-reason", &f);
    if (d->retries >= 0)
        old = without(old, is_retry, a);
    if (!span_is_null(d->routing_key_override)) /* it goes to that key alone */
        old = without(old, is_copy, a);
    fields_writer_init(&w, a);
    keep(&w, old, leave_nothing);
    if (first)
        put_where(&w, "first", m, d);
    put_where(&w, "last", m, d);
    fields_put_array(&w, span_str("x-death"), all_deaths(m, &p, d, a));
    if (d->retries >= 0)
        put_retries(&w, d);
    p.headers = fields_done(&w);
    p.flags = (uint16_t)((p.flags | AMQP_HEADERS) & ~AMQP_EXPIRATION);
    return amqp_props_encode(&p, a);
}

/* From the latest death back to the one in `queue`: was none of them a client's doing? `m` is what dead()
 * made. */
static bool cycles(const struct message *m, struct span queue)
{
    struct fields_iter it;
    struct span none;
    struct field f;
    fields_begin_array(&it, deaths_of(headers(m)));
    while (fields_next(&it, &none, &f)) {
        if (f.tag != 'F')
            continue;
        if (span_eq_str(text_of(f.bytes, "reason"), "rejected"))
            return false;
        if (span_eq(text_of(f.bytes, "queue"), queue))
            return true;
    }
    return false;
}

const struct message_format amqp_message_format = {
    .name = "amqp",
    .headers = headers,
    .dead = dead,
    .cycles = cycles,
    .more_keys = more_keys,
    .property = amqp_message_property,
    .record = amqp_message_record,
    .of_record = amqp_message_of_record,
};
