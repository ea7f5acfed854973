/* Texts that somebody wants to hear: exact ones by a map, globs by the bytes they begin with, and what was
 * found for a key is kept as long as the set of globs stays the same. */
#include <assert.h>

#include "base/hash.h"
#include "base/mem.h"
#include "core/glob.h"
#include "core/subject_impl.h"

enum { CACHE_BITS = 10, CACHE_SLOTS = 1 << CACHE_BITS, CACHED_KEY_MAX = 256 };
/* Comparing so many globs with a key of up to CACHED_KEY_MAX bytes takes as long as a message. */
enum { GLOBS_PER_MESSAGE = 4 };

struct globs_found {
    uint64_t generation, hash; /* generation 0: free */
    struct span key;           /* owned, with room for key_cap bytes */
    size_t key_cap;
    struct interest **found;
    uint32_t count, cap;
};

struct glob_bucket {
    struct span prefix; /* owned */
    struct list globs;  /* struct interest */
};

/* An empty text is a key of the map, too. */
static struct span map_key(struct span text)
{
    return span_of(text.len ? (const void *)text.ptr : "", text.len);
}

static struct span dup_span(struct span s)
{
    return span_of(mem_strndup(map_key(s).ptr, s.len), s.len);
}

/* ---- globs by their beginning -------------------------------------------------------------------------- */

static struct span beginning(struct span glob)
{
    size_t n = glob_literal_prefix(glob);
    return map_key(span_of(glob.ptr, n < GLOB_PREFIX_MAX ? n : GLOB_PREFIX_MAX));
}

static void glob_index(struct subject_space *sp, struct interest *in)
{
    struct span prefix = beginning(in->text);
    struct glob_bucket *b = map_get(&sp->prefixes, prefix);
    if (!b) {
        b = mem_zalloc(sizeof(*b));
        b->prefix = dup_span(prefix);
        list_init(&b->globs);
        map_put(&sp->prefixes, b->prefix, b);
        sp->lengths[prefix.len]++;
    }
    list_add_tail(&b->globs, &in->link);
    sp->globs_generation++;
}

static void bucket_free(struct glob_bucket *b)
{
    mem_free((void *)b->prefix.ptr);
    mem_free(b);
}

static void glob_unindex(struct subject_space *sp, struct interest *in)
{
    struct span prefix = beginning(in->text);
    struct glob_bucket *b = map_get(&sp->prefixes, prefix);
    list_del(&in->link);
    sp->globs_generation++;
    if (!list_empty(&b->globs))
        return;
    sp->lengths[prefix.len]--;
    map_del(&sp->prefixes, prefix);
    bucket_free(b);
}

/* ---- what a key matches -------------------------------------------------------------------------------- */

static void add_found(struct globs_found *f, struct interest *in)
{
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 4;
        f->found = mem_realloc(f->found, f->cap * sizeof(struct interest *));
    }
    f->found[f->count++] = in;
}

/* It counts as work of this turn: publishers wait for the next one where there are very many globs. */
static void look_up(struct subject_space *sp, struct globs_found *f, struct span key)
{
    uint64_t compared = 0;
    f->count = 0;
    for (size_t n = 0; n <= GLOB_PREFIX_MAX && n <= key.len; n++) {
        if (!sp->lengths[n])
            continue;
        struct glob_bucket *b = map_get(&sp->prefixes, map_key(span_of(key.ptr, n)));
        if (!b)
            continue;
        list_each (l, &b->globs) {
            struct interest *in = list_entry(l, struct interest, link);
            compared++;
            if (glob_match(in->text, key, false))
                add_found(f, in);
        }
    }
    sp->shard->subjects->turn_messages += compared * (1 + key.len / CACHED_KEY_MAX) / GLOBS_PER_MESSAGE;
}

static void remember(struct globs_found *f, struct span key)
{
    uint8_t *bytes = (uint8_t *)f->key.ptr;
    if (!bytes || f->key_cap < key.len) {
        f->key_cap = key.len < 32 ? 32 : key.len;
        bytes = mem_realloc(bytes, f->key_cap);
    }
    if (key.len)
        memcpy(bytes, key.ptr, key.len);
    f->key = span_of(bytes, key.len);
}

/* The last slot is for keys that are too long to be kept. */
struct interest *const *globs_matching(struct subject_space *sp, struct span key, uint32_t *ret_count)
{
    struct globs_found *f;
    *ret_count = 0;
    if (sp->texts[SUBJECT_GLOB].count == 0)
        return NULL;
    if (!sp->cache)
        sp->cache = mem_zalloc((CACHE_SLOTS + 1) * sizeof(*sp->cache));
    if (key.len > CACHED_KEY_MAX) {
        f = &sp->cache[CACHE_SLOTS];
        look_up(sp, f, key);
    } else {
        uint64_t hash = hash_bytes(key);
        f = &sp->cache[hash >> (64 - CACHE_BITS)];
        if (f->generation != sp->globs_generation || f->hash != hash || !span_eq(f->key, key)) {
            look_up(sp, f, key);
            remember(f, key);
            f->generation = sp->globs_generation;
            f->hash = hash;
        }
    }
    *ret_count = f->count;
    return f->found;
}

/* ---- interests ----------------------------------------------------------------------------------------- */

struct interest *interest_find(const struct vspace *v, enum subject_plane plane, enum subject_kind kind,
                               struct span text)
{
    const struct subject_space *sp = v->subjects[plane];
    return sp ? map_get(&sp->texts[kind], map_key(text)) : NULL;
}

static struct subject_space *space_get(struct shard *s, struct vspace *v, enum subject_plane plane)
{
    struct subject_space *sp = v->subjects[plane];
    if (sp)
        return sp;
    sp = v->subjects[plane] = mem_zalloc(sizeof(*sp));
    sp->shard = s;
    sp->vhost = v->vhost.id;
    sp->plane = plane;
    sp->globs_generation = 1;
    for (int k = 0; k < SUBJECT_KINDS; k++)
        map_init(&sp->texts[k]);
    map_init(&sp->prefixes);
    return sp;
}

struct interest *interest_get(struct shard *s, struct vspace *v, enum subject_plane plane,
                              enum subject_kind kind, uint8_t format, struct span text)
{
    struct subject_space *sp = space_get(s, v, plane);
    struct interest *in = map_get(&sp->texts[kind], map_key(text));
    if (in)
        return in;
    in = mem_zalloc(sizeof(*in) + s->broker->shard_count * sizeof(in->counts[0]));
    in->text = dup_span(text);
    in->plane = plane;
    in->kind = kind;
    in->format = format;
    in->slot = (uint8_t)(s->subjects->texts++ % SUBJECT_SLOTS);
    in->space = sp;
    list_init(&in->link);
    map_put(&sp->texts[kind], in->text, in);
    if (kind == SUBJECT_GLOB)
        glob_index(sp, in);
    return in;
}

static void interest_free(struct interest *in)
{
    mem_free((void *)in->text.ptr);
    mem_free(in->subs);
    mem_free(in);
}

void interest_count(struct interest *in, unsigned shard, int delta)
{
    struct subject_space *sp = in->space;
    in->counts[shard] += (uint32_t)delta;
    in->total += (uint32_t)delta;
    if (in->total > 0)
        return;
    assert(in->sub_count == 0);
    if (in->kind == SUBJECT_GLOB)
        glob_unindex(sp, in);
    map_del(&sp->texts[in->kind], in->text);
    interest_free(in);
}

void subject_space_free(struct subject_space *sp)
{
    struct interest *in;
    struct glob_bucket *b;
    if (!sp)
        return;
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        for (size_t i = 0; (in = map_next(&sp->texts[k], &i));)
            interest_free(in);
        map_fini(&sp->texts[k]);
    }
    for (size_t i = 0; (b = map_next(&sp->prefixes, &i));)
        bucket_free(b);
    map_fini(&sp->prefixes);
    for (size_t i = 0; sp->cache && i <= CACHE_SLOTS; i++) {
        mem_free((void *)sp->cache[i].key.ptr);
        mem_free(sp->cache[i].found);
    }
    mem_free(sp->cache);
    mem_free(sp);
}
