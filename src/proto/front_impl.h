/* Inside the front: a connection with its socket, and what a shard knows of all of its. */
#ifndef COLOBUS_PROTO_FRONT_IMPL_H
#define COLOBUS_PROTO_FRONT_IMPL_H

#include "base/map.h"
#include "proto/front.h"
#include "proto/tls.h"

enum {
    FRONT_MAX_LISTENERS = 32,
    FRONT_OUT_LIMIT = 1 << 20, /* unread by its client, after which a connection is not read from */
    FRONT_FEED_CALLS = 256,    /* requests of one connection in one turn */
    FRONT_WRITES = 16,         /* writes of one connection in one turn */
    FRONT_SPANS = 64,          /* spans of one write, os_sock_write()'s limit */
    FRONT_MIN_ROOM = 1024,     /* a chunk with less room is not filled further */
    FRONT_PRESSURE_LOOK_MS = 10,
    FRONT_LINGER_MS = 10000, /* for a client to take the last answer */
    FRONT_HANDSHAKES = 8,    /* steps of TLS handshakes of one shard in one turn: each may cost a signature */
    FRONT_WIRE_BYTES = 64 << 10, /* encrypted ahead of the socket, for one connection */
};

struct front_listener {
    struct front *front;
    const struct proto *proto;
    struct listener_info info;
    char *name, *advertised_host, *bound;
    struct os_listener *socket; /* NULL: closed */
    bool tls;
    unsigned max_ops;
    uint64_t max_bytes;
};

/* One address that clients come from, with how many; shard 0's. */
struct front_ip {
    char *text;
    unsigned conns;
};

/* Of one shard. */
struct front_shard {
    _Atomic uint64_t out_bytes;    /* queued for its connections; others read it */
    bool input_paused, out_paused; /* between 80 % and 60 % of the limits, see conn_input.c */
    struct shard_timer look_again; /* while input_paused */
    unsigned handshakes;           /* steps left in this turn */
};

struct front {
    struct broker *broker;
    struct front_listener listeners[FRONT_MAX_LISTENERS];
    unsigned listener_count;
    struct front_shard *shards;
    /* Shard 0's. */
    struct map ips;
    struct list conns;     /* struct front_conn: of all shards */
    struct front_tls *tls; /* NULL: no listener has it */
    unsigned next_shard;
    uint64_t refused_log_ns; /* last line about refused connections */
    unsigned refused;        /* since then */
};

/* Between a connection and its socket. Invariants:
 * 1. in == NULL, or at < in->used once the poll phase is over: ciphertext that came and was not decrypted;
 * 2. conn.out is plain, `wire` encrypted, and only `wire` is written. */
struct conn_tls {
    struct tls *context;
    struct tls_session *session; /* NULL until adopted, and after the end */
    struct chunk *in;
    size_t at;
    struct outq wire;
    bool shaken; /* the handshake is done */
    bool closed; /* nothing follows in `wire` */
};

/* A connection and its socket. Invariants:
 * 1. in == NULL, or at <= in->used, and [at, used) is the input not consumed yet;
 * 2. writing > 0 while a write is in flight: the first `writing` bytes of conn_wire() must stay;
 * 3. after `dead` nothing but closed() comes, and nobody finds it by its handle. */
struct front_conn {
    struct conn conn; /* first: a struct conn * of ours is this */
    struct front *front;
    struct front_listener *listener;
    struct os_sock *sock;
    struct front_ip *ip;
    struct list link;     /* in front.conns, shard 0's */
    struct conn_tls *tls; /* NULL: plain */
    struct chunk *in;     /* plain bytes */
    size_t at;
    size_t need; /* bytes the protocol must see before it is called again; 0: any */
    size_t room; /* offered to the socket last */
    size_t writing;
    size_t out_counted; /* its part of front_shard.out_bytes */
    bool started;       /* the socket is */
    bool opened;        /* the protocol is; with TLS after the handshake */
    bool reading, eof, dead;
    bool lingering;  /* closing, and the deadline is ours */
    bool fresh;      /* input has come that the protocol has not seen */
    bool big;        /* filled its last chunk: gets a large one next */
    bool starved;    /* was refused room for lack of memory or credit: counted once */
    struct msg gone; /* to shard 0: its place is free */
};

static inline struct front_conn *front_conn_of(struct conn *c)
{
    return container_of(c, struct front_conn, conn);
}

static inline struct front_shard *front_shard_of(const struct shard *s)
{
    return &((struct front *)s->broker->front)->shards[s->index];
}

static inline unsigned front_slot(const struct front_conn *fc)
{
    return fc->listener->info.metrics_slot;
}

/* What goes to the socket. */
static inline struct outq *conn_wire(struct front_conn *fc)
{
    return fc->tls ? &fc->tls->wire : &fc->conn.out;
}

/* Bytes that the client has not taken. */
static inline size_t conn_unsent(const struct front_conn *fc)
{
    return fc->conn.out.len + (fc->tls ? fc->tls->wire.len : 0);
}

/* conn_input.c */
void conn_room(void *user, uint8_t **ret_ptr, size_t *ret_len);
void conn_input(void *user, int64_t n);
void conn_feed_ready(struct shard *s);  /* the input phase */
void conn_prune_ready(struct shard *s); /* end of the turn: leaves those that have work */
void conn_drop_input(struct front_conn *fc);

/* conn_output.c */
void conn_written(void *user, int status);
void conn_flush_all(struct shard *s);    /* the flush phase */
void conn_settle(struct front_conn *fc); /* writes what it can; ends the connection if its time has come */
void conn_out_consume(struct front_conn *fc, size_t n); /* drops n bytes from the front of conn.out */

/* conn_life.c */
void conn_adopt(void *user, struct os_sock *sock); /* on its shard; user is the front_conn */
void conn_start_if_new(struct front_conn *fc);
void conn_open(struct front_conn *fc);    /* the protocol, once */
void conn_destroy(struct front_conn *fc); /* at once */
void conn_stop_all(struct shard *s);
void conn_abort_all(struct shard *s);

/* conn_tls.c; fc->tls is not NULL */
void conn_tls_start(struct front_conn *fc);
/* Room for ciphertext; ERR_AGAIN: what came has to be decrypted first. */
int conn_tls_room(struct front_conn *fc, uint8_t **ret_ptr, size_t *ret_len);
void conn_tls_came(struct front_conn *fc, size_t n);
bool conn_tls_has_input(const struct front_conn *fc);
/* Goes on with the handshake, and opens the protocol at its end. False: not yet, or it has failed. */
bool conn_tls_shake(struct front_conn *fc);
/* Decrypts into `ret`: how many bytes. 0: nothing is left to decrypt, or the connection ends. */
size_t conn_tls_read(struct front_conn *fc, uint8_t *ret, size_t len);
/* Encrypts the next piece of conn.out. False: the session is broken. */
bool conn_tls_seal(struct front_conn *fc);
void conn_tls_close(struct front_conn *fc);  /* says that nothing follows */
void conn_tls_forget(struct front_conn *fc); /* all but what a write may still refer to */
void conn_tls_free(struct conn_tls *t);      /* takes NULL */

/* front_tls.c; shard 0's */
int front_tls_load(struct front *f);              /* unless it was done. ERR_BAD_TLS, logged */
struct tls *front_tls_now(const struct front *f); /* of the newest files; borrowed */
void front_tls_stop(struct front *f);             /* no more looking for new ones */
void front_tls_free(struct front *f);

/* listener.c */
void listener_close_all(struct front *f);
void listener_conn_gone(struct shard *s, struct msg *m);

#endif
