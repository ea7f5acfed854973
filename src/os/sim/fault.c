/* Injected failures of file calls, and the counts that size the loops of tests. */
#include <assert.h>

#include "os/sim/file.h"

static size_t kind_index(unsigned kind)
{
    size_t i = 0;
    while (!(kind >> i & 1))
        i++;
    assert(i < FAIL_KINDS && kind == 1u << i);
    return i;
}

int fault_check(unsigned kind)
{
    struct world *w = world();
    w->calls[kind_index(kind)]++;
    if (!w->fault.on || !(w->fault.calls & kind))
        return 0;
    if (w->fault.left > 0) {
        w->fault.left--;
        return 0;
    }
    w->fault.on = w->fault.sticky;
    world_trace('f', kind, (uint64_t)-w->fault.err);
    return w->fault.err;
}

void sim_disk_fail_after(int64_t n, bool sticky, int err, unsigned calls)
{
    struct world *w = world();
    assert(n < 0 || err < 0);
    w->fault.on = n >= 0;
    w->fault.sticky = sticky;
    w->fault.left = n;
    w->fault.err = err;
    w->fault.calls = calls;
}

uint64_t sim_disk_calls(unsigned calls)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FAIL_KINDS; i++)
        if (calls & 1u << i)
            sum += world()->calls[i];
    return sum;
}
