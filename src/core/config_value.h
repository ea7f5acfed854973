/* Values of settings as text: what a user writes, and what --describe shows. */
#ifndef COLOBUS_CORE_CONFIG_VALUE_H
#define COLOBUS_CORE_CONFIG_VALUE_H

#include "core/config.h"

/* Parse `text` for setting `s` into its field at `field`, which is untouched on failure. 0, or ERR_INVALID
 * with the reason (without the key) in ret_error. */
int config_value_parse(const struct setting *s, const char *text, void *field,
                       struct config_error *ret_error);
/* The opposite; the text parses to the same value. */
void config_value_format(const struct setting *s, const void *field, char *ret_text, size_t size);
/* A number in the words of the type: "64MiB", "10min", "unlimited". */
void config_number_format(enum setting_type type, uint64_t v, char *ret_text, size_t size);
/* Lists of addresses: config_address.c. */
int config_listeners_parse(const struct setting *s, const char *text, struct config_listeners *ret_list,
                           struct config_error *ret_error);
int config_adverts_parse(const char *text, struct config_adverts *ret_list, struct config_error *ret_error);
void config_listeners_format(const struct setting *s, const struct config_listeners *list, char *ret_text,
                             size_t size);
void config_adverts_format(const struct config_adverts *list, char *ret_text, size_t size);

/* Sets the text and returns ERR_INVALID. */
int config_fail(struct config_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
