/* The controls that tests have over the simulated disk. */
#include <assert.h>

#include "base/err.h"
#include "os/sim/file.h"
#include "os/sim/image.h"

uint64_t sim_disk_ops(void)
{
    return world()->disk->ops;
}

void sim_disk_mark(uint64_t value)
{
    oplog_mark(&world()->log, world()->disk->ops, value);
}

uint64_t sim_disk_mark_before(uint64_t op)
{
    return oplog_mark_before(&world()->log, op);
}

struct sim_image *sim_disk_image(uint64_t op, enum sim_crash_mode mode)
{
    struct world *w = world();
    struct dice dice = {.state = sim_random()};
    return image_new(oplog_disk_at(&w->log, w->disk, op), mode, &dice);
}

void sim_disk_log(bool on)
{
    struct world *w = world();
    if (on)
        oplog_start(&w->log, w->disk);
    else
        oplog_stop(&w->log);
}

void sim_disk_capacity(uint64_t bytes)
{
    world()->capacity = bytes;
}

uint64_t sim_disk_used(void)
{
    return world()->disk->used;
}

int sim_disk_corrupt(const char *path, uint64_t pos, uint8_t xor_mask)
{
    const struct inode *f = path_find(path);
    uint8_t byte;
    if (!f || content_read(&f->now, pos, &byte, 1) == 0)
        return ERR_NOT_FOUND;
    byte ^= xor_mask;
    disk_do((struct disk_op){
        .kind = DISK_CORRUPT, .ino = f->ino, .pos = pos, .data = blob_new(span_of(&byte, 1))});
    return 0;
}
