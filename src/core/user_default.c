/* The user that a new broker has, so that clients can connect to it as they do to a new RabbitMQ. */
#include <assert.h>

#include "base/crypt.h"
#include "core/broker.h"
#include "core/user_table.h"

/* A fast digest: this one is made on the way to the first turn, and its password stands in the settings
 * anyway. */
static void digest(const char *plain, struct password *ret)
{
    enum { SALT = 4 };
    uint8_t key[CRYPT_DIGEST_MAX];
    struct password p = {.algorithm = PASSWORD_RABBIT_SHA256, .len = SALT + 32};
    os_random(p.bytes, SALT);
    int err = crypt_digest(CRYPT_SHA256, span_of(p.bytes, SALT), span_str(plain), key);
    assert(err == 0);
    (void)err;
    memcpy(p.bytes + SALT, key, 32);
    *ret = p;
}

void users_add_default(struct users *u)
{
    const struct config *config = u->shard->broker->config;
    struct span name = span_str(config->auth_default_user), all = span_str(".*");
    struct password p;
    if (name.len == 0)
        return;
    digest(config->auth_default_password, &p);
    user_put(u, name, &p, span_str("administrator"));
    user_permit(u, name, span_str("/"), SPAN_NULL, (struct span[]){all, all, all});
    for (unsigned i = 0; i < u->shards; i++) {
        users_applied(u, i);
        users_applied(u, i);
    }
}
