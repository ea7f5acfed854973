/* Recovery of command logs: what the pass over the journal collects of each, and its replay to the core. */
#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/log_impl.h"

/* The body is read again when it is replayed: a journal may hold more commands than memory should. */
struct found_command {
    uint64_t seq, lsn, body_at;
    uint32_t len;
};

struct found_commands {
    uint64_t id;
    struct found_command *commands; /* after the snapshot */
    size_t count, cap;
    uint8_t *state; /* the newest snapshot, or the entry that names its file */
    size_t state_len;
    uint64_t state_seq, state_lsn;
    bool has_state, state_spilled;
    bool damaged; /* an entry since the snapshot is */
    bool replayed;
};

/* ---- collecting ---- */

static struct found_commands *found_log(struct map *found, uint64_t id)
{
    struct found_commands *f = map_get_u64(found, id);
    if (!f) {
        f = mem_zalloc(sizeof(*f));
        f->id = id;
        map_put_u64(found, id, f);
    }
    return f;
}

/* Keeps the commands that the snapshot does not have: those that came while it was on its way. */
static void drop_covered(struct found_commands *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++)
        if (f->commands[i].seq > f->state_seq)
            f->commands[kept++] = f->commands[i];
    f->count = kept;
}

static void found_snapshot(struct found_commands *f, const struct journal_replay_entry *e)
{
    mem_free(f->state);
    f->state = mem_alloc(e->body_len);
    memcpy(f->state, e->body.ptr, e->body_len);
    f->state_len = e->body_len;
    f->state_seq = e->base;
    f->state_lsn = e->lsn;
    f->state_spilled = e->flags & JOURNAL_SPILLED;
    f->has_state = true;
    f->damaged = false;
    drop_covered(f);
}

void recover_command(struct map *found, const struct journal_replay_entry *e)
{
    struct found_commands *f = found_log(found, e->log_id);
    if (!e->body_ok) {
        f->damaged = true;
        return;
    }
    if (e->type == JOURNAL_STATE) {
        found_snapshot(f, e);
        return;
    }
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->commands = mem_realloc(f->commands, f->cap * sizeof(*f->commands));
    }
    f->commands[f->count++] = (struct found_command){e->base, e->lsn, e->body_at, e->body_len};
}

void recover_commands_free(struct map *found)
{
    size_t cursor = 0;
    for (struct found_commands *f; (f = map_next(found, &cursor));) {
        mem_free(f->commands);
        mem_free(f->state);
        mem_free(f);
    }
    map_fini(found);
}

/* Without this they would be gone with the journal's next recycling. */
int recover_commands_check(const struct store *st)
{
    size_t cursor = 0;
    int err = 0;
    for (struct found_commands *f; (f = map_next(recover_commands_of(st), &cursor));) {
        if (f->replayed)
            continue;
        say_error("store", "there are commands that this version knows nothing of", "log=%llu",
                  (unsigned long long)f->id);
        err = ERR_UNSUPPORTED;
    }
    return err;
}

/* ---- replay ---- */

/* *ret_bytes: on the heap, NULL if there is no snapshot. */
static int load_snapshot(struct store *st, struct found_commands *f, struct command_log *c,
                         uint8_t **ret_bytes, size_t *ret_len)
{
    *ret_bytes = NULL;
    *ret_len = f->state_len;
    if (!f->has_state)
        return 0;
    if (!f->state_spilled) {
        *ret_bytes = f->state;
        f->state = NULL;
        return 0;
    }
    struct spill_file file;
    int err = spill_decode(span_of(f->state, f->state_len), &file);
    if (!err)
        err = spill_read(st, &file, ret_bytes);
    if (err)
        return err;
    c->file = file;
    *ret_len = file.len;
    return 0;
}

static int replay_commands(struct store *st, const struct found_commands *f, struct command_log *c,
                           int (*apply)(void *arg, struct span command), void *arg)
{
    uint8_t *bytes = NULL;
    size_t cap = 0;
    int err = 0;
    for (size_t i = 0; !err && i < f->count; i++) {
        const struct found_command *x = &f->commands[i];
        if (x->seq <= c->seq)
            continue;
        if (x->len > cap) {
            cap = x->len;
            bytes = mem_realloc(bytes, cap);
        }
        err = st->journal->ops->read_body(st->journal, x->body_at, bytes, x->len);
        if (err)
            break;
        if (!c->unsaved_lsn)
            c->unsaved_lsn = x->lsn;
        c->seq = x->seq;
        err = apply(arg, span_of(bytes, x->len));
    }
    mem_free(bytes);
    return err;
}

static int refuse_damage(const struct store *st, struct command_log *c, const char *what)
{
    say_error("store", what, "log=%llu%s accepted=%s", (unsigned long long)c->id,
              c->id == STORE_META_LOG ? " (the metadata)" : "", st->opt.accept_loss ? "yes" : "no");
    c->renew = true;
    return st->opt.accept_loss ? 0 : ERR_CORRUPT;
}

int store_replay_commands(struct store *st, uint64_t log_id, int (*restore)(void *arg, struct span snapshot),
                          int (*apply)(void *arg, struct span command), void *arg)
{
    struct command_log *c = command_log_get(&st->shards[store_shard_of(st, log_id)], log_id);
    struct found_commands *f = map_get_u64(recover_commands_of(st), log_id);
    if (!f)
        return 0;
    uint8_t *snapshot;
    size_t len;
    f->replayed = true;
    int err = load_snapshot(st, f, c, &snapshot, &len);
    if (err == ERR_CORRUPT)
        err = refuse_damage(st, c, "the snapshot of a command log is damaged or missing");
    if (!err && f->damaged)
        err = refuse_damage(st, c, "a command log is damaged");
    c->seq = c->state_seq = f->state_seq;
    c->state_lsn = f->state_lsn;
    if (!err && snapshot)
        err = restore(arg, span_of(snapshot, len));
    mem_free(snapshot);
    return err ? err : replay_commands(st, f, c, apply, arg);
}
