/* The user that a new broker has, so that clients can connect to it as they do to a new RabbitMQ. */
#include <assert.h>

#include "base/crypt.h"
#include "base/mem.h"
#include "core/access.h"
#include "core/broker.h"
#include "core/user_table.h"

struct first_user {
    struct users *users;
    void (*done)(struct broker *b, int err);
};

/* A fast digest, as RabbitMQ's own: this one is on the way to the first turn, and its password stands in the
 * settings anyway. */
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

static struct op_record *record_new(struct first_user *f, void (*complete)(struct conn *c, struct op *op))
{
    struct op_record *r = op_new_internal(f->users->shard, sizeof(*r), complete, f);
    arena_init(&r->arena);
    return r;
}

static int end(struct op *op)
{
    int err = op->err;
    op_record_free(container_of(op, struct op_record, op));
    return err;
}

static void permitted(struct conn *c, struct op *op)
{
    struct first_user *f = op->user;
    int err = end(op);
    (void)c;
    f->done(f->users->shard->broker, err);
    mem_free(f);
}

static void made(struct conn *c, struct op *op)
{
    struct first_user *f = op->user;
    const struct config *config = f->users->shard->config;
    int err = end(op);
    (void)c;
    if (err) {
        f->done(f->users->shard->broker, err);
        mem_free(f);
        return;
    }
    struct op_record *r = record_new(f, permitted);
    struct span all = span_str(".*");
    access_put_permission(r, span_str("/"), span_str(config->auth_default_user),
                          (struct span[]){all, all, all});
    op_record_submit(r);
}

void users_add_default(struct users *u, void (*done)(struct broker *b, int err))
{
    const struct config *config = u->shard->config;
    struct password p;
    if (!config->auth_default_user[0]) {
        done(u->shard->broker, 0);
        return;
    }
    struct first_user *f = mem_alloc(sizeof(*f));
    *f = (struct first_user){u, done};
    struct op_record *r = record_new(f, made);
    digest(config->auth_default_password, &p);
    access_put_user(r, span_str(config->auth_default_user), &p, span_str("administrator"));
    op_record_submit(r);
}
