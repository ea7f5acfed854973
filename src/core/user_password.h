/* Passwords as they are kept: salted and hashed, never to be recovered. */
#ifndef COLOBUS_CORE_USER_PASSWORD_H
#define COLOBUS_CORE_USER_PASSWORD_H

#include "base/span.h"

/* Numbers are in the metadata. The first is Colobus' own; the others come from RabbitMQ's definitions: a salt
 * of 4 bytes and the digest of salt and password. SCRAM keys will be further ones. */
enum password_algorithm {
    PASSWORD_NONE = 0, /* nobody can log in with a password */
    PASSWORD_PBKDF2 = 1,
    PASSWORD_RABBIT_MD5 = 2,
    PASSWORD_RABBIT_SHA256 = 3,
    PASSWORD_RABBIT_SHA512 = 4,
};
enum { PASSWORD_MAX_BYTES = 68, PASSWORD_TEXT_BYTES = 96, PASSWORD_ROUNDS = 100000 };

/* PBKDF2: rounds (u32, big-endian), 16 bytes of salt, 32 of key. */
struct password {
    uint8_t algorithm; /* enum password_algorithm */
    uint8_t len;
    uint8_t bytes[PASSWORD_MAX_BYTES];
};

/* Slow: not on a shard's thread. */
void password_make(struct span plain, const uint8_t salt[16], struct password *ret_password);
/* Slow, and equally so for each kind and for NULL, which is nobody's: not on a shard's thread. */
bool password_matches(const struct password *p, struct span plain);
/* What this version can check. */
bool password_is_valid(const struct password *p);

/* RabbitMQ's names: "rabbit_password_hashing_sha256", and "colobus_password_hashing_pbkdf2". Text is base64.
 * ERR_INVALID. An empty text is PASSWORD_NONE, as there. */
int password_parse(struct span algorithm, struct span text, struct password *ret_password);
const char *password_algorithm_name(const struct password *p);
void password_text(const struct password *p, char ret_text[PASSWORD_TEXT_BYTES]);

#endif
