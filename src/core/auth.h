/* Who does something, and where: the two things that every core operation carries; and whether they may. */
#ifndef COLOBUS_CORE_AUTH_H
#define COLOBUS_CORE_AUTH_H

#include "base/span.h"

struct auth_rules;
struct config;

enum principal_kind {
    PRINCIPAL_USER,
    PRINCIPAL_ANONYMOUS, /* a listener without authentication let it in: everything is allowed */
    PRINCIPAL_NOBODY,    /* the same, where `auth.anonymous` does not allow it: nothing is */
    PRINCIPAL_OPERATOR,  /* the management port on loopback, and the broker itself: everything is allowed */
};

/* One life of a user, from its creation to its deletion, or one of the constants below. A pointer to it is
 * valid on every shard until the broker is closed, so that operations and connections may hold it without
 * counting; a user that is gone is denied everything. */
struct principal {
    const char *name;
    enum principal_kind kind;
    _Atomic(const struct auth_rules *) rules; /* of a user, see auth_rules.h; NULL: it is gone */
};

struct vhost {
    const char *name; /* "/" */
    uint32_t id;      /* 0 is "/" */
};

struct actor {
    const struct principal *principal;
    const struct vhost *vhost;
};

enum auth_resource { AUTH_BROKER, AUTH_TOPIC, AUTH_QUEUE, AUTH_EXCHANGE, AUTH_GROUP };
enum auth_action { AUTH_READ, AUTH_WRITE, AUTH_CONFIGURE, AUTH_DESCRIBE };

extern const struct principal auth_anonymous;
extern const struct principal auth_nobody;
extern const struct principal auth_operator; /* the management port on loopback */
extern const struct vhost auth_default_vhost;

/* Of a numeric address with or without a port, as conn->peer: is it this machine's loopback? */
bool auth_is_loopback(const char *address);
/* Who a client is that a listener lets in without asking: as `auth.anonymous` says. */
const struct principal *auth_unnamed(const struct config *config, bool from_loopback);

/* 0 or ERR_DENIED. Called where the resource is looked up, by the core, never by a protocol.
 * Of a user: `name` matches the virtual host's pattern for that action; AUTH_DESCRIBE: any of the three (the
 * exchange "" is checked as "amq.default"). AUTH_BROKER: CONFIGURE wants the tag administrator, the others
 * monitoring or administrator. */
int auth_check(const struct actor *actor, enum auth_action action, enum auth_resource type, struct span name);
/* What a topic permission says of a routing key: AUTH_WRITE of a publish, AUTH_READ of a binding. 0 if the
 * user has none for this exchange. Beyond auth_check(), not in its place; only topic exchanges ask. */
int auth_check_topic(const struct actor *actor, enum auth_action action, struct span exchange,
                     struct span key);
/* 0, or ERR_DENIED: it has no permissions there. That the virtual host exists is another question. */
int auth_may_enter(const struct principal *p, struct span vhost);

#endif
