/* Commands and snapshots of groups: what is written is read back, and nothing else is taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/group_format.h"

#include "base/err.h"

static struct chunk_pool pool;
static struct arena arena;

static int setup(void **state)
{
    chunk_pool_init(&pool, "test", 16 << 10, 4);
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&arena);
    chunk_pool_fini(&pool);
    return 0;
}

static struct span bytes_of(struct outq *q)
{
    struct span s = span_of(arena_alloc(&arena, q->len + 1), q->len);
    outq_copy_to(q, (uint8_t *)s.ptr);
    outq_fini(q);
    return s;
}

static struct span encode(const struct group_command *c)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &pool);
    writer_init(&w, &q);
    group_command_write(&w, c);
    assert_int_equal(w.err, 0);
    return bytes_of(&q);
}

/* Reads what `in` is written as; what was read must be written as the same bytes. */
static struct group_command read_back(const struct group_command *in)
{
    struct group_command out;
    struct span bytes = encode(in);
    assert_int_equal(group_command_read(bytes, &arena, &out), 0);
    assert_true(span_eq(encode(&out), bytes));
    assert_int_equal(out.type, in->type);
    assert_int_equal(out.vhost, in->vhost);
    assert_true(span_eq(out.name, in->name));
    return out;
}

static struct group_command positions(void)
{
    static struct group_command_position all[2];
    all[0] = (struct group_command_position){.topic = {{1, 2, 3}},
                                             .partition = 7,
                                             .leader_epoch = 4,
                                             .offset = 1234567890123,
                                             .commit_ms = 1700000000000,
                                             .expire_ms = -1,
                                             .metadata = span_str("note")};
    all[1] = (struct group_command_position){
        .topic = {{9}}, .leader_epoch = -1, .offset = INT64_MAX, .commit_ms = 0, .expire_ms = 5};
    return (struct group_command){.type = GROUP_POSITIONS,
                                  .vhost = 3,
                                  .name = span_str("billing"),
                                  .positions = all,
                                  .position_count = 2};
}

static struct group_command members(void)
{
    static struct span topics[2];
    static struct group_command_member all[2];
    topics[0] = span_str("orders");
    topics[1] = span_str("payments");
    all[0] = (struct group_command_member){.id = span_str("a-1"),
                                           .instance_id = span_str("a"),
                                           .client_id = span_str("client"),
                                           .client_host = span_str("/127.0.0.1"),
                                           .session_timeout_ms = 10000,
                                           .rebalance_timeout_ms = 300000,
                                           .metadata = span_of("\0\1", 2),
                                           .assignment = span_of("\xff\0", 2),
                                           .topics = topics,
                                           .topic_count = 2};
    all[1] = (struct group_command_member){.id = span_str("b-2")};
    return (struct group_command){.type = GROUP_MEMBERS,
                                  .name = span_str("billing"),
                                  .protocol_type = span_str("consumer"),
                                  .protocol = span_str("range"),
                                  .leader = span_str("b-2"),
                                  .generation = 17,
                                  .state_ms = 1700000000001,
                                  .members = all,
                                  .member_count = 2};
}

static void positions_are_read_back(void **state)
{
    struct group_command in = positions(), out = read_back(&in);
    assert_int_equal(out.position_count, 2);
    assert_memory_equal(&out.positions[0].topic, &in.positions[0].topic, sizeof(struct topic_id));
    assert_int_equal(out.positions[0].partition, 7);
    assert_int_equal(out.positions[0].leader_epoch, 4);
    assert_int_equal(out.positions[0].offset, 1234567890123);
    assert_int_equal(out.positions[0].commit_ms, 1700000000000);
    assert_int_equal(out.positions[0].expire_ms, -1);
    assert_true(span_eq_str(out.positions[0].metadata, "note"));
    assert_int_equal(out.positions[1].leader_epoch, -1);
    assert_int_equal(out.positions[1].offset, INT64_MAX);
    assert_true(span_is_null(out.positions[1].metadata));
}

static void members_are_read_back(void **state)
{
    struct group_command in = members(), out = read_back(&in);
    assert_true(span_eq_str(out.protocol_type, "consumer"));
    assert_true(span_eq_str(out.protocol, "range"));
    assert_true(span_eq_str(out.leader, "b-2"));
    assert_int_equal(out.generation, 17);
    assert_int_equal(out.state_ms, 1700000000001);
    assert_int_equal(out.member_count, 2);
    const struct group_command_member *m = &out.members[0];
    assert_true(span_eq_str(m->id, "a-1") && span_eq_str(m->instance_id, "a"));
    assert_true(span_eq_str(m->client_id, "client") && span_eq_str(m->client_host, "/127.0.0.1"));
    assert_int_equal(m->session_timeout_ms, 10000);
    assert_int_equal(m->rebalance_timeout_ms, 300000);
    assert_true(span_eq(m->metadata, span_of("\0\1", 2)));
    assert_true(span_eq(m->assignment, span_of("\xff\0", 2)));
    assert_int_equal(m->topic_count, 2);
    assert_true(span_eq_str(m->topics[1], "payments"));
}

static void null_and_empty_stay_what_they_are(void **state)
{
    struct group_command in = members();
    in.members[0].instance_id = span_of("", 0);
    in.members[0].client_id = SPAN_NULL;
    in.protocol = SPAN_NULL;
    in.protocol_type = span_of("", 0);
    in.name = span_of("", 0);
    struct group_command out = read_back(&in);
    assert_false(span_is_null(out.members[0].instance_id));
    assert_true(span_is_null(out.members[1].instance_id));
    assert_true(span_is_null(out.members[0].client_id));
    assert_true(span_is_null(out.protocol));
    assert_false(span_is_null(out.protocol_type));
    assert_int_equal(out.protocol_type.len, 0);
}

static void a_group_without_members_is_read_back(void **state)
{
    struct group_command in = {.type = GROUP_MEMBERS, .name = span_str("g"), .generation = 5},
                         out = read_back(&in);
    assert_int_equal(out.member_count, 0);
    assert_int_equal(out.generation, 5);
    assert_true(span_is_null(out.leader));
}

static void what_is_forgotten_is_read_back(void **state)
{
    struct group_command in = positions();
    in.type = GROUP_FORGET;
    struct group_command out = read_back(&in);
    assert_int_equal(out.position_count, 2);
    assert_int_equal(out.positions[0].partition, 7);
    assert_memory_equal(&out.positions[1].topic, &in.positions[1].topic, sizeof(struct topic_id));
    in = (struct group_command){.type = GROUP_DELETE, .vhost = 8, .name = span_str("billing")};
    read_back(&in);
}

/* Numbers are on disk: layout of group_format.c. */
static void the_bytes_are_those_of_the_layout(void **state)
{
    static const uint8_t wanted[] = {
        1, 0, 0, 0, 0, 2, 0, 1, 'g', 0,    0,    0,    1,    7,    7,    7,    7,    7, 7, 7,  7, 7,
        7, 7, 7, 7, 7, 7, 7, 0, 0,   0,    3,    0,    0,    0,    4,    0,    0,    0, 0, 0,  0, 0,
        5, 0, 0, 0, 0, 0, 0, 0, 6,   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 'm'};
    struct group_command_position p = {.partition = 3,
                                       .leader_epoch = 4,
                                       .offset = 5,
                                       .commit_ms = 6,
                                       .expire_ms = -1,
                                       .metadata = span_str("m")};
    memset(&p.topic, 7, sizeof(p.topic));
    struct group_command c = {
        .type = GROUP_POSITIONS, .vhost = 2, .name = span_str("g"), .positions = &p, .position_count = 1};
    struct span bytes = encode(&c);
    assert_int_equal(bytes.len, sizeof(wanted));
    assert_memory_equal(bytes.ptr, wanted, sizeof(wanted));
}

static void refused_cut_anywhere(const struct group_command *in)
{
    struct group_command out;
    struct span whole = encode(in);
    for (size_t n = 0; n < whole.len; n++) {
        uint8_t *exact = test_malloc(n ? n : 1); /* a sanitizer sees a read beyond it */
        memcpy(exact, whole.ptr, n);
        assert_int_equal(group_command_read(span_of(exact, n), &arena, &out), ERR_INVALID);
        test_free(exact);
    }
}

static void a_command_cut_anywhere_is_refused(void **state)
{
    struct group_command c = positions();
    refused_cut_anywhere(&c);
    c.type = GROUP_FORGET;
    refused_cut_anywhere(&c);
    c = members();
    refused_cut_anywhere(&c);
    c = (struct group_command){.type = GROUP_DELETE, .name = span_str("billing")};
    refused_cut_anywhere(&c);
}

static int read_changed(const struct group_command *in, size_t at, uint8_t byte)
{
    struct group_command out;
    struct span bytes = encode(in);
    ((uint8_t *)bytes.ptr)[at] = byte;
    return group_command_read(bytes, &arena, &out);
}

static void unknown_commands_and_versions_are_refused(void **state)
{
    struct group_command c = {.type = GROUP_DELETE, .name = span_str("g")};
    assert_int_equal(read_changed(&c, 0, GROUP_DELETE), 0);
    assert_int_equal(read_changed(&c, 0, 0), ERR_INVALID);
    assert_int_equal(read_changed(&c, 0, 5), ERR_INVALID);
    assert_int_equal(read_changed(&c, 0, 0xff), ERR_INVALID);
    assert_int_equal(read_changed(&c, 1, 1), ERR_INVALID);
}

static void bytes_after_a_command_are_refused(void **state)
{
    struct group_command in = members(), out;
    struct span bytes = encode(&in);
    uint8_t *more = arena_alloc(&arena, bytes.len + 1);
    memcpy(more, bytes.ptr, bytes.len);
    assert_int_equal(group_command_read(span_of(more, bytes.len), &arena, &out), 0);
    assert_int_equal(group_command_read(span_of(more, bytes.len + 1), &arena, &out), ERR_INVALID);
}

static void counts_beyond_the_bytes_are_refused_before_memory_is_taken(void **state)
{
    struct group_command c = positions();
    size_t before = arena.total, count_at = 1 + 1 + 4 + 2 + strlen("billing");
    assert_int_equal(read_changed(&c, count_at, 0xff), ERR_INVALID);
    c.type = GROUP_FORGET;
    assert_int_equal(read_changed(&c, count_at, 0xff), ERR_INVALID);
    c = (struct group_command){.type = GROUP_MEMBERS, .name = span_str("billing")};
    assert_int_equal(read_changed(&c, encode(&c).len - 4, 0xff), ERR_INVALID);
    assert_true(arena.total < before + (1 << 20));
}

static void a_leader_must_be_a_member(void **state)
{
    struct group_command in = members(), out;
    in.leader = span_str("c-3");
    assert_int_equal(group_command_read(encode(&in), &arena, &out), ERR_INVALID);
    in.leader = SPAN_NULL;
    assert_int_equal(group_command_read(encode(&in), &arena, &out), ERR_INVALID);
}

static void names_and_ids_must_be_there(void **state)
{
    struct group_command in = members(), out;
    in.members[0].id = SPAN_NULL;
    assert_int_equal(group_command_read(encode(&in), &arena, &out), ERR_INVALID);
    in = (struct group_command){.type = GROUP_DELETE, .name = SPAN_NULL};
    assert_int_equal(group_command_read(encode(&in), &arena, &out), ERR_INVALID);
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

struct seen {
    struct span commands[4];
    int count, fail_at; /* fail_at: the count at which on_command() fails; 0: never */
};

static int on_command(void *arg, struct span command)
{
    struct seen *seen = arg;
    seen->commands[seen->count++] = command;
    return seen->count == seen->fail_at ? ERR_CORRUPT : 0;
}

static struct span snapshot(struct span first, struct span second)
{
    struct outq q;
    struct writer w;
    outq_init(&q, &pool);
    writer_init(&w, &q);
    group_snapshot_begin(&w);
    group_snapshot_add(&w, first);
    group_snapshot_add(&w, second);
    assert_int_equal(w.err, 0);
    return bytes_of(&q);
}

static void a_snapshot_is_its_commands(void **state)
{
    struct group_command c = members(), p = positions();
    struct span first = encode(&c), second = encode(&p), all = snapshot(first, second);
    struct seen seen = {0};
    assert_int_equal(group_snapshot_read(all, on_command, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_true(span_eq(seen.commands[0], first));
    assert_true(span_eq(seen.commands[1], second));
    seen = (struct seen){.fail_at = 1};
    assert_int_equal(group_snapshot_read(all, on_command, &seen), ERR_CORRUPT);
    assert_int_equal(seen.count, 1);
    seen = (struct seen){0};
    assert_int_equal(group_snapshot_read(span_of(all.ptr, 5), on_command, &seen), 0); /* of no group */
    assert_int_equal(seen.count, 0);
}

/* Between two commands it cannot be told that others followed: the journal's checksum covers that. */
static void a_snapshot_cut_within_a_command_is_refused(void **state)
{
    struct group_command c = members(), p = positions();
    struct span first = encode(&c), all = snapshot(first, encode(&p));
    size_t between = 5 + 4 + first.len;
    for (size_t n = 0; n < all.len; n++) {
        struct seen seen = {0};
        int err = group_snapshot_read(span_of(all.ptr, n), on_command, &seen);
        assert_int_equal(err, n == 5 || n == between ? 0 : ERR_INVALID);
        assert_int_equal(seen.count, n < between ? 0 : 1);
    }
}

static void another_file_is_no_snapshot(void **state)
{
    struct seen seen = {0};
    assert_int_equal(group_snapshot_read(span_of("CLBG\1", 5), on_command, &seen), ERR_INVALID);
    assert_int_equal(group_snapshot_read(span_of("CLBM\0", 5), on_command, &seen), ERR_INVALID);
    assert_int_equal(group_snapshot_read(SPAN_NULL, on_command, &seen), ERR_INVALID);
    assert_int_equal(seen.count, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(positions_are_read_back),           T(members_are_read_back),
        T(null_and_empty_stay_what_they_are), T(a_group_without_members_is_read_back),
        T(what_is_forgotten_is_read_back),    T(the_bytes_are_those_of_the_layout),
        T(a_command_cut_anywhere_is_refused), T(unknown_commands_and_versions_are_refused),
        T(bytes_after_a_command_are_refused), T(counts_beyond_the_bytes_are_refused_before_memory_is_taken),
        T(a_leader_must_be_a_member),         T(names_and_ids_must_be_there),
        T(a_snapshot_is_its_commands),        T(a_snapshot_cut_within_a_command_is_refused),
        T(another_file_is_no_snapshot),
    };
    return cmocka_run_group_tests_name("core_group_format", tests, NULL, NULL);
}
