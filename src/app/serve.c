#include "app/serve.h"

#include "app/admin.h"
#include "app/admin_backend.h"
#include "app/mgmt.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "core/broker.h"
#include "proto/front.h"
#include "proto/http/http.h"
#include "core/message.h"
#include "proto/amqp/amqp.h"
#include "proto/kafka/kafka.h"
#include "proto/redis/redis.h"

/* Of one connection; a request is let in as long as anything of it is left. */
enum { HTTP_BYTES_IN_FLIGHT = 4 << 20 };

struct serve {
    const struct config *config;
    struct broker *broker;
    struct front *front;
    struct admin admin;
    bool failed; /* to start */
};

static int open_one(struct serve *sv, const struct front_listen *l)
{
    int err = front_open(sv->front, l);
    if (err == ERR_EXISTS)
        say_error("serve", "cannot listen",
                  "listener=%s address=%s error=\"the address is in use\" hint=\"set %s.listen to another, "
                  "or to off\"",
                  l->name, l->address, l->proto->name);
    else if (err)
        say_error("serve", "cannot listen", "listener=%s address=%s error=\"%s\"", l->name, l->address,
                  err_text(err));
    return err;
}

static int open_kafka(struct serve *sv, const struct config_listener *item)
{
    const struct config *cfg = sv->config;
    const struct config_advert *ad = config_advert_of(cfg, item->name);
    struct front_listen l = {
        .proto = &kafka_proto,
        .name = item->name,
        .address = item->address,
        .tls = item->tls,
        .advertised_host = ad ? ad->host : NULL,
        .advertised_port = ad ? ad->port : 0,
        .max_ops = (unsigned)cfg->kafka_max_in_flight,
        .max_bytes = cfg->kafka_max_request_bytes,
    };
    return open_one(sv, &l);
}

static int open_amqp(struct serve *sv, const struct config_listener *item)
{
    struct front_listen l = {
        .proto = &amqp_proto,
        .name = item->name,
        .address = item->address,
        .tls = item->tls,
        .max_ops = (unsigned)sv->config->amqp_max_in_flight,
        .max_bytes = sv->config->amqp_max_in_flight_bytes,
    };
    return open_one(sv, &l);
}

static int open_redis(struct serve *sv, const struct config_listener *item)
{
    struct front_listen l = {
        .proto = &redis_proto,
        .name = item->name,
        .address = item->address,
        .tls = item->tls,
        .max_ops = REDIS_OPS_IN_FLIGHT,
        .max_bytes = sv->config->redis_max_in_flight_bytes,
    };
    return open_one(sv, &l);
}

static int open_http(struct serve *sv, const struct config_listener *item)
{
    struct front_listen l = {
        .proto = &http_proto,
        .name = item->name,
        .address = item->address,
        .tls = item->tls,
        .front = &sv->admin.server,
        .max_ops = HTTP_MAX_PIPELINE,
        .max_bytes = HTTP_BYTES_IN_FLIGHT,
    };
    return open_one(sv, &l);
}

static int open_all(struct serve *sv)
{
    const struct config *cfg = sv->config;
    int err = 0;
    for (unsigned i = 0; i < cfg->kafka_listen.count && !err; i++)
        err = open_kafka(sv, &cfg->kafka_listen.items[i]);
    for (unsigned i = 0; i < cfg->amqp_listen.count && !err; i++)
        err = open_amqp(sv, &cfg->amqp_listen.items[i]);
    for (unsigned i = 0; i < cfg->redis_listen.count && !err; i++)
        err = open_redis(sv, &cfg->redis_listen.items[i]);
    for (unsigned i = 0; i < cfg->http_listen.count && !err; i++)
        err = open_http(sv, &cfg->http_listen.items[i]);
    return err;
}

/* On shard 0, once. */
static void on_ready(void *arg, struct broker *b, int err)
{
    struct serve *sv = arg;
    if (!err)
        err = open_all(sv);
    if (err) {
        sv->failed = true;
        broker_stop(b);
        return;
    }
    (void)os_write_stdout(span_str("colobus ready\n"));
}

static void on_stop_signal(void *arg)
{
    broker_stop(arg);
}

int serve_run(const struct config *cfg)
{
    struct serve sv = {.config = cfg};
    struct admin_backend backend;
    struct broker_options opt = {.config = cfg,
                                 .accept_loss = cfg->journal_accept_loss,
                                 .hooks = &front_hooks,
                                 .ready = on_ready,
                                 .arg = &sv};
    mem_init();
    message_formats[MESSAGE_FORMAT_AMQP] = &amqp_message_format;
    (void)os_raise_file_limit();
    int err = broker_open(&opt, &sv.broker);
    if (err) {
        say_error("serve", "cannot start", "data-dir=\"%s\" error=\"%s\"", cfg->data_dir, err_text(err));
        return 1;
    }
    sv.front = front_new(sv.broker);
    kafka_name_metrics(sv.broker->metrics);
    admin_backend_init(&backend, sv.broker);
    backend.routes = mgmt_routes;
    backend.route_count = mgmt_route_count;
    backend.guard = mgmt_guard;
    admin_init(&sv.admin, cfg, &backend, sv.broker->metrics);
    os_loop_on_stop_signal(sv.broker->loops[0], on_stop_signal, sv.broker);
    int code = broker_run(sv.broker);
    if (atomic_load(&sv.broker->failed))
        return 1; /* fail-stop: what the disk has is what the next start recovers, nothing is touched any more
                   */
    broker_close(sv.broker);
    front_free(sv.front);
    return sv.failed ? 1 : code;
}
