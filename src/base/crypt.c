#include "base/crypt.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"

size_t crypt_digest_len(enum crypt_digest d)
{
    return d == CRYPT_MD5 ? 16 : d == CRYPT_SHA256 ? 32 : 64;
}

static const EVP_MD *algorithm(enum crypt_digest d)
{
    return d == CRYPT_MD5 ? EVP_md5() : d == CRYPT_SHA256 ? EVP_sha256() : EVP_sha512();
}

int crypt_digest(enum crypt_digest d, struct span a, struct span b, uint8_t ret[CRYPT_DIGEST_MAX])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, algorithm(d), NULL) && EVP_DigestUpdate(ctx, a.ptr, a.len) &&
              EVP_DigestUpdate(ctx, b.ptr, b.len) && EVP_DigestFinal_ex(ctx, ret, NULL);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : ERR_UNSUPPORTED;
}

void crypt_hmac_sha256(struct span key, struct span message, uint8_t ret[32])
{
    unsigned len = 0;
    assert(key.len <= INT_MAX);
    const void *ok = HMAC(EVP_sha256(), key.ptr, (int)key.len, message.ptr, message.len, ret, &len);
    assert(ok && len == 32);
    (void)ok;
}

void crypt_pbkdf2_sha256(struct span password, struct span salt, uint32_t rounds, uint8_t ret[32])
{
    assert(rounds > 0 && rounds <= INT_MAX && password.len <= INT_MAX && salt.len <= INT_MAX);
    const char *bytes = password.len ? (const char *)password.ptr : "";
    int ok = PKCS5_PBKDF2_HMAC(bytes, (int)password.len, salt.ptr, (int)salt.len, (int)rounds, EVP_sha256(),
                               32, ret);
    assert(ok);
    (void)ok;
}

bool crypt_eq(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void crypt_wipe(void *bytes, size_t len)
{
    OPENSSL_cleanse(bytes, len);
}
