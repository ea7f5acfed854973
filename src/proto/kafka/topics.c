#include "proto/kafka/topics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

enum { MAX_NAME_BYTES = 249, MESSAGE_BYTES = 1024 };

struct kafka_refusal kafka_refuse_code(int code)
{
    return (struct kafka_refusal){code, kafka_error_text(code)};
}

struct kafka_refusal kafka_refuse_err(int err)
{
    int code = err_kafka(err);
    const char *text = kafka_error_text(code);
    return (struct kafka_refusal){code, text ? text : err_text(err)};
}

struct kafka_refusal kafka_refuse(struct kafka_request *r, int code, const char *fmt, ...)
{
    char text[MESSAGE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return (struct kafka_refusal){code, arena_strndup(&r->arena, text, strlen(text))};
}

const char *kafka_printable(struct kafka_request *r, struct span s)
{
    char *text = arena_strndup(&r->arena, s.ptr, s.len < MAX_NAME_BYTES * 2 ? s.len : MAX_NAME_BYTES * 2);
    for (char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    return text;
}

/* Topic.detectInvalidTopic() */
struct kafka_refusal kafka_check_topic_name(struct kafka_request *r, struct span name)
{
    enum { BAD = KAFKA_INVALID_TOPIC_EXCEPTION };
    if (!topic_check_name(name))
        return (struct kafka_refusal){0, NULL};
    if (name.len == 0)
        return kafka_refuse(r, BAD, "Topic name is invalid: the empty string is not allowed");
    const char *text = kafka_printable(r, name);
    if (span_eq_str(name, ".") || span_eq_str(name, ".."))
        return kafka_refuse(r, BAD, "Topic name is invalid: '%s' is not allowed", text);
    if (name.len > MAX_NAME_BYTES)
        return kafka_refuse(
            r, BAD, "Topic name is invalid: the length of '%s' is longer than the max allowed length %d",
            text, MAX_NAME_BYTES);
    return kafka_refuse(r, BAD,
                        "Topic name is invalid: '%s' contains one or more characters other than ASCII "
                        "alphanumerics, '.', '_' and '-'",
                        text);
}

static int compare(const void *a, const void *b)
{
    return span_cmp(**(struct span *const *)a, **(struct span *const *)b);
}

bool *kafka_find_duplicates(struct kafka_request *r, const struct span *keys, size_t count)
{
    bool *found = arena_array(&r->arena, count, sizeof(*found));
    const struct span **sorted = arena_array(&r->arena, count, sizeof(struct span *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &keys[i];
    if (count)
        qsort(sorted, count, sizeof(struct span *), compare);
    for (size_t i = 1; i < count; i++)
        if (span_eq(*sorted[i - 1], *sorted[i]))
            found[sorted[i - 1] - keys] = found[sorted[i] - keys] = true;
    return found;
}

/* ReplicationControlManager.validateManualPartitionAssignment() */
struct kafka_refusal kafka_check_replicas(struct kafka_request *r, const int32_t *broker_ids, int32_t count)
{
    enum { BAD = KAFKA_INVALID_REPLICA_ASSIGNMENT };
    if (count <= 0)
        return kafka_refuse(r, BAD, "The manual partition assignment includes an empty replica list.");
    for (int32_t i = 0; i < count; i++)
        if (broker_ids[i] != kafka_broker_id(r))
            return kafka_refuse(r, BAD,
                                "The manual partition assignment includes broker %d, but no such broker is "
                                "registered.",
                                broker_ids[i]);
    if (count > 1)
        return kafka_refuse(r, BAD, "The manual partition assignment includes the broker %d more than once.",
                            broker_ids[0]);
    return (struct kafka_refusal){0, NULL};
}
