/* The virtual clock, seeded chance, and the rest of the process. */
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "os/sim/world.h"

enum { SIM_CPUS = 4, SIM_FILE_LIMIT = 1 << 20, SIM_RSS = 64 << 20 };

static const int64_t first_wall_ms = 1735689600000; /* 2025-01-01T00:00:00Z */

uint64_t os_mono_ns(void)
{
    return world()->now_ns;
}

int64_t os_wall_ms(void)
{
    return first_wall_ms + (int64_t)(world()->now_ns / 1000000);
}

void os_random(void *ret_bytes, size_t len)
{
    uint8_t *p = ret_bytes;
    for (size_t n; len > 0; p += n, len -= n) {
        uint64_t v = sim_random();
        n = len < sizeof v ? len : sizeof v;
        memcpy(p, &v, n);
    }
}

unsigned os_cpu_count(void)
{
    return SIM_CPUS;
}

uint64_t os_cpu_time_us(void)
{
    return world()->now_ns / 2000;
}

uint64_t os_rss_bytes(void)
{
    return SIM_RSS;
}

unsigned os_process_id(void)
{
    return 1;
}

uint64_t os_raise_file_limit(void)
{
    return SIM_FILE_LIMIT;
}

/* What a program says goes to whoever runs the simulation. */
static int say_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n <= 0)
            return ERR_IO;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
    return 0;
}

int os_write_stdout(struct span bytes)
{
    return say_all(STDOUT_FILENO, bytes);
}

int os_write_stderr(struct span bytes)
{
    return say_all(STDERR_FILENO, bytes);
}
