/* Users: who may log in, with which password, from where. What each may do is in core/auth.h. */
#ifndef COLOBUS_CORE_USER_H
#define COLOBUS_CORE_USER_H

#include "core/op.h"
#include "core/user_password.h"

/* Tags that mean something; users may have others. */
enum user_tag {
    USER_ADMINISTRATOR = 1,
    USER_MONITORING = 2,
    USER_POLICYMAKER = 4,
    USER_MANAGEMENT = 8,
    USER_IMPERSONATOR = 16, /* may name another user in the `user-id` of a message */
};
/* Any of these tags? The operator and anonymous clients have them all. */
bool auth_has_tag(const struct principal *p, unsigned tags);

enum login_mechanism {
    LOGIN_PASSWORD,
    LOGIN_EXTERNAL, /* the front end knows who it is (a verified certificate): the password is not looked at
                     */
};

enum login_refusal {
    LOGIN_GRANTED,
    LOGIN_BAD_CREDENTIALS, /* no such user, or not its password: nobody is told which */
    LOGIN_NOT_LOOPBACK,    /* "user 'guest' can only connect via localhost" (auth.loopback-users) */
};

/* Who is it? op.err: 0; ERR_DENIED with ret_refusal; ERR_LIMIT: too many logins wait. The password is hashed
 * off the shard's thread unless it was right a short time ago; it takes the same time for unknown users.
 * The actor is not looked at. */
struct op_login {
    struct op op;
    struct span user, password; /* in the operation's arena (login_set()) */
    enum login_mechanism mechanism;
    bool from_loopback; /* the client's own address, not that of the listener */
    /* out */
    const struct principal *ret_principal; /* see struct principal for how long it lives */
    enum login_refusal ret_refusal;
    bool ret_unknown_user; /* with LOGIN_BAD_CREDENTIALS: not to be told to the client */
    struct arena arena;
    /* the core's */
    struct login_work *work;
};
/* Copies both. */
void login_set(struct op_login *l, struct span user, struct span password);
void op_login_submit(struct op_login *l);
void op_login_free(struct op_login *l); /* wipes the password */

/* Makes the hash of a password that an administrator gives in plain text, off the shard's thread.
 * ERR_STOPPING. */
struct op_password {
    struct op op;
    struct span user, plain, tags; /* copies; user and tags are the submitter's, for what comes next */
    struct password ret_password;  /* of an empty password: PASSWORD_NONE */
    struct arena arena;
    struct os_job job; /* the core's */
    uint8_t salt[16];
};
void password_set(struct op_password *p, struct span user, struct span plain, struct span tags);
void op_password_submit(struct op_password *p);
void op_password_free(struct op_password *p); /* wipes it */

#endif
