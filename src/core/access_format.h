/* Keys and values of the records about users, permissions, policies and parameters (meta_record.h).
 *
 *   text      u32 length and bytes, big-endian; keys are texts one after the other
 *   user                  key name                     value u8 version, u8 algorithm, password, tags
 *   permission            key vhost, user              value u8 version, configure, write, read
 *   topic permission      key vhost, user, exchange    value u8 version, write, read
 *   policy, operator's    key vhost, name              value u8 version, pattern, u8 apply-to, i32 priority,
 *                                                            definition (a table, core/fields.h)
 *   parameter             key vhost, component, name   value JSON
 *   global parameter      key name                     value JSON
 *
 * A reader refuses versions that it does not know: SCRAM keys of a user will be one. */
#ifndef COLOBUS_CORE_ACCESS_FORMAT_H
#define COLOBUS_CORE_ACCESS_FORMAT_H

#include "base/arena.h"
#include "core/auth_rules.h"
#include "core/policy.h"
#include "core/user_password.h"

enum { ACCESS_KEY_PARTS = 3 };

/* In the arena. */
struct span access_key(struct arena *a, const struct span *parts, unsigned count);
/* Exactly so many parts; ERR_CORRUPT. Borrowed from the key. */
int access_key_read(struct span key, struct span *ret_parts, unsigned count);

struct span access_user_write(struct arena *a, const struct password *password, struct span tags);
int access_user_read(struct span value, struct password *ret_password, struct span *ret_tags);

/* Of a topic permission, GRANT_CONFIGURE stays empty. */
struct span access_grant_write(struct arena *a, const struct span patterns[GRANT_PATTERNS], bool topic);
int access_grant_read(struct span value, bool topic, struct span ret_patterns[GRANT_PATTERNS]);

/* All but name and vhost, which are the key's. */
struct span access_policy_write(struct arena *a, const struct policy_text *p);
int access_policy_read(struct span value, struct policy_text *ret);

#endif
