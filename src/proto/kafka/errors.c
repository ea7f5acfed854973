#include "proto/kafka/errors.h"

#include <stddef.h>

static const struct row {
    int code;
    const char *name, *text;
} rows[] = {
#define KAFKA_ERROR_ROW(name, code, text) {code, #name, text},
    KAFKA_ERRORS(KAFKA_ERROR_ROW)
#undef KAFKA_ERROR_ROW
};

static const struct row *find(int code)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

const char *kafka_error_name(int code)
{
    const struct row *row = find(code);
    return row ? row->name : NULL;
}

const char *kafka_error_text(int code)
{
    const struct row *row = code ? find(code) : NULL;
    return row ? row->text : NULL;
}
