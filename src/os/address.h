/* The text form of the addresses that the broker listens on: "host:port". */
#ifndef COLOBUS_OS_ADDRESS_H
#define COLOBUS_OS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_HOST_BYTES = 46, ADDRESS_TEXT_BYTES = ADDRESS_HOST_BYTES + 8 };

struct address {
    bool is_v6;
    char host[ADDRESS_HOST_BYTES]; /* numeric, without brackets, in the canonical form of inet_ntop */
    uint16_t port;
};

/* "127.0.0.1:9092", "[::1]:9092" or "localhost:9092", which is 127.0.0.1. ERR_INVALID. Asks no resolver. */
int address_parse(const char *text, struct address *ret_address);
/* Into buf, which is returned. */
const char *address_format(const struct address *a, char buf[ADDRESS_TEXT_BYTES]);
/* 0.0.0.0 or ::, which accept for every address of the machine. */
bool address_is_any(const struct address *a);

#endif
