/* ListGroups: the groups that there are, of all shards. Versions 0 to 5. */
#include <stdlib.h>

#include "core/broker.h"
#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"
#include "proto/kafka/spread.h"

static const char group_type[] = "classic";

struct list_groups {
    struct kafka_list_groups_response response;
    struct kafka_list_groups_response_group *found[KAFKA_MAX_SHARDS];
    uint32_t counts[KAFKA_MAX_SHARDS];
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* ASCII letters without regard to case, KIP-518 and KIP-848. */
static bool same_word(struct span s, const char *word)
{
    if (s.len != strlen(word))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (lower(s.ptr[i]) != lower((uint8_t)word[i]))
            return false;
    return true;
}

/* An empty filter lets everything pass; a word that means nothing lets nothing pass. */
static bool passes(const struct span *filter, int32_t count, const char *word)
{
    for (int32_t i = 0; i < count; i++)
        if (same_word(filter[i], word))
            return true;
    return count <= 0;
}

static void collect(struct kafka_request *r, const struct op_group_list *l)
{
    const struct kafka_list_groups_request *in = r->message;
    struct list_groups *st = r->state;
    struct kafka_list_groups_response_group *out = arena_array(&r->arena, l->ret_count, sizeof(*out));
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->ret_count; i++) {
        const struct group_listed *g = &l->ret_groups[i];
        const char *state = group_state_name(g->state);
        if (!passes(in->states_filter, in->states_filter_count, state) ||
            !passes(in->types_filter, in->types_filter_count, group_type))
            continue;
        kafka_list_groups_response_group_init(&out[n]);
        out[n].group_id = kafka_group_keep(r, g->name);
        out[n].protocol_type = kafka_group_keep(r, g->protocol_type);
        out[n].group_state = span_str(state);
        out[n++].group_type = span_str(group_type);
    }
    st->found[l->shard] = out;
    st->counts[l->shard] = n;
}

static void list_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct op_group_list *l = (struct op_group_list *)op;
    struct list_groups *st = r->state;
    if (kafka_request_alive(r)) {
        if (!op->err)
            collect(r, l);
        else if (!st->response.error_code)
            st->response.error_code = kafka_group_error_of(r, op->err);
    }
    op_group_free(&l->g);
    kafka_op_returned(r);
}

static int by_name(const void *a, const void *b)
{
    const struct kafka_list_groups_response_group *x = a, *y = b;
    return span_cmp(x->group_id, y->group_id);
}

/* All or nothing: a part of the groups looks like the others were gone. */
static void finish(struct kafka_request *r)
{
    struct list_groups *st = r->state;
    struct kafka_list_groups_response *m = &st->response;
    size_t total = 0;
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS && !m->error_code; s++)
        total += st->counts[s];
    m->groups = arena_array(&r->arena, total, sizeof(*m->groups));
    for (unsigned s = 0; s < KAFKA_MAX_SHARDS && total; s++)
        for (uint32_t i = 0; i < st->counts[s]; i++)
            m->groups[m->groups_count++] = st->found[s][i];
    if (total)
        qsort(m->groups, total, sizeof(*m->groups), by_name);
    kafka_respond(r, m);
}

void kafka_list_groups(struct kafka_request *r)
{
    const struct kafka_list_groups_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->states_filter_count + (uint64_t)in->types_filter_count))
        return;
    struct list_groups *st = arena_alloc(&r->arena, sizeof(*st));
    r->state = st;
    r->finish = finish;
    kafka_list_groups_response_init(&st->response);
    for (unsigned s = 0; s < r->shard->broker->shard_count; s++) {
        struct op_group_list *l = kafka_group_op_new(r, sizeof(*l), wire_empty, list_done);
        l->shard = s;
        op_group_list_submit(l);
    }
}
