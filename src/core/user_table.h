/* All users of a broker, and what they may do: kept by shard 0, evaluated by every shard.
 *
 * Unlike other metadata the users have no replica on each shard. A client's principal points to its user's
 * present rules, which are immutable (auth_rules.h): a change on shard 0 puts new ones in their place. The
 * old ones may still be looked at by a turn of another shard that is under way, so they are kept until each
 * shard has applied that change, which it does between two looks (users_applied()).
 *
 * Invariants: (1) only shard 0's thread changes a user or reads anything but a principal's rules; (2) a
 * principal is freed with the broker only: operations and connections hold it uncounted. That costs about 100
 * bytes for each user ever created since the start. */
#ifndef COLOBUS_CORE_USER_TABLE_H
#define COLOBUS_CORE_USER_TABLE_H

#include "base/list.h"
#include "core/auth_rules.h"
#include "core/user.h"
#include "core/user_password.h"

struct login_table;

struct user_grants {
    struct auth_grant **items;
    uint32_t count, cap;
};

struct user {
    struct span name; /* owned, with a terminator, as the principal's */
    struct principal *principal;
    struct password password;
    uint64_t password_serial; /* changes with the password: logins remembered before are void */
    struct span tags;         /* owned; comma separated, as given */
    struct user_grants grants, topics;
};

struct users {
    struct shard *shard; /* 0 */
    unsigned shards;
    struct map by_name;
    struct list principals;    /* all that ever were */
    struct list retired;       /* rules, oldest first */
    uint64_t changes;          /* applied by shard 0 */
    _Atomic uint64_t *applied; /* by each shard */
    uint64_t serials;
    struct login_table *logins;
};

struct users *users_new(struct shard *shard0, unsigned shards);
/* After the loops have ended and no job runs any more: ends the logins that wait, too. Takes NULL. */
void users_free(struct users *u);

/* NULL: none. */
struct user *user_find(const struct users *u, struct span name);
/* Sorted by name, in the arena. */
struct user **user_list(const struct users *u, struct arena *a, size_t *ret_count);

/* Shard 0's part of applying a change; each ends with user_changed() inside. Patterns that do not compile
 * were refused before; damaged metadata are ERR_CORRUPT. */
void user_put(struct users *u, struct span name, const struct password *password, struct span tags);
void user_del(struct users *u, struct span name); /* its permissions go with it */
/* Patterns null: takes it away. A user that does not exist: nothing happens. `exchange` null: no topic
 * permission. */
int user_permit(struct users *u, struct span name, struct span vhost, struct span exchange,
                const struct span patterns[GRANT_PATTERNS]);
/* A virtual host is gone: so are all permissions in it. */
void user_forget_vhost(struct users *u, struct span vhost);
/* Every shard, 0 included, once it has applied any change of users. */
void users_applied(struct users *u, unsigned shard);

/* Bits of enum user_tag. */
unsigned user_tags_of(struct span tags);

/* user_default.c: a new broker gets the user of `auth.default-user`; done() when it is durable, or with why
 * it is not. Shard 0, from its first turn on. */
void users_add_default(struct users *u, void (*done)(struct broker *b, int err));

/* user_login.c */
struct login_table *login_table_new(struct users *u);
void login_table_free(struct login_table *t); /* as users_free() */

#endif
