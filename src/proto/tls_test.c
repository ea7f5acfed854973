/* TLS sessions against OpenSSL's own client, in one process: whatever way the bytes are cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <malloc.h>
#include <openssl/crypto.h>

#include "base/err.h"
#include "base/mem.h"
#include "proto/tls.h"
#include "proto/tls_testkit.h"

/* ---- what OpenSSL holds ----------------------------------------------------------------------------------
 */

static size_t library_bytes;

static void *count_malloc(size_t n, const char *file, int line)
{
    void *p = malloc(n);
    library_bytes += malloc_usable_size(p);
    return p;
}

static void count_free(void *p, const char *file, int line)
{
    library_bytes -= p ? malloc_usable_size(p) : 0;
    free(p);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
    library_bytes -= p ? malloc_usable_size(p) : 0;
    p = realloc(p, n);
    library_bytes += p ? malloc_usable_size(p) : 0;
    return p;
}

/* ---- two ends --------------------------------------------------------------------------------------------
 */

static struct kit_pair root, server;
static struct chunk_pool pool;
static struct tls *tls;
static struct tls_session *session;
static struct kit_client *client;
static struct outq wire;
static struct span held; /* what the server was given and left */
static uint8_t *held_bytes;
static char why[TLS_WHY_BYTES];

static struct tls_options options(void)
{
    return (struct tls_options){.certificate = span_str(server.certificate), .key = span_str(server.key)};
}

static void rules(const struct tls_options *o)
{
    tls_unref(tls);
    tls = NULL;
    int err = tls_new(o, &tls, why);
    if (err)
        fail_msg("%s", why);
}

static void begin(const struct kit_rules *r)
{
    session = tls_session_new(tls, &wire);
    assert_non_null(session);
    client = kit_connect(r);
}

static void end(void)
{
    tls_session_free(session);
    if (client)
        kit_client_free(client);
    session = NULL;
    client = NULL;
    outq_consume(&wire, wire.len);
    held.len = 0;
}

static int setup(void **state)
{
    chunk_pool_init(&pool, "output", 16 << 10, 0);
    outq_init(&wire, &pool);
    root = kit_authority("root");
    server = kit_issue(root, "broker", "localhost");
    struct tls_options o = options();
    rules(&o);
    *why = 0;
    return 0;
}

static int teardown(void **state)
{
    end();
    tls_unref(tls);
    tls = NULL;
    outq_fini(&wire);
    chunk_pool_fini(&pool);
    mem_free(held_bytes);
    held_bytes = NULL;
    kit_free();
    return 0;
}

/* At most `n` bytes of what the server wrote. False: there are none. */
static bool to_client(size_t n)
{
    struct span s;
    if (outq_peek(&wire, &s, 1) == 0)
        return false;
    s.len = s.len < n ? s.len : n;
    kit_feed(client, s);
    outq_consume(&wire, s.len);
    return true;
}

/* Puts what the client wrote behind what is held. */
static void from_client(void)
{
    struct span more = kit_take(client);
    uint8_t *all = mem_alloc(held.len + more.len);
    if (held.len)
        memcpy(all, held.ptr, held.len);
    memcpy(all + held.len, more.ptr, more.len);
    mem_free(held_bytes);
    held_bytes = all;
    held = span_of(all, held.len + more.len);
}

/* Gives the server at most `n` of the bytes that are held. */
static int give(size_t n)
{
    struct span in = span_of(held.ptr, held.len < n ? held.len : n), rest = in;
    int r = tls_handshake(session, &rest, why);
    held = span_of(held.ptr + in.len - rest.len, held.len - in.len + rest.len);
    return r;
}

/* Both ends, in pieces of `n` bytes, until both are done or the server has failed: its last answer. */
static int shake(size_t n)
{
    int mine = 0, theirs = 0;
    for (int idle = 0; idle < 2 && (mine == 0 || theirs == 0) && mine >= 0; idle++) {
        theirs = theirs == 1 ? 1 : kit_shake(client);
        from_client();
        while (mine == 0 && held.len > 0) {
            mine = give(n);
            idle = 0;
        }
        while (to_client(n))
            idle = 0;
    }
    return mine;
}

static void connect_as(const struct kit_rules *r, size_t n)
{
    begin(r);
    if (shake(n) != 1)
        fail_msg("the handshake fails: %s", why);
}

/* What the server reads of `count` bytes that the client writes. */
static void client_says(const uint8_t *bytes, size_t count, size_t cut)
{
    uint8_t *got = mem_alloc(count);
    size_t have = 0;
    kit_write(client, span_of(bytes, count));
    from_client();
    while (have < count) {
        struct span in = span_of(held.ptr, held.len < cut ? held.len : cut), rest = in;
        int64_t n = tls_read(session, &rest, got + have, count - have < 777 ? count - have : 777, why);
        held = span_of(held.ptr + in.len - rest.len, held.len - in.len + rest.len);
        if (n < 0 || (n == 0 && in.len == 0))
            fail_msg("%zu of %zu bytes: %s", have, count, why);
        have += (size_t)n;
    }
    assert_memory_equal(got, bytes, count);
    mem_free(got);
}

static void server_says(const uint8_t *bytes, size_t count, size_t cut)
{
    uint8_t *got = mem_alloc(count);
    size_t have = 0, said = 0;
    while (have < count) {
        size_t piece = count - said < TLS_RECORD_BYTES ? count - said : TLS_RECORD_BYTES;
        assert_int_equal(tls_write(session, span_of(bytes + said, piece)), 0);
        said += piece;
        while (to_client(cut)) {
            int n = kit_read(client, got + have, count - have);
            assert_true(n >= 0);
            have += (size_t)n;
        }
    }
    assert_memory_equal(got, bytes, count);
    mem_free(got);
}

static uint8_t *pattern(size_t count)
{
    uint8_t *p = mem_alloc(count);
    for (size_t i = 0; i < count; i++)
        p[i] = (uint8_t)(i * 31 + i / 251);
    return p;
}

/* ---- tests -----------------------------------------------------------------------------------------------
 */

static void bytes_arrive_however_they_are_cut(void **state)
{
    static const size_t cuts[] = {1, 2, 5, 13, 333, 1 << 20};
    uint8_t *bytes = pattern(40000);
    for (int v = TLS_1_2; v <= TLS_1_3; v++) {
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
            connect_as(&(struct kit_rules){.version = (enum tls_version)v, .ca = root.certificate}, cuts[i]);
            assert_string_equal(tls_version(session), v == TLS_1_3 ? "TLSv1.3" : "TLSv1.2");
            assert_null(tls_identity(session));
            client_says(bytes, 40000, cuts[i]);
            server_says(bytes, 40000, cuts[i]);
            end();
        }
    }
    mem_free(bytes);
}

static void what_was_not_read_is_pending(void **state)
{
    uint8_t got[60];
    connect_as(&(struct kit_rules){.version = TLS_1_3}, 1000);
    kit_write(client, span_str("sixteen letters."));
    from_client();
    assert_int_equal(tls_read(session, &held, got, 6, why), 6);
    assert_int_equal(held.len, 0);
    assert_int_equal(tls_pending(session), 10);
    assert_int_equal(tls_read(session, &held, got + 6, 54, why), 10);
    assert_memory_equal(got, "sixteen letters.", 16);
    assert_int_equal(tls_pending(session), 0);
    assert_int_equal(tls_read(session, &held, got, 60, why), 0);
}

static void both_ends_say_that_nothing_follows(void **state)
{
    uint8_t got[8];
    for (int v = TLS_1_2; v <= TLS_1_3; v++) {
        connect_as(&(struct kit_rules){.version = (enum tls_version)v}, 1000);
        kit_write(client, span_str("last"));
        kit_close(client);
        from_client();
        assert_int_equal(tls_read(session, &held, got, 8, why), 4);
        assert_int_equal(tls_read(session, &held, got, 8, why), ERR_EOF);
        assert_int_equal(tls_write(session, span_str("answer")), 0); /* a half-closed client still reads */
        tls_close(session);
        while (to_client(1000))
            ;
        assert_int_equal(kit_read(client, got, 8), 6);
        assert_false(kit_ended(client));
        assert_int_equal(kit_read(client, got, 8), 0);
        assert_true(kit_ended(client));
        end();
    }
}

static void plain_bytes_are_told_from_tls(void **state)
{
    static const char *const cases[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "AMQP\0\0\x09\x01",
                                        "\0\0\0\x10\0\x12\0\x03\0\0\0\x01\0\4test"};
    for (size_t i = 0; i < 3; i++) {
        session = tls_session_new(tls, &wire);
        struct span in = span_of(cases[i], i == 1 ? 8 : i == 2 ? 20 : strlen(cases[i]));
        assert_int_equal(tls_handshake(session, &in, why), ERR_INVALID);
        assert_string_equal(why, "TLS: the client does not speak it on this port");
        assert_int_equal(tls_pending(session), 0);
        end();
    }
}

static void damaged_records_end_the_session(void **state)
{
    uint8_t got[64];
    connect_as(&(struct kit_rules){.version = TLS_1_3}, 1000);
    kit_write(client, span_str("damaged"));
    from_client();
    held_bytes[held.len - 1] ^= 1;
    assert_int_equal(tls_read(session, &held, got, 64, why), ERR_INVALID);
    assert_non_null(strstr(why, "bad record mac"));
    assert_int_equal(tls_pending(session), 0);
    assert_int_equal(tls_write(session, span_str("x")), ERR_INVALID);
    tls_close(session);
}

static void old_versions_are_refused(void **state)
{
    struct tls_options o = options();
    o.min_version = TLS_1_3;
    rules(&o);
    begin(&(struct kit_rules){.version = TLS_1_2});
    assert_int_equal(shake(1000), ERR_INVALID);
    assert_non_null(strstr(why, "unsupported protocol"));
}

static void who_does_not_believe_the_broker_says_so(void **state)
{
    struct kit_pair other = kit_authority("other");
    begin(&(struct kit_rules){.version = TLS_1_2, .ca = other.certificate});
    assert_int_equal(shake(1000), ERR_INVALID);
    assert_non_null(strstr(why, "unknown ca"));
}

static void the_identity_is_what_the_setting_says(void **state)
{
    static const char *const names[] = {"CN=alice,O=Colobus", "alice", "client.example"};
    struct tls_options o = options();
    o.ca = span_str(root.certificate);
    for (int verify = TLS_VERIFY_REQUEST; verify <= TLS_VERIFY_REQUIRE; verify++) {
        for (int from = 0; from < 3; from++) {
            o.verify = (enum tls_verify)verify;
            o.identity_from = (enum tls_name)from;
            rules(&o);
            connect_as(&(struct kit_rules){.version = from % 2 ? TLS_1_2 : TLS_1_3,
                                           .own = kit_issue(root, "alice", "client.example")},
                       1000);
            assert_string_equal(tls_identity(session), names[from]);
            end();
        }
    }
}

static const char *identity_of(enum tls_name from, struct kit_pair own)
{
    struct tls_options o = options();
    end();
    o.ca = span_str(root.certificate);
    o.verify = TLS_VERIFY_REQUIRE;
    o.identity_from = from;
    rules(&o);
    connect_as(&(struct kit_rules){.version = TLS_1_3, .own = own}, 1000);
    return tls_identity(session);
}

static void names_are_utf8_and_may_be_several_or_none(void **state)
{
    assert_string_equal(identity_of(TLS_COMMON_NAME, kit_issue(root, "one|two", NULL)), "one,two");
    assert_string_equal(identity_of(TLS_COMMON_NAME, kit_issue(root, "J\xc3\xbcrgen", NULL)),
                        "J\xc3\xbcrgen");
    assert_string_equal(identity_of(TLS_DISTINGUISHED_NAME, kit_issue(root, "J\xc3\xbcrgen", NULL)),
                        "CN=J\xc3\xbcrgen,O=Colobus");
    assert_string_equal(identity_of(TLS_DISTINGUISHED_NAME, kit_issue(root, "a,CN=b", NULL)),
                        "CN=a\\,CN=b,O=Colobus");
    assert_null(identity_of(TLS_SUBJECT_ALTERNATIVE_NAME, kit_issue(root, "nameless", NULL)));
    assert_null(identity_of(TLS_COMMON_NAME, kit_issue(root, "", NULL)));
}

static void clients_without_a_certificate_get_in_unless_one_is_required(void **state)
{
    struct tls_options o = options();
    o.ca = span_str(root.certificate);
    o.verify = TLS_VERIFY_REQUEST;
    rules(&o);
    connect_as(&(struct kit_rules){.version = TLS_1_3}, 1000);
    assert_null(tls_identity(session));
    end();
    o.verify = TLS_VERIFY_REQUIRE;
    rules(&o);
    for (int v = TLS_1_2; v <= TLS_1_3; v++) {
        begin(&(struct kit_rules){.version = (enum tls_version)v});
        assert_int_equal(shake(1000), ERR_DENIED);
        assert_non_null(strstr(why, "did not return a certificate"));
        assert_true(wire.len == 0); /* the alert has gone out */
        end();
    }
}

static void bad_client_certificates_are_refused_with_the_reason(void **state)
{
    struct kit_pair stranger = kit_authority("stranger");
    const struct {
        struct kit_pair own;
        const char *reason;
    } cases[] = {{kit_issue(stranger, "mallory", NULL), "unable to get local issuer certificate"},
                 {stranger, "self-signed certificate"},
                 {kit_expired(root, "late"), "certificate has expired"}};
    struct tls_options o = options();
    o.ca = span_str(root.certificate);
    for (int verify = TLS_VERIFY_REQUEST; verify <= TLS_VERIFY_REQUIRE; verify++) {
        o.verify = (enum tls_verify)verify;
        rules(&o);
        for (size_t i = 0; i < 3; i++) {
            begin(&(struct kit_rules){.version = i % 2 ? TLS_1_2 : TLS_1_3, .own = cases[i].own});
            assert_int_equal(shake(1000), ERR_DENIED);
            if (!strstr(why, cases[i].reason))
                fail_msg("%s", why);
            end();
        }
    }
}

static void a_resumed_session_keeps_its_identity(void **state)
{
    uint8_t got[8];
    struct kit_rules r = {.version = TLS_1_3, .own = kit_issue(root, "alice", NULL)};
    assert_string_equal(identity_of(TLS_COMMON_NAME, r.own), "alice");
    assert_int_equal(kit_read(client, got, 8), 0); /* takes the ticket */
    struct kit_client *earlier = client;
    client = NULL;
    end();
    begin(&r);
    kit_resume(client, earlier);
    assert_int_equal(shake(1000), 1);
    assert_true(kit_resumed(client));
    assert_string_equal(tls_identity(session), "alice");
    end();
    struct tls_options o = options(); /* new rules, as after a change of the files: no old ticket counts */
    o.ca = span_str(kit_authority("new root").certificate);
    o.verify = TLS_VERIFY_REQUIRE;
    rules(&o);
    begin(&r);
    kit_resume(client, earlier);
    assert_int_equal(shake(1000), ERR_DENIED);
    kit_client_free(earlier);
}

static void renegotiation_is_refused(void **state)
{
    uint8_t got[8];
    connect_as(&(struct kit_rules){.version = TLS_1_2}, 1000);
    assert_true(kit_renegotiate(client));
    from_client();
    assert_int_equal(tls_read(session, &held, got, 8, why), 0); /* answered by a warning */
    assert_true(wire.len > 0 && wire.len < 64);
    kit_client_free(client);
    client = NULL;
}

static void bad_files_are_refused_with_the_reason(void **state)
{
    struct kit_pair other = kit_issue(root, "other", NULL);
    const struct {
        const char *certificate, *key, *ca, *reason;
    } cases[] = {{"", server.key, "", "tls.certificate holds no valid PEM certificate"},
                 {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", server.key, "",
                  "tls.certificate holds no valid PEM certificate"},
                 {server.certificate, "", "", "tls.key holds no PEM private key"},
                 {server.certificate, other.key, "", "tls.key does not belong to tls.certificate"},
                 {server.certificate, kit_locked_key(server), "", "or an encrypted one"},
                 {server.certificate, server.key, "", "tls.ca holds no valid PEM certificates"},
                 {server.certificate, server.key, server.key, "tls.ca holds no valid PEM certificates"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls *bad = NULL;
        struct tls_options o = {span_str(cases[i].certificate),
                                span_str(cases[i].key),
                                span_str(cases[i].ca),
                                TLS_VERIFY_REQUIRE,
                                TLS_1_2,
                                TLS_COMMON_NAME};
        assert_int_equal(tls_new(&o, &bad, why), ERR_INVALID);
        assert_null(bad);
        if (!strstr(why, cases[i].reason))
            fail_msg("case %zu: %s", i, why);
    }
}

static void an_idle_session_is_small(void **state)
{
    enum { SESSIONS = 8, LIMIT = 40 << 10 }; /* of 60 KiB; the rest is for the socket and the protocol */
    uint8_t *bytes = pattern(100000);
    struct tls_options o = options();
    o.ca = span_str(root.certificate);
    o.verify = TLS_VERIFY_REQUIRE;
    rules(&o);
    struct kit_rules r = {.own = kit_issue(root, "alice", NULL)};
    struct tls_session *all[SESSIONS];
    size_t most = 0;
    for (size_t i = 0; i < SESSIONS; i++) {
        r.version = i % 2 ? TLS_1_2 : TLS_1_3;
        size_t before = library_bytes;
        connect_as(&r, 1000);
        client_says(bytes, 100000, 1000);
        server_says(bytes, 100000, 1000);
        kit_client_free(client);
        client = NULL;
        size_t each = library_bytes - before;
        most = each > most && i >= 2 ? each : most; /* the first ones fill caches of the library's */
        all[i] = session;
        session = NULL;
        end();
    }
    for (size_t i = 0; i < SESSIONS; i++)
        tls_session_free(all[i]);
    mem_free(bytes);
    print_message("an idle session holds %zu bytes\n", most);
    assert_true(most > 1000 && most < LIMIT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_arrive_however_they_are_cut),
        TEST(what_was_not_read_is_pending),
        TEST(both_ends_say_that_nothing_follows),
        TEST(plain_bytes_are_told_from_tls),
        TEST(damaged_records_end_the_session),
        TEST(old_versions_are_refused),
        TEST(who_does_not_believe_the_broker_says_so),
        TEST(the_identity_is_what_the_setting_says),
        TEST(names_are_utf8_and_may_be_several_or_none),
        TEST(clients_without_a_certificate_get_in_unless_one_is_required),
        TEST(bad_client_certificates_are_refused_with_the_reason),
        TEST(a_resumed_session_keeps_its_identity),
        TEST(renegotiation_is_refused),
        TEST(bad_files_are_refused_with_the_reason),
        TEST(an_idle_session_is_small),
    };
    CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
