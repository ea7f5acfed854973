/* The methods of AMQP 0-9-1: structs, decoder and encoder, made from the rows of methods.def. */
#ifndef COLOBUS_PROTO_AMQP_METHOD_H
#define COLOBUS_PROTO_AMQP_METHOD_H

#include "base/span.h"

/* Class id in the upper half, method id in the lower: AMQP_BASIC_PUBLISH is 60 << 16 | 40. */
enum amqp_method_id {
    AMQP_NO_METHOD = 0,
#define METHOD(ID, name, class_id, method_id, flags, ...) AMQP_##ID = (class_id) << 16 | (method_id),
#include "proto/amqp/methods.def"
#undef METHOD
};

/* struct amqp_basic_publish and so on. Spans are borrowed: from the frame when decoded. Shortstr at most 255
 * bytes; tables are what stands behind their length, and have passed fields_check(). */
#define OCTET(f)    uint8_t f;
#define SHORT(f)    uint16_t f;
#define LONG(f)     uint32_t f;
#define LONGLONG(f) uint64_t f;
#define BIT(f)      bool f;
#define SHORTSTR(f) struct span f;
#define LONGSTR(f)  struct span f;
#define TABLE(f)    struct span f;
#define METHOD(ID, name, class_id, method_id, flags, ...)                                                    \
    struct amqp_##name {                                                                                     \
        __VA_ARGS__                                                                                          \
    };
#include "proto/amqp/methods.def"
#undef METHOD
#undef OCTET
#undef SHORT
#undef LONG
#undef LONGLONG
#undef BIT
#undef SHORTSTR
#undef LONGSTR
#undef TABLE

struct amqp_method {
    uint32_t id; /* enum amqp_method_id */
    union {
#define METHOD(ID, name, class_id, method_id, flags, ...) struct amqp_##name name;
#include "proto/amqp/methods.def"
#undef METHOD
    };
};

/* Decodes a METHOD frame's payload. 0; ERR_UNSUPPORTED: no such method, ret->id is what was asked for;
 * ERR_INVALID: not well-formed. Octets behind the arguments are let be, as RabbitMQ does. */
int amqp_method_decode(struct span payload, struct amqp_method *ret);
/* Bytes of the payload: ids and arguments. */
size_t amqp_method_bytes(const struct amqp_method *m);
/* Writes amqp_method_bytes(m) bytes, and returns the end. Shortstrs must fit (asserted). */
uint8_t *amqp_method_encode(const struct amqp_method *m, uint8_t *at);

/* "basic_publish"; NULL: no such method. */
const char *amqp_method_name(uint32_t id);
bool amqp_method_from_client(uint32_t id); /* a client may send it */
bool amqp_method_has_content(uint32_t id);

#endif
