#include "core/auth_rules.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"

/* ---- grants -------------------------------------------------------------------------------------------- */

static _Atomic uint64_t serials; /* of all brokers of the process: cached results tell grants apart by them */

static struct span own(struct span s)
{
    return span_is_null(s) ? s : span_of(mem_strndup(s.ptr, s.len), s.len);
}

static void disown(struct span s)
{
    mem_free((void *)s.ptr);
}

/* RabbitMQ expands these in topic permissions. What is put in is meant literally. */
static struct span expand(struct arena *a, struct span pattern, struct span user, struct span vhost)
{
    static const char *const names[] = {"{username}", "{vhost}"};
    struct span values[] = {user, vhost};
    uint8_t *out = arena_alloc(a, pattern.len + 1 + (pattern.len / 7 + 1) * (2 * (user.len + vhost.len)));
    size_t len = 0;
    for (size_t i = 0; i < pattern.len;) {
        unsigned which = 0;
        for (; which < 2; which++)
            if (pattern.len - i >= strlen(names[which]) &&
                memcmp(pattern.ptr + i, names[which], strlen(names[which])) == 0)
                break;
        if (which == 2) {
            out[len++] = pattern.ptr[i++];
            continue;
        }
        for (size_t k = 0; k < values[which].len; k++) {
            if (strchr("\\^$.|?*+()[]{}#-", values[which].ptr[k]) && values[which].ptr[k])
                out[len++] = '\\';
            out[len++] = values[which].ptr[k];
        }
        i += strlen(names[which]);
    }
    return span_of(out, len);
}

static bool matches_all(struct span p)
{
    return span_eq_str(p, ".*") || span_eq_str(p, "^.*") || span_eq_str(p, "^.*$") || span_eq_str(p, ".*$");
}

static int compile(struct auth_grant *g, struct span user, char ret_why[REGEX_WHY])
{
    for (unsigned i = 0; i < GRANT_PATTERNS; i++) {
        g->all[i] = matches_all(g->pattern[i]);
        if (g->all[i] || g->pattern[i].len == 0)
            continue;
        struct arena a;
        arena_init(&a);
        bool topic = !span_is_null(g->exchange);
        struct span p = topic ? expand(&a, g->pattern[i], user, g->vhost) : g->pattern[i];
        int err = regex_new(p, ret_why, &g->regex[i]);
        arena_fini(&a);
        if (err)
            return err;
    }
    return 0;
}

int auth_grant_new(struct span user, struct span vhost, struct span exchange,
                   const struct span pattern[GRANT_PATTERNS], char ret_why[REGEX_WHY],
                   struct auth_grant **ret_grant)
{
    struct auth_grant *g = mem_zalloc(sizeof(*g));
    g->refs = 1;
    g->serial = ++serials;
    g->vhost = own(vhost);
    g->exchange = own(exchange);
    for (unsigned i = 0; i < GRANT_PATTERNS; i++)
        g->pattern[i] = own(pattern[i]);
    int err = compile(g, user, ret_why);
    if (err) {
        auth_grant_unref(g);
        return err;
    }
    *ret_grant = g;
    return 0;
}

struct auth_grant *auth_grant_ref(struct auth_grant *g)
{
    g->refs++;
    return g;
}

void auth_grant_unref(struct auth_grant *g)
{
    if (!g || --g->refs > 0)
        return;
    for (unsigned i = 0; i < GRANT_PATTERNS; i++) {
        regex_free(g->regex[i]);
        disown(g->pattern[i]);
    }
    disown(g->vhost);
    disown(g->exchange);
    mem_free(g);
}

/* ---- results, remembered ------------------------------------------------------------------------------- */

/* Each thread remembers its last results, since clients ask for the same few names again and again. An entry
 * holds its whole key, so that no collision can grant anything; a change of permissions makes a grant with
 * another serial, and what was remembered of the old one is never found. */
enum { REMEMBERED = 512, REMEMBERED_NAME = 110 };

struct remembered {
    uint64_t serial;
    uint8_t pattern, len;
    bool allowed;
    uint8_t name[REMEMBERED_NAME];
};
static _Thread_local struct remembered remembered[REMEMBERED];

bool auth_grant_allows(const struct auth_grant *g, unsigned pattern, struct span name)
{
    assert(pattern < GRANT_PATTERNS);
    if (g->all[pattern])
        return true;
    if (!g->regex[pattern])
        return name.len == 0;
    if (name.len > REMEMBERED_NAME)
        return regex_match(g->regex[pattern], name);
    uint64_t hash = hash_bytes(name) ^ (g->serial * GRANT_PATTERNS + pattern) * 0x9e3779b97f4a7c15;
    struct remembered *e = &remembered[hash % REMEMBERED];
    if (e->serial == g->serial && e->pattern == pattern && span_eq(span_of(e->name, e->len), name))
        return e->allowed;
    *e = (struct remembered){.serial = g->serial, .pattern = (uint8_t)pattern, .len = (uint8_t)name.len};
    if (name.len)
        memcpy(e->name, name.ptr, name.len);
    e->allowed = regex_match(g->regex[pattern], name);
    return e->allowed;
}

/* ---- rules --------------------------------------------------------------------------------------------- */

static int compare(const struct auth_grant *g, struct span vhost, struct span exchange)
{
    int c = span_cmp(g->vhost, vhost);
    return c ? c : span_cmp(g->exchange, exchange);
}

static int by_place(const void *a, const void *b)
{
    const struct auth_grant *other = *(struct auth_grant *const *)b;
    return compare(*(struct auth_grant *const *)a, other->vhost, other->exchange);
}

static struct auth_grant **copy(struct auth_grant **grants, uint32_t count)
{
    struct auth_grant **out = mem_alloc((count + 1) * sizeof(struct auth_grant *));
    for (uint32_t i = 0; i < count; i++)
        out[i] = auth_grant_ref(grants[i]);
    qsort(out, count, sizeof(struct auth_grant *), by_place);
    return out;
}

struct auth_rules *auth_rules_new(unsigned tags, struct auth_grant **grants, uint32_t count,
                                  struct auth_grant **topics, uint32_t topic_count)
{
    struct auth_rules *r = mem_zalloc(sizeof(*r));
    r->tags = tags;
    r->count = count;
    r->topic_count = topic_count;
    r->grants = copy(grants, count);
    r->topics = copy(topics, topic_count);
    return r;
}

void auth_rules_free(struct auth_rules *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->count; i++)
        auth_grant_unref(r->grants[i]);
    for (uint32_t i = 0; i < r->topic_count; i++)
        auth_grant_unref(r->topics[i]);
    mem_free(r->grants);
    mem_free(r->topics);
    mem_free(r);
}

static const struct auth_grant *find(struct auth_grant **grants, uint32_t count, struct span vhost,
                                     struct span exchange)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = compare(grants[mid], vhost, exchange);
        if (c == 0)
            return grants[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct auth_grant *auth_rules_grant(const struct auth_rules *r, struct span vhost)
{
    return find(r->grants, r->count, vhost, SPAN_NULL);
}

const struct auth_grant *auth_rules_topic(const struct auth_rules *r, struct span vhost, struct span exchange)
{
    return find(r->topics, r->topic_count, vhost, exchange);
}
