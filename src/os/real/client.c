#include "os/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

/* Waits until the socket is ready for `events`. */
static int wait_for(int fd, short events, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;
    do {
        n = poll(&p, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0 ? 0 : n == 0 ? ERR_TIMEOUT : ERR_IO;
}

static int connect_one(const struct addrinfo *a, int timeout_ms, int *ret_fd)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ERR_LIMIT;
    int err = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno == EINPROGRESS ? ERR_AGAIN : ERR_CLOSED;
    if (err == ERR_AGAIN) {
        int failed = 0;
        socklen_t len = sizeof(failed);
        err = wait_for(fd, POLLOUT, timeout_ms);
        if (!err && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) != 0 || failed))
            err = ERR_CLOSED;
    }
    if (err) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

/* Cuts "host:port" or "[v6]:port" apart. */
static int split(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    if (len == 0 || len > 255 || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
        return ERR_INVALID;
    bool v6 = address[0] == '[' && address[len - 1] == ']';
    snprintf(host, 256, "%.*s", (int)len - 2 * v6, address + v6);
    snprintf(port, 8, "%s", colon + 1);
    return 0;
}

static int connect_any(const char *address, int timeout_ms, int *ret_fd)
{
    char host[256], port[8];
    int err = split(address, host, port);
    if (err)
        return err;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return ERR_NOT_FOUND;
    err = ERR_NOT_FOUND;
    for (struct addrinfo *a = list; a && err; a = a->ai_next)
        err = connect_one(a, timeout_ms, ret_fd);
    freeaddrinfo(list);
    return err;
}

static int send_all(int fd, struct span bytes, int timeout_ms)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = span_of(bytes.ptr + n, bytes.len - (size_t)n);
        } else if (errno == EAGAIN || errno == EINTR) {
            int err = wait_for(fd, POLLOUT, timeout_ms);
            if (err)
                return err;
        } else {
            return ERR_CLOSED;
        }
    }
    return 0;
}

/* Grows *bytes by what comes until the other side closes. */
static int receive_all(int fd, size_t max_bytes, int timeout_ms, uint8_t **bytes, size_t *len)
{
    size_t cap = 0;
    for (;;) {
        if (*len == cap) {
            if (cap >= max_bytes)
                return ERR_TOO_LARGE;
            cap = cap ? cap * 2 : 16384;
            *bytes = mem_realloc(*bytes, cap);
        }
        ssize_t n = recv(fd, *bytes + *len, cap - *len, 0);
        if (n == 0)
            return 0;
        if (n > 0) {
            *len += (size_t)n;
        } else if (errno == EAGAIN || errno == EINTR) {
            int err = wait_for(fd, POLLIN, timeout_ms);
            if (err)
                return err;
        } else {
            return ERR_CLOSED;
        }
    }
}

int os_client_exchange(const char *address, struct span request, size_t max_bytes, int timeout_ms,
                       uint8_t **ret_bytes, size_t *ret_len)
{
    int fd;
    int err = connect_any(address, timeout_ms, &fd);
    if (err)
        return err;
    uint8_t *bytes = NULL;
    size_t len = 0;
    err = send_all(fd, request, timeout_ms);
    if (!err)
        err = receive_all(fd, max_bytes, timeout_ms, &bytes, &len);
    close(fd);
    if (err) {
        mem_free(bytes);
        return err;
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}
