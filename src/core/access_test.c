/* Users, permissions and policies on the simulated system: who gets in, who may what, and that it stays so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/access.h"

#include "base/err.h"
#include "core/broker.h"
#include "core/space.h"
#include "core/user.h"
#include "os/sim/sim.h"

enum { STEPS = 200000 };

static struct config config;
static struct broker *broker;
static bool ready;
static unsigned pending;

static void on_ready(void *arg, struct broker *b, int err)
{
    assert_int_equal(err, 0);
    ready = true;
}

static bool is_ready(void *arg)
{
    return ready;
}

static void boot(void)
{
    struct broker_options opt = {.config = &config, .ready = on_ready};
    ready = false;
    assert_int_equal(broker_open(&opt, &broker), 0);
    assert_true(sim_run_until(is_ready, NULL, STEPS));
}

static void stop(void)
{
    broker_stop(broker);
    assert_int_equal(broker_run(broker), 0);
    broker_close(broker);
}

static void start(void **state)
{
    struct config_error e;
    sim_reset(7);
    config_init(&config);
    assert_int_equal(config_set(&config, "shards", *state, CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.file-bytes", "1MiB", CONFIG_FILE, &e), 0);
    assert_int_equal(config_set(&config, "journal.max-bytes", "4MiB", CONFIG_FILE, &e), 0);
    boot();
}

/* What is not synced is lost. */
static void crash(void)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), SIM_CRASH_DROP);
    stop();
    sim_boot(image, 8);
    boot();
}

static bool none_pending(void *arg)
{
    return pending == 0;
}

static void wait_all(void)
{
    assert_true(sim_run_until(none_pending, NULL, STEPS));
}

static void completed(struct conn *c, struct op *op)
{
    assert_null(c);
    pending--;
}

static struct shard *last(void)
{
    return &broker->shards[broker->shard_count - 1];
}

/* ---- helpers --------------------------------------------------------------------------------------------
 */

static const struct principal *who;

static int login_from(const char *user, const char *password, bool loopback, enum login_refusal *ret_refusal)
{
    struct op_login *l = op_new_internal(last(), sizeof(*l), completed, NULL);
    login_set(l, span_str(user), span_str(password));
    l->from_loopback = loopback;
    pending++;
    op_login_submit(l);
    wait_all();
    int err = l->op.err;
    who = l->ret_principal;
    if (ret_refusal)
        *ret_refusal = l->ret_refusal;
    op_login_free(l);
    return err;
}

static int login(const char *user, const char *password)
{
    return login_from(user, password, true, NULL);
}

static struct op_record *record(void)
{
    return op_new_internal(last(), sizeof(struct op_record), completed, NULL);
}

static int run(struct op_record *r)
{
    pending++;
    op_record_submit(r);
    wait_all();
    int err = r->op.err;
    op_record_free(r);
    return err;
}

static int add_user(const char *name, const char *plain, const char *tags)
{
    struct op_password *p = op_new_internal(last(), sizeof(*p), completed, NULL);
    password_set(p, span_str(name), span_str(plain), span_str(tags));
    pending++;
    op_password_submit(p);
    wait_all();
    struct op_record *r = record();
    access_put_user(r, span_str(name), &p->ret_password, span_str(tags));
    op_password_free(p);
    return run(r);
}

static int drop_user(const char *name)
{
    struct op_record *r = record();
    access_drop_user(r, span_str(name));
    return run(r);
}

static int permit(const char *user, const char *configure, const char *write, const char *read)
{
    struct op_record *r = record();
    access_put_permission(r, span_str("/"), span_str(user),
                          (struct span[]){span_str(configure), span_str(write), span_str(read)});
    return run(r);
}

static int may(enum auth_action action, const char *queue)
{
    struct actor actor = {who, &auth_default_vhost};
    return auth_check(&actor, action, AUTH_QUEUE, span_str(queue));
}

/* ---- users ----------------------------------------------------------------------------------------------
 */

static void a_new_broker_has_guest_for_loopback(void **state)
{
    enum login_refusal why;
    start(state);
    assert_int_equal(login("guest", "guest"), 0);
    assert_string_equal(who->name, "guest");
    assert_true(auth_has_tag(who, USER_ADMINISTRATOR));
    assert_int_equal(auth_may_enter(who, span_str("/")), 0);
    assert_int_equal(auth_may_enter(who, span_str("other")), ERR_DENIED);
    assert_int_equal(may(AUTH_CONFIGURE, "anything"), 0);
    assert_int_equal(login_from("guest", "guest", false, &why), ERR_DENIED);
    assert_int_equal(why, LOGIN_NOT_LOOPBACK);
    assert_int_equal(login_from("guest", "wrong", false, &why), ERR_DENIED);
    assert_int_equal(why, LOGIN_BAD_CREDENTIALS);
    assert_int_equal(login("nobody", "guest"), ERR_DENIED);
    assert_int_equal(login("guest", ""), ERR_DENIED);
    stop();
}

static void what_is_remembered_of_a_login_ends_with_the_password(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", ""), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(login("ann", "one"), 0);
    assert_int_equal(add_user("ann", "two", ""), 0);
    assert_int_equal(login("ann", "one"), ERR_DENIED);
    assert_int_equal(login("ann", "two"), 0);
    assert_int_equal(drop_user("ann"), 0);
    assert_int_equal(login("ann", "two"), ERR_DENIED);
    stop();
}

static void a_user_that_is_deleted_may_nothing_more(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", "administrator"), 0);
    assert_int_equal(permit("ann", ".*", ".*", ".*"), 0);
    assert_int_equal(login("ann", "one"), 0);
    const struct principal *before = who;
    assert_int_equal(may(AUTH_READ, "q"), 0);
    assert_int_equal(drop_user("ann"), 0);
    assert_int_equal(may(AUTH_READ, "q"), ERR_DENIED);
    assert_false(auth_has_tag(who, USER_ADMINISTRATOR));
    assert_int_equal(add_user("ann", "one", ""), 0); /* another one of that name, without permissions */
    assert_int_equal(may(AUTH_READ, "q"), ERR_DENIED);
    assert_int_equal(login("ann", "one"), 0);
    assert_ptr_not_equal(who, before);
    assert_int_equal(auth_may_enter(who, span_str("/")), ERR_DENIED);
    stop();
}

static void users_and_permissions_survive_a_crash(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", "monitoring,mine"), 0);
    assert_int_equal(permit("ann", "", "^w", "^r"), 0);
    assert_int_equal(drop_user("guest"), 0);
    for (int i = 0; i < 2; i++) {
        crash();
        assert_int_equal(login("ann", "one"), 0);
        assert_int_equal(may(AUTH_READ, "reports"), 0);
        assert_int_equal(may(AUTH_READ, "words"), ERR_DENIED);
        assert_true(auth_has_tag(who, USER_MONITORING));
        assert_int_equal(login("guest", "guest"), ERR_DENIED); /* it does not come back */
    }
    stop();
}

/* ---- permissions ----------------------------------------------------------------------------------------
 */

static void each_action_has_its_own_pattern(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", ""), 0);
    assert_int_equal(permit("ann", "^c", "^w", "^r"), 0);
    assert_int_equal(login("ann", "one"), 0);
    for (int i = 0; i < 2; i++) { /* the second time from what was remembered */
        assert_int_equal(may(AUTH_CONFIGURE, "cat"), 0);
        assert_int_equal(may(AUTH_CONFIGURE, "wax"), ERR_DENIED);
        assert_int_equal(may(AUTH_WRITE, "wax"), 0);
        assert_int_equal(may(AUTH_READ, "rat"), 0);
        assert_int_equal(may(AUTH_READ, "cat"), ERR_DENIED);
        assert_int_equal(may(AUTH_DESCRIBE, "cat"), 0);
        assert_int_equal(may(AUTH_DESCRIBE, "dog"), ERR_DENIED);
    }
    assert_int_equal(permit("ann", "", "^amq\\.default$", "^cat"), 0);
    assert_int_equal(may(AUTH_READ, "cat"), 0);
    assert_int_equal(may(AUTH_CONFIGURE, "cat"), ERR_DENIED);
    struct actor actor = {who, &auth_default_vhost};
    assert_int_equal(auth_check(&actor, AUTH_WRITE, AUTH_EXCHANGE, span_str("")), 0);
    assert_int_equal(auth_check(&actor, AUTH_READ, AUTH_BROKER, SPAN_NULL), ERR_DENIED);
    stop();
}

static void a_topic_permission_looks_at_the_routing_key(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", ""), 0);
    assert_int_equal(permit("ann", ".*", ".*", ".*"), 0);
    struct op_record *r = record();
    access_put_topic_permission(r, span_str("/"), span_str("ann"), span_str("amq.topic"),
                                (struct span[]){SPAN_NULL, span_str("^{username}\\."), span_str(".*")});
    assert_int_equal(run(r), 0);
    assert_int_equal(login("ann", "one"), 0);
    struct actor actor = {who, &auth_default_vhost};
    struct span x = span_str("amq.topic");
    assert_int_equal(auth_check_topic(&actor, AUTH_WRITE, x, span_str("ann.a")), 0);
    assert_int_equal(auth_check_topic(&actor, AUTH_WRITE, x, span_str("bob.a")), ERR_DENIED);
    assert_int_equal(auth_check_topic(&actor, AUTH_READ, x, span_str("bob.a")), 0);
    assert_int_equal(auth_check_topic(&actor, AUTH_WRITE, span_str("other"), span_str("bob.a")), 0);
    stop();
}

static void only_administrators_change_users(void **state)
{
    start(state);
    assert_int_equal(add_user("ann", "one", "policymaker"), 0);
    assert_int_equal(login("ann", "one"), 0);
    struct op_record *r = record();
    r->op.actor.principal = who;
    access_put_permission(r, span_str("/"), span_str("ann"),
                          (struct span[]){span_str(".*"), span_str(".*"), span_str(".*")});
    assert_int_equal(run(r), ERR_DENIED);
    assert_int_equal(permit("bob", ".*", ".*", ".*"), ERR_NOT_FOUND);
    assert_int_equal(permit("ann", "a(", ".*", ".*"), ERR_ARGUMENT);
    assert_int_equal(drop_user("bob"), ERR_NOT_FOUND);
    stop();
}

static void a_virtual_host_takes_its_permissions_with_it(void **state)
{
    start(state);
    struct op_vhost_put *v = op_new_internal(last(), sizeof(*v), completed, NULL);
    v->name = span_str("shop");
    v->args = span_str("");
    pending++;
    op_vhost_put_submit(v);
    wait_all();
    assert_int_equal(v->e.op.err, 0);
    op_entity_free(&v->e);
    struct op_record *r = record();
    struct span all = span_str(".*");
    access_put_permission(r, span_str("shop"), span_str("guest"), (struct span[]){all, all, all});
    assert_int_equal(run(r), 0);
    assert_int_equal(login("guest", "guest"), 0);
    assert_int_equal(auth_may_enter(who, span_str("shop")), 0);
    struct op_vhost_delete *d = op_new_internal(last(), sizeof(*d), completed, NULL);
    d->name = span_str("shop");
    pending++;
    op_vhost_delete_submit(d);
    wait_all();
    assert_int_equal(d->e.op.err, 0);
    op_entity_free(&d->e);
    assert_int_equal(auth_may_enter(who, span_str("shop")), ERR_DENIED);
    assert_int_equal(auth_may_enter(who, span_str("/")), 0);
    stop();
}

static void clients_without_a_login_may_what_the_setting_says(void **state)
{
    static const struct {
        const char *value;
        bool far, near;
    } rows[] = {{"any", true, true}, {"loopback", false, true}, {"none", false, false}};
    struct config_error e;
    (void)state;
    config_init(&config);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(config_set(&config, "auth.anonymous", rows[i].value, CONFIG_FILE, &e), 0);
        for (int near = 0; near < 2; near++) {
            struct actor actor = {auth_unnamed(&config, near), &auth_default_vhost};
            int err = auth_check(&actor, AUTH_WRITE, AUTH_TOPIC, span_str("t"));
            assert_int_equal(err, (near ? rows[i].near : rows[i].far) ? 0 : ERR_DENIED);
        }
    }
    assert_true(auth_is_loopback("127.0.0.1:5") && auth_is_loopback("[::1]:5") &&
                auth_is_loopback("[::ffff:127.0.0.1]:5"));
    assert_false(auth_is_loopback("10.127.0.1:5") || auth_is_loopback("[::2]:5") || auth_is_loopback(NULL));
}

/* More logins than may wait: what is too much is refused at once, the others are answered, in their order. */
static void a_flood_of_logins_is_bounded(void **state)
{
    enum { FLOOD = 2100 };
    static struct op_login *all[FLOOD];
    unsigned refused = 0;
    start(state);
    for (unsigned i = 0; i < FLOOD; i++) {
        all[i] = op_new_internal(&broker->shards[0], sizeof(*all[i]), completed, NULL);
        login_set(all[i], span_str("guest"), span_str("guest"));
        pending++;
        op_login_submit(all[i]);
    }
    wait_all();
    for (unsigned i = 0; i < FLOOD; i++) {
        assert_true(all[i]->op.err == 0 || all[i]->op.err == ERR_DENIED || all[i]->op.err == ERR_LIMIT);
        refused += all[i]->op.err == ERR_LIMIT;
        op_login_free(all[i]);
    }
    assert_int_equal(refused, FLOOD - 2048 - 1); /* one is being hashed */
    stop();
}

/* The broker ends while a password is being hashed: nobody waits for ever, nothing is left. */
static void a_login_ends_with_the_broker(void **state)
{
    struct op_login *l[3];
    start(state);
    for (unsigned i = 0; i < 3; i++) {
        l[i] = op_new_internal(&broker->shards[0], sizeof(*l[i]), completed, NULL);
        login_set(l[i], span_str("guest"), span_str("wrong"));
        pending++;
        op_login_submit(l[i]);
    }
    stop();
    assert_int_equal(pending, 0);
    for (unsigned i = 0; i < 3; i++)
        op_login_free(l[i]);
}

/* ---- policies -------------------------------------------------------------------------------------------
 */

static void declare(const char *name, struct arena *a, int64_t max_length)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    if (max_length >= 0)
        fields_put_int(&w, span_str("x-max-length"), 'l', max_length);
    struct op_queue_declare *d = op_new_internal(last(), sizeof(*d), completed, NULL);
    d->name = span_str(name);
    d->durable = true;
    d->args = fields_done(&w);
    pending++;
    op_queue_declare_submit(d);
    wait_all();
    assert_int_equal(d->e.op.err, 0);
    op_entity_free(&d->e);
}

static int put_policy(enum meta_record_kind kind, const char *name, const char *pattern, int32_t priority,
                      const char *key, int64_t value)
{
    struct op_record *r = record();
    struct fields_writer w;
    fields_writer_init(&w, &r->arena);
    fields_put_int(&w, span_str(key), 'l', value);
    access_put_policy(r, kind, span_str("/"), span_str(name),
                      &(struct policy_text){span_str(pattern), POLICY_ALL, priority, fields_done(&w)});
    return run(r);
}

/* The same on every shard. */
static int64_t max_length(const char *queue)
{
    int64_t n = -2;
    for (unsigned i = 0; i < broker->shard_count; i++) {
        struct actor actor = {&auth_operator, &auth_default_vhost};
        struct queue_info *q;
        assert_int_equal(
            queue_find(&broker->shards[i], &actor, (struct handle){0}, AUTH_DESCRIBE, span_str(queue), &q),
            0);
        assert_true(n == -2 || n == q->config->max_length);
        n = q->config->max_length;
    }
    return n;
}

static void a_policy_reaches_queues_before_and_after_it(void **state)
{
    struct arena a;
    arena_init(&a);
    start(state);
    declare("orders", &a, -1);
    assert_int_equal(put_policy(RECORD_POLICY, "p", "^orders", 0, "max-length", 10), 0);
    declare("orders-2", &a, -1);
    declare("orders-5", &a, 5);
    declare("other", &a, -1);
    assert_int_equal(max_length("orders"), 10);
    assert_int_equal(max_length("orders-2"), 10);
    assert_int_equal(max_length("orders-5"), 5); /* of two numbers the smaller */
    assert_int_equal(max_length("other"), -1);
    assert_int_equal(put_policy(RECORD_POLICY, "q", "2$", 1, "max-length", 20), 0);
    assert_int_equal(put_policy(RECORD_OPERATOR_POLICY, "o", ".*", 0, "max-length", 15), 0);
    assert_int_equal(max_length("orders-2"), 15); /* one policy wins, and the operator's bounds it */
    assert_int_equal(max_length("orders"), 10);
    crash();
    assert_int_equal(max_length("orders-2"), 15);
    assert_int_equal(max_length("other"), 15);
    struct op_record *r = record();
    access_drop_policy(r, RECORD_OPERATOR_POLICY, span_str("/"), span_str("o"));
    assert_int_equal(run(r), 0);
    assert_int_equal(max_length("orders-2"), 20);
    assert_int_equal(max_length("other"), -1);
    stop();
    arena_fini(&a);
}

static void a_policy_that_says_nothing_sensible_is_refused(void **state)
{
    start(state);
    assert_int_equal(put_policy(RECORD_POLICY, "p", "a(", 0, "max-length", 10), ERR_ARGUMENT);
    assert_int_equal(put_policy(RECORD_POLICY, "p", "a", 0, "max-length", -1), ERR_ARGUMENT);
    assert_int_equal(put_policy(RECORD_POLICY, "p", "a", 0, "max-size", 10), ERR_ARGUMENT);
    assert_int_equal(put_policy(RECORD_OPERATOR_POLICY, "p", "a", 0, "consumer-timeout", 10), ERR_ARGUMENT);
    assert_int_equal(put_policy(RECORD_POLICY, "p", "a", 0, "consumer-timeout", 10), 0);
    stop();
}

#define ON_SHARDS(fn, n)                                                                                     \
    {                                                                                                        \
#fn " (" n " shards)", fn, NULL, NULL, n                                                             \
    }
#define BOTH(fn) ON_SHARDS(fn, "1"), ON_SHARDS(fn, "3")

int main(void)
{
    struct CMUnitTest tests[] = {
        BOTH(a_new_broker_has_guest_for_loopback),
        BOTH(what_is_remembered_of_a_login_ends_with_the_password),
        BOTH(a_user_that_is_deleted_may_nothing_more),
        BOTH(users_and_permissions_survive_a_crash),
        BOTH(each_action_has_its_own_pattern),
        BOTH(a_topic_permission_looks_at_the_routing_key),
        BOTH(only_administrators_change_users),
        cmocka_unit_test(clients_without_a_login_may_what_the_setting_says),
        BOTH(a_flood_of_logins_is_bounded),
        BOTH(a_login_ends_with_the_broker),
        BOTH(a_virtual_host_takes_its_permissions_with_it),
        BOTH(a_policy_reaches_queues_before_and_after_it),
        BOTH(a_policy_that_says_nothing_sensible_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
