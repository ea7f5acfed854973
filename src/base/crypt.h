/* Digests, slow password hashes and comparisons that tell nothing by their time. */
#ifndef COLOBUS_BASE_CRYPT_H
#define COLOBUS_BASE_CRYPT_H

#include "base/span.h"

enum crypt_digest { CRYPT_MD5, CRYPT_SHA256, CRYPT_SHA512 };
enum { CRYPT_DIGEST_MAX = 64 };

/* 16, 32 or 64. */
size_t crypt_digest_len(enum crypt_digest d);
/* Of `a` followed by `b`. ERR_UNSUPPORTED: this machine's OpenSSL does not offer it (MD5 under FIPS). */
int crypt_digest(enum crypt_digest d, struct span a, struct span b, uint8_t ret[CRYPT_DIGEST_MAX]);
/* HMAC-SHA-256 (RFC 2104). */
void crypt_hmac_sha256(struct span key, struct span message, uint8_t ret[32]);
/* PBKDF2 with HMAC-SHA-256 (RFC 8018, 5.2). Takes as long as `rounds` says: never on a shard's thread. */
void crypt_pbkdf2_sha256(struct span password, struct span salt, uint32_t rounds, uint8_t ret[32]);
/* Takes the same time wherever they differ. */
bool crypt_eq(const void *a, const void *b, size_t len);
/* Zeroes what the compiler would otherwise not, because nobody reads it again. */
void crypt_wipe(void *bytes, size_t len);

#endif
