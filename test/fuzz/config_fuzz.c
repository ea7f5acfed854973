/* Fuzzes the configuration file. Whatever it leaves as settings must be within the table's limits, and print
 * to text that reads back as the same settings. */
#include <stdlib.h>

#include "app/config_describe.h"
#include "app/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 64 * 1024 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config c, again;
    struct config_error why = {""};
    struct text out = {0};
    if (size > MAX_INPUT_BYTES)
        return 0;
    config_init(&c);
    int err = config_file_parse(&c, "fuzz", span_of(data, size), &why);
    require((err != 0) == (why.text[0] != 0));
    config_print_values(&c, &out);
    config_init(&again);
    require(config_file_parse(&again, "printed", text_span(&out), &why) == 0);
    require(memcmp(&c, &again, sizeof(c)) == 0);
    config_check(&c, &why);
    text_free(&out);
    return 0;
}
