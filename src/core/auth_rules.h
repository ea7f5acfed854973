/* What one user may do, compiled: tags, and patterns for each virtual host.
 *
 * Grants are immutable and counted, so that a user with thousands of them is not compiled anew when one
 * changes. Rules are immutable, too: a change makes new ones, and the old are freed when every shard has
 * taken a turn (user_table.h). Building and freeing is shard 0's; evaluating is anybody's. */
#ifndef COLOBUS_CORE_AUTH_RULES_H
#define COLOBUS_CORE_AUTH_RULES_H

#include "base/regex.h"
#include "core/auth.h"

enum { GRANT_CONFIGURE, GRANT_WRITE, GRANT_READ, GRANT_PATTERNS };

/* Patterns of one user in one virtual host; of a topic permission, for one exchange there, and then without
 * CONFIGURE. "" matches the empty name only (RabbitMQ: "^$"). */
struct auth_grant {
    unsigned refs;
    uint64_t serial; /* never used again: keys of cached results */
    struct span vhost, exchange;
    struct span pattern[GRANT_PATTERNS];
    struct regex *regex[GRANT_PATTERNS]; /* NULL: `all` or `none` */
    bool all[GRANT_PATTERNS];            /* ".*" and the like */
};

/* ERR_INVALID with the reason. `user` is what "{username}" stands for in topic permissions, as "{vhost}" does
 * for its name; exchange null: a plain permission. */
int auth_grant_new(struct span user, struct span vhost, struct span exchange,
                   const struct span pattern[GRANT_PATTERNS], char ret_why[REGEX_WHY],
                   struct auth_grant **ret_grant);
struct auth_grant *auth_grant_ref(struct auth_grant *g);
void auth_grant_unref(struct auth_grant *g); /* takes NULL */
bool auth_grant_allows(const struct auth_grant *g, unsigned pattern, struct span name);

struct auth_rules {
    unsigned tags; /* enum user_tag */
    uint32_t count, topic_count;
    struct auth_grant **grants; /* sorted by vhost */
    struct auth_grant **topics; /* sorted by vhost and exchange */
};
/* References the grants, which are in any order. */
struct auth_rules *auth_rules_new(unsigned tags, struct auth_grant **grants, uint32_t count,
                                  struct auth_grant **topics, uint32_t topic_count);
void auth_rules_free(struct auth_rules *r); /* takes NULL */
/* NULL: none. */
const struct auth_grant *auth_rules_grant(const struct auth_rules *r, struct span vhost);
const struct auth_grant *auth_rules_topic(const struct auth_rules *r, struct span vhost,
                                          struct span exchange);

#endif
