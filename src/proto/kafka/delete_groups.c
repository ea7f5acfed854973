/* DeleteGroups: deletes groups that have no members. Versions 0 to 2. */
#include <stdlib.h>

#include "proto/kafka/kafka_wire.gen.h"
#include "proto/kafka/groups.h"

struct deletion {
    struct op_group_delete op;
    struct kafka_delete_groups_response_result *out;
};

static void delete_done(struct conn *c, struct op *op)
{
    (void)c;
    struct kafka_request *r = kafka_op_request(op);
    struct deletion *d = (struct deletion *)op;
    if (kafka_request_alive(r))
        d->out->error_code = kafka_group_error_of(r, op->err);
    op_group_free(&d->op.g);
    kafka_op_returned(r);
}

static int compare(const void *a, const void *b)
{
    return span_cmp(*(const struct span *)a, *(const struct span *)b);
}

/* KafkaApis.handleDeleteGroupsRequest(): a name that stands twice is answered once. Sorts them; the number
 * that is left. */
static int32_t make_distinct(struct span *names, int32_t count)
{
    int32_t n = 0;
    if (count)
        qsort(names, (size_t)count, sizeof(*names), compare);
    for (int32_t i = 0; i < count; i++)
        if (n == 0 || !span_eq(names[n - 1], names[i]))
            names[n++] = names[i];
    return n;
}

void kafka_delete_groups(struct kafka_request *r)
{
    const struct kafka_delete_groups_request *in = r->message;
    if (!kafka_check_count(r, (uint64_t)in->groups_names_count))
        return;
    struct kafka_delete_groups_response *m = arena_alloc(&r->arena, sizeof(*m));
    kafka_delete_groups_response_init(m);
    r->state = m;
    r->finish = kafka_group_finish;
    size_t bytes = (size_t)in->groups_names_count * sizeof(struct span);
    struct span *names = arena_copy(&r->arena, in->groups_names, bytes);
    m->results_count = make_distinct(names, in->groups_names_count);
    m->results = arena_array(&r->arena, (size_t)m->results_count, sizeof(*m->results));
    for (int32_t i = 0; i < m->results_count; i++) {
        struct deletion *d = kafka_group_op_new(r, sizeof(*d), names[i], delete_done);
        d->out = &m->results[i];
        d->out->group_id = names[i];
        op_group_delete_submit(&d->op);
    }
}
