/* Tables of typed fields: arguments of queues, exchanges and bindings, and the headers of messages.
 *
 * The encoding is that of AMQP 0-9-1 field tables with RabbitMQ's tags, since most of them arrive in it and
 * leave in it: nothing is converted on the way. A table here is the bytes between its u32 length and its end;
 * an empty or null span is an empty table. Tags: t bool, b i8, B u8, s i16, u u16, I i32, i u32, l and L i64,
 * f float, d double, D decimal, S long string, T timestamp (u64 seconds), F table, A array, x bytes, V void.
 */
#ifndef COLOBUS_CORE_FIELDS_H
#define COLOBUS_CORE_FIELDS_H

#include "base/arena.h"
#include "base/outq.h"
#include "base/span.h"

enum { FIELDS_MAX_DEPTH = 32 };

/* One value. Spans are borrowed from the table. */
struct field {
    char tag;
    int64_t integer;   /* t (0 or 1), b B s u I i l L T */
    double number;     /* f d, and D as the nearest */
    struct span bytes; /* S x: the bytes; F A: what is inside; D: its 5 bytes */
};

/* ERR_INVALID: not a whole, well-formed table with names of at most 255 bytes, or nested too deeply.
 * Everything below may only be called with tables that have passed. */
int fields_check(struct span table);
/* Walks a table (or the inside of an array: names are null then). False at the end. */
struct fields_iter {
    const uint8_t *p, *end;
    bool array;
};
void fields_begin(struct fields_iter *it, struct span table);
void fields_begin_array(struct fields_iter *it, struct span array);
bool fields_next(struct fields_iter *it, struct span *ret_name, struct field *ret);
/* The first field of that name. */
bool fields_get(struct span table, struct span name, struct field *ret);
bool fields_get_str(struct span table, const char *name, struct field *ret);
size_t fields_count(struct span table);

static inline bool field_is_integer(const struct field *f)
{
    return strchr("bBsuIilLT", f->tag) != NULL && f->tag;
}
/* The same value, as RabbitMQ compares arguments: all integers are one class, all floats another. */
bool field_eq(const struct field *a, const struct field *b);
/* "the value '10' of type 'long'", as RabbitMQ words it in "inequivalent arg"; f NULL: "none". In the arena,
 * as is all text here; long values are cut, and what does not print is '?'. */
const char *field_describe(const struct field *f, struct arena *a);
const char *field_type_name(char tag); /* "longstr", "signedint", ...: RabbitMQ's names */
/* The value alone: strings as they are, the rest as Erlang prints it (field_term(): strings, too). */
const char *field_text(const struct field *f, struct arena *a);
const char *field_term(const struct field *f, struct arena *a);
/* What comes after "inequivalent arg 'NAME' for queue 'q' in vhost '/': " if two tables differ in this field:
 * "received '5' but current is '10'", "received none but current is the value '10' of type 'long'". NULL:
 * they are equivalent in it (rabbit_misc:assert_args_equivalence1, without its exception for x-queue-type).
 */
const char *fields_difference(struct span current, struct span received, struct span name, struct arena *a);
/* The table sorted by names, those of one name in their order: itself, or in the arena. */
struct span fields_sort(struct span table, struct arena *a);

/* Makes a table in an arena: add to it, then take the bytes. */
struct fields_writer {
    struct arena *arena;
    uint8_t *bytes;
    size_t len, cap;
};
void fields_writer_init(struct fields_writer *w, struct arena *a);
void fields_put_str(struct fields_writer *w, struct span name, struct span value);   /* S */
void fields_put_int(struct fields_writer *w, struct span name, char tag, int64_t v); /* any integer tag */
void fields_put_bool(struct fields_writer *w, struct span name, bool v);
void fields_put_table(struct fields_writer *w, struct span name, struct span table); /* F */
void fields_put_array(struct fields_writer *w, struct span name, struct span array); /* A */
void fields_put(struct fields_writer *w, struct span name, const struct field *f);   /* any, as it is */
/* Elements of an array: the same without names. */
void fields_add_str(struct fields_writer *w, struct span value);
void fields_add_table(struct fields_writer *w, struct span table);
void fields_add(struct fields_writer *w, const struct field *f);
struct span fields_done(const struct fields_writer *w);

#endif
