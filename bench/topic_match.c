/* What a match in a topic exchange costs with a million bindings, adversarial ones among them.
 *
 *     topic_match [BINDINGS]       one line per kind of key: matches, p50, p99, p99.9 and maximum in
 * microseconds
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/exchange_impl.h"

enum { ROUNDS = 20000, KEY_BYTES = 256 };
#define MOST_NS UINT64_C(2000000000) /* for each kind of key */

const struct message_format *message_formats[MESSAGE_FORMATS];

static uint64_t dice = 42;

static uint32_t draw(uint32_t n)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((dice >> 33) % n);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- bindings ------------------------------------------------------------------------------------------ */

/* What people bind: one thing of many, with a wildcard or two. */
static void usual_pattern(char *s, uint32_t i)
{
    static const char *const forms[] = {"eu.*.sensor.%u.#", "*.order.%u.created", "shop.%u.*.*",
                                        "us.#.user.%u", "*.*.device%u.status"};
    snprintf(s, KEY_BYTES, forms[i % 5], i / 5);
}

/* `#` on both sides of a word, of two, of one that is in every key. */
static void hash_pattern(char *s, uint32_t i)
{
    static const char *const forms[] = {"#.word%u.#", "#.a.#.word%u.#", "#.a.#.b.#.word%u",
                                        "#.word%u.*.#.b.#"};
    snprintf(s, KEY_BYTES, forms[i % 4], i / 4);
}

/* Words of an alphabet that keys are made of, too, so that much matches in part; and an end that few keys
 * have. */
static void dense_pattern(char *s, uint32_t i)
{
    static const char *const words[] = {"a", "b", "*", "#"};
    size_t at = 0;
    for (uint32_t n = 3 + draw(6); n > 0; n--)
        at += (size_t)snprintf(s + at, KEY_BYTES - at, "%s.", words[draw(4)]);
    snprintf(s + at, KEY_BYTES - at, "end%u", i);
}

static struct exchange *build(uint32_t bindings)
{
    struct exchange *x;
    const char *why;
    struct arena a;
    char key[KEY_BYTES];
    arena_init(&a);
    if (exchange_new(span_str("x"), EXCHANGE_TOPIC, SPAN_NULL, &a, &why, &x))
        exit(1);
    struct dest *dests = calloc(bindings, sizeof(*dests));
    for (uint32_t i = 0; i < bindings; i++) {
        if (i % 10 < 7)
            usual_pattern(key, i);
        else if (i % 10 < 9)
            hash_pattern(key, i);
        else
            dense_pattern(key, i);
        dest_init(&dests[i], DEST_QUEUE, span_str("q"));
        exchange_bind(x, &dests[i], span_str(key), SPAN_NULL, false);
    }
    arena_fini(&a);
    return x;
}

/* ---- keys ---------------------------------------------------------------------------------------------- */

static void usual_key(char *s, uint32_t bindings)
{
    static const char *const forms[] = {"eu.berlin.sensor.%u.temperature", "web.order.%u.created",
                                        "shop.%u.sale.now", "us.ny.a.b.user.%u", "x.y.device%u.status"};
    uint32_t form = draw(5);
    snprintf(s, KEY_BYTES, forms[form], draw(bindings) / 5);
}

static void foreign_key(char *s, uint32_t bindings)
{
    snprintf(s, KEY_BYTES, "metrics.host%u.cpu.load.five", draw(1000000));
}

static void hash_key(char *s, uint32_t bindings)
{
    snprintf(s, KEY_BYTES, "x.a.word%u.y.b.word%u.b", draw(bindings) / 4, draw(bindings) / 4);
}

static void dense_key(char *s, uint32_t bindings)
{
    snprintf(s, KEY_BYTES, "a.b.a.a.b.end%u", draw(bindings / 10) * 10 + 9);
}

/* 128 words, the most that a key can have, all of which are in bindings. */
static void longest_key(char *s, uint32_t bindings)
{
    for (int i = 0; i < 128; i++)
        snprintf(s + 2 * i, 3, "%s.", draw(2) ? "a" : "b");
    s[255] = '\0';
}

/* ---- measuring ----------------------------------------------------------------------------------------- */

static void count(void *arg, struct binding *const *bindings, uint32_t n)
{
    *(uint64_t *)arg += n;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct topic_tree *t, const char *name, void (*make)(char *, uint32_t), uint32_t bindings)
{
    static uint64_t ns[ROUNDS];
    uint64_t found = 0, spent = 0;
    char key[KEY_BYTES + 4];
    int n = 0;
    for (; n < ROUNDS && spent < MOST_NS; spent += ns[n++]) {
        make(key, bindings);
        uint64_t start = now_ns();
        topic_tree_match(t, span_str(key), count, &found);
        ns[n] = now_ns() - start;
    }
    qsort(ns, (size_t)n, sizeof(ns[0]), compare);
    printf("| %s | %.1f | %.2f | %.2f | %.2f | %.2f |\n", name, (double)found / n, (double)ns[n / 2] / 1e3,
           (double)ns[(int64_t)n * 99 / 100] / 1e3, (double)ns[(int64_t)n * 999 / 1000] / 1e3,
           (double)ns[n - 1] / 1e3);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint32_t bindings = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    if (bindings < 100)
        return 2;
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    uint64_t start = now_ns();
    struct exchange *x = build(bindings);
    double seconds = (double)(now_ns() - start) / 1e9;
    size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before - bindings * sizeof(struct dest);
    struct topic_tree *t = ((struct matcher *)x->matcher)->topics;
    printf("%u bindings, %.0f bytes each, of it %.0f of the trie; made in %.2f s\n\n", bindings,
           (double)bytes / bindings, (double)topic_tree_bytes(t) / bindings, seconds);
    printf("| key | bindings found | p50 us | p99 us | p99.9 us | max us |\n|---|---|---|---|---|---|\n");
    measure(t, "usual", usual_key, bindings);
    measure(t, "matches nothing", foreign_key, bindings);
    measure(t, "words of `#.word.#`", hash_key, bindings);
    measure(t, "words of an alphabet of two", dense_key, bindings);
    measure(t, "128 words of that alphabet", longest_key, bindings);
    return 0;
}
