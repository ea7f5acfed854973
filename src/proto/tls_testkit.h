/* For tests: certificates made on the spot, and a TLS client without a socket. */
#ifndef COLOBUS_PROTO_TLS_TESTKIT_H
#define COLOBUS_PROTO_TLS_TESTKIT_H

#include "base/span.h"
#include "proto/tls.h"

/* Texts are the kit's: kit_free() gives them back, all at once. */
struct kit_pair {
    const char *certificate, *key; /* PEM */
};

struct kit_pair kit_authority(const char *name);
/* Signed by `by`; `dns` NULL: no alternative name. The subject is O=Colobus, then CN for each of the names,
 * which are parted by '|'. */
struct kit_pair kit_issue(struct kit_pair by, const char *names, const char *dns);
struct kit_pair kit_expired(struct kit_pair by, const char *name);
/* The key in PEM, encrypted with a password. */
const char *kit_locked_key(struct kit_pair p);
void kit_free(void);

struct kit_client;

struct kit_rules {
    const char *ca;           /* NULL: believes any server */
    struct kit_pair own;      /* certificate NULL: none */
    enum tls_version version; /* the only one it speaks */
};

struct kit_client *kit_connect(const struct kit_rules *r);
void kit_client_free(struct kit_client *c);
/* Bytes from the server. */
void kit_feed(struct kit_client *c, struct span wire);
/* Bytes for the server; valid until the next call, and taken. */
struct span kit_take(struct kit_client *c);
/* Goes on with the handshake: 1 done, 0 needs more, -1 failed. */
int kit_shake(struct kit_client *c);
/* All of it: the client's queue is endless. */
void kit_write(struct kit_client *c, struct span plain);
/* -1: failed. 0: nothing yet, or the end; see kit_ended(). */
int kit_read(struct kit_client *c, uint8_t *ret, size_t len);
bool kit_ended(const struct kit_client *c); /* the server has said close_notify */
void kit_close(struct kit_client *c);       /* says close_notify */
void kit_update_keys(struct kit_client *c);
/* Asks for a new handshake. False: the library refuses already. */
bool kit_renegotiate(struct kit_client *c);
/* Uses the session of an earlier connection. True, after the handshake: it was taken. */
void kit_resume(struct kit_client *c, const struct kit_client *earlier);
bool kit_resumed(const struct kit_client *c);
const char *kit_server_name(const struct kit_client *c); /* common name of the server's certificate */

#endif
