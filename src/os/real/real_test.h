/* Short words for the tests of the real system. */
#ifndef COLOBUS_OS_REAL_REAL_TEST_H
#define COLOBUS_OS_REAL_REAL_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "os/address.h"
#include "os/os.h"

/* A client's socket, connected to a listener on loopback; blocking. */
static inline int client_connect(const char *address)
{
    struct address a;
    assert(address_parse(address, &a) == 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(a.port)};
    inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Reads exactly len bytes; false at the end. */
static inline bool client_read(int fd, void *ret_bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = read(fd, (char *)ret_bytes + got, len - got);
        if (n <= 0 && errno != EINTR)
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static inline bool client_write(int fd, const void *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

#endif
