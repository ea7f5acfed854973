#include "os/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static int parse_port(const char *text, uint16_t *ret_port)
{
    unsigned port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits])
        return ERR_INVALID;
    for (size_t i = 0; i < digits; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    if (port > 65535)
        return ERR_INVALID;
    *ret_port = (uint16_t)port;
    return 0;
}

/* Checks the host and brings it into its one canonical spelling. */
static int parse_host(const char *host, struct address *a)
{
    unsigned char bits[16];
    int family = a->is_v6 ? AF_INET6 : AF_INET;
    if (!a->is_v6 && strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(family, host, bits) != 1)
        return ERR_INVALID;
    return inet_ntop(family, bits, a->host, sizeof a->host) ? 0 : ERR_INVALID;
}

int address_parse(const char *text, struct address *ret_address)
{
    struct address a = {.is_v6 = text[0] == '['};
    char host[ADDRESS_HOST_BYTES];
    const char *colon = strrchr(text, ':');
    if (!colon || parse_port(colon + 1, &a.port))
        return ERR_INVALID;
    const char *from = text + a.is_v6, *to = colon - a.is_v6;
    if (to <= from || (size_t)(to - from) >= sizeof host || (a.is_v6 && *to != ']'))
        return ERR_INVALID;
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = 0;
    if (parse_host(host, &a))
        return ERR_INVALID;
    *ret_address = a;
    return 0;
}

const char *address_format(const struct address *a, char buf[ADDRESS_TEXT_BYTES])
{
    snprintf(buf, ADDRESS_TEXT_BYTES, a->is_v6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
    return buf;
}

bool address_is_any(const struct address *a)
{
    return strcmp(a->host, a->is_v6 ? "::" : "0.0.0.0") == 0;
}
