/* TLS by OpenSSL: its sessions read from a span and write to an output queue of ours.
 *
 * OpenSSL keeps no buffers of an idle session (SSL_MODE_RELEASE_BUFFERS). Its memory, entropy and clock are
 * the library's own business. */
#include "proto/tls.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"

enum { NAME_BYTES = 1024 }; /* longer names are no identity */

struct tls {
    _Atomic unsigned refs;
    SSL_CTX *ctx;
    BIO_METHOD *wire;
    enum tls_name identity_from;
    char subject[256], expires[64];
};

struct tls_session {
    struct tls *tls;
    SSL *ssl;
    struct span in; /* of the present call */
    struct outq *wire;
    char *identity;
    bool done, broken;
};

/* ---- bytes --------------------------------------------------------------------------------------------- */

static int wire_read(BIO *bio, char *ret, size_t len, size_t *ret_len)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *ret_len = len < s->in.len ? len : s->in.len;
    if (*ret_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(ret, s->in.ptr, *ret_len);
    s->in = span_of(s->in.ptr + *ret_len, s->in.len - *ret_len);
    return 1;
}

static int wire_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
    struct tls_session *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (outq_copy(s->wire, span_of(bytes, len)))
        return 0;
    *ret_len = len;
    return 1;
}

static long wire_ctrl(BIO *bio, int command, long arg, void *ptr)
{
    (void)bio;
    (void)arg;
    (void)ptr;
    return command == BIO_CTRL_FLUSH; /* it is where it belongs */
}

static BIO_METHOD *wire_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "chunks");
    if (m) {
        BIO_meth_set_read_ex(m, wire_read);
        BIO_meth_set_write_ex(m, wire_write);
        BIO_meth_set_ctrl(m, wire_ctrl);
    }
    return m;
}

/* ---- names --------------------------------------------------------------------------------------------- */

/* As RFC 4514 writes it: the last part first, "CN=alice,O=Example". False: longer than `size`. */
static bool distinguished_name(const X509 *cert, char *ret, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    if (!text)
        return false;
    unsigned long form = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, form);
    int n = BIO_read(text, ret, (int)size);
    BIO_free(text);
    bool fits = n > 0 && (size_t)n < size;
    ret[fits ? n : 0] = 0;
    return fits;
}

/* False: it does not fit, or has a zero inside, by which a name could seem to be another. */
static bool append(char *text, size_t size, const char *before, struct span more)
{
    size_t used = strlen(text);
    if (memchr(more.ptr, 0, more.len) || used + strlen(before) + more.len >= size)
        return false;
    snprintf(text + used, size - used, "%s%.*s", before, SPAN_ARG(more));
    return true;
}

/* Several are joined with commas. */
static bool common_name(const X509 *cert, char *ret, size_t size)
{
    const X509_NAME *name = X509_get_subject_name(cert);
    bool good = true;
    *ret = 0;
    for (int i = -1; good && (i = X509_NAME_get_index_by_NID(name, NID_commonName, i)) >= 0;) {
        unsigned char *utf8 = NULL;
        int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
        good = n > 0 && append(ret, size, *ret ? "," : "", span_of(utf8, (size_t)n));
        OPENSSL_free(utf8);
    }
    return good && *ret;
}

/* The first DNS name. */
static bool alternative_name(const X509 *cert, char *ret, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    const ASN1_STRING *dns = NULL;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !dns; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type == GEN_DNS)
            dns = n->d.dNSName;
    }
    *ret = 0;
    bool good =
        dns && append(ret, size, "", span_of(ASN1_STRING_get0_data(dns), (size_t)ASN1_STRING_length(dns)));
    GENERAL_NAMES_free(names);
    return good && *ret;
}

static bool name_of(const X509 *cert, enum tls_name from, char *ret, size_t size)
{
    if (from == TLS_COMMON_NAME)
        return common_name(cert, ret, size);
    if (from == TLS_SUBJECT_ALTERNATIVE_NAME)
        return alternative_name(cert, ret, size);
    return distinguished_name(cert, ret, size);
}

/* ---- certificates and rules ---------------------------------------------------------------------------- */

static int fail(char why[TLS_WHY_BYTES], const char *what)
{
    unsigned long e = ERR_get_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    snprintf(why, TLS_WHY_BYTES, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return ERR_INVALID;
}

/* Instead of OpenSSL's own, which would ask at the terminal. */
static int no_password(char *buf, int size, int writing, void *user)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static BIO *pem_of(struct span text)
{
    return BIO_new_mem_buf(text.ptr ? (const void *)text.ptr : "", (int)text.len);
}

/* The next certificate; NULL: there is none, which is no error, or a bad one, which is. */
static X509 *next_certificate(BIO *pem)
{
    ERR_clear_error();
    X509 *cert = PEM_read_bio_X509(pem, NULL, no_password, NULL);
    if (!cert && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
        ERR_clear_error();
    return cert;
}

/* What stands in the log of it. */
static void describe(struct tls *t, const X509 *cert)
{
    if (!distinguished_name(cert, t->subject, sizeof(t->subject)))
        snprintf(t->subject, sizeof(t->subject), "?");
    BIO *text = BIO_new(BIO_s_mem());
    int n = text && ASN1_TIME_print(text, X509_get0_notAfter(cert)) ? BIO_read(text, t->expires, 63) : 0;
    t->expires[n > 0 ? n : 0] = 0;
    BIO_free(text);
}

static int use_certificate(struct tls *t, struct span text, char why[TLS_WHY_BYTES])
{
    BIO *pem = pem_of(text);
    X509 *cert = next_certificate(pem);
    bool good = cert && SSL_CTX_use_certificate(t->ctx, cert) == 1;
    if (good)
        describe(t, cert);
    X509_free(cert);
    while (good && (cert = next_certificate(pem))) {
        good = SSL_CTX_add0_chain_cert(t->ctx, cert) == 1;
        if (!good)
            X509_free(cert);
    }
    good = good && ERR_peek_error() == 0;
    BIO_free(pem);
    return good ? 0 : fail(why, "tls.certificate holds no valid PEM certificate");
}

static int use_key(struct tls *t, struct span text, char why[TLS_WHY_BYTES])
{
    ERR_clear_error();
    BIO *pem = pem_of(text);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    BIO_free(pem);
    if (!key)
        return fail(why, "tls.key holds no PEM private key, or an encrypted one");
    bool good = SSL_CTX_use_PrivateKey(t->ctx, key) == 1 && SSL_CTX_check_private_key(t->ctx) == 1;
    EVP_PKEY_free(key);
    return good ? 0 : fail(why, "tls.key does not belong to tls.certificate");
}

static int use_authorities(struct tls *t, struct span text, char why[TLS_WHY_BYTES])
{
    BIO *pem = pem_of(text);
    X509 *cert;
    unsigned count = 0;
    bool good = true;
    while (good && (cert = next_certificate(pem))) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(t->ctx), cert) == 1 &&
               SSL_CTX_add_client_CA(t->ctx, cert) == 1;
        X509_free(cert);
        count++;
    }
    good = good && count > 0 && ERR_peek_error() == 0;
    BIO_free(pem);
    return good ? 0 : fail(why, "tls.ca holds no valid PEM certificates");
}

/* Forward secrecy and authenticated encryption only, which is all that TLS 1.3 has. */
static const char ciphers_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static bool set_rules(SSL_CTX *ctx, const struct tls_options *o)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets are the client's to keep */
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    int mode = o->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    SSL_CTX_set_verify(ctx, mode | (o->verify == TLS_VERIFY_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return SSL_CTX_set_min_proto_version(ctx, o->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) &&
           SSL_CTX_set_session_id_context(ctx, (const uint8_t *)"colobus", 7) &&
           SSL_CTX_set_cipher_list(ctx, ciphers_1_2);
}

int tls_new(const struct tls_options *o, struct tls **ret_tls, char why[TLS_WHY_BYTES])
{
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL); /* a fail-stop exit finds threads that still use it */
    ERR_clear_error();
    struct tls *t = mem_zalloc(sizeof(*t));
    atomic_init(&t->refs, 1);
    t->identity_from = o->identity_from;
    t->ctx = SSL_CTX_new(TLS_server_method());
    t->wire = wire_method();
    int err = t->ctx && t->wire && set_rules(t->ctx, o) ? 0 : fail(why, "OpenSSL refuses the settings");
    if (!err)
        err = use_certificate(t, o->certificate, why);
    if (!err)
        err = use_key(t, o->key, why);
    if (!err && o->verify != TLS_VERIFY_NONE)
        err = use_authorities(t, o->ca, why);
    if (err) {
        tls_unref(t);
        return err;
    }
    *ret_tls = t;
    return 0;
}

struct tls *tls_ref(struct tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_unref(struct tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->wire);
    mem_free(t);
}

const char *tls_subject(const struct tls *t)
{
    return t->subject;
}

const char *tls_expires(const struct tls *t)
{
    return t->expires;
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

struct tls_session *tls_session_new(struct tls *t, struct outq *wire)
{
    struct tls_session *s = mem_zalloc(sizeof(*s));
    ERR_clear_error();
    s->tls = tls_ref(t);
    s->wire = wire;
    s->ssl = SSL_new(t->ctx);
    BIO *bio = BIO_new(t->wire);
    if (!s->ssl || !bio) {
        BIO_free(bio);
        tls_session_free(s);
        return NULL;
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio); /* takes it over */
    SSL_set_accept_state(s->ssl);
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    ERR_clear_error();
    mem_free(s->identity);
    tls_unref(s->tls);
    mem_free(s);
}

/* The reason of a session that has failed. */
static int break_off(struct tls_session *s, char why[TLS_WHY_BYTES])
{
    long verified = SSL_get_verify_result(s->ssl);
    int reason = ERR_GET_REASON(ERR_peek_error());
    s->broken = true;
    if (!s->done && verified != X509_V_OK) {
        snprintf(why, TLS_WHY_BYTES, "TLS: the client's certificate: %s",
                 X509_verify_cert_error_string(verified));
        ERR_clear_error();
        return ERR_DENIED;
    }
    fail(why, "TLS");
    if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_WRONG_VERSION_NUMBER)
        snprintf(why, TLS_WHY_BYTES, "TLS: the client does not speak it on this port");
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        return ERR_DENIED;
    return reason == ERR_R_MALLOC_FAILURE ? ERR_NO_MEMORY : ERR_INVALID;
}

static void take_identity(struct tls_session *s)
{
    char name[NAME_BYTES];
    X509 *cert = SSL_get1_peer_certificate(s->ssl);
    if (cert && SSL_get_verify_result(s->ssl) == X509_V_OK &&
        name_of(cert, s->tls->identity_from, name, sizeof(name)))
        s->identity = mem_strndup(name, strlen(name));
    X509_free(cert);
}

int tls_handshake(struct tls_session *s, struct span *wire_in, char why[TLS_WHY_BYTES])
{
    assert(!s->done && !s->broken);
    ERR_clear_error();
    s->in = *wire_in;
    int r = SSL_do_handshake(s->ssl);
    *wire_in = s->in;
    s->in = SPAN_NULL;
    if (r == 1) {
        s->done = true;
        take_identity(s);
        return 1;
    }
    return SSL_get_error(s->ssl, r) == SSL_ERROR_WANT_READ ? 0 : break_off(s, why);
}

int64_t tls_read(struct tls_session *s, struct span *wire_in, uint8_t *ret, size_t len,
                 char why[TLS_WHY_BYTES])
{
    assert(s->done && !s->broken && len > 0);
    size_t n = 0;
    ERR_clear_error();
    s->in = *wire_in;
    int r = SSL_read_ex(s->ssl, ret, len, &n);
    *wire_in = s->in;
    s->in = SPAN_NULL;
    if (r == 1)
        return (int64_t)n;
    switch (SSL_get_error(s->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_EOF;
    default:
        return break_off(s, why);
    }
}

size_t tls_pending(const struct tls_session *s)
{
    return s->done && !s->broken ? (size_t)SSL_pending(s->ssl) : 0;
}

int tls_write(struct tls_session *s, struct span plain)
{
    assert(s->done && plain.len <= TLS_RECORD_BYTES);
    if (s->broken)
        return ERR_INVALID;
    ERR_clear_error();
    while (plain.len > 0) {
        size_t n = 0;
        if (SSL_write_ex(s->ssl, plain.ptr, plain.len, &n) != 1) {
            char why[TLS_WHY_BYTES];
            return break_off(s, why);
        }
        plain = span_of(plain.ptr + n, plain.len - n);
    }
    return 0;
}

void tls_close(struct tls_session *s)
{
    if (!s->done || s->broken)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl); /* 0: the client has not said it yet, and is not waited for */
    ERR_clear_error();
}

const char *tls_identity(const struct tls_session *s)
{
    return s->identity;
}

const char *tls_version(const struct tls_session *s)
{
    return SSL_get_version(s->ssl);
}
