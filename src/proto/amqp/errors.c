/* Reply codes, and how channels and connections end because of one. */
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/amqp/amqp_impl.h"

/* RabbitMQ's: it closes the connection after so long whatever the client does. */
enum { CLOSING_TIMEOUT_S = 30 };

struct code_row {
    int code;
    bool hard; /* ends the connection (1.2) */
    const char *name;
};

static const struct code_row codes[] = {
    {AMQP_REPLY_SUCCESS, false, "REPLY_SUCCESS"},
    {AMQP_CONTENT_TOO_LARGE, false, "CONTENT_TOO_LARGE"},
    {AMQP_NO_ROUTE, false, "NO_ROUTE"},
    {AMQP_NO_CONSUMERS, false, "NO_CONSUMERS"},
    {AMQP_CONNECTION_FORCED, true, "CONNECTION_FORCED"},
    {AMQP_INVALID_PATH, true, "INVALID_PATH"},
    {AMQP_ACCESS_REFUSED, false, "ACCESS_REFUSED"},
    {AMQP_NOT_FOUND, false, "NOT_FOUND"},
    {AMQP_RESOURCE_LOCKED, false, "RESOURCE_LOCKED"},
    {AMQP_PRECONDITION_FAILED, false, "PRECONDITION_FAILED"},
    {AMQP_FRAME_ERROR, true, "FRAME_ERROR"},
    {AMQP_SYNTAX_ERROR, true, "SYNTAX_ERROR"},
    {AMQP_COMMAND_INVALID, true, "COMMAND_INVALID"},
    {AMQP_CHANNEL_ERROR, true, "CHANNEL_ERROR"},
    {AMQP_UNEXPECTED_FRAME, true, "UNEXPECTED_FRAME"},
    {AMQP_RESOURCE_ERROR, true, "RESOURCE_ERROR"},
    {AMQP_NOT_ALLOWED, true, "NOT_ALLOWED"},
    {AMQP_NOT_IMPLEMENTED, true, "NOT_IMPLEMENTED"},
    {AMQP_INTERNAL_ERROR, true, "INTERNAL_ERROR"},
};

static const struct code_row *row_of(int code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return &codes[i];
    return NULL;
}

const char *amqp_code_name(int code)
{
    const struct code_row *r = row_of(code);
    return r ? r->name : "UNKNOWN";
}

bool amqp_code_is_hard(int code)
{
    const struct code_row *r = row_of(code);
    return !r || r->hard;
}

/* ---- the text ----------------------------------------------------------------------------------------- */

/* A shortstr, with its end cut off as RabbitMQ does. */
struct reason {
    char text[AMQP_SHORTSTR_MAX + 1];
};

__attribute__((format(printf, 3, 0))) static void reason_of(struct reason *r, enum amqp_code code,
                                                            const char *fmt, va_list args)
{
    int n = snprintf(r->text, sizeof(r->text), "%s - ", amqp_code_name(code));
    size_t left = sizeof(r->text) - (size_t)n;
    int want = vsnprintf(r->text + n, left, fmt, args);
    if (want >= (int)left)
        memcpy(r->text + AMQP_SHORTSTR_MAX - 3, "...", 3);
}

/* ---- connections -------------------------------------------------------------------------------------- */

void amqp_conn_over(struct amqp_conn *ac)
{
    if (ac->phase == AMQP_CONN_OVER)
        return;
    amqp_conn_ended(ac);
    ac->phase = AMQP_CONN_OVER;
    conn_finish(ac->conn);
}

void amqp_conn_say_close(struct amqp_conn *ac, enum amqp_code code, uint32_t method, const char *text)
{
    struct amqp_method m = {.id = AMQP_CONNECTION_CLOSE,
                            .connection_close = {.reply_code = (uint16_t)code,
                                                 .reply_text = span_str(text),
                                                 .class_id = (uint16_t)(method >> 16),
                                                 .method_id = (uint16_t)method}};
    if (ac->phase == AMQP_CONN_CLOSING || ac->phase == AMQP_CONN_OVER)
        return;
    amqp_conn_ended(ac);
    amqp_conn_send(ac, &m);
    ac->phase = AMQP_CONN_CLOSING;
    uint64_t s = ac->heartbeat_s && ac->heartbeat_s < CLOSING_TIMEOUT_S ? ac->heartbeat_s : CLOSING_TIMEOUT_S;
    ac->phase_deadline_ns = ac->conn->shard->now_ns + s * 1000000000ull;
    amqp_arm(ac);
    amqp_unhold(ac); /* what stands in front is of no interest now, close-ok is */
}

void amqp_connection_exception(struct amqp_conn *ac, enum amqp_code code, uint32_t method, const char *fmt,
                               ...)
{
    struct reason r;
    va_list args;
    va_start(args, fmt);
    reason_of(&r, code, fmt, args);
    va_end(args);
    char quoted[SAY_QUOTE_BYTES];
    say_info("amqp", "connection exception", "peer=%s text=%s", ac->conn->peer,
             say_quote(span_str(r.text), quoted));
    metrics_add(ac->conn->shard->metrics, METRIC_AMQP_CONNECTION_EXCEPTIONS, 1);
    amqp_conn_say_close(ac, code, method, r.text);
}

/* ---- channels ----------------------------------------------------------------------------------------- */

static void end_channel(struct amqp_channel *ch, enum amqp_code code, uint32_t method, const char *text)
{
    struct amqp_method m = {.id = AMQP_CHANNEL_CLOSE,
                            .channel_close = {.reply_code = (uint16_t)code,
                                              .reply_text = span_str(text),
                                              .class_id = (uint16_t)(method >> 16),
                                              .method_id = (uint16_t)method}};
    amqp_send(ch, &m);
    ch->phase = AMQP_CHANNEL_ENDING;
    amqp_channel_ended(ch);
}

void amqp_channel_exception(struct amqp_channel *ch, enum amqp_code code, uint32_t method, const char *fmt,
                            ...)
{
    struct reason r;
    va_list args;
    if (ch->phase != AMQP_CHANNEL_ALIVE || ch->ac->phase != AMQP_CONN_OPEN)
        return;
    va_start(args, fmt);
    reason_of(&r, code, fmt, args);
    va_end(args);
    if (amqp_code_is_hard(code)) {
        amqp_connection_exception(ch->ac, code, method, "%s", r.text + strlen(amqp_code_name(code)) + 3);
        return;
    }
    char quoted[SAY_QUOTE_BYTES];
    say_debug("amqp", "channel exception", "peer=%s channel=%u text=%s", ch->ac->conn->peer, ch->number,
              say_quote(span_str(r.text), quoted));
    metrics_add(ch->ac->conn->shard->metrics, METRIC_AMQP_CHANNEL_EXCEPTIONS, 1);
    end_channel(ch, code, method, r.text);
}
