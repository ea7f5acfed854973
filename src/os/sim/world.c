/* Seeds, the step, the clock, and starting over. */
#include "os/sim/world.h"

#include <assert.h>

#include "base/hash.h"
#include "os/sim/image.h"

enum { STEP_NS = 20000 }; /* a step takes up to this long */

static struct world the_world;
static bool made;

static void make(uint64_t seed, struct disk *disk)
{
    struct world *w = &the_world;
    made = true;
    w->dice.state = dice_mix(seed + 0x9e3779b97f4a7c15u);
    w->now_ns = 1000000000;
    w->capacity = UINT64_MAX;
    w->next_port = 40000;
    list_init(&w->loops);
    list_init(&w->pools);
    list_init(&w->listeners);
    list_init(&w->socks);
    list_init(&w->peers);
    w->disk = disk;
    oplog_start(&w->log, disk);
    hash_seed(dice_mix(seed));
}

static void unmake(void)
{
    struct world *w = &the_world;
    if (!made)
        return;
    assert(!w->stepping && "the world cannot end inside a callback of its own");
    socks_drop_all();
    loops_drop_all();
    pools_drop_all();
    oplog_fini(&w->log);
    disk_free(w->disk);
    sim_free(w->handles);
    sim_free(w->actions.items);
    *w = (struct world){0};
    made = false;
}

struct world *world(void)
{
    if (!made)
        make(1, disk_new());
    return &the_world;
}

void sim_reset(uint64_t seed)
{
    unmake();
    make(seed, disk_new());
}

void sim_boot(struct sim_image *image, uint64_t seed)
{
    struct disk *d = image->disk;
    image->disk = NULL;
    sim_image_free(image);
    unmake();
    make(seed, d);
}

uint64_t sim_random(void)
{
    return dice_next(&world()->dice);
}

uint64_t sim_random_below(uint64_t limit)
{
    assert(limit > 0);
    return dice_below(&world()->dice, limit);
}

uint64_t sim_trace(void)
{
    return world()->trace;
}

void world_trace(uint64_t what, uint64_t a, uint64_t b)
{
    struct world *w = world();
    w->trace = dice_mix(w->trace ^ dice_mix(what + 0x9e3779b97f4a7c15u * (a + 1)) ^ b);
}

uint32_t world_id(void)
{
    return ++world()->next_id;
}

/* ---- scheduling ---- */

void world_add_action(void (*act)(void *object), void *object)
{
    struct actions *all = &world()->actions;
    all->items = sim_grow(all->items, all->count, &all->cap, sizeof *all->items);
    all->items[all->count++] = (struct action){act, object};
}

static void gather(struct world *w)
{
    w->actions.count = 0;
    loops_add_actions();
    pools_add_actions();
    socks_add_actions();
}

bool sim_step(void)
{
    struct world *w = world();
    assert(!w->stepping && "a callback must not step the world");
    w->steps++;
    gather(w);
    if (w->actions.count == 0) {
        uint64_t next = loops_next_deadline();
        if (next == UINT64_MAX)
            return false;
        if (next > w->now_ns)
            w->now_ns = next;
        gather(w);
        assert(w->actions.count > 0);
    }
    struct action chosen = w->actions.items[dice_below(&w->dice, w->actions.count)];
    w->stepping = true;
    chosen.act(chosen.object);
    w->stepping = false;
    w->now_ns += dice_below(&w->dice, STEP_NS);
    return true;
}

void sim_died(void)
{
    world()->stepping = false;
}

bool sim_run_until(bool (*cond)(void *arg), void *arg, uint64_t max_steps)
{
    for (uint64_t i = 0; !cond(arg); i++)
        if (i == max_steps || !sim_step())
            return cond(arg);
    return true;
}

void sim_advance_ms(uint64_t ms)
{
    world()->now_ns += ms * 1000000;
}
