/* The certificate files: read when the first listener needs them, and again while the broker runs. They are
 * compared by what is in them, since certificates are renewed in many ways (written in place, renamed,
 * a link moved). Reading and parsing are jobs on a thread of their own; shard 0 puts the result in use. */
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/say.h"
#include "proto/front_impl.h"

enum { MAX_FILE_BYTES = 1 << 20 };

struct front_tls {
    struct os_job job;
    struct shard_timer timer;
    struct os_pool *pool; /* NULL: no more looking */
    struct shard *shard;
    const struct config *config;
    struct tls *now; /* what new connections get */
    /* The job's, while one is out; then done()'s. */
    uint64_t seen;     /* hash of what was tried last */
    struct tls *fresh; /* NULL: nothing has changed, or it cannot be used */
    int err;
    char why[TLS_WHY_BYTES];
};

/* ---- reading ------------------------------------------------------------------------------------------- */

struct text {
    uint8_t *ptr;
    size_t len;
};

static int read_open(int file, struct text *ret)
{
    int64_t size = os_size(file);
    if (size < 0)
        return (int)size;
    if (size > MAX_FILE_BYTES)
        return ERR_TOO_LARGE;
    ret->ptr = mem_alloc((size_t)size + 1);
    int64_t n = os_pread(file, ret->ptr, (size_t)size, 0);
    if (n < 0)
        return (int)n;
    ret->len = (size_t)n;
    return 0;
}

/* An empty path is an empty text. */
static int read_file(const char *key, const char *path, struct text *ret, char why[TLS_WHY_BYTES])
{
    int file = *path ? os_open(path, OS_READ) : 0;
    int err = file < 0 ? file : 0;
    if (*path && !err) {
        err = read_open(file, ret);
        os_close(file);
    }
    if (err)
        snprintf(why, TLS_WHY_BYTES, "%s: %.160s: %s", key, path, err_text(err));
    return err;
}

static void forget(struct text *t)
{
    if (t->ptr)
        explicit_bzero(t->ptr, t->len); /* one of them is a key */
    mem_free(t->ptr);
}

static uint64_t hash_of(int err, const struct text *texts, size_t count)
{
    uint64_t h = (uint64_t)(int64_t)err;
    for (size_t i = 0; i < count && !err; i++)
        h = h * 31 + hash_bytes(span_of(texts[i].ptr ? texts[i].ptr : (const uint8_t *)"", texts[i].len));
    return h;
}

static void build(struct front_tls *ft, const struct text texts[3])
{
    const struct config *cfg = ft->config;
    struct tls_options o = {
        .certificate = span_of(texts[0].ptr, texts[0].len),
        .key = span_of(texts[1].ptr, texts[1].len),
        .ca = span_of(texts[2].ptr, texts[2].len),
        .verify = (enum tls_verify)cfg->tls_verify_client,
        .min_version = (enum tls_version)cfg->tls_min_version,
        .identity_from = (enum tls_name)cfg->tls_identity_from,
    };
    ft->err = tls_new(&o, &ft->fresh, ft->why);
}

/* Reads the files, and makes the rules anew unless they are what they were. */
static void look(struct front_tls *ft)
{
    const struct config *cfg = ft->config;
    struct text texts[3] = {{0}};
    ft->fresh = NULL;
    ft->err = read_file("tls.certificate", cfg->tls_certificate, &texts[0], ft->why);
    if (!ft->err)
        ft->err = read_file("tls.key", cfg->tls_key, &texts[1], ft->why);
    if (!ft->err)
        ft->err = read_file("tls.ca", cfg->tls_ca, &texts[2], ft->why);
    uint64_t hash = hash_of(ft->err, texts, 3);
    if (hash == ft->seen)
        ft->err = 0; /* a bad one is told once */
    else if (!ft->err)
        build(ft, texts);
    ft->seen = hash;
    for (size_t i = 0; i < 3; i++)
        forget(&texts[i]);
}

static void put_in_use(struct front_tls *ft)
{
    tls_unref(ft->now);
    ft->now = ft->fresh;
    ft->fresh = NULL;
    say_info("tls", "certificate in use", "subject=\"%s\" expires=\"%s\"", tls_subject(ft->now),
             tls_expires(ft->now));
}

/* ---- again and again ----------------------------------------------------------------------------------- */

static void set_timer(struct front_tls *ft)
{
    uint64_t ms = ft->config->tls_reload_interval_ms;
    if (ms != CONFIG_UNLIMITED)
        shard_timer_set(ft->shard, &ft->timer, os_mono_ns() + ms * 1000000);
}

static void job_run(struct os_job *job)
{
    look(container_of(job, struct front_tls, job));
}

static void job_done(struct os_job *job)
{
    struct front_tls *ft = container_of(job, struct front_tls, job);
    if (!ft->pool)
        return; /* front_tls_free() has what it found */
    if (ft->err)
        say_warn("tls", "changed certificate files cannot be used, the old ones stay", "reason=\"%s\"",
                 ft->why);
    if (ft->fresh)
        put_in_use(ft);
    set_timer(ft);
}

static void time_to_look(struct shard *s, struct shard_timer *t)
{
    struct front_tls *ft = container_of(t, struct front_tls, timer);
    (void)s;
    os_pool_submit(ft->pool, &ft->job);
}

int front_tls_load(struct front *f)
{
    if (f->tls)
        return f->tls->now ? 0 : ERR_BAD_TLS;
    struct front_tls *ft = mem_zalloc(sizeof(*ft));
    ft->shard = &f->broker->shards[0];
    ft->config = f->broker->config;
    ft->job = (struct os_job){.run = job_run, .done = job_done, .home = ft->shard->loop};
    ft->timer.fire = time_to_look;
    f->tls = ft;
    look(ft);
    if (!ft->fresh) {
        say_error("tls", "the certificate files cannot be used", "reason=\"%s\"", ft->why);
        return ERR_BAD_TLS;
    }
    put_in_use(ft);
    ft->pool = os_pool_new("tls", 1);
    set_timer(ft);
    return 0;
}

struct tls *front_tls_now(const struct front *f)
{
    return f->tls->now;
}

void front_tls_stop(struct front *f)
{
    struct front_tls *ft = f->tls;
    if (!ft || !ft->pool)
        return;
    shard_timer_cancel(ft->shard, &ft->timer);
    os_pool_free(ft->pool); /* a job that is out has ended then; its done() may come, or not */
    ft->pool = NULL;
}

void front_tls_free(struct front *f)
{
    if (!f->tls)
        return;
    tls_unref(f->tls->now);
    tls_unref(f->tls->fresh);
    mem_free(f->tls);
}
