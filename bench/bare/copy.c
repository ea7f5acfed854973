#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bare/bare.h"
#include "bare/wire.h"

enum { BLOCK_BYTES = 1 << 20 };

struct sender {
    int socket;
    double seconds;
};

static void *send_blocks(void *arg)
{
    const struct sender *s = arg;
    void *block = calloc(1, BLOCK_BYTES);
    if (block == NULL)
        wire_die("copy", "no memory");
    uint64_t end = wire_now_ns() + (uint64_t)(s->seconds * 1e9);
    while (wire_now_ns() < end)
        wire_send(s->socket, block, BLOCK_BYTES, NULL, 0);
    shutdown(s->socket, SHUT_WR);
    free(block);
    return NULL;
}

static void connect_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || pair[0] < 0 || bind(listener, (struct sockaddr *)&address, n) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&address, &n) != 0 ||
        connect(pair[0], (struct sockaddr *)&address, n) != 0 || (pair[1] = accept(listener, NULL, NULL)) < 0)
        wire_die("copy", "no loopback connection");
    close(listener);
}

void bare_copy(struct bare_flow *f)
{
    int pair[2];
    pthread_t thread;
    uint8_t *block = calloc(1, BLOCK_BYTES);
    connect_pair(pair);
    struct sender sender = {pair[0], f->args->seconds};
    f->begin_ns = wire_now_ns();
    if (block == NULL || pthread_create(&thread, NULL, send_blocks, &sender) != 0)
        wire_die("copy", "cannot start a thread");
    for (ssize_t got; (got = recv(pair[1], block, BLOCK_BYTES, 0)) != 0; f->bytes += (uint64_t)got) {
        if (got < 0)
            wire_die("copy", "failed");
    }
    f->end_ns = wire_now_ns();
    pthread_join(thread, NULL);
    close(pair[0]);
    close(pair[1]);
    free(block);
}
