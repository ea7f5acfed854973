#include "core/auth.h"

#include <assert.h>

const struct principal auth_anonymous = {"anonymous"};
const struct principal auth_operator = {"operator"};
const struct vhost auth_default_vhost = {"/", 0};

/* There are no users yet, so everything is allowed; every look-up asks all the same. */
int auth_check(const struct actor *actor, enum auth_action action, enum auth_resource type, struct span name)
{
    assert(actor->principal && actor->vhost);
    (void)action;
    (void)type;
    (void)name;
    return 0;
}
