/* Logins. All of them pass shard 0, which knows the users. A password that was right a short time ago is
 * known by a keyed hash of it; others are hashed by a job, one at a time, so that a flood of wrong ones costs
 * one thread of the pool for disks at the most, and waits in a queue of bounded length. */
#include <assert.h>

#include "base/crypt.h"
#include "base/err.h"
#include "base/mem.h"
#include "core/broker.h"
#include "core/op_impl.h"
#include "core/user_table.h"
#include "store/store.h"

enum { MAC = 32, REMEMBERED = 1024, WAITING_MAX = 2048 };

struct remembered {
    uint8_t mac[MAC];
    uint64_t password_serial; /* 0: free */
};

struct login_work {
    struct os_job job;
    struct list link;
    struct op_login *op;
    struct users *users;
    struct password password; /* a copy: the user may change meanwhile */
    uint64_t password_serial; /* 0: there was no such user */
    uint8_t mac[MAC];
    bool right;
};

struct login_table {
    struct users *users;
    uint8_t key[MAC]; /* of the MACs, made for the first login and kept nowhere */
    bool has_key;
    struct list waiting;
    unsigned waiting_count;
    struct login_work *busy; /* a job hashes for it */
    struct remembered remembered[REMEMBERED];
};

static void pump(struct login_table *t);

/* ---- what was right before ----------------------------------------------------------------------------- */

static void mac_of(struct login_table *t, const struct op_login *l, uint8_t ret[MAC])
{
    struct arena a;
    if (!t->has_key)
        os_random(t->key, sizeof(t->key));
    t->has_key = true;
    arena_init(&a);
    size_t len = 8 + l->user.len + l->password.len;
    uint8_t *bytes = arena_alloc(&a, len);
    uint64_t first = l->user.len; /* tells "ab","c" from "a","bc" */
    memcpy(bytes, &first, 8);
    if (l->user.len)
        memcpy(bytes + 8, l->user.ptr, l->user.len);
    if (l->password.len)
        memcpy(bytes + 8 + l->user.len, l->password.ptr, l->password.len);
    crypt_hmac_sha256(span_of(t->key, MAC), span_of(bytes, len), ret);
    crypt_wipe(bytes, len);
    arena_fini(&a);
}

static struct remembered *place_of(struct login_table *t, const uint8_t mac[MAC])
{
    return &t->remembered[(mac[0] | (unsigned)mac[1] << 8) % REMEMBERED];
}

static bool is_remembered(struct login_table *t, const struct login_work *w)
{
    const struct remembered *r = place_of(t, w->mac);
    return w->password_serial && r->password_serial == w->password_serial && crypt_eq(r->mac, w->mac, MAC);
}

static void remember(struct login_table *t, const struct login_work *w)
{
    struct remembered *r = place_of(t, w->mac);
    memcpy(r->mac, w->mac, MAC);
    r->password_serial = w->password_serial;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

/* Is the user in the list `auth.loopback-users`, or is it "*"? */
static bool only_from_loopback(const struct config *config, struct span user)
{
    const char *p = config->auth_loopback_users;
    while (*p) {
        size_t len = strcspn(p, ",");
        if (span_eq(span_of(p, len), user) || span_eq_str(span_of(p, len), "*"))
            return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static enum login_refusal judge(const struct users *u, const struct op_login *l, bool right,
                                const struct user **ret_user)
{
    const struct user *user = user_find(u, l->user);
    if (!right || !user)
        return LOGIN_BAD_CREDENTIALS;
    if (!l->from_loopback && only_from_loopback(u->shard->config, l->user))
        return LOGIN_NOT_LOOPBACK;
    *ret_user = user;
    return LOGIN_GRANTED;
}

static void work_free(struct login_work *w)
{
    if (!w)
        return;
    crypt_wipe(&w->password, sizeof(w->password));
    mem_free(w);
}

static void answer(struct login_table *t, struct op_login *l, int err, bool right)
{
    const struct user *user = NULL;
    if (!err) {
        l->ret_refusal = judge(t->users, l, right, &user);
        l->ret_unknown_user = !user_find(t->users, l->user);
        l->ret_principal = user ? user->principal : NULL;
        err = user ? 0 : ERR_DENIED;
    }
    l->op.err = err;
    work_free(l->work);
    l->work = NULL;
    op_return(t->users->shard, &l->op);
}

/* ---- the job ------------------------------------------------------------------------------------------- */

static void hash(struct os_job *job)
{
    struct login_work *w = container_of(job, struct login_work, job);
    w->right = password_matches(w->password_serial ? &w->password : NULL, w->op->password) &&
               w->op->password.len > 0; /* RabbitMQ, too, refuses blank passwords */
}

static void hashed(struct os_job *job)
{
    struct login_work *w = container_of(job, struct login_work, job);
    struct login_table *t = w->users->logins;
    t->busy = NULL;
    const struct user *user = user_find(w->users, w->op->user);
    bool right = w->right && user && user->password_serial == w->password_serial;
    if (right)
        remember(t, w);
    answer(t, w->op, t->users->shard->saving ? ERR_STOPPING : 0, right);
    pump(t);
}

/* True: it is decided already. */
static bool look_up(struct login_table *t, struct login_work *w)
{
    const struct user *user = user_find(t->users, w->op->user);
    w->password_serial = user ? user->password_serial : 0;
    if (user)
        w->password = user->password;
    return is_remembered(t, w);
}

static void pump(struct login_table *t)
{
    while (!t->busy && !list_empty(&t->waiting)) {
        struct login_work *w = list_entry(list_first(&t->waiting), struct login_work, link);
        list_del(&w->link);
        t->waiting_count--;
        if (t->users->shard->saving) {
            answer(t, w->op, ERR_STOPPING, false);
        } else if (look_up(t, w)) {
            answer(t, w->op, 0, true);
        } else {
            t->busy = w;
            w->job = (struct os_job){.run = hash, .done = hashed, .home = t->users->shard->loop};
            store_job(t->users->shard->broker->store, &w->job);
        }
    }
}

static void wait_in_line(struct login_table *t, struct op_login *l)
{
    struct login_work *w = mem_zalloc(sizeof(*w));
    l->work = w;
    w->op = l;
    w->users = t->users;
    mac_of(t, l, w->mac);
    if (look_up(t, w)) {
        answer(t, l, 0, true);
    } else if (t->waiting_count == WAITING_MAX) {
        answer(t, l, ERR_LIMIT, false);
    } else {
        list_add_tail(&t->waiting, &w->link);
        t->waiting_count++;
        pump(t);
    }
}

static void start_login(struct shard *s, struct msg *m)
{
    struct op_login *l = container_of(m, struct op_login, op.msg);
    struct login_table *t = s->broker->users->logins;
    if (s->saving)
        answer(t, l, ERR_STOPPING, false);
    else if (l->mechanism == LOGIN_EXTERNAL)
        answer(t, l, 0, true);
    else
        wait_in_line(t, l);
}

/* ---- from outside -------------------------------------------------------------------------------------- */

void login_set(struct op_login *l, struct span user, struct span password)
{
    l->user = span_of(arena_copy(&l->arena, user.ptr, user.len), user.len);
    l->password = span_of(arena_copy(&l->arena, password.ptr, password.len), password.len);
}

void op_login_submit(struct op_login *l)
{
    op_send(&l->op, op_owner(&l->op, 0), start_login);
}

void op_login_free(struct op_login *l)
{
    if (!l)
        return;
    assert(!l->work);
    if (l->password.len)
        crypt_wipe((void *)l->password.ptr, l->password.len);
    arena_fini(&l->arena);
    op_free(l);
}

/* ---- new passwords --------------------------------------------------------------------------------------
 */

static struct span keep(struct arena *a, struct span s)
{
    return span_of(arena_copy(a, s.ptr, s.len), s.len);
}

void password_set(struct op_password *p, struct span user, struct span plain, struct span tags)
{
    p->user = keep(&p->arena, user);
    p->plain = keep(&p->arena, plain);
    p->tags = keep(&p->arena, tags);
}

static void make(struct os_job *job)
{
    struct op_password *p = container_of(job, struct op_password, job);
    if (p->plain.len)
        password_make(p->plain, p->salt, &p->ret_password);
}

static void made(struct os_job *job)
{
    struct op_password *p = container_of(job, struct op_password, job);
    op_return(p->op.home, &p->op);
}

void op_password_submit(struct op_password *p)
{
    os_random(p->salt, sizeof(p->salt));
    p->job = (struct os_job){.run = make, .done = made, .home = p->op.home->loop};
    if (p->op.home->saving) {
        p->op.err = ERR_STOPPING;
        op_return(p->op.home, &p->op);
        return;
    }
    store_job(p->op.home->broker->store, &p->job);
}

void op_password_free(struct op_password *p)
{
    if (!p)
        return;
    if (p->plain.len)
        crypt_wipe((void *)p->plain.ptr, p->plain.len);
    crypt_wipe(&p->ret_password, sizeof(p->ret_password));
    arena_fini(&p->arena);
    op_free(p);
}

/* ---- the table ------------------------------------------------------------------------------------------
 */

struct login_table *login_table_new(struct users *u)
{
    struct login_table *t = mem_zalloc(sizeof(*t));
    t->users = u;
    list_init(&t->waiting);
    return t;
}

/* The job that was under way is over by now, but nobody was told. */
void login_table_free(struct login_table *t)
{
    struct login_work *w;
    if (t->busy) {
        list_add_tail(&t->waiting, &t->busy->link);
        t->busy = NULL;
    }
    while (!list_empty(&t->waiting)) {
        w = list_entry(list_first(&t->waiting), struct login_work, link);
        struct op_login *l = w->op;
        list_del(&w->link);
        work_free(w);
        l->work = NULL;
        l->op.err = ERR_STOPPING;
        l->op.complete(NULL, &l->op);
    }
    crypt_wipe(t->key, sizeof(t->key));
    mem_free(t);
}
