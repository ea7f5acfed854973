/* What the commands share that ask a running broker. */
#include "app/cli_broker.h"

#include <stdio.h>

#include "app/cli.h"
#include "base/err.h"
#include "base/mem.h"

void broker_put_path(const char *prefix, const char *name, struct text *out)
{
    text_put(out, prefix);
    for (const char *p = name; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     strchr("-._", *p);
        text_printf(out, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
}

void broker_put_paths(const char *prefix, const char *const *names, struct text *out)
{
    for (; *names; names++, prefix = "/")
        broker_put_path(prefix, *names, out);
}

/* With the broker's own words; `subject` is what is asked about. */
static int fail_reply(const char *subject, const struct http_reply *reply)
{
    json_error_t where;
    json_t *o = json_loadb((const char *)reply->body.ptr, reply->body.len, 0, &where);
    const char *error = json_string_value(json_object_get(o, "error"));
    const char *reason = json_string_value(json_object_get(o, "reason")); /* RabbitMQ's form has both */
    error = reason ? reason : error;
    int code = error ? cli_fail(EXIT_FAILED, "%.250s: %.500s", subject, error)
                     : cli_fail(EXIT_FAILED, "the broker answered with HTTP status %d", reply->status);
    json_decref(o);
    return code;
}

int broker_ask(const struct broker_args *args, const char *subject, const char *method, const char *path,
               struct span body, struct http_reply *ret_reply)
{
    const char *broker = args->broker ? args->broker : "127.0.0.1:15672";
    int err = http_client_call(broker, args->user, method, path, body, ret_reply);
    if (err == ERR_CLOSED)
        return cli_fail(EXIT_FAILED, "no broker answers at %s; is it running? (--broker HOST:PORT)", broker);
    if (err)
        return cli_fail(EXIT_FAILED, "%s: %s", broker, err_text(err));
    if (ret_reply->status < 400)
        return EXIT_OK;
    int code = fail_reply(subject, ret_reply);
    mem_free(ret_reply->memory);
    return code;
}

int broker_print_done(const struct broker_args *args, struct http_reply *reply,
                      void (*show)(json_t *o, struct text *out))
{
    struct text out = {0};
    json_error_t where;
    int code = EXIT_OK;
    json_t *o = args->json ? NULL : json_loadb((const char *)reply->body.ptr, reply->body.len, 0, &where);
    if (args->json)
        text_put_span(&out, reply->body);
    else if (o)
        show(o, &out);
    else
        code = cli_fail(EXIT_FAILED, "the broker's answer is not JSON");
    json_decref(o);
    mem_free(reply->memory);
    return code == EXIT_OK ? cli_print(&out) : code;
}

int broker_ask_and_show(const struct broker_args *args, const char *subject, const char *path,
                        void (*show)(json_t *o, struct text *out))
{
    struct http_reply reply;
    int code = broker_ask(args, subject, "GET", path, SPAN_NULL, &reply);
    return code == EXIT_OK ? broker_print_done(args, &reply, show) : code;
}

int broker_describe(const struct broker_args *args, const char *prefix, const char *name,
                    void (*show)(json_t *o, struct text *out))
{
    struct text path = {0};
    broker_put_path(prefix, name, &path);
    int code = broker_ask_and_show(args, name, path.ptr, show);
    text_free(&path);
    return code;
}

int broker_delete(const struct broker_args *args, const char *prefix, const char *name)
{
    struct http_reply reply;
    struct text path = {0}, out = {0};
    broker_put_path(prefix, name, &path);
    int code = broker_ask(args, name, "DELETE", path.ptr, SPAN_NULL, &reply);
    text_free(&path);
    if (code != EXIT_OK)
        return code;
    mem_free(reply.memory);
    text_printf(&out, "deleted %s\n", name);
    return cli_print(&out);
}

int broker_change(const struct broker_args *args, const char *method, const char *path, json_t *o,
                  const char *done, const char *name)
{
    struct http_reply reply;
    struct text body = {0}, out = {0};
    if (o)
        text_put_json(&body, o, JSON_COMPACT);
    json_decref(o);
    int code = broker_ask(args, name, method, path, text_span(&body), &reply);
    text_free(&body);
    if (code != EXIT_OK)
        return code;
    mem_free(reply.memory);
    text_printf(&out, "%s %s\n", done, name);
    return cli_print(&out);
}

const char *broker_string_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

const char *broker_number_of(const json_t *o, const char *key)
{
    static char texts[TABLE_COLUMNS][24];
    static unsigned next;
    char *text = texts[next++ % TABLE_COLUMNS];
    snprintf(text, sizeof(texts[0]), "%lld", (long long)json_integer_value(json_object_get(o, key)));
    return text;
}
