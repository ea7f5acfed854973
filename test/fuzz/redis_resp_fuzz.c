/* Redis's commands from bytes: the same whether they come whole or in pieces, in other memory each time.
 * First byte: the size of the pieces; second: bit 0: the client has logged in; bit 1: small limits. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/redis/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(what)                                                                                        \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                               \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

struct parsed {
    uint64_t sum; /* of all commands and of the error */
    size_t commands, taken;
    bool failed;
};

static void add(struct parsed *r, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        r->sum = (r->sum ^ p[i]) * 1099511628211u;
    r->sum = (r->sum ^ (len + 1)) * 1099511628211u;
}

static void take(struct parsed *r, const struct resp_parser *p, struct span input)
{
    r->commands++;
    for (size_t i = 0; i < p->count; i++) {
        const uint8_t *at = p->args[i].ptr, *end = at + p->args[i].len;
        REQUIRE(p->words ? at >= p->words && end <= p->words + p->words_len
                         : at >= input.ptr && end <= input.ptr + input.len);
        add(r, at, p->args[i].len);
    }
    add(r, "", 0);
}

/* As a connection would be fed, `step` bytes at a time; each call sees memory of its own. */
static struct parsed parse(struct span all, size_t step, const struct resp_limits *l)
{
    struct parsed r = {0};
    struct resp_parser p;
    size_t there = 0, need = 0;
    resp_parser_init(&p);
    while (!r.failed && there < all.len) {
        there = all.len - there < step ? all.len : there + step;
        while (!r.failed && there > r.taken && there - r.taken >= need) {
            size_t have = there - r.taken;
            const char *why = NULL;
            uint8_t *copy = malloc(have);
            memcpy(copy, all.ptr + r.taken, have);
            int64_t n = resp_parse(&p, span_of(copy, have), l, &need, &why);
            REQUIRE(n <= (int64_t)have);
            if (n > 0)
                take(&r, &p, span_of(copy, have));
            free(copy);
            if (n == 0) {
                REQUIRE(need == 0 || need > have);
                need = need ? need : have + 1;
                break;
            }
            need = 0;
            r.failed = n < 0;
            r.taken += n > 0 ? (size_t)n : 0;
            if (n < 0)
                add(&r, why, strlen(why));
        }
    }
    resp_parser_fini(&p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 8192)
        return 0;
    struct resp_limits l = {
        .max_args = 1000, .max_bulk = 1 << 20, .max_bytes = 1 << 21, .max_inline = 1 << 16};
    if (data[1] & 2)
        l = (struct resp_limits){.max_args = 4, .max_bulk = 20, .max_bytes = 40, .max_inline = 16};
    l.known = data[1] & 1;
    struct span all = span_of(data + 2, size - 2);
    struct parsed whole = parse(all, SIZE_MAX, &l), pieces = parse(all, 1 + data[0] % 32, &l);
    REQUIRE(whole.sum == pieces.sum && whole.commands == pieces.commands);
    REQUIRE(whole.taken == pieces.taken && whole.failed == pieces.failed);
    return 0;
}
