/* Our messages against bytes and values recorded from the Java client (test/golden). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden.h"
#include "proto/kafka/kafka_wire.gen.h"

enum { MAX_FILES = 64, CHUNK_BYTES = 64 * 1024 };

static struct arena golden_arena; /* lives as long as the program's tests */
static struct golden files[MAX_FILES];
static size_t file_count;

static const char *const file_names[] = {GOLDEN_NAMES};

static int load_all(void **state)
{
    (void)state;
    arena_init(&golden_arena);
    for (size_t i = 0; i < sizeof(file_names) / sizeof(*file_names); i++) {
        assert_true(file_count < MAX_FILES);
        files[file_count++] = golden_load(
            &golden_arena, arena_printf(&golden_arena, "%s/%s.golden", GOLDEN_DIR, file_names[i]));
    }
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    arena_fini(&golden_arena);
    return 0;
}

static const struct wire_message *find_message(const char *name)
{
    for (size_t i = 0; i < kafka_messages_count; i++) {
        if (!strcmp(kafka_messages[i].name, name))
            return &kafka_messages[i];
    }
    fail_msg("no message is called %s", name);
    return NULL;
}

/* Decodes in an arena of its own. */
struct decoded {
    struct arena arena;
    struct reader r;
    void *m;
};

static struct decoded *decode(const struct golden_sample *s, struct span bytes)
{
    static struct decoded d;
    const struct wire_message *type = find_message(s->message);
    if (s->version < type->min || s->version > type->max)
        fail_msg("%s version %d is recorded, but not in the schema", s->message, s->version);
    arena_init(&d.arena);
    d.m = arena_alloc(&d.arena, type->size);
    reader_init(&d.r, bytes, &d.arena);
    type->read(&d.r, s->version, d.m);
    return &d;
}

static void for_each_sample(void (*check)(const struct golden_sample *s))
{
    size_t checked = 0;
    for (size_t f = 0; f < file_count; f++) {
        for (size_t i = 0; i < files[f].count; i++, checked++)
            check(&files[f].samples[i]);
    }
    assert_true(checked > 400);
}

static void check_values(const struct golden_sample *s)
{
    struct decoded *d = decode(s, s->bytes);
    if (d->r.err || reader_left(&d->r))
        fail_msg("%s %d %s: %s, %zu bytes left", s->message, s->version, s->kind,
                 d->r.err ? d->r.what : "decoded", reader_left(&d->r));
    struct wire_text text = {0};
    find_message(s->message)->dump(&text, d->m);
    if (strcmp(text.s ? text.s : "", s->dump))
        fail_msg("%s %d %s: ours\n%s\nthe client's\n%s", s->message, s->version, s->kind, text.s, s->dump);
    wire_text_fini(&text);
    arena_fini(&d->arena);
}

static void samples_decode_to_the_values_that_the_java_client_sees(void **state)
{
    (void)state;
    for_each_sample(check_values);
}

/* What the queue holds, in one piece. */
static struct span joined(struct arena *arena, const struct outq *q)
{
    uint8_t *bytes = arena_alloc(arena, q->len + 1);
    size_t at = 0;
    for (size_t i = 0; i < q->count; i++) {
        const struct slice *s = &q->slices[q->first + i];
        memcpy(bytes + at, s->ptr, s->len);
        at += s->len;
    }
    return span_of(bytes, at);
}

/* Unknown tagged fields are dropped, so such a sample must become the full one, which stands before it. */
static struct span expected_bytes(const struct golden_sample *s)
{
    bool foreign = !strcmp(s->kind, "foreign_tags");
    while (foreign && strcmp(s->kind, "full"))
        s--;
    return s->bytes;
}

static void check_bytes(const struct golden_sample *s)
{
    struct decoded *d = decode(s, s->bytes);
    struct chunk_pool pool;
    struct outq q;
    struct writer w;
    chunk_pool_init(&pool, "test", CHUNK_BYTES, 0);
    outq_init(&q, &pool);
    writer_init(&w, &q);
    find_message(s->message)->write(&w, s->version, d->m);
    assert_int_equal(w.err, 0);
    if (!span_eq(joined(&d->arena, &q), expected_bytes(s)))
        fail_msg("%s %d %s: encoded to other bytes", s->message, s->version, s->kind);
    outq_fini(&q);
    chunk_pool_fini(&pool);
    arena_fini(&d->arena);
}

static void samples_encode_to_the_bytes_of_the_java_client(void **state)
{
    (void)state;
    for_each_sample(check_bytes);
}

/* The bytes are copied to a buffer of their own size, so that a sanitizer sees a read beyond them. */
static void check_truncations(const struct golden_sample *s)
{
    for (size_t len = 0; len < s->bytes.len; len++) {
        uint8_t *bytes = test_malloc(len + 1);
        memcpy(bytes, s->bytes.ptr, len);
        struct decoded *d = decode(s, span_of(bytes, len));
        if (!d->r.err)
            fail_msg("%s %d %s: decoded from %zu of %zu bytes", s->message, s->version, s->kind, len,
                     s->bytes.len);
        assert_non_null(d->r.what);
        arena_fini(&d->arena);
        test_free(bytes);
    }
}

static void samples_cut_at_any_byte_fail(void **state)
{
    (void)state;
    for_each_sample(check_truncations);
}

static bool has_sample(const char *message, int version, const char *kind)
{
    for (size_t f = 0; f < file_count; f++) {
        for (size_t i = 0; i < files[f].count; i++) {
            const struct golden_sample *s = &files[f].samples[i];
            if (!strcmp(s->message, message) && s->version == version && !strcmp(s->kind, kind))
                return true;
        }
    }
    return false;
}

static void every_version_that_can_be_decoded_has_golden_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < kafka_messages_count; i++) {
        const struct wire_message *m = &kafka_messages[i];
        for (int version = m->min; version <= m->max; version++) {
            if (!has_sample(m->name, version, "full") || !has_sample(m->name, version, "nulls"))
                fail_msg("%s version %d has no golden samples: run tools/record_golden.sh", m->name, version);
        }
    }
}

/* Produce 0-2 are advertised for old librdkafka, and refused. */
static void every_advertised_version_can_be_decoded_but_produce_0_to_2(void **state)
{
    (void)state;
    assert_int_equal(kafka_api_info_count, file_count - 1); /* one is that of the headers */
    for (size_t i = 0; i < kafka_api_info_count; i++) {
        const struct kafka_api_info *a = &kafka_api_info[i];
        assert_int_equal(a->advertised_max, a->max);
        assert_int_equal(a->advertised_min, a->key == 0 ? 0 : a->min);
        assert_ptr_equal(kafka_find_api(a->key), a);
    }
    assert_null(kafka_find_api(999));
}

static void check_request_header(const struct golden_sample *s, struct reader *r,
                                 const struct kafka_api_info *api)
{
    struct kafka_request_header h;
    kafka_request_header_read(r, kafka_request_header_version(api, s->version), &h);
    assert_int_equal(h.request_api_key, api->key);
    assert_int_equal(h.request_api_version, s->version);
    assert_int_equal(h.correlation_id, 0x0a0b0c00 + s->version);
    assert_true(strcmp(s->kind, "full") ? span_is_null(h.client_id) : span_eq_str(h.client_id, "golden"));
}

static void check_header(const struct golden_sample *s)
{
    const struct wire_message *type = find_message(s->message);
    if (type->key < 0)
        return;
    struct arena arena;
    struct reader r;
    const struct kafka_api_info *api = kafka_find_api(type->key);
    arena_init(&arena);
    reader_init(&r, s->header, &arena);
    if (type->response) {
        struct kafka_response_header h;
        kafka_response_header_read(&r, kafka_response_header_version(api, s->version), &h);
        assert_int_equal(h.correlation_id, 0x0a0b0c00 + s->version);
    } else {
        check_request_header(s, &r, api);
    }
    assert_int_equal(r.err, 0);
    assert_int_equal(reader_left(&r), 0);
    arena_fini(&arena);
}

static void headers_have_the_version_that_the_java_client_uses(void **state)
{
    (void)state;
    for_each_sample(check_header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_decode_to_the_values_that_the_java_client_sees),
        cmocka_unit_test(samples_encode_to_the_bytes_of_the_java_client),
        cmocka_unit_test(samples_cut_at_any_byte_fail),
        cmocka_unit_test(every_version_that_can_be_decoded_has_golden_samples),
        cmocka_unit_test(every_advertised_version_can_be_decoded_but_produce_0_to_2),
        cmocka_unit_test(headers_have_the_version_that_the_java_client_uses),
    };
    return cmocka_run_group_tests(tests, load_all, free_all);
}
