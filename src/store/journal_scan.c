/* Replay of the journal: reads every group in order, tells torn from damaged. The rules are specified at the
 * top of journal_format.c. */
#include "base/err.h"
#include "base/mem.h"
#include "base/say.h"
#include "store/journal_file.h"

struct scan {
    struct journal_file *j;
    int (*fn)(void *, const struct journal_replay_entry *);
    void *arg;
    const struct journal_live *live;
    int file;
    uint64_t pos;
    uint32_t chain;
    uint8_t *bytes; /* the group looked at */
    uint64_t cap, len;
    uint64_t groups, said_ns;
};

/* Reads and checks the group at s->pos: its directory must be valid. ERR_EOF: there is none. */
static int load_group(struct scan *s, uint64_t pos, bool check_chain, struct journal_group_header *ret)
{
    uint8_t head[JOURNAL_GROUP_HEADER_BYTES];
    uint64_t room = s->live->size - pos;
    if (room < JOURNAL_BLOCK_BYTES)
        return ERR_EOF;
    int64_t n = os_pread(s->file, head, sizeof(head), pos);
    if (n < 0)
        return (int)n;
    if (n < (int64_t)sizeof(head))
        return ERR_EOF;
    uint64_t lsn = journal_lsn(s->live->file_no, pos);
    int err = journal_group_decode(head, s->live->header.salt, lsn, room, ret);
    if (err)
        return err;
    uint64_t len = journal_padded(ret->dir_len + ret->body_len);
    if (len > room)
        len = room;
    if (len > s->cap) { /* bounded by the file's size */
        s->bytes = mem_realloc(s->bytes, len);
        s->cap = len;
    }
    n = os_pread(s->file, s->bytes, len, pos);
    if (n < 0)
        return (int)n;
    if ((uint64_t)n < ret->dir_len || !journal_dir_valid(ret, s->bytes))
        return ERR_EOF;
    if ((uint64_t)n < len) /* a file cut short: the missing bodies will not match their checksums */
        memset(s->bytes + n, 0, len - (uint64_t)n);
    s->len = len;
    return check_chain && ret->prev_chain != s->chain ? ERR_EOF : 0;
}

/* 0: all bodies match. ERR_TORN: some do not. ERR_CORRUPT: the entries contradict the header. */
static int check_bodies(const struct scan *s, const struct journal_group_header *h)
{
    uint64_t cursor = 0;
    int result = 0;
    for (uint32_t i = 0; i < h->entry_count; i++) {
        struct journal_replay_entry e;
        int err = journal_entry_decode(h, s->bytes, i, s->bytes + h->dir_len, &cursor, &e);
        if (err)
            return err;
        if (!e.body_ok)
            result = ERR_TORN;
    }
    return result;
}

static int emit(struct scan *s, const struct journal_group_header *h)
{
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < h->entry_count; i++) {
        struct journal_replay_entry e;
        int err = journal_entry_decode(h, s->bytes, i, s->bytes + h->dir_len, &cursor, &e);
        if (!err)
            err = s->fn(s->arg, &e);
        if (err)
            return err;
    }
    return 0;
}

/* Is there a valid group of this file after `pos` which knows that what stands at `pos` had been synced? */
static bool synced_beyond(struct scan *s, uint64_t pos, uint64_t *ret_pos)
{
    enum { WINDOW = 64 * JOURNAL_BLOCK_BYTES };
    uint64_t lsn = journal_lsn(s->live->file_no, pos);
    uint8_t *window = mem_alloc(WINDOW);
    bool found = false;
    for (uint64_t at = pos + JOURNAL_BLOCK_BYTES; !found && at < s->live->size; at += WINDOW) {
        int64_t n = os_pread(s->file, window, WINDOW, at);
        for (int64_t k = 0; !found && k + JOURNAL_GROUP_HEADER_BYTES <= n; k += JOURNAL_BLOCK_BYTES) {
            struct journal_group_header h;
            uint64_t p = at + (uint64_t)k;
            found = journal_group_decode(window + k, s->live->header.salt, journal_lsn(s->live->file_no, p),
                                         s->live->size - p, &h) == 0 &&
                    load_group(s, p, false, &h) == 0 && h.synced_lsn > lsn;
            *ret_pos = p;
        }
        if (n < WINDOW)
            break;
    }
    mem_free(window);
    return found;
}

static int damaged(struct scan *s, uint64_t pos, uint64_t resume, const char *what)
{
    if (resume)
        say_error("journal", what, "file=%llu position=%llu lost_bytes=%llu",
                  (unsigned long long)s->live->file_no, (unsigned long long)pos,
                  (unsigned long long)(resume - pos));
    else
        say_error("journal", what, "file=%llu position=%llu lost=\"to the end of the file\"",
                  (unsigned long long)s->live->file_no, (unsigned long long)pos);
    return s->j->opt.accept_loss ? 0 : ERR_CORRUPT;
}

/* Keeps the bytes of the newest group, which start() writes and syncs again. */
static void remember_last(struct scan *s, uint64_t lsn)
{
    mem_free(s->j->last_group);
    s->j->last_group = mem_alloc(s->len);
    memcpy(s->j->last_group, s->bytes, s->len);
    s->j->last_group_len = s->len;
    s->j->last_group_lsn = lsn;
}

static void tell_progress(struct scan *s)
{
    uint64_t now = os_mono_ns();
    if (now - s->said_ns < 1000000000u)
        return;
    s->said_ns = now;
    size_t index = (size_t)(s->live - s->j->live);
    say_info("journal", "reading", "file=%zu of=%zu groups=%llu", index + 1, s->j->live_count,
             (unsigned long long)s->groups);
}

/* A group whose directory is valid but some body is not: torn if it is the last thing written, else damage in
 * one or more logs, which replay's caller learns from body_ok. */
static bool is_torn(struct scan *s, const struct journal_group_header *h, bool last_file)
{
    uint64_t beyond;
    if (!last_file)
        return false;
    bool torn = !synced_beyond(s, s->pos, &beyond);
    struct journal_group_header again;
    if (load_group(s, s->pos, true, &again) != 0 || again.dir_crc != h->dir_crc)
        return true; /* cannot be read twice the same way */
    return torn;
}

/* One file: 0 when its groups are done, s->pos is where they end. */
static int scan_file(struct scan *s, bool last_file)
{
    struct journal_group_header h;
    for (;;) {
        int err = load_group(s, s->pos, true, &h);
        if (err == ERR_EOF)
            return 0;
        if (err)
            return err;
        err = check_bodies(s, &h);
        if (err == ERR_CORRUPT || (err == ERR_TORN && is_torn(s, &h, last_file)))
            return 0; /* scan_end() decides what this end means */
        if (last_file)
            remember_last(s, h.lsn);
        err = emit(s, &h);
        if (err)
            return err;
        s->chain = h.dir_crc;
        s->pos += s->len;
        s->groups++;
        tell_progress(s);
    }
}

/* The groups of a file ended at s->pos: rightly so? Positions s->pos anew if damage was accepted. */
static int scan_end(struct scan *s, bool last_file, bool *ret_more)
{
    *ret_more = false;
    uint64_t beyond = 0, p;
    if (last_file) {
        if (!synced_beyond(s, s->pos, &p))
            return 0; /* the end, or a torn group, which nobody was told of */
        beyond = p;
    } else if (s->chain == s->live[1].header.prev_chain) {
        return 0;
    } else if (synced_beyond(s, s->pos, &p)) {
        beyond = p;
    }
    int err = damaged(s, s->pos, beyond,
                      "durable data is damaged; --set journal.accept-loss=true starts without it");
    if (err)
        return err;
    if (beyond) {
        struct journal_group_header h;
        if (load_group(s, beyond, false, &h) == 0) {
            s->chain = h.prev_chain;
            s->pos = beyond;
            *ret_more = true;
        }
    }
    return 0;
}

static int scan_one(struct scan *s, size_t index)
{
    struct journal_file *j = s->j;
    bool last = index + 1 == j->live_count, more = false;
    char path[JOURNAL_PATH_BYTES];
    s->live = &j->live[index];
    journal_file_path(j, s->live->file_no, path);
    int file = os_open(path, OS_WRITE);
    if (file < 0)
        return file;
    s->file = file;
    s->pos = JOURNAL_BLOCK_BYTES;
    s->chain = s->live->header.prev_chain;
    int err;
    do {
        err = scan_file(s, last);
        if (!err)
            err = scan_end(s, last, &more);
    } while (!err && more);
    if (last && !err)
        j->file = file;
    else
        os_close(file);
    return err;
}

int journal_scan(struct journal_file *j, int (*fn)(void *, const struct journal_replay_entry *), void *arg)
{
    struct scan s = {.j = j, .fn = fn, .arg = arg, .said_ns = os_mono_ns()};
    int err = 0;
    for (size_t i = 0; !err && i < j->live_count; i++)
        err = scan_one(&s, i);
    mem_free(s.bytes);
    if (err || j->live_count == 0)
        return err;
    j->pos = s.pos;
    j->chain = s.chain;
    return 0;
}

int journal_read_body(struct journal_file *j, uint64_t body_at, uint8_t *ret_bytes, uint32_t len)
{
    if (j->body_file < 0 || j->body_file_no != journal_lsn_file(body_at)) {
        if (j->body_file >= 0)
            os_close(j->body_file);
        char path[JOURNAL_PATH_BYTES];
        journal_file_path(j, journal_lsn_file(body_at), path);
        j->body_file = os_open(path, OS_READ);
        j->body_file_no = journal_lsn_file(body_at);
        if (j->body_file < 0)
            return j->body_file;
    }
    int64_t n = os_pread(j->body_file, ret_bytes, len, journal_lsn_pos(body_at));
    if (n < 0)
        return (int)n;
    return n == (int64_t)len ? 0 : ERR_CORRUPT;
}
