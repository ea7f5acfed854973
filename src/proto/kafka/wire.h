/* What the generated message code stands on: Kafka's strings, arrays, records and tagged fields.
 *
 * Every length is checked against the bytes that are left before anything is allocated, so a message can
 * never ask for more memory than a small multiple of what has arrived (WIRE_MAX_AMPLIFICATION). */
#ifndef COLOBUS_PROTO_KAFKA_WIRE_H
#define COLOBUS_PROTO_KAFKA_WIRE_H

#include "base/outq.h"
#include "base/reader.h"
#include "base/writer.h"

enum {
    /* All arrays of one message, decoded: 1.6 million topics of a Produce request, far above any real use. */
    WIRE_MAX_DECODED_BYTES = 64 * 1024 * 1024,
    /* sizeof(element) / bytes of the smallest encoded element, asserted for every array by the generated
     * code. Nested arrays each count their own bytes, so a message decodes into at most this many times its
     * size for each level of nesting. */
    WIRE_MAX_AMPLIFICATION = 32,
};

struct kafka_uuid {
    uint8_t bytes[16];
};

/* One API, from the schema. */
struct kafka_api_info {
    int16_t key;
    const char *name;
    int16_t min, max;                       /* versions that can be decoded */
    int16_t advertised_min, advertised_max; /* versions that ApiVersions names */
    int16_t flexible_from;                  /* INT16_MAX: never */
    bool plain_response_header;             /* always version 0, KIP-511 */
};

static inline int kafka_request_header_version(const struct kafka_api_info *api, int version)
{
    return version >= api->flexible_from ? 2 : 1;
}

static inline int kafka_response_header_version(const struct kafka_api_info *api, int version)
{
    return version >= api->flexible_from && !api->plain_response_header ? 1 : 0;
}

/* A growable text, for the dump of a message: one line per field, nested structs indented. */
struct wire_text {
    char *s; /* terminated; NULL while empty */
    size_t len, cap;
    int depth;
};

void wire_text_fini(struct wire_text *t);

/* One row per message, so that tests and tools can go over all of them. */
struct wire_message {
    const char *name; /* "produce_request" */
    int16_t key;      /* of the API; -1: a header */
    bool response;
    int16_t min, max;
    size_t size; /* of the struct */
    void (*read)(struct reader *r, int version, void *ret);
    void (*write)(struct writer *w, int version, const void *m);
    void (*dump)(struct wire_text *t, const void *m);
};

/* The empty string, which is not null. */
extern const struct span wire_empty;

/* Reading. `flexible` selects the compact encodings (KIP-482). A null where `nullable` is false fails the
 * reader; so does any length beyond the bytes that are left. Spans borrow from the input. */
struct span wire_read_string(struct reader *r, bool flexible, bool nullable);
struct span wire_read_bytes(struct reader *r, bool flexible, bool nullable);
/* One borrowed slice, or none; null reads as empty. */
struct rope wire_read_records(struct reader *r, bool flexible, bool nullable);
struct kafka_uuid wire_read_uuid(struct reader *r);
/* A zeroed array in the reader's arena; *ret_count is -1 for null. NULL if null, empty or failed (count 0).
 * `min_bytes`, at least 1, is the size of the smallest element of this version on the wire. */
void *wire_read_array(struct reader *r, bool flexible, bool nullable, size_t min_bytes, size_t item_size,
                      int32_t *ret_count);

/* A tagged field being read: the reader sees only its bytes until wire_close_tag(), which fails if some are
 * left over. */
struct wire_open_tag {
    uint32_t number;
    const uint8_t *end; /* of the whole message */
};

struct wire_open_tag wire_open_tag(struct reader *r);
void wire_skip_tag(struct reader *r);
void wire_close_tag(struct reader *r, const struct wire_open_tag *tag);
/* A whole section of tagged fields, none of which is known. */
void wire_skip_tags(struct reader *r);

/* Writing. A null in a field that is not nullable in this version is written as empty. A string too long for
 * its length field fails the writer with ERR_LIMIT. */
void wire_write_string(struct writer *w, bool flexible, bool nullable, struct span s);
void wire_write_bytes(struct writer *w, bool flexible, bool nullable, struct span s);
/* References the rope, never null: a client that gets null records instead of none may fail. */
void wire_write_records(struct writer *w, bool flexible, const struct rope *records);
void wire_write_uuid(struct writer *w, struct kafka_uuid id);
void wire_write_count(struct writer *w, bool flexible, bool nullable, int32_t count);

/* A tagged field being written: into a queue of its own, since its length comes first. */
struct wire_tag {
    struct outq bytes;
    struct writer w;
};

void wire_begin_tag(struct wire_tag *tag, const struct writer *w);
/* Appends number, length and bytes to `w`. */
void wire_end_tag(struct wire_tag *tag, struct writer *w, uint32_t number);

bool wire_uuid_is_zero(struct kafka_uuid id);

/* Dumps: `name` is the field's, NULL inside an array of scalars. */
void wire_dump_int(struct wire_text *t, const char *name, int64_t v);
void wire_dump_bool(struct wire_text *t, const char *name, bool v);
void wire_dump_f64(struct wire_text *t, const char *name, double v);
void wire_dump_string(struct wire_text *t, const char *name, struct span s);
void wire_dump_bytes(struct wire_text *t, const char *name, struct span s);
void wire_dump_records(struct wire_text *t, const char *name, const struct rope *records);
void wire_dump_uuid(struct wire_text *t, const char *name, struct kafka_uuid id);
/* "name = null", "name = []" or nothing: the elements follow. */
void wire_dump_count(struct wire_text *t, const char *name, int32_t count);
/* "name[index]", or "name" if index < 0, and what follows is indented until wire_dump_leave(). */
void wire_dump_enter(struct wire_text *t, const char *name, int32_t index);
void wire_dump_leave(struct wire_text *t);

#endif
