#include "app/http_client.h"

#include <stdio.h>

#include "app/text.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/mem.h"
#include "os/client.h"

enum { ANSWER_BYTES = 256 << 20, TIMEOUT_MS = 30000 };

int http_reply_parse(struct span bytes, struct http_reply *ret_reply)
{
    int status;
    const uint8_t *end = bytes.len ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    char line[16] = "";
    if (!end || bytes.len < 12)
        return ERR_INVALID;
    memcpy(line, bytes.ptr, 12);
    if (sscanf(line, "HTTP/1.%*1[01] %3d", &status) != 1)
        return ERR_INVALID;
    ret_reply->status = status;
    ret_reply->body = span_of(end + 4, bytes.len - (size_t)(end + 4 - bytes.ptr));
    return 0;
}

static void put_user(struct text *request, const char *user)
{
    char *text = mem_alloc(base64_len(strlen(user)) + 1);
    base64_write(span_str(user), text);
    text_printf(request, "Authorization: Basic %s\r\n", text);
    mem_free(text);
}

int http_client_call(const char *broker, const char *user, const char *method, const char *path,
                     struct span body, struct http_reply *ret_reply)
{
    struct text request = {0};
    text_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
    if (user)
        put_user(&request, user);
    if (!span_is_null(body))
        text_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    text_put(&request, "\r\n");
    text_put_span(&request, body);
    size_t len = 0;
    struct http_reply reply = {0};
    int err = os_client_exchange(broker, text_span(&request), ANSWER_BYTES, TIMEOUT_MS, &reply.memory, &len);
    text_free(&request);
    if (err)
        return err;
    err = http_reply_parse(span_of(reply.memory, len), &reply);
    if (err)
        mem_free(reply.memory);
    else
        *ret_reply = reply;
    return err;
}
