/* The AMQP load client: `amqp_load MODE`; one JSON object on standard output. */
#include "amqp/load.h"

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
    if (l->args.mode == MODE_DECLARE || l->args.mode == MODE_DELETE)
        return run_declare(l);
    return l->args.mode == MODE_IDLE ? run_idle(l) : run_flow(l);
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
    for (uint32_t i = 0; i < l->peer_count; i++)
        peer_free(l, l->peers[i]);
    free(l->peers);
    free(l->templates);
    free(l);
    return status;
}
