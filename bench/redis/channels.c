/* What goes out and comes in for each channel, made once. */
#include "redis/load.h"

#include <stdio.h>
#include <stdlib.h>

static void put_payload(const struct args *a, struct out *o, uint32_t *ret_stamp)
{
    put_head(o, '$', a->size);
    *ret_stamp = (uint32_t)o->end;
    for (uint32_t i = 0; i < a->size; i++)
        *(out_room(o, 1)) = (uint8_t)('a' + i % 26), o->end++;
    put_bytes(o, "\r\n", 2);
}

static void make_publish(const struct args *a, const char *name, struct channel *c)
{
    struct out o = {0};
    put_head(&o, '*', 3);
    put_bulk(&o, "PUBLISH", 7);
    put_bulk(&o, name, strlen(name));
    put_payload(a, &o, &c->publish_stamp);
    c->publish = o.ptr;
    c->publish_size = (uint32_t)o.end;
}

static void make_message(const struct args *a, const char *name, struct channel *c)
{
    char pattern[256];
    struct out o = {0};
    put_head(&o, a->resp == 3 ? '>' : '*', a->pattern ? 4 : 3);
    put_bulk(&o, a->pattern ? "pmessage" : "message", a->pattern ? 8 : 7);
    if (a->pattern)
        put_bulk(&o, pattern, (size_t)snprintf(pattern, sizeof(pattern), "%s.*", a->prefix));
    put_bulk(&o, name, strlen(name));
    put_payload(a, &o, &c->message_stamp);
    c->message = o.ptr;
    c->message_size = (uint32_t)o.end;
}

void channels_make(struct load *l)
{
    char name[256];
    const struct args *a = &l->args;
    l->channels = calloc(a->channels, sizeof(*l->channels));
    if (l->channels == NULL)
        die("channels", "no memory");
    for (uint32_t i = 0; i < a->channels; i++) {
        struct channel *c = &l->channels[i];
        snprintf(name, sizeof(name), "%s.%u", a->prefix, i);
        make_publish(a, name, c);
        make_message(a, name, c);
        c->hearers = a->subscribers / a->channels + (i < a->subscribers % a->channels);
    }
    size_t most = l->channels[a->channels - 1].message_size;
    l->input_room = most <= INPUT_BYTES ? INPUT_BYTES : 0;
    if (l->input_room == 0)
        die("size", "is more than this client reads at a time");
}

void channels_free(struct load *l)
{
    for (uint32_t i = 0; i < l->args.channels; i++) {
        free(l->channels[i].publish);
        free(l->channels[i].message);
    }
    free(l->channels);
}
