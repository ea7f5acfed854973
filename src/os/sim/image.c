/* How an image comes from a disk with un-synced operations.
 *
 * Names. DROP has the synced names; KEEP and TORN the present ones. RANDOM starts from the synced names and
 * throws for every pending directory operation, in order; a rename whose file has a lost operation before it
 * is lost too, for a name that never came about cannot be moved.
 *
 * Data. A sector of 512 bytes is always one of its versions: the synced one, or as it was after one of the
 * pending writes to it; what a later write holds includes the earlier ones, as in a page cache. RANDOM throws
 * for each sector by itself. Sizes and truncates are metadata, journalled in order per file: RANDOM throws
 * for a point up to which they came through; writes after a truncate that was lost are lost as well, and a
 * size that came through without its data shows zeros, or older bytes.
 *
 * How likely things are to survive is thrown once per image, so that nearly all and nearly nothing happen
 * often, besides the even mixture. */
#include "os/sim/image.h"

#include <assert.h>

struct crash {
    const struct disk *from;
    struct disk *to;
    enum sim_crash_mode mode;
    uint64_t seed;     /* of the sectors' dice */
    struct dice *dice; /* for all else */
    unsigned keep;     /* of 256: the chance of an operation to survive */
};

/* ---- the data of one file ---- */

/* How many of the pending operations reached this sector. */
static size_t sector_depth(const struct crash *c, const struct inode *f, uint64_t sector)
{
    uint64_t h = dice_mix(c->seed ^ dice_mix(f->ino * 0x9e3779b97f4a7c15u + sector));
    if ((h & 3) == 0) /* a version in between */
        return (h >> 32) % (f->pending_count + 1);
    return ((h >> 8) & 255) < c->keep ? f->pending_count : 0;
}

/* Puts those sectors of the bytes that pending operation `index` brought to the disk. */
static void put_sectors(const struct crash *c, const struct inode *f, struct content *to, uint64_t pos,
                        struct span bytes, size_t index)
{
    for (size_t done = 0, n; done < bytes.len; done += n) {
        uint64_t at = pos + done;
        n = SIM_SECTOR - at % SIM_SECTOR;
        if (n > bytes.len - done)
            n = bytes.len - done;
        if (c->mode != SIM_CRASH_RANDOM || index < sector_depth(c, f, at / SIM_SECTOR))
            content_put(to, at, span_of(bytes.ptr + done, n));
    }
}

/* Pages whose sync had failed: the disk may have them or not. */
static void put_clean(const struct crash *c, const struct inode *f, struct content *to)
{
    uint8_t bytes[SIM_PAGE];
    for (size_t i = 0; i < f->clean_count; i++) {
        uint64_t pos = f->clean[i] * SIM_PAGE;
        size_t n = content_read(&f->now, pos, bytes, sizeof bytes);
        for (size_t at = 0; at < n; at += SIM_SECTOR) {
            uint64_t h = dice_mix(c->seed + dice_mix(f->ino * 0x9e3779b97f4a7c15u ^ (pos + at)));
            if (c->mode != SIM_CRASH_RANDOM || (h & 255) < c->keep)
                content_put(to, pos + at, span_of(bytes + at, n - at < SIM_SECTOR ? n - at : SIM_SECTOR));
        }
    }
}

/* The file's size when only the first `count` pending operations are known to the metadata. */
static uint64_t size_after(const struct inode *f, size_t count)
{
    uint64_t size = f->synced.size;
    if (count == f->pending_count)
        return f->now.size;
    for (size_t i = 0; i < count; i++) {
        const struct unsynced *u = &f->pending[i];
        if (u->is_truncate)
            size = u->pos;
        else if (u->data->len && u->pos + u->data->len > size)
            size = u->pos + u->data->len;
    }
    return size;
}

static void random_data(const struct crash *c, const struct inode *f, struct content *ret)
{
    size_t count = f->pending_count, known = dice_below(c->dice, count + 1);
    if (dice_chance(c->dice, 128))
        known = dice_chance(c->dice, c->keep) ? count : 0;
    content_copy(ret, &f->synced);
    put_clean(c, f, ret);
    for (size_t i = 0; i < count; i++) {
        const struct unsynced *u = &f->pending[i];
        if (!u->is_truncate)
            put_sectors(c, f, ret, u->pos, blob_span(u->data), i);
        else if (i < known)
            content_truncate(ret, u->pos);
        else
            break; /* a truncate was lost, and with it what came after */
    }
    content_truncate(ret, size_after(f, known));
}

static size_t last_write(const struct inode *f)
{
    for (size_t i = f->pending_count; i-- > 0;)
        if (!f->pending[i].is_truncate && f->pending[i].data->len)
            return i;
    return SIZE_MAX;
}

/* The first sectors of a write: at least none, at most all but one. */
static void torn_write(const struct crash *c, const struct unsynced *u, struct content *to)
{
    uint64_t first = u->pos / SIM_SECTOR, end = (u->pos + u->data->len - 1) / SIM_SECTOR + 1;
    uint64_t cut = (first + dice_below(c->dice, end - first)) * SIM_SECTOR;
    content_write(to, u->pos, span_of(u->data->bytes, cut > u->pos ? (size_t)(cut - u->pos) : 0));
}

/* A torn write that grew the file leaves it grown or not, by the dice. */
static void torn_data(const struct crash *c, const struct inode *f, struct content *ret)
{
    size_t torn = last_write(f);
    bool grown = true;
    if (c->from->last_write != f->ino || torn == SIZE_MAX) {
        content_copy(ret, &f->now);
        return;
    }
    content_copy(ret, &f->synced);
    put_clean(c, f, ret);
    for (size_t i = 0; i < f->pending_count; i++) {
        const struct unsynced *u = &f->pending[i];
        if (u->is_truncate) {
            content_truncate(ret, u->pos);
        } else if (i != torn) {
            content_write(ret, u->pos, blob_span(u->data));
        } else {
            grown = u->pos + u->data->len <= ret->size || dice_chance(c->dice, 128);
            torn_write(c, u, ret);
        }
    }
    content_truncate(ret, grown ? f->now.size : ret->size);
}

static void file_data(const struct crash *c, const struct inode *f, struct content *ret)
{
    if (c->mode == SIM_CRASH_DROP)
        content_copy(ret, &f->synced);
    else if (c->mode == SIM_CRASH_KEEP)
        content_copy(ret, &f->now);
    else if (c->mode == SIM_CRASH_TORN)
        torn_data(c, f, ret);
    else
        random_data(c, f, ret);
}

/* ---- names ---- */

static bool has_lost_before(const struct disk *d, const bool *kept, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (d->dir_ops[i].ino == d->dir_ops[at].ino && !kept[i])
            return true;
    return false;
}

static void random_names(struct crash *c)
{
    const struct disk *d = c->from;
    bool *kept = sim_zalloc(d->dir_op_count);
    for (size_t i = 0; i < d->dir_op_count; i++) {
        const struct disk_op *op = &d->dir_ops[i];
        struct inode *dir = disk_inode(c->to, op->dir);
        struct inode *dir2 = op->kind == DISK_RENAME ? disk_inode(c->to, op->dir2) : NULL;
        kept[i] = dice_chance(c->dice, c->keep);
        if (op->kind == DISK_RENAME && (!dir2 || has_lost_before(d, kept, i)))
            kept[i] = false;
        if (kept[i] && dir)
            disk_link(&dir->names_now, dir2 ? &dir2->names_now : NULL, op);
    }
    sim_free(kept);
}

/* Every inode of the old disk, with its names: what nobody can reach goes later. */
static void copy_inodes(struct crash *c)
{
    bool present = c->mode == SIM_CRASH_KEEP || c->mode == SIM_CRASH_TORN;
    for (uint32_t i = 0; i < c->from->inode_count; i++) {
        const struct inode *f = c->from->inodes[i];
        if (!f)
            continue;
        struct inode *copy = i == DISK_ROOT ? c->to->inodes[i] : disk_add_inode(c->to, i, f->is_dir);
        names_copy(&copy->names_now, present ? &f->names_now : &f->names_synced);
    }
    if (c->mode == SIM_CRASH_RANDOM)
        random_names(c);
}

/* Gives links and data to all below this directory. A name whose inode is linked already, or gone, is cut:
 * only renames of directories into each other, partly lost, get there. */
static void reach(struct crash *c, struct inode *dir)
{
    for (size_t i = 0; i < dir->names_now.count; i++) {
        struct name *n = &dir->names_now.items[i];
        struct inode *f = disk_inode(c->to, n->ino);
        if (!f || f->links) {
            names_del(&dir->names_now, blob_span(n->text));
            i--;
            continue;
        }
        f->links = f->held = 1;
        if (f->is_dir) {
            reach(c, f);
            continue;
        }
        file_data(c, disk_inode(c->from, n->ino), &f->now);
        content_copy(&f->synced, &f->now);
    }
    names_copy(&dir->names_synced, &dir->names_now);
}

struct sim_image *image_new(const struct disk *d, enum sim_crash_mode mode, struct dice *dice)
{
    static const unsigned chances[] = {16, 128, 128, 240};
    struct sim_image *image = sim_zalloc(sizeof *image);
    struct crash c = {.from = d, .to = disk_new(), .mode = mode, .dice = dice, .seed = dice_next(dice)};
    c.keep = chances[dice_below(dice, 4)];
    copy_inodes(&c);
    reach(&c, c.to->inodes[DISK_ROOT]);
    for (uint32_t i = 0; i < c.to->inode_count; i++)
        if (c.to->inodes[i])
            disk_settle(c.to, c.to->inodes[i]);
    image->disk = c.to;
    return image;
}

void sim_image_free(struct sim_image *image)
{
    if (!image)
        return;
    disk_free(image->disk);
    sim_free(image);
}
