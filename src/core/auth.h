/* Who does something, and where: the two things that every core operation carries. */
#ifndef COLOBUS_CORE_AUTH_H
#define COLOBUS_CORE_AUTH_H

#include "base/span.h"

struct principal {
    const char *name; /* "anonymous" until there is authentication */
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
extern const struct principal auth_operator; /* the management port on loopback */
extern const struct vhost auth_default_vhost;

/* 0 or ERR_DENIED. Called where the resource is looked up, by the core, never by a protocol. */
int auth_check(const struct actor *actor, enum auth_action action, enum auth_resource type, struct span name);

#endif
