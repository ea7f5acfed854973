#include "core/access.h"

#include <assert.h>

#include "base/err.h"
#include "core/access_format.h"
#include "core/space.h"
#include "core/user.h"

enum { NAME_MAX_BYTES = 255 };

static struct span copy(struct op_record *r, struct span s)
{
    return span_of(arena_copy(&r->arena, s.ptr, s.len), s.len);
}

static void fill(struct op_record *r, enum meta_record_kind kind, const struct span *parts, unsigned count,
                 int (*check)(struct shard *s, struct op_record *r, const struct meta_record *old))
{
    r->kind = kind;
    r->key = access_key(&r->arena, parts, count);
    r->check = check;
}

/* ---- who may --------------------------------------------------------------------------------------------
 */

static int check_administrator(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    (void)s;
    (void)old;
    return auth_check(&r->op.actor, AUTH_CONFIGURE, AUTH_BROKER, SPAN_NULL);
}

/* rabbit_mgmt_util:is_authorized_policies/2 */
static int check_policymaker(const struct op_record *r, struct span vhost)
{
    const struct principal *p = r->op.actor.principal;
    if (auth_has_tag(p, USER_ADMINISTRATOR))
        return 0;
    return auth_has_tag(p, USER_POLICYMAKER) ? auth_may_enter(p, vhost) : ERR_DENIED;
}

static int refuse(struct op_record *r, int err, const char *why)
{
    r->why = why;
    return err;
}

static int need_vhost(struct shard *s, struct op_record *r, struct span vhost)
{
    return space_find(s, vhost) ? 0 : refuse(r, ERR_NOT_FOUND, "vhost_not_found");
}

/* ---- users ----------------------------------------------------------------------------------------------
 */

struct new_user {
    struct span name, tags;
    struct password password;
    bool has_password;
};

/* Writes the value here, since whether the user keeps a password is known here only. */
static int check_user(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    const struct new_user *n = r->user;
    struct password password = n->password;
    struct span tags;
    int err = check_administrator(s, r, old);
    if (err)
        return err;
    if (n->name.len == 0 || n->name.len > NAME_MAX_BYTES)
        return refuse(r, ERR_ARGUMENT, "a user's name has 1 to 255 bytes");
    if (!n->has_password && old && access_user_read(old->value, &password, &tags) < 0)
        return ERR_CORRUPT;
    r->value = access_user_write(&r->arena, &password, n->tags);
    return old && span_eq(old->value, r->value) ? 1 : 0;
}

void access_put_user(struct op_record *r, struct span name, const struct password *password, struct span tags)
{
    struct new_user *n = arena_alloc(&r->arena, sizeof(*n));
    *n = (struct new_user){.name = copy(r, name), .tags = copy(r, tags), .has_password = password != NULL};
    if (password)
        n->password = *password;
    fill(r, RECORD_USER, &name, 1, check_user);
    r->value = span_str(""); /* made by the check */
    r->user = n;
}

void access_drop_user(struct op_record *r, struct span name)
{
    fill(r, RECORD_USER, &name, 1, check_administrator);
}

/* ---- permissions ----------------------------------------------------------------------------------------
 */

static int check_patterns(struct op_record *r)
{
    struct span patterns[GRANT_PATTERNS];
    char why[REGEX_WHY];
    struct auth_grant *g;
    int err = access_grant_read(r->value, r->kind == RECORD_TOPIC_PERMISSION, patterns);
    assert(err == 0);
    err = auth_grant_new(span_str("u"), span_str("v"), SPAN_NULL, patterns, why, &g);
    if (err)
        return refuse(r, ERR_ARGUMENT, arena_printf(&r->arena, "invalid regular expression: %s", why));
    auth_grant_unref(g);
    return 0;
}

static int check_permission(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    struct span parts[ACCESS_KEY_PARTS];
    bool topic = r->kind == RECORD_TOPIC_PERMISSION;
    int err = check_administrator(s, r, old);
    if (err || span_is_null(r->value))
        return err;
    err = access_key_read(r->key, parts, topic ? 3 : 2);
    assert(err == 0);
    if ((err = need_vhost(s, r, parts[0])))
        return err;
    if (!meta_record_find(s, RECORD_USER, access_key(&r->arena, &parts[1], 1)))
        return refuse(r, ERR_NOT_FOUND, "user_not_found");
    if ((err = check_patterns(r)))
        return err;
    return old && span_eq(old->value, r->value) ? 1 : 0;
}

void access_put_permission(struct op_record *r, struct span vhost, struct span user,
                           const struct span patterns[GRANT_PATTERNS])
{
    fill(r, RECORD_PERMISSION, (struct span[]){vhost, user}, 2, check_permission);
    r->value = access_grant_write(&r->arena, patterns, false);
}

void access_drop_permission(struct op_record *r, struct span vhost, struct span user)
{
    fill(r, RECORD_PERMISSION, (struct span[]){vhost, user}, 2, check_permission);
}

void access_put_topic_permission(struct op_record *r, struct span vhost, struct span user,
                                 struct span exchange, const struct span patterns[GRANT_PATTERNS])
{
    fill(r, RECORD_TOPIC_PERMISSION, (struct span[]){vhost, user, exchange}, 3, check_permission);
    r->value = access_grant_write(&r->arena, patterns, true);
}

void access_drop_topic_permission(struct op_record *r, struct span vhost, struct span user,
                                  struct span exchange)
{
    fill(r, RECORD_TOPIC_PERMISSION, (struct span[]){vhost, user, exchange}, 3, check_permission);
}

/* ---- policies and parameters ----------------------------------------------------------------------------
 */

static int check_policy_record(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    struct span parts[2];
    struct policy_text p;
    bool operator_policy = r->kind == RECORD_OPERATOR_POLICY;
    int err = access_key_read(r->key, parts, 2);
    assert(err == 0);
    err = operator_policy ? check_administrator(s, r, old) : check_policymaker(r, parts[0]);
    if (err || span_is_null(r->value))
        return err;
    if ((err = need_vhost(s, r, parts[0])))
        return err;
    err = access_policy_read(r->value, &p);
    if (!err)
        err = policy_check(&p, operator_policy, &r->arena, &r->why);
    if (err)
        return err;
    return old && span_eq(old->value, r->value) ? 1 : 0;
}

void access_put_policy(struct op_record *r, enum meta_record_kind kind, struct span vhost, struct span name,
                       const struct policy_text *p)
{
    assert(kind == RECORD_POLICY || kind == RECORD_OPERATOR_POLICY);
    fill(r, kind, (struct span[]){vhost, name}, 2, check_policy_record);
    r->value = access_policy_write(&r->arena, p);
}

void access_drop_policy(struct op_record *r, enum meta_record_kind kind, struct span vhost, struct span name)
{
    assert(kind == RECORD_POLICY || kind == RECORD_OPERATOR_POLICY);
    fill(r, kind, (struct span[]){vhost, name}, 2, check_policy_record);
}

static int check_parameter(struct shard *s, struct op_record *r, const struct meta_record *old)
{
    struct span parts[3];
    int err = access_key_read(r->key, parts, 3);
    assert(err == 0);
    err = check_policymaker(r, parts[0]);
    if (!err && !span_is_null(r->value))
        err = need_vhost(s, r, parts[0]);
    if (err)
        return err;
    return old && span_eq(old->value, r->value) && !span_is_null(r->value) ? 1 : 0;
}

void access_put_parameter(struct op_record *r, struct span vhost, struct span component, struct span name,
                          struct span value)
{
    fill(r, RECORD_PARAMETER, (struct span[]){vhost, component, name}, 3, check_parameter);
    r->value = copy(r, value);
}

void access_drop_parameter(struct op_record *r, struct span vhost, struct span component, struct span name)
{
    fill(r, RECORD_PARAMETER, (struct span[]){vhost, component, name}, 3, check_parameter);
}

void access_put_global_parameter(struct op_record *r, struct span name, struct span value)
{
    fill(r, RECORD_GLOBAL_PARAMETER, &name, 1, check_administrator);
    r->value = copy(r, value);
}
