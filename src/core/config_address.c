#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/say.h"
#include "core/config_value.h"

#define TLS_PREFIX "tls://"

/* One element of a list: [name=][tls://]host[:port]. */
struct item {
    struct span name; /* null: none given */
    bool tls;
    struct span host; /* with the brackets of an IPv6 address */
    int port;         /* -1: none given */
};

static struct span trim(struct span s)
{
    while (s.len && isspace(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && isspace(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool legal_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_')
            return false;
    }
    return s.len > 0 && s.len < CONFIG_NAME_BYTES;
}

static bool legal_host(struct span s)
{
    if (s.len == 0 || s.len > CONFIG_ADDRESS_BYTES - 8)
        return false;
    bool v6 = s.ptr[0] == '[';
    if (v6 && (s.len < 4 || s.ptr[s.len - 1] != ']'))
        return false;
    for (size_t i = v6; i < s.len - v6; i++) {
        uint8_t c = s.ptr[i];
        if (!(v6 ? isxdigit(c) || strchr(":.%", c) : isalnum(c) || strchr("-._", c)) || c == 0)
            return false;
    }
    return true;
}

static bool parse_port(struct span s, int *ret_port)
{
    int v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!isdigit(s.ptr[i]) || i >= 5)
            return false;
        v = v * 10 + (s.ptr[i] - '0');
    }
    if (s.len == 0 || v > 65535)
        return false;
    *ret_port = v;
    return true;
}

static int parse_item(struct span s, struct item *ret, struct config_error *e)
{
    char quoted[SAY_QUOTE_BYTES];
    struct item it = {.port = -1, .host = s};
    const uint8_t *eq = memchr(s.ptr, '=', s.len);
    if (eq) {
        it.name = trim(span_of(s.ptr, (size_t)(eq - s.ptr)));
        it.host = trim(span_of(eq + 1, (size_t)(s.ptr + s.len - (eq + 1))));
        if (!legal_name(it.name))
            return config_fail(e, "%s is not a listener's name (letters, digits, - and _, at most 31)",
                               say_quote(it.name, quoted));
    }
    size_t prefix = strlen(TLS_PREFIX);
    if (it.host.len >= prefix && memcmp(it.host.ptr, TLS_PREFIX, prefix) == 0) {
        it.tls = true;
        it.host = span_of(it.host.ptr + prefix, it.host.len - prefix);
    }
    const uint8_t *colon = memrchr(it.host.ptr, ':', it.host.len);
    const uint8_t *bracket = memrchr(it.host.ptr, ']', it.host.len);
    if (colon && (!bracket || colon > bracket)) {
        struct span port = span_of(colon + 1, it.host.len - (size_t)(colon + 1 - it.host.ptr));
        it.host.len = (size_t)(colon - it.host.ptr);
        if (!parse_port(port, &it.port))
            return config_fail(e, "%s has no valid port (0 to 65535)", say_quote(s, quoted));
    }
    if (!legal_host(it.host))
        return config_fail(e, "%s is not host:port (127.0.0.1:9092, [::1]:9092, 0.0.0.0:9092)",
                           say_quote(s, quoted));
    *ret = it;
    return 0;
}

/* Cuts the next element off a list with commas. False: the list is at its end. */
static bool next_item(const char **text, struct span *ret_item)
{
    if (!*text)
        return false;
    const char *comma = strchr(*text, ',');
    *ret_item = trim(span_of(*text, comma ? (size_t)(comma - *text) : strlen(*text)));
    *text = comma ? comma + 1 : NULL;
    return true;
}

static void default_name(const struct setting *s, unsigned index, char ret_name[CONFIG_NAME_BYTES])
{
    int len = (int)strcspn(s->key, ".");
    if (index == 0)
        snprintf(ret_name, CONFIG_NAME_BYTES, "%.*s", len, s->key);
    else
        snprintf(ret_name, CONFIG_NAME_BYTES, "%.*s-%u", len, s->key, index + 1);
}

static int add_listener(const struct setting *s, struct config_listeners *list, const struct item *it,
                        struct config_error *e)
{
    if (list->count == CONFIG_LISTENERS)
        return config_fail(e, "has more than %d addresses", CONFIG_LISTENERS);
    if (it->port < 0)
        return config_fail(e, "%.*s has no port", SPAN_ARG(it->host));
    struct config_listener *l = &list->items[list->count];
    if (span_is_null(it->name))
        default_name(s, list->count, l->name);
    else
        snprintf(l->name, sizeof(l->name), "%.*s", SPAN_ARG(it->name));
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, l->name) == 0)
            return config_fail(e, "has two listeners called %s", l->name);
    }
    snprintf(l->address, sizeof(l->address), "%.*s:%d", SPAN_ARG(it->host), it->port);
    l->tls = it->tls;
    list->count++;
    return 0;
}

int config_listeners_parse(const struct setting *s, const char *text, struct config_listeners *ret_list,
                           struct config_error *e)
{
    struct config_listeners list = {0};
    struct span part;
    struct item it;
    int err = 0;
    if (strcmp(text, "off") != 0) {
        while (!err && next_item(&text, &part)) {
            err = parse_item(part, &it, e);
            if (!err)
                err = add_listener(s, &list, &it, e);
        }
    }
    if (!err)
        *ret_list = list;
    return err;
}

static int add_advert(struct config_adverts *list, const struct item *it, struct config_error *e)
{
    if (list->count == CONFIG_LISTENERS)
        return config_fail(e, "has more than %d addresses", CONFIG_LISTENERS);
    if (it->tls)
        return config_fail(e, "takes no " TLS_PREFIX "; an address is only host:port");
    struct config_advert *a = &list->items[list->count];
    snprintf(a->name, sizeof(a->name), "%.*s", SPAN_ARG(it->name));
    bool v6 = it->host.ptr[0] == '['; /* clients are told the bare address */
    snprintf(a->host, sizeof(a->host), "%.*s", (int)it->host.len - 2 * v6, (const char *)it->host.ptr + v6);
    a->port = it->port < 0 ? 0 : (uint16_t)it->port;
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, a->name) == 0)
            return config_fail(e, "has two addresses for listener \"%s\"", a->name);
    }
    list->count++;
    return 0;
}

int config_adverts_parse(const char *text, struct config_adverts *ret_list, struct config_error *e)
{
    struct config_adverts list = {0};
    struct span part;
    struct item it;
    int err = 0;
    if (*text) {
        while (!err && next_item(&text, &part)) {
            err = parse_item(part, &it, e);
            if (!err)
                err = add_advert(&list, &it, e);
        }
    }
    if (!err)
        *ret_list = list;
    return err;
}

static void append(char *text, size_t size, const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", more);
}

void config_listeners_format(const struct setting *s, const struct config_listeners *list, char *ret_text,
                             size_t size)
{
    ret_text[0] = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct config_listener *l = &list->items[i];
        char unnamed[CONFIG_NAME_BYTES];
        default_name(s, i, unnamed);
        append(ret_text, size, i ? "," : "");
        if (strcmp(unnamed, l->name) != 0) {
            append(ret_text, size, l->name);
            append(ret_text, size, "=");
        }
        append(ret_text, size, l->tls ? TLS_PREFIX : "");
        append(ret_text, size, l->address);
    }
    if (list->count == 0)
        append(ret_text, size, "off");
}

void config_adverts_format(const struct config_adverts *list, char *ret_text, size_t size)
{
    ret_text[0] = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct config_advert *a = &list->items[i];
        bool v6 = strchr(a->host, ':') != NULL;
        char one[CONFIG_ADDRESS_BYTES + CONFIG_NAME_BYTES + 16], port[8] = "";
        if (a->port)
            snprintf(port, sizeof(port), ":%u", a->port);
        snprintf(one, sizeof(one), "%s%s%s%s%s%s%s", i ? "," : "", a->name, *a->name ? "=" : "",
                 v6 ? "[" : "", a->host, v6 ? "]" : "", port);
        append(ret_text, size, one);
    }
}
