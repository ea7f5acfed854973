#include "queue_sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

struct scene scene;

void violation(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "VIOLATION seed=%llu life=%u at %.3f s: ", (unsigned long long)scene.seed, scene.life,
            (double)os_mono_ns() / 1e9);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static void set(const char *key, const char *value)
{
    struct config_error e;
    if (config_set(&scene.config, key, value, CONFIG_COMMAND_LINE, &e))
        violation("setting %s: %s", key, e.text);
}

/* Small files, so that recycling, flushing and copying forward happen all the time. */
void stage_init(uint64_t seed)
{
    scene = (struct scene){.seed = seed};
    sim_reset(seed);
    config_init(&scene.config);
    scene.config.auth_default_user[0] = 0; /* nobody logs in */
    set("data-dir", "data");
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    set("queue.segment-bytes", "64KiB");
    set("memory.tail-bytes", "1MiB");
    set("files.max-open", "16");
    set("shutdown.timeout", "5s");
}

static void on_ready(void *arg, struct broker *b, int err)
{
    (void)arg;
    (void)b;
    scene.ready = err == 0;
}

void stage_boot(unsigned shards)
{
    struct broker_options opt = {.config = &scene.config, .ready = on_ready};
    char n[8];
    snprintf(n, sizeof(n), "%u", shards);
    set("shards", n);
    scene.ready = scene.was_full = scene.unsaved = false;
    scene.life++;
    int err = broker_open(&opt, &scene.broker);
    if (err)
        violation("the broker does not start: %s", err_name(err));
    for (unsigned i = 0; i < 4000000 && !scene.ready; i++)
        if (!stage_step())
            violation("the broker ended while it started");
    scene.home = &scene.broker->shards[sim_random_below(shards)];
    scene.up = true;
}

/* Brokers whose store failed: as in the real process nothing is closed any more. Kept, so that a sanitizer
 * does not take them for leaks. */
static struct broker *failed[10000];
static unsigned failed_count;

static int bury(void)
{
    int code = broker_run(scene.broker);
    for (unsigned i = 0; i < scene.broker->shard_count; i++)
        scene.unsaved |= !list_empty(&scene.broker->shards[i].queues->persist);
    if (atomic_load(&scene.broker->failed))
        failed[failed_count++ % (sizeof(failed) / sizeof(failed[0]))] = scene.broker;
    else
        broker_close(scene.broker);
    scene.broker = NULL;
    scene.up = false;
    return code;
}

bool stage_step(void)
{
    if (scene.up)
        os_loop_wake(scene.home->loop); /* operations are submitted outside of a turn */
    (void)sim_step();
    if (scene.broker->phase != BROKER_ENDED)
        return true;
    scene.up = false;
    int code = bury();
    if (code != 1)
        violation("the broker ended by itself with exit code %d", code);
    return false;
}

void stage_stop(void)
{
    broker_stop(scene.broker);
    int code = bury();
    if (code != 0)
        violation("a clean stop ended with exit code %d", code);
}

void stage_crash(enum sim_crash_mode mode)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), mode);
    uint64_t next_seed = scene.seed ^ sim_random();
    scene.up = false;
    sim_disk_fail_after(-1, false, 0, SIM_FAIL_ALL);
    sim_disk_capacity(UINT64_MAX);
    uint64_t now_ms = os_mono_ns() / 1000000;
    if (scene.broker) { /* only to give its memory back: the image is taken */
        broker_stop(scene.broker);
        (void)bury();
    }
    sim_boot(image, next_seed);
    sim_advance_ms(now_ms + 1); /* time does not go back */
}
