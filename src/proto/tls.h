/* TLS 1.2 and 1.3, the server's side: bytes in, bytes out, no sockets and no files.
 *
 * The only user of OpenSSL is tls.c. A session turns what came from the wire into plain bytes, and plain
 * bytes into what goes to the wire; who calls it decides when, and how much at a time. */
#ifndef COLOBUS_PROTO_TLS_H
#define COLOBUS_PROTO_TLS_H

#include "base/outq.h"
#include "base/span.h"

enum { TLS_WHY_BYTES = 256, TLS_RECORD_BYTES = 16384 };

/* In the order of their settings' choices. */
enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_REQUEST, TLS_VERIFY_REQUIRE };
enum tls_version { TLS_1_2, TLS_1_3 };
enum tls_name { TLS_DISTINGUISHED_NAME, TLS_COMMON_NAME, TLS_SUBJECT_ALTERNATIVE_NAME };

/* All PEM; borrowed for the call of tls_new(). */
struct tls_options {
    struct span certificate; /* the server's own, then those that lead to a root */
    struct span key;         /* not encrypted */
    struct span ca;          /* who signs clients; null with TLS_VERIFY_NONE */
    enum tls_verify verify;
    enum tls_version min_version;
    enum tls_name identity_from;
};

/* Certificate, key and rules: constant, shared by the sessions of all threads, each of which holds a
 * reference.
 */
struct tls;

/* ERR_INVALID: ret_why says which of the files is bad and how. */
int tls_new(const struct tls_options *o, struct tls **ret_tls, char ret_why[TLS_WHY_BYTES]);
struct tls *tls_ref(struct tls *t);
void tls_unref(struct tls *t); /* takes NULL */
/* Subject and end of the own certificate, for people. As long-lived as `t`. */
const char *tls_subject(const struct tls *t);
const char *tls_expires(const struct tls *t);

/* One connection. Of one thread at a time. */
struct tls_session;

/* What it has to send is appended to `wire`, which must outlive it. NULL: no memory. */
struct tls_session *tls_session_new(struct tls *t, struct outq *wire);
void tls_session_free(struct tls_session *s); /* takes NULL */

/* Goes on with the handshake: takes all it can use off the front of *wire_in. 1: it is done. 0: it needs
 * more. Negative: it has failed, for the reason in ret_why; an alert for the client may stand in `wire`.
 * ERR_DENIED: the client's certificate; ERR_NO_MEMORY; ERR_INVALID: all else. */
int tls_handshake(struct tls_session *s, struct span *wire_in, char ret_why[TLS_WHY_BYTES]);
/* After the handshake: decrypts into `ret`, at most `len` > 0 bytes. 0: it needs more, and *wire_in is empty.
 * ERR_EOF: the client has said that nothing follows (close_notify). Other errors as tls_handshake(). */
int64_t tls_read(struct tls_session *s, struct span *wire_in, uint8_t *ret, size_t len,
                 char ret_why[TLS_WHY_BYTES]);
/* Bytes that are decrypted and not read: tls_read() gives them without further input. */
size_t tls_pending(const struct tls_session *s);
/* Encrypts everything, at most TLS_RECORD_BYTES. ERR_NO_MEMORY, ERR_INVALID: the session cannot go on. */
int tls_write(struct tls_session *s, struct span plain);
/* Says that nothing follows (close_notify), unless the session has failed or the handshake is not done. */
void tls_close(struct tls_session *s);

/* The name in the client's certificate, which was verified; NULL: it showed none, or one without such a name.
 * As long-lived as the session. */
const char *tls_identity(const struct tls_session *s);
const char *tls_version(const struct tls_session *s); /* "TLSv1.3" */

#endif
