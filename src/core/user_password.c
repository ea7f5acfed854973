#include "core/user_password.h"

#include <assert.h>

#include "base/base64.h"
#include "base/crypt.h"
#include "base/err.h"

enum {
    SALT = 16,
    KEY = 32,
    PBKDF2_BYTES = 4 + SALT + KEY,
    RABBIT_SALT = 4,
    MAX_ROUNDS = 10000000, /* whoever writes definitions could else stop logins with one user */
};

static const struct {
    const char *name;
    uint8_t bytes;
    enum crypt_digest digest;
} algorithms[] = {
    [PASSWORD_NONE] = {"rabbit_password_hashing_sha256", 0, 0},
    [PASSWORD_PBKDF2] = {"colobus_password_hashing_pbkdf2", PBKDF2_BYTES, 0},
    [PASSWORD_RABBIT_MD5] = {"rabbit_password_hashing_md5", RABBIT_SALT + 16, CRYPT_MD5},
    [PASSWORD_RABBIT_SHA256] = {"rabbit_password_hashing_sha256", RABBIT_SALT + 32, CRYPT_SHA256},
    [PASSWORD_RABBIT_SHA512] = {"rabbit_password_hashing_sha512", RABBIT_SALT + 64, CRYPT_SHA512},
};
enum { ALGORITHMS = sizeof(algorithms) / sizeof(algorithms[0]) };

static uint32_t rounds_of(const struct password *p)
{
    return (uint32_t)p->bytes[0] << 24 | (uint32_t)p->bytes[1] << 16 | (uint32_t)p->bytes[2] << 8 |
           p->bytes[3];
}

void password_make(struct span plain, const uint8_t salt[16], struct password *ret_password)
{
    struct password p = {.algorithm = PASSWORD_PBKDF2, .len = PBKDF2_BYTES};
    for (unsigned i = 0; i < 4; i++)
        p.bytes[i] = (uint8_t)(PASSWORD_ROUNDS >> (24 - 8 * i));
    memcpy(p.bytes + 4, salt, SALT);
    crypt_pbkdf2_sha256(plain, span_of(salt, SALT), PASSWORD_ROUNDS, p.bytes + 4 + SALT);
    *ret_password = p;
}

static bool matches_pbkdf2(const struct password *p, struct span plain)
{
    uint8_t key[KEY];
    crypt_pbkdf2_sha256(plain, span_of(p->bytes + 4, SALT), rounds_of(p), key);
    bool same = crypt_eq(key, p->bytes + 4 + SALT, KEY);
    crypt_wipe(key, sizeof(key));
    return same;
}

static bool matches_rabbit(const struct password *p, struct span plain)
{
    uint8_t digest[CRYPT_DIGEST_MAX];
    enum crypt_digest d = algorithms[p->algorithm].digest;
    if (crypt_digest(d, span_of(p->bytes, RABBIT_SALT), plain, digest) < 0)
        return false;
    return crypt_eq(digest, p->bytes + RABBIT_SALT, crypt_digest_len(d));
}

bool password_matches(const struct password *p, struct span plain)
{
    if (p && p->algorithm == PASSWORD_PBKDF2)
        return matches_pbkdf2(p, plain);
    struct password waste; /* so that nobody learns from the time whether there is such a user */
    password_make(plain, (const uint8_t[SALT]){0}, &waste);
    return p && p->algorithm != PASSWORD_NONE && matches_rabbit(p, plain);
}

bool password_is_valid(const struct password *p)
{
    if (p->algorithm >= ALGORITHMS || p->len != algorithms[p->algorithm].bytes)
        return false;
    return p->algorithm != PASSWORD_PBKDF2 || (rounds_of(p) > 0 && rounds_of(p) <= MAX_ROUNDS);
}

int password_parse(struct span algorithm, struct span text, struct password *ret_password)
{
    struct password p = {PASSWORD_NONE};
    for (uint8_t i = PASSWORD_PBKDF2; i < ALGORITHMS; i++)
        if (span_eq_str(algorithm, algorithms[i].name))
            p.algorithm = i;
    int n = base64_read(text, p.bytes, sizeof(p.bytes));
    if (p.algorithm == PASSWORD_NONE || n < 0)
        return ERR_INVALID;
    p.len = (uint8_t)n;
    if (n == 0)
        p.algorithm = PASSWORD_NONE;
    if (!password_is_valid(&p))
        return ERR_INVALID;
    *ret_password = p;
    return 0;
}

const char *password_algorithm_name(const struct password *p)
{
    assert(p->algorithm < ALGORITHMS);
    return algorithms[p->algorithm].name;
}

void password_text(const struct password *p, char ret_text[PASSWORD_TEXT_BYTES])
{
    assert(base64_len(p->len) < PASSWORD_TEXT_BYTES);
    base64_write(span_of(p->bytes, p->len), ret_text);
}
