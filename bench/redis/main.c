/* The Redis load client: `redis_load MODE`; one JSON object on standard output. */
#include "redis/load.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(struct load *l)
{
    channels_make(l);
    if (l->args.mode == MODE_IDLE)
        return run_idle(l);
    return l->args.mode == MODE_LISTEN ? run_listen(l) : run_flow(l);
}

int main(int argc, char **argv)
{
    struct load *l = calloc(1, sizeof(*l));
    if (l == NULL)
        die("load", "no memory");
    l->args = args_parse(argc, argv);
    raise_file_limit();
    prctl(PR_SET_TIMERSLACK, 1000); /* nanoseconds: schedules are in microseconds */
    if (l->args.mode == MODE_SINK)
        return sink_run(&l->args);
    l->epoll = epoll_create1(0);
    if (l->epoll < 0)
        die("epoll", "cannot be created");
    int status = run(l);
    for (uint32_t i = 0; i < l->publisher_count; i++)
        peer_free(l->publishers[i]);
    for (uint32_t i = 0; i < l->subscriber_count; i++)
        peer_free(l->subscribers[i]);
    free(l->publishers);
    free(l->subscribers);
    channels_free(l);
    free(l);
    return status;
}
