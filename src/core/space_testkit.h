/* A broker on the simulated system for tests of virtual hosts: one operation at a time, and what every shard
 * sees of it. */
#ifndef COLOBUS_CORE_SPACE_TESTKIT_H
#define COLOBUS_CORE_SPACE_TESTKIT_H

#include "core/broker.h"
#include "core/fields.h"
#include "core/queue.h"
#include "core/space_impl.h"

extern struct config config;
extern struct broker *broker;
extern struct arena arena;                     /* of the test */
extern char why[512];                          /* what the client of the last operation is told */
extern const struct handle nobody, alice, bob; /* connections: none, and two of shard 0 */

enum { DURABLE = 1, EXCLUSIVE = 2, AUTO_DELETE = 4, PASSIVE = 8, INTERNAL = 16, UNUSED = 32, EMPTY = 64 };

/* *state is the number of shards. Errors are those of the operations; submit, then end(). */
void boot(void);
void stop(void);
void set(const char *key, const char *value);
void start(void **state);
void finish(void);
void restart(void);
void crash(void);
struct shard *last_shard(void);
struct span str(const char *s);
void *new_op(size_t size, struct handle conn);
void wait_all(void);
int end(void *entity);
struct op_queue_declare *new_declare(const char *name, unsigned flags, struct span args, struct handle conn);
int declare_args(const char *name, unsigned flags, struct span args, struct handle conn);
int declare(const char *name, unsigned flags);
int delete_queue(const char *name, unsigned flags);
int exchange_args(const char *name, const char *type, unsigned flags, struct span args);
int exchange(const char *name, const char *type, unsigned flags);
int delete_exchange(const char *name, unsigned flags);
struct op_bind *new_bind(const char *source, enum dest_kind kind, const char *dest, const char *key);
int bind_to(const char *source, enum dest_kind kind, const char *dest, const char *key);
int bind_queue(const char *source, const char *queue, const char *key);
int unbind_queue(const char *source, const char *queue, const char *key);
int put_vhost(const char *name);
int delete_vhost(const char *name);
void create_topic(const char *name);
void delete_topic(const char *name);
void settle(void);
bool queue_on_all(const char *name);
bool exchange_on_all(const char *name);
size_t bindings_on_all(const char *source);
struct queue_info *info(const char *name);
struct fields_writer table(void);
struct span int_arg(const char *name, char tag, int64_t v);
struct span str_arg(const char *name, const char *v);

#endif
