/* RESP, Redis's protocol: commands as they come, answers as they go. Pure: bytes in, bytes out.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/ and Redis's networking.c. */
#ifndef COLOBUS_PROTO_REDIS_RESP_H
#define COLOBUS_PROTO_REDIS_RESP_H

#include "base/outq.h"
#include "base/span.h"

/* ---- commands ------------------------------------------------------------------------------------------ */

struct resp_limits {
    size_t max_args;   /* of one command ("invalid multibulk length") */
    size_t max_bulk;   /* bytes of one argument ("invalid bulk length") */
    size_t max_bytes;  /* of a whole command; beyond it the argument is of an invalid length, too */
    size_t max_inline; /* bytes of a line without its end ("too big inline request", "too big mbulk count
                          string") */
    bool known;        /* false: the client has not logged in, and must (other words in the errors) */
};

/* One command, as an array of bulk strings or as an inline line. Kept between calls, so that a command that
 * comes in many pieces is not parsed from its beginning each time; spans are set when it is whole.
 *
 * 1. Up to `at` all is understood; up to `seen` there is no end of the line that begins at `at`.
 * 2. args_left < 0: the command's first line is not whole; bulk_left < 0: the argument's head is not.
 * 3. args has room for count + 1; until the command is whole args[i].ptr is no pointer, but the argument's
 *    place in the command: the bytes may move between calls. */
struct resp_parser {
    struct span *args; /* owned by the parser, valid with the input until the next call */
    size_t count, cap;
    size_t at, seen; /* relative to the command's first byte */
    int64_t args_left, bulk_left;
    uint8_t *words; /* of an inline command with quotes: its arguments, unescaped; they don't lie in the input
                       then. Until the next call; NULL: no quotes */
    size_t words_len;
    bool begun;
    char why[48];
};
void resp_parser_init(struct resp_parser *p);
void resp_parser_fini(struct resp_parser *p);

/* Returns the bytes of one whole command (count may be 0: an empty line or array, to be ignored); 0: more
 * must come, *ret_need bytes in all at least; ERR_INVALID: the connection must end after "-ERR " and
 * *ret_why, which is static or in the parser, e.g. "Protocol error: invalid bulk length". Input begins where
 * the last whole command ended. Nothing is allocated by what a head announces. */
int64_t resp_parse(struct resp_parser *p, struct span input, const struct resp_limits *l, size_t *ret_need,
                   const char **ret_why);

/* string2ll(): no plus, no leading zeros, nothing around the digits. */
bool resp_parse_integer(struct span text, int64_t *ret);

/* ---- answers: appended to a queue. They fail only for want of memory; then the queue is as good as lost,
 * and *failed is set. ---- */

struct resp_writer {
    struct outq *out; /* NULL: nobody wants to know */
    uint8_t version;  /* 2 or 3 */
    bool failed;
    uint32_t errors; /* written so far */
};
void resp_simple(struct resp_writer *w, const char *text);      /* +text */
void resp_error(struct resp_writer *w, const char *format, ...) /* -text; CR and LF become spaces */
    __attribute__((format(printf, 2, 3)));
void resp_integer(struct resp_writer *w, int64_t v);
void resp_bulk(struct resp_writer *w, struct span bytes);
void resp_bulk_str(struct resp_writer *w, const char *text);
void resp_null(struct resp_writer *w);       /* $-1, or _ */
void resp_null_array(struct resp_writer *w); /* *-1, or _ */
void resp_array(struct resp_writer *w, size_t count);
void resp_map(struct resp_writer *w, size_t pairs);          /* RESP2: an array of twice as many */
void resp_set(struct resp_writer *w, size_t count);          /* RESP2: an array */
void resp_push(struct resp_writer *w, size_t count);         /* RESP2: an array */
void resp_bool(struct resp_writer *w, bool v);               /* RESP2: 1 or 0 */
void resp_double(struct resp_writer *w, double v);           /* RESP2: a bulk string */
void resp_verbatim(struct resp_writer *w, struct span text); /* RESP3 "txt:"; RESP2: a bulk string */

#endif
