/* A connection without a core or a socket, for the tests and the fuzz target of this folder. */
#ifndef COLOBUS_PROTO_HTTP_FAKE_CONN_H
#define COLOBUS_PROTO_HTTP_FAKE_CONN_H

#include "core/shard.h"
#include "proto/http/http.h"

struct fake_conn {
    struct shard shard;
    struct conn conn;
    struct listener_info listener;
    struct chunk_pool pool;
    uint8_t *input; /* not consumed yet */
    size_t input_len;
    char *output; /* everything sent, terminated */
    size_t output_len;
    bool failed;      /* conn_fail() was called */
    char reason[200]; /* with this */
    uint64_t deadline_ns;
};

void fake_conn_open(struct fake_conn *f, const struct http_server *server);
/* More bytes arrive: the front end is called while it consumes and may read. The input is copied to fresh
 * memory before each call, so that nothing may be kept from the last one. */
void fake_conn_feed(struct fake_conn *f, struct span bytes);
/* The clock reaches the deadline, if there is one. */
void fake_conn_tick(struct fake_conn *f);
/* Takes what was queued; returns all output so far. */
const char *fake_conn_output(struct fake_conn *f);
void fake_conn_close(struct fake_conn *f);

#endif
