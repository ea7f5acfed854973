/* Short words for the simulator's own tests. */
#ifndef COLOBUS_OS_SIM_SIM_TEST_H
#define COLOBUS_OS_SIM_SIM_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "os/sim/sim.h"

/* Opens or makes a file for writing; the test fails if that cannot be. */
static inline int file_open(const char *path)
{
    int file = os_open(path, OS_WRITE | OS_CREATE);
    assert_true(file >= 0);
    return file;
}

static inline void file_put(int file, uint64_t pos, const void *bytes, size_t len)
{
    struct span s = span_of(bytes, len);
    assert_int_equal(os_pwrite(file, &s, 1, pos), 0);
}

static inline void file_fill(int file, uint64_t pos, uint8_t byte, size_t len)
{
    uint8_t bytes[65536];
    assert_true(len <= sizeof(bytes));
    memset(bytes, byte, len);
    file_put(file, pos, bytes, len);
}

/* The byte at pos, -1 beyond the end, -2 if there is no such file. */
static inline int byte_at(const char *path, uint64_t pos)
{
    uint8_t byte;
    int file = os_open(path, OS_READ);
    if (file < 0)
        return -2;
    int64_t n = os_pread(file, &byte, 1, pos);
    os_close(file);
    return n == 1 ? byte : -1;
}

/* The size of a file, or the error. */
static inline int64_t size_of(const char *path)
{
    uint64_t size;
    int err = os_path_size(path, &size);
    return err ? err : (int64_t)size;
}

/* Loses power now and boots again. */
static inline void crash(enum sim_crash_mode mode)
{
    sim_boot(sim_disk_image(sim_disk_ops(), mode), sim_random());
}

static inline int sim_setup(void **state)
{
    sim_reset(7);
    return 0;
}

#define T(name) cmocka_unit_test_setup(name, sim_setup)

#endif
