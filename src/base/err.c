#include "base/err.h"

#include <assert.h>

static const struct {
    const char *name;
    const char *text;
    int kafka;
    int http;
} table[ERR_COUNT] = {
    [ERR_OK] = {"ok", "no error", 0, 200},
#define ERR(code, text, kafka, http) [ERR_POS_##code] = {#code, text, kafka, http},
#include "base/err.def"
#undef ERR
};

static int row(int code)
{
    assert(code <= 0 && -code < ERR_COUNT);
    return -code;
}

const char *err_name(int code)
{
    return table[row(code)].name;
}

const char *err_text(int code)
{
    return table[row(code)].text;
}

int err_kafka(int code)
{
    return table[row(code)].kafka;
}

int err_http(int code)
{
    return table[row(code)].http;
}
