/* Channel 0: from the protocol header to `open`, and what is said there afterwards.
 *
 *   header -> start -> start-ok [-> secure -> secure-ok] -> (the core looks) -> tune -> tune-ok -> open ->
 * open-ok
 *
 * Who cannot be trusted yet and is wrong hears what RabbitMQ would say, which is often nothing: then the
 * connection is closed a second later, so that guessing passwords takes time. */
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/user.h"
#include "proto/amqp/amqp_impl.h"

enum {
    NS_PER_S = 1000000000,
    PROTOCOL_HEADER_BYTES = 8,
    REFUSAL_DELAY_S = 1,
    CLIENT_PROPERTIES_MAX = 2048, /* that are kept, to be shown */
};

enum mechanism { MECHANISM_PLAIN, MECHANISM_AMQPLAIN, MECHANISM_EXTERNAL, MECHANISMS };

static const char *const mechanism_names[MECHANISMS] = {"PLAIN", "AMQPLAIN", "EXTERNAL"};

struct amqp_handshake {
    enum mechanism mechanism;
};

/* ---- the protocol header ------------------------------------------------------------------------------ */

static const uint8_t our_header[PROTOCOL_HEADER_BYTES] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};
static const uint8_t header_0_9[PROTOCOL_HEADER_BYTES] = {'A', 'M', 'Q', 'P', 1, 1, 0, 9}; /* as good */

static const char *what_it_seems(struct span in)
{
    if (memcmp(in.ptr, "GET ", 4) == 0 || memcmp(in.ptr, "POST", 4) == 0 || memcmp(in.ptr, "HEAD", 4) == 0)
        return "this is HTTP, not AMQP: another port is meant";
    if (in.ptr[0] == 0x16 && in.ptr[1] == 3)
        return "this is TLS, and the port is a plain one";
    if (memcmp(in.ptr, "AMQP", 4) == 0)
        return in.ptr[5] == 1 ? "AMQP 1.0 is not served here" : "a version of AMQP other than 0-9-1";
    return "this is not AMQP";
}

/* 4.2.2: the server says what it would take, and closes. */
static int64_t refuse_protocol(struct amqp_conn *ac, struct span in)
{
    (void)outq_copy(&ac->conn->out, span_of(our_header, sizeof(our_header)));
    conn_fail(ac->conn, ERR_UNSUPPORTED, what_it_seems(in));
    amqp_conn_over(ac);
    return ERR_UNSUPPORTED;
}

static void put_capabilities(struct fields_writer *w)
{
    static const char *const names[] = {
        "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
        "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
        "authentication_failure_close", "per_consumer_qos",           "direct_reply_to"};
    struct fields_writer t;
    fields_writer_init(&t, w->arena);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fields_put_bool(&t, span_str(names[i]), true);
    fields_put_table(w, span_str("capabilities"), fields_done(&t));
}

/* Clients branch on product and version (Celery on both), so they are RabbitMQ's unless set otherwise; who we
 * are stands in platform and information. */
static struct span server_properties(const struct config *cfg, struct arena *a)
{
    struct fields_writer w;
    fields_writer_init(&w, a);
    put_capabilities(&w);
    fields_put_str(&w, span_str("cluster_name"), span_str("colobus"));
    fields_put_str(&w, span_str("copyright"), span_str("Apache License 2.0"));
    fields_put_str(&w, span_str("information"), span_str("Colobus " COLOBUS_VERSION ", AMQP 0-9-1"));
    fields_put_str(&w, span_str("platform"), span_str("Colobus"));
    fields_put_str(&w, span_str("product"), span_str(cfg->amqp_product));
    fields_put_str(&w, span_str("version"), span_str(cfg->amqp_version));
    return fields_done(&w);
}

static bool is_offered(const struct amqp_conn *ac, enum mechanism m)
{
    return m != MECHANISM_EXTERNAL || ac->conn->peer_identity;
}

static void send_start(struct amqp_conn *ac)
{
    struct arena a;
    struct amqp_method m = {.id = AMQP_CONNECTION_START};
    arena_init(&a);
    m.connection_start = (struct amqp_connection_start){
        .version_major = 0,
        .version_minor = 9,
        .server_properties = server_properties(ac->conn->shard->config, &a),
        .mechanisms =
            span_str(is_offered(ac, MECHANISM_EXTERNAL) ? "PLAIN AMQPLAIN EXTERNAL" : "PLAIN AMQPLAIN"),
        .locales = span_str("en_US"),
    };
    amqp_conn_send(ac, &m);
    arena_fini(&a);
}

int64_t amqp_protocol_header(struct amqp_conn *ac, struct span input, size_t *ret_need)
{
    if (input.len < PROTOCOL_HEADER_BYTES) {
        *ret_need = PROTOCOL_HEADER_BYTES;
        return 0;
    }
    if (memcmp(input.ptr, our_header, sizeof(our_header)) != 0 &&
        memcmp(input.ptr, header_0_9, sizeof(header_0_9)) != 0)
        return refuse_protocol(ac, input);
    ac->handshake = mem_zalloc(sizeof(*ac->handshake));
    send_start(ac);
    ac->phase = AMQP_CONN_STARTED;
    return PROTOCOL_HEADER_BYTES;
}

void amqp_handshake_free(struct amqp_conn *ac)
{
    mem_free(ac->handshake);
    ac->handshake = NULL;
}

/* ---- refusals ----------------------------------------------------------------------------------------- */

static void refuse_silently(struct amqp_conn *ac)
{
    ac->phase = AMQP_CONN_CLOSING;
    ac->phase_deadline_ns = ac->conn->shard->now_ns + (uint64_t)REFUSAL_DELAY_S * NS_PER_S;
    amqp_arm(ac);
}

static void refuse(struct amqp_conn *ac, enum amqp_code code, const char *text)
{
    if (ac->capabilities & AMQP_CAN_AUTH_FAILURE_CLOSE)
        amqp_conn_say_close(ac, code, AMQP_NO_METHOD, text);
    else
        refuse_silently(ac);
}

/* Whoever asks is told no more than that; the log says why. */
static void refuse_login(struct amqp_conn *ac, const char *why)
{
    char quoted[SAY_QUOTE_BYTES], text[AMQP_SHORTSTR_MAX + 1];
    const char *mechanism = mechanism_names[ac->handshake->mechanism];
    say_warn("amqp", "login refused", "peer=%s mechanism=%s user=%s reason=\"%s\"", ac->conn->peer, mechanism,
             say_quote(span_str(ac->user ? ac->user : ""), quoted), why);
    metrics_add(ac->conn->shard->metrics, METRIC_AMQP_LOGINS_REFUSED, 1);
    snprintf(
        text, sizeof(text),
        "ACCESS_REFUSED - Login was refused using authentication mechanism %s. For details see the broker "
        "logfile.",
        mechanism);
    refuse(ac, AMQP_ACCESS_REFUSED, text);
}

/* ---- who it is ---------------------------------------------------------------------------------------- */

static void send_tune(struct amqp_conn *ac)
{
    const struct config *cfg = ac->conn->shard->config;
    amqp_conn_send(ac, &(struct amqp_method){
                           .id = AMQP_CONNECTION_TUNE,
                           .connection_tune = {.channel_max = (uint16_t)cfg->amqp_channel_max,
                                               .frame_max = (uint32_t)cfg->amqp_frame_max,
                                               .heartbeat = (uint16_t)(cfg->amqp_heartbeat_ms / 1000)}});
    ac->phase = AMQP_CONN_TUNED;
}

static const char *why_refused(const struct op_login *l)
{
    return l->ret_refusal == LOGIN_NOT_LOOPBACK ? "this user can only connect via localhost"
                                                : "no such user, or another password";
}

static void logged_in(struct conn *c, struct op *op)
{
    struct op_login *l = (struct op_login *)(void *)op;
    struct amqp_conn *ac = c ? amqp_conn_of(c->proto_state) : NULL;
    if (ac) {
        conn_give_credit(c, 0);
        amqp_unhold(ac);
    }
    if (ac && ac->phase == AMQP_CONN_LOGIN) {
        if (!op->err) {
            c->actor.principal = l->ret_principal;
            send_tune(ac);
        } else if (op->err == ERR_DENIED) {
            refuse_login(ac, why_refused(l));
        } else {
            refuse(ac, AMQP_RESOURCE_ERROR, "RESOURCE_ERROR - too many clients log in at once");
        }
    }
    op_login_free(l);
}

static void login(struct amqp_conn *ac, struct span user, struct span password)
{
    struct conn *c = ac->conn;
    struct op_login *l = op_new(c, sizeof(*l), logged_in, NULL);
    mem_free(ac->user);
    ac->user = mem_strndup(user.ptr ? user.ptr : (const uint8_t *)"", user.len);
    login_set(l, user, password);
    l->mechanism = ac->handshake->mechanism == MECHANISM_EXTERNAL ? LOGIN_EXTERNAL : LOGIN_PASSWORD;
    l->from_loopback = auth_is_loopback(c->peer);
    ac->phase = AMQP_CONN_LOGIN;
    conn_take_credit(c, 0);
    op_login_submit(l);
}

/* RFC 4616: authorization identity, which RabbitMQ wants to be empty; user; password. */
static bool parse_plain(struct span r, struct span *ret_user, struct span *ret_password)
{
    const uint8_t *end = r.ptr + r.len, *nul;
    if (r.len < 2 || r.ptr[0] != 0 || !(nul = memchr(r.ptr + 1, 0, r.len - 1)))
        return false;
    *ret_user = span_of(r.ptr + 1, (size_t)(nul - r.ptr) - 1);
    *ret_password = span_of(nul + 1, (size_t)(end - nul) - 1);
    return !memchr(nul + 1, 0, ret_password->len);
}

/* A table without its length in front. */
static bool parse_amqplain(struct span r, struct span *ret_user, struct span *ret_password)
{
    struct field user, password;
    if (fields_check(r) != 0 || !fields_get_str(r, "LOGIN", &user) ||
        !fields_get_str(r, "PASSWORD", &password) || user.tag != 'S' || password.tag != 'S')
        return false;
    *ret_user = user.bytes;
    *ret_password = password.bytes;
    return true;
}

static void authenticate(struct amqp_conn *ac, struct span response)
{
    struct span user = SPAN_NULL, password = SPAN_NULL;
    bool ok = true;
    switch (ac->handshake->mechanism) {
    case MECHANISM_PLAIN:
        ok = parse_plain(response, &user, &password);
        break;
    case MECHANISM_AMQPLAIN:
        ok = parse_amqplain(response, &user, &password);
        break;
    default:
        user = span_str(ac->conn->peer_identity);
        break;
    }
    if (ok)
        login(ac, user, password);
    else
        refuse(ac, AMQP_SYNTAX_ERROR, "SYNTAX_ERROR - the SASL response is not well-formed");
}

static unsigned capabilities_of(struct span client_properties)
{
    static const struct {
        const char *name;
        unsigned flag;
    } rows[] = {{"publisher_confirms", AMQP_CAN_CONFIRM},
                {"consumer_cancel_notify", AMQP_CAN_CANCEL_NOTIFY},
                {"basic.nack", AMQP_CAN_NACK},
                {"connection.blocked", AMQP_CAN_BLOCKED},
                {"authentication_failure_close", AMQP_CAN_AUTH_FAILURE_CLOSE},
                {"exchange_exchange_bindings", AMQP_CAN_EXCHANGE_BINDINGS}};
    struct field table, f;
    unsigned flags = 0;
    if (!fields_get_str(client_properties, "capabilities", &table) || table.tag != 'F')
        return 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (fields_get_str(table.bytes, rows[i].name, &f) && f.tag == 't' && f.integer)
            flags |= rows[i].flag;
    return flags;
}

static void on_start_ok(struct amqp_conn *ac, const struct amqp_connection_start_ok *m)
{
    unsigned i = 0;
    ac->capabilities = capabilities_of(m->client_properties);
    if (m->client_properties.len <= CLIENT_PROPERTIES_MAX) {
        mem_free((void *)ac->client_properties.ptr);
        ac->client_properties = span_of(mem_strndup(m->client_properties.ptr, m->client_properties.len),
                                        m->client_properties.len);
    }
    ac->opened_ms = ac->conn->shard->now_ms;
    while (i < MECHANISMS && (!span_eq_str(m->mechanism, mechanism_names[i]) || !is_offered(ac, i)))
        i++;
    if (i == MECHANISMS) {
        char quoted[SAY_QUOTE_BYTES];
        say_warn("amqp", "login refused", "peer=%s mechanism=%s reason=\"unknown authentication mechanism\"",
                 ac->conn->peer, say_quote(m->mechanism, quoted));
        refuse(ac, AMQP_COMMAND_INVALID, "COMMAND_INVALID - unknown authentication mechanism");
        return;
    }
    ac->handshake->mechanism = i;
    if (m->response.len > 0 || i == MECHANISM_EXTERNAL) {
        authenticate(ac, m->response);
        return;
    }
    amqp_conn_send(ac,
                   &(struct amqp_method){.id = AMQP_CONNECTION_SECURE}); /* SASL: an empty challenge asks */
    ac->phase = AMQP_CONN_SECURING;
}

/* ---- tune and open ------------------------------------------------------------------------------------ */

static bool in_range(struct amqp_conn *ac, const char *field, uint32_t value, uint32_t min, uint32_t max)
{
    if (value < min || value > max)
        amqp_connection_exception(ac, AMQP_NOT_ALLOWED, AMQP_CONNECTION_TUNE,
                                  "negotiated %s = %u is %s than the %s allowed value (%u)", field, value,
                                  value < min ? "lower" : "higher", value < min ? "minimum" : "maximum",
                                  value < min ? min : max);
    return value >= min && value <= max;
}

/* 0 means "no limit of mine": ours then is in force. */
static void on_tune_ok(struct amqp_conn *ac, const struct amqp_connection_tune_ok *m)
{
    const struct config *cfg = ac->conn->shard->config;
    uint32_t frame_max = m->frame_max ? m->frame_max : (uint32_t)cfg->amqp_frame_max;
    uint32_t channel_max = m->channel_max ? m->channel_max : (uint32_t)cfg->amqp_channel_max;
    if (!in_range(ac, "frame_max", frame_max, AMQP_FRAME_MIN_MAX, (uint32_t)cfg->amqp_frame_max) ||
        !in_range(ac, "channel_max", channel_max, 1, (uint32_t)cfg->amqp_channel_max))
        return;
    ac->frame_max = frame_max;
    ac->channel_max = (uint16_t)channel_max;
    ac->heartbeat_s = m->heartbeat;
    ac->phase = AMQP_CONN_OPENING;
    amqp_heartbeats_begin(ac);
    amqp_arm(ac);
}

static void on_open(struct amqp_conn *ac, const struct amqp_connection_open *m)
{
    struct conn *c = ac->conn;
    struct vspace *space = space_find(c->shard, m->virtual_host);
    if (!space) {
        amqp_connection_exception(ac, AMQP_NOT_ALLOWED, AMQP_CONNECTION_OPEN, "vhost %.*s not found",
                                  SPAN_ARG(m->virtual_host));
        return;
    }
    if (auth_may_enter(c->actor.principal, m->virtual_host) != 0) {
        amqp_connection_exception(ac, AMQP_NOT_ALLOWED, AMQP_CONNECTION_OPEN,
                                  "access to vhost '%.*s' refused for user '%s'", SPAN_ARG(m->virtual_host),
                                  ac->user);
        return;
    }
    space_ref(space);
    ac->space = space;
    c->actor.vhost = &space->vhost;
    amqp_handshake_free(ac);
    ac->phase_deadline_ns = 0;
    amqp_arm(ac);
    amqp_conn_send(ac, &(struct amqp_method){.id = AMQP_CONNECTION_OPEN_OK});
    ac->phase = AMQP_CONN_OPEN;
    say_debug("amqp", "connection open", "peer=%s user=%s", c->peer, ac->user);
    amqp_conn_opened(ac);
}

/* ---- what comes on channel 0 -------------------------------------------------------------------------- */

static void on_close(struct amqp_conn *ac)
{
    amqp_conn_ended(ac); /* exclusive queues are on their way out before the client hears that it is over */
    amqp_conn_send(ac, &(struct amqp_method){.id = AMQP_CONNECTION_CLOSE_OK});
    amqp_conn_over(ac);
}

static const char *phase_name(enum amqp_conn_state p)
{
    static const char *const names[] = {
        [AMQP_CONN_HEADER] = "handshake", [AMQP_CONN_STARTED] = "starting", [AMQP_CONN_SECURING] = "securing",
        [AMQP_CONN_LOGIN] = "securing",   [AMQP_CONN_TUNED] = "tuning",     [AMQP_CONN_OPENING] = "opening",
        [AMQP_CONN_OPEN] = "running",     [AMQP_CONN_CLOSING] = "closed",   [AMQP_CONN_OVER] = "closed",
    };
    return names[p];
}

/* The phase in which a method has its place. */
static bool is_due(const struct amqp_conn *ac, uint32_t id)
{
    switch (id) {
    case AMQP_CONNECTION_START_OK:
        return ac->phase == AMQP_CONN_STARTED;
    case AMQP_CONNECTION_SECURE_OK:
        return ac->phase == AMQP_CONN_SECURING;
    case AMQP_CONNECTION_TUNE_OK:
        return ac->phase == AMQP_CONN_TUNED;
    case AMQP_CONNECTION_OPEN:
        return ac->phase == AMQP_CONN_OPENING;
    case AMQP_CONNECTION_UPDATE_SECRET:
        return ac->phase == AMQP_CONN_OPEN;
    case AMQP_CONNECTION_CLOSE:
        return true;
    default:
        return false;
    }
}

void amqp_connection_method(struct amqp_conn *ac, const struct amqp_method *m)
{
    if (ac->phase == AMQP_CONN_CLOSING && m->id != AMQP_CONNECTION_CLOSE) {
        if (m->id == AMQP_CONNECTION_CLOSE_OK)
            amqp_conn_over(ac);
        return;
    }
    if (!is_due(ac, m->id)) {
        amqp_connection_exception(ac, AMQP_CHANNEL_ERROR, m->id, "unexpected method in connection state %s",
                                  phase_name(ac->phase));
        return;
    }
    if (m->id == AMQP_CONNECTION_START_OK)
        on_start_ok(ac, &m->connection_start_ok);
    else if (m->id == AMQP_CONNECTION_SECURE_OK)
        authenticate(ac, m->connection_secure_ok.response);
    else if (m->id == AMQP_CONNECTION_TUNE_OK)
        on_tune_ok(ac, &m->connection_tune_ok);
    else if (m->id == AMQP_CONNECTION_OPEN)
        on_open(ac, &m->connection_open);
    else if (m->id ==
             AMQP_CONNECTION_UPDATE_SECRET) /* as with RabbitMQ's own users: there is nothing to renew */
        amqp_conn_send(ac, &(struct amqp_method){.id = AMQP_CONNECTION_UPDATE_SECRET_OK});
    else
        on_close(ac);
}
