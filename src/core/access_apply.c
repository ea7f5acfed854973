/* What users, permissions and parameters do when their records change. Shard 0 keeps the users
 * (user_table.h); every shard counts what it has applied, and each change here is exactly one there. */
#include "base/err.h"
#include "core/access.h"
#include "core/access_format.h"
#include "core/access_impl.h"
#include "core/broker.h"
#include "core/policy_impl.h"
#include "core/space.h"
#include "core/user_table.h"

void access_remove_all(struct shard *s, enum meta_record_kind kind, unsigned parts, unsigned part,
                       struct span value)
{
    struct arena a;
    size_t count;
    arena_init(&a);
    struct meta_record **all = meta_record_list(s, kind, &a, &count);
    for (size_t i = 0; i < count; i++) {
        struct span key[ACCESS_KEY_PARTS];
        if (access_key_read(all[i]->key, key, parts) == 0 && span_eq(key[part], value))
            meta_record_remove(s, kind, all[i]->key);
    }
    arena_fini(&a);
}

/* ---- users ----------------------------------------------------------------------------------------------
 */

static void user_record_put(struct shard *s, struct meta_record *r, struct span old, bool live)
{
    struct users *u = s->broker->users;
    struct password password = {0};
    struct span name = SPAN_NULL, tags = span_str("");
    (void)old;
    (void)live;
    if (s->index == 0 && access_key_read(r->key, &name, 1) == 0) {
        if (access_user_read(r->value, &password, &tags) < 0)
            password = (struct password){0}; /* of the future: nobody gets in with what is not understood */
        user_put(u, name, &password, tags);
    }
    users_applied(u, s->index);
}

static void user_record_drop(struct shard *s, struct meta_record *r, bool live)
{
    struct span name;
    (void)live;
    if (access_key_read(r->key, &name, 1) < 0)
        return;
    access_remove_all(s, RECORD_PERMISSION, 2, 1, name);
    access_remove_all(s, RECORD_TOPIC_PERMISSION, 3, 1, name);
    if (s->index == 0)
        user_del(s->broker->users, name);
    users_applied(s->broker->users, s->index);
}

const struct meta_record_ops user_record_ops = {user_record_put, user_record_drop, NULL, NULL};

/* ---- permissions ----------------------------------------------------------------------------------------
 */

static void permit(struct shard *s, const struct span *key, struct span exchange, const struct span *patterns)
{
    if (s->index == 0)
        user_permit(s->broker->users, key[1], key[0], exchange, patterns);
    users_applied(s->broker->users, s->index);
}

/* The user or the virtual host may have gone in the same round, before it: then this goes, too, on every
 * shard. */
static bool is_orphan(struct shard *s, const struct span *key)
{
    struct arena a;
    arena_init(&a);
    bool known = space_find(s, key[0]) && meta_record_find(s, RECORD_USER, access_key(&a, &key[1], 1));
    arena_fini(&a);
    return !known;
}

static void put_grant(struct shard *s, struct meta_record *r, enum meta_record_kind kind)
{
    bool topic = kind == RECORD_TOPIC_PERMISSION;
    struct span key[ACCESS_KEY_PARTS], patterns[GRANT_PATTERNS];
    if (access_key_read(r->key, key, topic ? 3 : 2) < 0 || access_grant_read(r->value, topic, patterns) < 0)
        return; /* permits nothing, on any shard */
    if (is_orphan(s, key))
        meta_record_remove(s, kind, r->key);
    else
        permit(s, key, topic ? key[2] : SPAN_NULL, patterns);
}

static void drop_grant(struct shard *s, struct meta_record *r, enum meta_record_kind kind)
{
    bool topic = kind == RECORD_TOPIC_PERMISSION;
    struct span key[ACCESS_KEY_PARTS];
    if (access_key_read(r->key, key, topic ? 3 : 2) == 0)
        permit(s, key, topic ? key[2] : SPAN_NULL, NULL);
}

static void permission_put(struct shard *s, struct meta_record *r, struct span old, bool live)
{
    (void)old;
    (void)live;
    put_grant(s, r, RECORD_PERMISSION);
}

static void permission_drop(struct shard *s, struct meta_record *r, bool live)
{
    (void)live;
    drop_grant(s, r, RECORD_PERMISSION);
}

static void permission_vhost_drop(struct shard *s, struct span vhost)
{
    access_remove_all(s, RECORD_PERMISSION, 2, 0, vhost);
}

static void topic_permission_put(struct shard *s, struct meta_record *r, struct span old, bool live)
{
    (void)old;
    (void)live;
    put_grant(s, r, RECORD_TOPIC_PERMISSION);
}

static void topic_permission_drop(struct shard *s, struct meta_record *r, bool live)
{
    (void)live;
    drop_grant(s, r, RECORD_TOPIC_PERMISSION);
}

static void topic_permission_vhost_drop(struct shard *s, struct span vhost)
{
    access_remove_all(s, RECORD_TOPIC_PERMISSION, 3, 0, vhost);
}

const struct meta_record_ops permission_record_ops = {permission_put, permission_drop, permission_vhost_drop,
                                                      NULL};
const struct meta_record_ops topic_permission_record_ops = {topic_permission_put, topic_permission_drop,
                                                            topic_permission_vhost_drop, NULL};

/* ---- parameters: nobody here reads them -----------------------------------------------------------------
 */

static void parameter_vhost_drop(struct shard *s, struct span vhost)
{
    access_remove_all(s, RECORD_PARAMETER, 3, 0, vhost);
}

const struct meta_record_ops parameter_record_ops = {NULL, NULL, parameter_vhost_drop, NULL};
