/* Simulated pools: a job's run() is one step. With n threads any of the n oldest jobs may be the next. */
#include <assert.h>

#include "os/sim/world.h"

struct os_pool {
    struct list link;
    uint32_t id;
    unsigned threads;
    struct os_job *first, **last;
};

struct os_pool *os_pool_new(const char *name, unsigned threads)
{
    struct os_pool *pool = sim_zalloc(sizeof *pool);
    assert(threads > 0);
    pool->id = world_id();
    pool->threads = threads;
    pool->last = &pool->first;
    list_add_tail(&world()->pools, &pool->link);
    return pool;
}

void os_pool_submit(struct os_pool *pool, struct os_job *job)
{
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
}

/* Takes the job at this place of the queue and runs it. */
static void run_at(struct os_pool *pool, size_t place)
{
    struct os_job **at = &pool->first;
    for (; place > 0; place--)
        at = &(*at)->next;
    struct os_job *job = *at;
    struct os_loop *home = job->home; /* without a home, run() may give the job away */
    *at = job->next;
    if (!*at)
        pool->last = at;
    job->run(job);
    if (home)
        loop_job_done(home, job);
}

static void act_run(void *object)
{
    struct os_pool *pool = object;
    size_t choices = 0;
    for (struct os_job *job = pool->first; job && choices < pool->threads; job = job->next)
        choices++;
    size_t place = sim_random_below(choices);
    world_trace('r', pool->id, place);
    run_at(pool, place);
}

void pools_add_actions(void)
{
    struct list *pools = &world()->pools;
    list_each (it, pools) {
        struct os_pool *pool = list_entry(it, struct os_pool, link);
        if (pool->first)
            world_add_action(act_run, pool);
    }
}

static void pool_drop(struct os_pool *pool)
{
    list_del(&pool->link);
    sim_free(pool);
}

void os_pool_free(struct os_pool *pool)
{
    if (!pool)
        return;
    while (pool->first)
        run_at(pool, 0);
    pool_drop(pool);
}

/* Pools that went with jobs in them. Kept, so that a sanitizer does not take what a dead process's jobs refer
 * to for leaks. */
static struct list lost = {&lost, &lost};

void pools_drop_all(void)
{
    struct world *w = world();
    while (!list_empty(&w->pools)) {
        struct os_pool *pool = list_entry(list_first(&w->pools), struct os_pool, link);
        if (!pool->first) {
            pool_drop(pool);
            continue;
        }
        list_del(&pool->link);
        list_add_tail(&lost, &pool->link);
    }
}
