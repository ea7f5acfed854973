/* Threads for blocking work: a queue under a mutex, and done() handed to the home loop. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "os/real/real.h"

struct os_pool {
    pthread_mutex_t mutex; /* guards the queue and `ending` */
    pthread_cond_t wake;
    struct os_job *first, **last;
    bool ending;
    unsigned count;
    pthread_t threads[];
};

void real_thread_start(pthread_t *ret_thread, const char *name, void *(*fn)(void *arg), void *arg)
{
    sigset_t all, before;
    char short_name[16];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(ret_thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) {
        fprintf(stderr, "level=error component=os msg=\"cannot start a thread, stopping\" errno=%d\n", err);
        exit(1);
    }
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(*ret_thread, short_name);
}

/* The oldest job, waiting for one; NULL when the pool ends and nothing is left. */
static struct os_job *pool_take(struct os_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (!pool->first && !pool->ending)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    struct os_job *job = pool->first;
    if (job) {
        pool->first = job->next;
        if (!pool->first)
            pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->mutex);
    return job;
}

static void *pool_thread(void *arg)
{
    struct os_job *job;
    while ((job = pool_take(arg))) {
        struct os_loop *home = job->home; /* without a home, run() may give the job away */
        job->run(job);
        if (home)
            loop_job_done(home, job);
    }
    return NULL;
}

struct os_pool *os_pool_new(const char *name, unsigned threads)
{
    assert(threads > 0);
    struct os_pool *pool = mem_zalloc(sizeof *pool + threads * sizeof pool->threads[0]);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->last = &pool->first;
    pool->count = threads;
    for (unsigned i = 0; i < threads; i++)
        real_thread_start(&pool->threads[i], name, pool_thread, pool);
    return pool;
}

void os_pool_submit(struct os_pool *pool, struct os_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    assert(!pool->ending);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void os_pool_free(struct os_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->ending = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool);
}
