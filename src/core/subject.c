#include "core/subject.h"

#include <stdlib.h>

#include "base/mem.h"
#include "core/subject_impl.h"

/* ---- life ------------------------------------------------------------------------------------------------
 */

void subjects_init(struct shard *s)
{
    struct subjects *j = s->subjects = mem_zalloc(sizeof(*j));
    j->shard = s;
    j->turn = 1;
    j->runs = mem_zalloc(s->broker->shard_count * sizeof(struct subject_run *));
    j->applied = mem_zalloc(s->broker->shard_count * sizeof(*j->applied));
    ptrset_init(&j->subscriptions);
    list_init(&j->soft);
    list_init(&j->behind);
}

void subjects_fini(struct shard *s)
{
    struct subjects *j = s->subjects;
    for (int i = 0; i < SUBJECT_SLOTS; i++)
        for (int k = 0; k < SUBJECT_WIRES; k++)
            chunk_unref(j->wires[i][k]);
    chunk_unref(j->copies);
    ptrset_fini(&j->subscriptions);
    mem_free(j->runs);
    mem_free(j->applied);
    mem_free(j);
}

/* What a slow client still has to read keeps its chunk anyway, which is then better filled. */
void subjects_trim(struct shard *s)
{
    struct subjects *j = s->subjects;
    for (int i = 0; i < SUBJECT_SLOTS; i++)
        for (int k = 0; k < SUBJECT_WIRES; k++) {
            struct chunk *c = j->wires[i][k];
            if (!c || atomic_load_explicit(&c->refs, memory_order_acquire) > 1)
                continue;
            chunk_unref(c);
            j->wires[i][k] = NULL;
        }
}

void subject_spaces_free(struct vspace *v)
{
    for (int p = 0; p < SUBJECT_PLANES; p++) {
        subject_space_free(v->subjects[p]);
        v->subjects[p] = NULL;
    }
}

struct subject_limits *subject_limits(struct broker *b)
{
    return &b->subject_limits;
}

/* ---- questions -------------------------------------------------------------------------------------------
 */

uint32_t subject_count(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                       struct span text)
{
    const struct interest *in = interest_find(v, plane, kind, text);
    return in ? in->total : 0;
}

size_t subject_texts(const struct vspace *v, enum subject_plane plane, enum subject_kind kind)
{
    return v->subjects[plane] ? v->subjects[plane]->texts[kind].count : 0;
}

static int by_text(const void *a, const void *b)
{
    return span_cmp((*(const struct interest *const *)a)->text, (*(const struct interest *const *)b)->text);
}

const struct interest **subject_list(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                                     struct arena *a, size_t *ret_count)
{
    const struct subject_space *sp = v->subjects[plane];
    const struct interest *in;
    size_t n = 0;
    *ret_count = subject_texts(v, plane, kind);
    if (*ret_count == 0)
        return NULL;
    const struct interest **all = arena_alloc(a, *ret_count * sizeof(*all));
    for (size_t i = 0; (in = map_next(&sp->texts[kind], &i));)
        all[n++] = in;
    qsort(all, n, sizeof(*all), by_text);
    return all;
}

void subject_each(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                  void (*fn)(void *arg, const struct interest *in), void *arg)
{
    const struct subject_space *sp = v->subjects[plane];
    const struct interest *in;
    for (size_t i = 0; sp && (in = map_next(&sp->texts[kind], &i));)
        fn(arg, in);
}
