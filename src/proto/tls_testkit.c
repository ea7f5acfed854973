#include "proto/tls_testkit.h"

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/mem.h"

/* ---- certificates -------------------------------------------------------------------------------------- */

enum { TEXTS = 256 };
static char *texts[TEXTS];
static size_t text_count;

void kit_free(void)
{
    while (text_count)
        mem_free(texts[--text_count]);
}

/* Takes the BIO. */
static const char *keep(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    assert(text_count < TEXTS);
    texts[text_count] = mem_strndup(p, (size_t)n);
    BIO_free(b);
    return texts[text_count++];
}

static const char *cert_text(X509 *cert)
{
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(b, cert);
    return keep(b);
}

static const char *key_text(EVP_PKEY *key, const char *password)
{
    BIO *b = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(b, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                             (void *)(uintptr_t)password);
    return keep(b);
}

static EVP_PKEY *key_of(const char *text)
{
    BIO *b = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
    BIO_free(b);
    return key;
}

static X509 *cert_of(const char *text)
{
    BIO *b = BIO_new_mem_buf(text, -1);
    X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
    BIO_free(b);
    return cert;
}

static void put_names(X509 *cert, const char *names)
{
    X509_NAME *n = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8, (const uint8_t *)"Colobus", -1, -1, 0);
    while (*names) {
        int len = (int)strcspn(names, "|");
        X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const uint8_t *)names, len, -1, 0);
        names += len + (names[len] == '|');
    }
}

static void put_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static struct kit_pair make(const struct kit_pair *by, const char *names, const char *dns, long days)
{
    static long serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *by_key = by ? key_of(by->key) : NULL;
    X509 *cert = X509_new(), *by_cert = by ? cert_of(by->certificate) : NULL;
    char alternative[256];
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -10L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400);
    X509_set_pubkey(cert, key);
    put_names(cert, names);
    X509_set_issuer_name(cert, X509_get_subject_name(by ? by_cert : cert));
    put_extension(cert, NID_basic_constraints, by ? "CA:FALSE" : "critical,CA:TRUE");
    snprintf(alternative, sizeof(alternative), "email:who@example.org,DNS:%s,DNS:second.example",
             dns ? dns : "");
    if (dns)
        put_extension(cert, NID_subject_alt_name, alternative);
    X509_sign(cert, by ? by_key : key, EVP_sha256());
    struct kit_pair p = {cert_text(cert), key_text(key, NULL)};
    X509_free(cert);
    X509_free(by_cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(by_key);
    return p;
}

struct kit_pair kit_authority(const char *name)
{
    return make(NULL, name, NULL, 30);
}

struct kit_pair kit_issue(struct kit_pair by, const char *names, const char *dns)
{
    return make(&by, names, dns, 30);
}

struct kit_pair kit_expired(struct kit_pair by, const char *name)
{
    return make(&by, name, NULL, -1);
}

const char *kit_locked_key(struct kit_pair p)
{
    EVP_PKEY *key = key_of(p.key);
    const char *text = key_text(key, "secret");
    EVP_PKEY_free(key);
    return text;
}

/* ---- client -------------------------------------------------------------------------------------------- */

struct kit_client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    SSL_SESSION *ticket;
    char *taken;
    char name[64];
};

static int new_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct kit_client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->ticket);
    c->ticket = session;
    return 1;
}

static void use_own(SSL_CTX *ctx, struct kit_pair own)
{
    X509 *cert = cert_of(own.certificate);
    EVP_PKEY *key = key_of(own.key);
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

struct kit_client *kit_connect(const struct kit_rules *r)
{
    struct kit_client *c = mem_zalloc(sizeof(*c));
    int version = r->version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(c->ctx, version);
    SSL_CTX_set_max_proto_version(c->ctx, version);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, new_ticket);
    if (r->own.certificate)
        use_own(c->ctx, r->own);
    if (r->ca) {
        X509 *ca = cert_of(r->ca);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), ca);
        X509_free(ca);
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    }
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_app_data(c->ssl, c);
    SSL_set_connect_state(c->ssl);
    return c;
}

void kit_client_free(struct kit_client *c)
{
    SSL_free(c->ssl);
    SSL_SESSION_free(c->ticket);
    SSL_CTX_free(c->ctx);
    mem_free(c->taken);
    mem_free(c);
}

void kit_feed(struct kit_client *c, struct span wire)
{
    if (wire.len)
        BIO_write(c->in, wire.ptr, (int)wire.len);
}

struct span kit_take(struct kit_client *c)
{
    size_t n = BIO_ctrl_pending(c->out);
    mem_free(c->taken);
    c->taken = mem_alloc(n);
    if (n)
        BIO_read(c->out, c->taken, (int)n);
    return span_of(c->taken, n);
}

int kit_shake(struct kit_client *c)
{
    int r = SSL_do_handshake(c->ssl);
    if (r == 1)
        return 1;
    return SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ ? 0 : -1;
}

void kit_write(struct kit_client *c, struct span plain)
{
    int n = plain.len ? SSL_write(c->ssl, plain.ptr, (int)plain.len) : 0;
    assert(n == (int)plain.len);
    (void)n;
}

int kit_read(struct kit_client *c, uint8_t *ret, size_t len)
{
    int n = SSL_read(c->ssl, ret, (int)len);
    if (n > 0)
        return n;
    int e = SSL_get_error(c->ssl, n);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

bool kit_ended(const struct kit_client *c)
{
    return SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN;
}

void kit_close(struct kit_client *c)
{
    SSL_shutdown(c->ssl);
}

void kit_update_keys(struct kit_client *c)
{
    SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(c->ssl);
}

bool kit_renegotiate(struct kit_client *c)
{
    return SSL_renegotiate(c->ssl) == 1 && SSL_do_handshake(c->ssl) <= 0;
}

void kit_resume(struct kit_client *c, const struct kit_client *earlier)
{
    assert(earlier->ticket);
    SSL_set_session(c->ssl, earlier->ticket);
}

bool kit_resumed(const struct kit_client *c)
{
    return SSL_session_reused(c->ssl);
}

const char *kit_server_name(const struct kit_client *c)
{
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    struct kit_client *mine = (struct kit_client *)(uintptr_t)c;
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, mine->name, sizeof(mine->name));
    X509_free(cert);
    return c->name;
}
