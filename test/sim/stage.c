#include "stage.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ledger.h"
#include "proto/front.h"
#include "proto/kafka/kafka.h"

struct stage stage;

static void set(const char *key, const char *value)
{
    struct config_error e;
    if (config_set(&stage.config, key, value, CONFIG_COMMAND_LINE, &e))
        ledger_violation("setting %s: %s", key, e.text);
}

/* Small files, so that recycling, flushing and rolling happen all the time. */
static void configure(unsigned shards)
{
    char n[8];
    snprintf(n, sizeof(n), "%u", shards);
    config_init(&stage.config);
    set("data-dir", "data");
    set("shards", n);
    set("journal.file-bytes", "1MiB");
    set("journal.max-bytes", "4MiB");
    set("segment.bytes", "65536");
    set("memory.tail-bytes", "1MiB");
    set("files.max-open", "16");
    set("shutdown.timeout", "5s");
    set("kafka.idle-timeout", "1h");
    set("kafka.producer-id-expiration", "unlimited"); /* the clock leaps when nothing happens */
    set("kafka.offsets-retention-check-interval", "unlimited");
    set("kafka.group-initial-rebalance-delay", "5ms");
    set("kafka.offsets-retention", "unlimited");
    set("retention.time", "unlimited"); /* the ledger misses what is removed */
}

void stage_init(uint64_t seed, unsigned shards)
{
    stage = (struct stage){.seed = seed, .shards = shards};
    sim_reset(seed);
    configure(shards);
}

static void on_ready(void *arg, struct broker *b, int err)
{
    struct front_listen l = {.proto = &kafka_proto,
                             .name = "kafka",
                             .address = STAGE_ADDRESS,
                             .max_ops = 16,
                             .max_bytes = 1 << 20};
    (void)arg;
    (void)b;
    if (!err && front_open(stage.front, &l) == 0)
        stage.ready = true;
}

void stage_boot(void)
{
    struct broker_options opt = {.config = &stage.config, .hooks = &front_hooks, .ready = on_ready};
    stage.ready = false;
    int err = broker_open(&opt, &stage.broker);
    if (err)
        ledger_violation("the broker does not start: %s", err_name(err));
    stage.front = front_new(stage.broker);
    kafka_name_metrics(stage.broker->metrics);
}

/* Brokers whose store failed: as in the real process nothing is closed any more. Kept, so that a sanitizer
 * does not take them for leaks. */
static struct {
    struct broker *broker;
    struct front *front;
} failed[100000];
static unsigned failed_count;

/* Runs the loops out, and frees everything. */
static int bury(void)
{
    int code = broker_run(stage.broker);
    if (atomic_load(&stage.broker->failed)) {
        failed[failed_count].broker = stage.broker;
        failed[failed_count++].front = stage.front;
    } else {
        broker_close(stage.broker);
        front_free(stage.front);
    }
    stage.broker = NULL;
    stage.front = NULL;
    return code;
}

bool stage_step(void)
{
    (void)sim_step();
    if (stage.broker->phase != BROKER_ENDED)
        return true;
    int code = bury();
    if (code != 1)
        ledger_violation("the broker ended by itself with exit code %d", code);
    return false;
}

void stage_stop(void)
{
    broker_stop(stage.broker);
    int code = bury();
    if (code != 0)
        ledger_violation("a clean stop ended with exit code %d", code);
}

void stage_crash(enum sim_crash_mode mode)
{
    struct sim_image *image = sim_disk_image(sim_disk_ops(), mode);
    sim_disk_fail_after(-1, false, 0, SIM_FAIL_ALL);
    if (stage.broker) { /* only to give its memory back: the image is taken */
        broker_stop(stage.broker);
        (void)bury();
    }
    sim_boot(image, stage.seed ^ sim_random());
}
