/* A blocking client for the program's own subcommands, which talk to a running broker and then end. The
 * broker itself never uses it. Real system only. */
#ifndef COLOBUS_OS_CLIENT_H
#define COLOBUS_OS_CLIENT_H

#include "base/span.h"

/* Connects to "host:port" (names are resolved), sends the request, and reads until the other side closes.
 * *ret_bytes is the caller's, for mem_free(). ERR_INVALID: not host:port; ERR_NOT_FOUND: no such host;
 * ERR_CLOSED: nobody listens there or the connection broke; ERR_TIMEOUT: no progress for timeout_ms;
 * ERR_TOO_LARGE: more than max_bytes came. */
int os_client_exchange(const char *address, struct span request, size_t max_bytes, int timeout_ms,
                       uint8_t **ret_bytes, size_t *ret_len);

#endif
