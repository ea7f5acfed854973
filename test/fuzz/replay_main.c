/* Runs a fuzz target without libFuzzer over the files named on the command line, to replay a corpus in the
 * ordinary tests and a crash in a debugger. A directory is given as its files, by the shell or by Meson. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FILE_BYTES = 64 * 1024 * 1024 };

/* The whole file in a buffer of its own size, so that a sanitizer sees a read beyond it. NULL: failed. */
static uint8_t *read_file(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    if (!f)
        return NULL;
    long size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (size >= 0 && size <= MAX_FILE_BYTES && fseek(f, 0, SEEK_SET) == 0)
        data = malloc(size ? (size_t)size : 1);
    if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
        free(data);
        data = NULL;
    }
    fclose(f);
    *ret_size = size >= 0 ? (size_t)size : 0;
    return data;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *data = read_file(argv[i], &size);
        if (!data) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        fprintf(stderr, "%s\n", argv[i]);
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    fprintf(stderr, "replayed %d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1; /* no input at all is a test that tests nothing */
}
