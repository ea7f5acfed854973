#include "core/auth.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/err.h"
#include "core/auth_rules.h"
#include "core/config.h"
#include "core/user.h"

const struct principal auth_anonymous = {"anonymous", PRINCIPAL_ANONYMOUS, NULL};
const struct principal auth_nobody = {"anonymous", PRINCIPAL_NOBODY, NULL};
const struct principal auth_operator = {"operator", PRINCIPAL_OPERATOR, NULL};
const struct vhost auth_default_vhost = {"/", 0};

enum { ANONYMOUS_ANY, ANONYMOUS_LOOPBACK, ANONYMOUS_NONE }; /* the values of auth.anonymous */

const struct principal *auth_unnamed(const struct config *config, bool from_loopback)
{
    bool allowed = config->auth_anonymous == ANONYMOUS_ANY ||
                   (config->auth_anonymous == ANONYMOUS_LOOPBACK && from_loopback);
    return allowed ? &auth_anonymous : &auth_nobody;
}

bool auth_is_loopback(const char *address)
{
    if (!address)
        return false;
    if (strncmp(address, "[::ffff:", 8) == 0) /* an IPv4 client of an IPv6 socket */
        address += 8;
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 ||
           strcmp(address, "::1") == 0;
}

/* True, or false, without asking the rules. */
static bool decided(const struct principal *p, bool *ret_allowed)
{
    *ret_allowed = p->kind == PRINCIPAL_ANONYMOUS || p->kind == PRINCIPAL_OPERATOR;
    return p->kind != PRINCIPAL_USER;
}

/* Valid until this shard's turn ends; NULL: the user is gone. */
static const struct auth_rules *rules_of(const struct principal *p)
{
    return atomic_load_explicit(&p->rules, memory_order_acquire);
}

bool auth_has_tag(const struct principal *p, unsigned tags)
{
    bool allowed;
    if (decided(p, &allowed))
        return allowed;
    const struct auth_rules *r = rules_of(p);
    return r && r->tags & tags;
}

static bool check_broker(const struct principal *p, enum auth_action action)
{
    unsigned watch = action == AUTH_CONFIGURE ? 0 : USER_MONITORING;
    return auth_has_tag(p, USER_ADMINISTRATOR | watch);
}

static bool check_name(const struct auth_grant *g, enum auth_action action, struct span name)
{
    switch (action) {
    case AUTH_READ:
        return auth_grant_allows(g, GRANT_READ, name);
    case AUTH_WRITE:
        return auth_grant_allows(g, GRANT_WRITE, name);
    case AUTH_CONFIGURE:
        return auth_grant_allows(g, GRANT_CONFIGURE, name);
    case AUTH_DESCRIBE: /* RabbitMQ: who may do anything with it may know that it is there */
        break;
    }
    return auth_grant_allows(g, GRANT_READ, name) || auth_grant_allows(g, GRANT_WRITE, name) ||
           auth_grant_allows(g, GRANT_CONFIGURE, name);
}

int auth_check(const struct actor *actor, enum auth_action action, enum auth_resource type, struct span name)
{
    assert(actor->principal && actor->vhost);
    bool allowed;
    if (decided(actor->principal, &allowed))
        return allowed ? 0 : ERR_DENIED;
    if (type == AUTH_BROKER)
        return check_broker(actor->principal, action) ? 0 : ERR_DENIED;
    const struct auth_rules *r = rules_of(actor->principal);
    const struct auth_grant *g = r ? auth_rules_grant(r, span_str(actor->vhost->name)) : NULL;
    if (type == AUTH_EXCHANGE && name.len == 0)
        name = span_str("amq.default"); /* as RabbitMQ's rabbit_access_control calls it */
    return g && check_name(g, action, name) ? 0 : ERR_DENIED;
}

int auth_check_topic(const struct actor *actor, enum auth_action action, struct span exchange,
                     struct span key)
{
    bool allowed;
    assert(action == AUTH_READ || action == AUTH_WRITE);
    if (decided(actor->principal, &allowed))
        return allowed ? 0 : ERR_DENIED;
    const struct auth_rules *r = rules_of(actor->principal);
    if (!r)
        return ERR_DENIED;
    const struct auth_grant *g = auth_rules_topic(r, span_str(actor->vhost->name), exchange);
    if (!g)
        return 0;
    return auth_grant_allows(g, action == AUTH_READ ? GRANT_READ : GRANT_WRITE, key) ? 0 : ERR_DENIED;
}

int auth_may_enter(const struct principal *p, struct span vhost)
{
    bool allowed;
    if (decided(p, &allowed))
        return allowed ? 0 : ERR_DENIED;
    const struct auth_rules *r = rules_of(p);
    return r && auth_rules_grant(r, vhost) ? 0 : ERR_DENIED;
}
