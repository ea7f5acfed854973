/* Text that grows: what subcommands print and what the management port answers. */
#ifndef COLOBUS_APP_TEXT_H
#define COLOBUS_APP_TEXT_H

#include "base/span.h"

/* All zero: empty. */
struct text {
    char *ptr; /* terminated, or NULL while it is empty */
    size_t len, cap;
};

void text_free(struct text *t);
void text_put(struct text *t, const char *s);
void text_put_span(struct text *t, struct span s);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With &, <, >, " and ' written as entities. */
void text_put_html(struct text *t, struct span s);
/* Bytes that a client made up, for people: UTF-8 as it is; what is none, and control characters, as \xNN. */
void text_put_shown(struct text *t, struct span s);
/* At most max bytes of the front, not ending within a character of UTF-8. */
struct span text_cut(struct span s, size_t max);
/* "1.5 MiB". */
void text_put_bytes(struct text *t, uint64_t bytes);
struct json_t;
/* flags are jansson's. */
void text_put_json(struct text *t, const struct json_t *o, size_t flags);
struct span text_span(const struct text *t);

/* Rows of cells, printed as aligned columns. Cells are copied, control characters in them as
 * question marks. */
enum { TABLE_COLUMNS = 8 };
struct table {
    size_t columns, rows, cap;
    char **cells;              /* rows * columns */
    bool right[TABLE_COLUMNS]; /* numbers */
};

/* The first row is the head. `count` texts. */
void table_row(struct table *t, const char *const *cells, size_t count);
void table_print(const struct table *t, struct text *out);
void table_free(struct table *t);

#endif
