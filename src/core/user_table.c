#include "core/user_table.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"

struct kept_principal {
    struct principal principal;
    struct list link;
};

struct retired {
    struct list link;
    struct auth_rules *rules;
    uint64_t change;
};

/* ---- rules --------------------------------------------------------------------------------------------- */

static void retire(struct users *u, struct auth_rules *r)
{
    if (!r)
        return;
    struct retired *old = mem_zalloc(sizeof(*old));
    old->rules = r;
    old->change = u->changes;
    list_add_tail(&u->retired, &old->link);
}

/* Frees what no shard can be looking at: all of them have applied the change that retired it. */
static void reap(struct users *u, uint64_t seen_by_all)
{
    list_each_safe (l, tmp, &u->retired) {
        struct retired *old = list_entry(l, struct retired, link);
        if (old->change > seen_by_all)
            return;
        list_del(l);
        auth_rules_free(old->rules);
        mem_free(old);
    }
}

static void set_rules(struct users *u, struct principal *p, struct auth_rules *rules)
{
    struct auth_rules *old = (struct auth_rules *)atomic_load(&p->rules);
    atomic_store_explicit(&p->rules, rules, memory_order_release);
    retire(u, old);
}

/* Begins a change: what it retires is freed when all shards have applied it. */
static void begin_change(struct users *u)
{
    uint64_t seen = UINT64_MAX;
    for (unsigned i = 0; i < u->shards; i++) {
        uint64_t n = atomic_load_explicit(&u->applied[i], memory_order_acquire);
        seen = n < seen ? n : seen;
    }
    reap(u, seen);
    u->changes++;
}

void users_applied(struct users *u, unsigned shard)
{
    atomic_fetch_add_explicit(&u->applied[shard], 1, memory_order_acq_rel);
}

static void rebuild(struct users *u, struct user *user)
{
    struct auth_rules *r = auth_rules_new(user_tags_of(user->tags), user->grants.items, user->grants.count,
                                          user->topics.items, user->topics.count);
    set_rules(u, user->principal, r);
}

/* ---- users --------------------------------------------------------------------------------------------- */

unsigned user_tags_of(struct span tags)
{
    static const struct {
        const char *name;
        unsigned tag;
    } known[] = {{"administrator", USER_ADMINISTRATOR},
                 {"monitoring", USER_MONITORING},
                 {"policymaker", USER_POLICYMAKER},
                 {"management", USER_MANAGEMENT},
                 {"impersonator", USER_IMPERSONATOR}};
    unsigned bits = 0;
    for (size_t at = 0; at < tags.len;) {
        const uint8_t *comma = memchr(tags.ptr + at, ',', tags.len - at);
        size_t end = comma ? (size_t)(comma - tags.ptr) : tags.len;
        for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (span_eq_str(span_of(tags.ptr + at, end - at), known[i].name))
                bits |= known[i].tag;
        at = end + 1;
    }
    return bits;
}

struct user *user_find(const struct users *u, struct span name)
{
    return map_get(&u->by_name, name);
}

static int by_name(const void *a, const void *b)
{
    return span_cmp((*(struct user *const *)a)->name, (*(struct user *const *)b)->name);
}

struct user **user_list(const struct users *u, struct arena *a, size_t *ret_count)
{
    struct user **all = arena_array(a, u->by_name.count + 1, sizeof(struct user *)), *user;
    size_t n = 0;
    for (size_t i = 0; (user = map_next(&u->by_name, &i));)
        all[n++] = user;
    qsort(all, n, sizeof(struct user *), by_name);
    *ret_count = n;
    return all;
}

static struct user *user_new(struct users *u, struct span name)
{
    struct user *user = mem_zalloc(sizeof(*user));
    struct kept_principal *kept = mem_zalloc(sizeof(*kept));
    char *text = mem_strndup(name.ptr, name.len);
    user->name = span_of(text, name.len);
    kept->principal = (struct principal){text, PRINCIPAL_USER, NULL};
    list_add_tail(&u->principals, &kept->link);
    user->principal = &kept->principal;
    map_put(&u->by_name, user->name, user);
    return user;
}

static void drop_grants(struct user_grants *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        auth_grant_unref(g->items[i]);
    mem_free(g->items);
    *g = (struct user_grants){0};
}

/* The principal, and the name in it, stay. */
static void user_free(struct user *user)
{
    drop_grants(&user->grants);
    drop_grants(&user->topics);
    mem_free((void *)user->tags.ptr);
    mem_free(user);
}

void user_put(struct users *u, struct span name, const struct password *password, struct span tags)
{
    begin_change(u);
    struct user *user = user_find(u, name);
    if (!user)
        user = user_new(u, name);
    if (user->password.len != password->len || memcmp(&user->password, password, sizeof(*password)) != 0 ||
        !user->password_serial)
        user->password_serial = ++u->serials;
    user->password = *password;
    char *text = mem_strndup(tags.len ? tags.ptr : (const uint8_t *)"", tags.len);
    mem_free((void *)user->tags.ptr);
    user->tags = span_of(text, tags.len);
    rebuild(u, user);
}

void user_del(struct users *u, struct span name)
{
    begin_change(u);
    struct user *user = map_del(&u->by_name, name);
    if (!user)
        return;
    set_rules(u, user->principal, NULL);
    user_free(user);
}

/* ---- permissions --------------------------------------------------------------------------------------- */

static uint32_t grant_index(const struct user_grants *g, struct span vhost, struct span exchange)
{
    uint32_t i = 0;
    while (i < g->count && !(span_eq(g->items[i]->vhost, vhost) && span_eq(g->items[i]->exchange, exchange)))
        i++;
    return i;
}

/* Replaces what stands at this place; NULL takes it away. */
static void set_grant(struct user_grants *g, uint32_t at, struct auth_grant *new)
{
    if (at < g->count)
        auth_grant_unref(g->items[at]);
    if (!new) {
        if (at < g->count)
            g->items[at] = g->items[--g->count];
        return;
    }
    if (at == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 4;
        g->items = mem_realloc(g->items, g->cap * sizeof(struct auth_grant *));
    }
    if (at == g->count)
        g->count++;
    g->items[at] = new;
}

int user_permit(struct users *u, struct span name, struct span vhost, struct span exchange,
                const struct span patterns[GRANT_PATTERNS])
{
    begin_change(u);
    struct user *user = user_find(u, name);
    struct auth_grant *grant = NULL;
    char why[REGEX_WHY];
    if (!user)
        return 0;
    if (patterns && auth_grant_new(name, vhost, exchange, patterns, why, &grant) < 0)
        return ERR_CORRUPT;
    struct user_grants *g = span_is_null(exchange) ? &user->grants : &user->topics;
    set_grant(g, grant_index(g, vhost, exchange), grant);
    rebuild(u, user);
    return 0;
}

static bool forget_in(struct user_grants *g, struct span vhost)
{
    uint32_t before = g->count;
    for (uint32_t i = g->count; i-- > 0;)
        if (span_eq(g->items[i]->vhost, vhost))
            set_grant(g, i, NULL);
    return g->count != before;
}

void user_forget_vhost(struct users *u, struct span vhost)
{
    struct user *user;
    begin_change(u);
    for (size_t i = 0; (user = map_next(&u->by_name, &i));) {
        bool plain = forget_in(&user->grants, vhost), topic = forget_in(&user->topics, vhost);
        if (plain || topic)
            rebuild(u, user);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------- */

struct users *users_new(struct shard *shard0, unsigned shards)
{
    struct users *u = mem_zalloc(sizeof(*u));
    u->shard = shard0;
    u->shards = shards;
    map_init(&u->by_name);
    list_init(&u->principals);
    list_init(&u->retired);
    u->applied = mem_zalloc(shards * sizeof(u->applied[0]));
    u->logins = login_table_new(u);
    return u;
}

void users_free(struct users *u)
{
    if (!u)
        return;
    struct user *user;
    login_table_free(u->logins);
    for (size_t i = 0; (user = map_next(&u->by_name, &i));)
        user_free(user);
    map_fini(&u->by_name);
    reap(u, UINT64_MAX);
    list_each_safe (l, tmp, &u->principals) {
        struct kept_principal *kept = list_entry(l, struct kept_principal, link);
        auth_rules_free((struct auth_rules *)atomic_load(&kept->principal.rules));
        mem_free((void *)kept->principal.name);
        mem_free(kept);
    }
    mem_free((void *)u->applied);
    mem_free(u);
}
