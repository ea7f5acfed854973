/* Both ends of a scripted connection. */
#ifndef COLOBUS_OS_SIM_SOCK_H
#define COLOBUS_OS_SIM_SOCK_H

#include "os/address.h"
#include "os/sim/world.h"

/* Bytes on their way. */
struct stream {
    uint8_t *bytes;
    size_t first, len, cap;
};

void stream_push(struct stream *s, struct span bytes);
struct span stream_bytes(const struct stream *s);
void stream_drop(struct stream *s, size_t len);
void stream_fini(struct stream *s);

enum sock_state {
    SOCK_WAITING,  /* for accept(), from its listener or from os_sock_move() */
    SOCK_ACCEPTED, /* and not started */
    SOCK_STARTED,
    SOCK_CLOSING, /* closed() is due */
};

/* sock->peer == NULL <=> the peer's end is closed; peer->sock == NULL <=> the broker's end is. */
struct os_sock {
    struct list link;
    uint32_t id;
    enum sock_state state;
    struct os_loop *loop;
    struct os_listener *listener; /* NULL once it was accepted */
    void (*accept)(void *user, struct os_sock *s);
    void *accept_user;
    const struct os_sock_ops *ops;
    void *user;
    bool reading, ended;
    bool reset; /* the peer closed with bytes unread: the broken kind of end */
    struct stream in;
    struct sim_peer *peer;
    bool writing;
    struct span out[OS_SOCK_SPANS]; /* of the write in progress; the bytes are the writer's */
    size_t out_count;
    char peer_text[ADDRESS_TEXT_BYTES], local_text[ADDRESS_TEXT_BYTES];
};

struct sim_peer {
    struct list link;
    struct os_sock *sock;
    struct stream received;
    size_t window;
};

struct os_listener {
    struct list link;
    struct os_loop *loop;
    struct address address;
    char text[ADDRESS_TEXT_BYTES];
    void (*accept)(void *user, struct os_sock *s);
    void *user;
};

/* The listener that a connection to this address reaches, or NULL. */
struct os_listener *listener_find(const struct address *a);
struct os_sock *sock_new(struct os_listener *l, const struct address *to);
void sock_drop(struct os_sock *s);
void listener_drop(struct os_listener *l);
void peer_drop(struct sim_peer *p);

#endif
