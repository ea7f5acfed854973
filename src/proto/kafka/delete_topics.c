/* DeleteTopics: by name, or by id since version 6 (KIP-516). Versions 1 to 6. */
#include "base/err.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/topics.h"

enum { TOPICS_SINCE = 6 }; /* before: a list of names */

struct delete_topics {
    struct kafka_delete_topics_response response;
};

struct deletion {
    struct op_topic_delete op;
    struct kafka_delete_topics_response_topic *out;
};

static void refuse(struct kafka_request *r, struct kafka_delete_topics_response_topic *out,
                   struct kafka_refusal no)
{
    out->error_code = kafka_error(r, no.code);
    out->error_message = span_str(no.message);
}

static void delete_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct deletion *d = (struct deletion *)op;
    if (kafka_request_alive(r) && op->err)
        refuse(r, d->out, kafka_refuse_err(op->err));
    op_topic_delete_free(&d->op);
    kafka_op_returned(r);
}

static void finish(struct kafka_request *r)
{
    struct delete_topics *st = r->state;
    kafka_respond(r, &st->response);
}

/* ControllerApis.deleteTopics(): either a name or an id. `out` has both as asked. */
static struct kafka_refusal find(struct kafka_request *r, struct kafka_delete_topics_response_topic *out,
                                 struct topic **ret_topic)
{
    bool by_id = !wire_uuid_is_zero(out->topic_id);
    if (by_id && !span_is_null(out->name))
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Topic name and topic ID can not both be specified.");
    if (!by_id && span_is_null(out->name))
        return kafka_refuse(r, KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
    int err = by_id ? kafka_topic_by_id(r, AUTH_CONFIGURE, out->topic_id, ret_topic)
                    : kafka_topic(r, AUTH_CONFIGURE, out->name, ret_topic);
    return kafka_refuse_err(err);
}

static void delete_one(struct kafka_request *r, struct kafka_delete_topics_response_topic *out)
{
    struct topic *t = NULL;
    struct kafka_refusal no = find(r, out, &t);
    if (no.code) {
        refuse(r, out, no);
        return;
    }
    out->name = span_of(arena_copy(&r->arena, t->name, t->name_len), t->name_len);
    out->topic_id = kafka_uuid_of(t);
    struct deletion *d = kafka_op_new(r, sizeof(*d), delete_done);
    d->out = out;
    d->op.name = SPAN_NULL; /* by id: another topic may get this name in between */
    d->op.id = t->id;
    op_topic_delete_submit(&d->op);
}

static void refuse_duplicates(struct kafka_request *r, struct kafka_delete_topics_response *m)
{
    struct span *keys = arena_array(&r->arena, (size_t)m->responses_count, sizeof(*keys));
    for (int32_t i = 0; i < m->responses_count; i++)
        keys[i] = span_is_null(m->responses[i].name)
                      ? span_of(m->responses[i].topic_id.bytes, sizeof(m->responses[i].topic_id.bytes))
                      : m->responses[i].name;
    bool *duplicate = kafka_find_duplicates(r, keys, (size_t)m->responses_count);
    for (int32_t i = 0; i < m->responses_count; i++) {
        const char *why =
            span_is_null(m->responses[i].name) ? "Duplicate topic id." : "Duplicate topic name.";
        if (duplicate[i])
            refuse(r, &m->responses[i], (struct kafka_refusal){KAFKA_INVALID_REQUEST, why});
    }
}

/* One answer for each name or id, in the order asked. */
static void list_asked(struct kafka_request *r, struct kafka_delete_topics_response *m)
{
    const struct kafka_delete_topics_request *in = r->message;
    m->responses_count = r->version >= TOPICS_SINCE ? in->topics_count : in->topic_names_count;
    m->responses = arena_array(&r->arena, (size_t)m->responses_count, sizeof(*m->responses));
    for (int32_t i = 0; i < m->responses_count; i++) {
        struct kafka_delete_topics_response_topic *out = &m->responses[i];
        kafka_delete_topics_response_topic_init(out);
        out->name = r->version >= TOPICS_SINCE ? in->topics[i].name : in->topic_names[i];
        if (r->version >= TOPICS_SINCE)
            out->topic_id = in->topics[i].topic_id;
    }
}

void kafka_delete_topics(struct kafka_request *r)
{
    const struct kafka_delete_topics_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->topics_count + (uint64_t)in->topic_names_count))
        return;
    struct delete_topics *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_delete_topics_response_init(&st->response);
    list_asked(r, &st->response);
    refuse_duplicates(r, &st->response);
    for (int32_t i = 0; i < st->response.responses_count; i++)
        if (!st->response.responses[i].error_code)
            delete_one(r, &st->response.responses[i]);
}
