/* Changes of users, permissions, policies and parameters: what fills an op_record (meta_record.h) for each.
 *
 * Each takes a new operation, copies what it is given, and leaves the rest to op_record_submit(). Who may:
 * the tag administrator; for policies and parameters policymaker, too, where the user may enter the virtual
 * host. Errors: ERR_DENIED, ERR_NOT_FOUND (user or virtual host; of a drop also the thing itself),
 * ERR_ARGUMENT with `why`. */
#ifndef COLOBUS_CORE_ACCESS_H
#define COLOBUS_CORE_ACCESS_H

#include "core/auth_rules.h"
#include "core/meta_record.h"
#include "core/policy.h"
#include "core/user_password.h"

/* Its name: 1 to 255 bytes. `password` NULL: the user keeps its own, or has none. `tags`: comma separated. */
void access_put_user(struct op_record *r, struct span name, const struct password *password,
                     struct span tags);
void access_drop_user(struct op_record *r, struct span name); /* its permissions go with it */

void access_put_permission(struct op_record *r, struct span vhost, struct span user,
                           const struct span patterns[GRANT_PATTERNS]);
void access_drop_permission(struct op_record *r, struct span vhost, struct span user);
/* GRANT_CONFIGURE is not looked at. */
void access_put_topic_permission(struct op_record *r, struct span vhost, struct span user,
                                 struct span exchange, const struct span patterns[GRANT_PATTERNS]);
void access_drop_topic_permission(struct op_record *r, struct span vhost, struct span user,
                                  struct span exchange);

/* `kind`: RECORD_POLICY or RECORD_OPERATOR_POLICY. */
void access_put_policy(struct op_record *r, enum meta_record_kind kind, struct span vhost, struct span name,
                       const struct policy_text *p);
void access_drop_policy(struct op_record *r, enum meta_record_kind kind, struct span vhost, struct span name);

/* `value` is JSON, which nobody here reads. */
void access_put_parameter(struct op_record *r, struct span vhost, struct span component, struct span name,
                          struct span value);
void access_drop_parameter(struct op_record *r, struct span vhost, struct span component, struct span name);
void access_put_global_parameter(struct op_record *r, struct span name, struct span value);

/* Removes all records of the kind whose part of the key is this: for meta_record_ops that drop what belongs
 * to something else. */
void access_remove_all(struct shard *s, enum meta_record_kind kind, unsigned parts, unsigned part,
                       struct span value);

#endif
