/* Memory from the heap, with one policy for running out of it and one fault point for tests. */
#ifndef COLOBUS_BASE_MEM_H
#define COLOBUS_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the threads: large blocks go back to the system when they are freed, whatever was freed
 * before. */
void mem_init(void);

/* For sizes that the broker itself decides (structs, tables): never NULL. When memory is gone the process
 * stops at once with exit code 1; nothing acknowledged is lost, the journal recovers it (fail-stop). */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *ptr, size_t size);
char *mem_strndup(const void *ptr, size_t len);

/* For sizes that a peer's bytes decide: NULL when memory is gone, and the caller refuses the request. */
void *mem_try(size_t size);

/* Takes NULL. */
void mem_free(void *ptr);

/* Test only: lets `n` more allocations succeed, then fails one, or all from there on if sticky.
 * n < 0 turns the fault point off. Not for use while other threads allocate. */
void mem_fail_after(int64_t n, bool sticky);

/* Test only: called instead of ending the process when memory is gone; must not return (longjmp). NULL: off.
 */
void mem_on_exhausted(void (*fn)(void));

#endif
