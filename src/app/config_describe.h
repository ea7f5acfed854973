/* The settings for people and for programs: a table, JSON, and the manual's page. */
#ifndef COLOBUS_APP_CONFIG_DESCRIBE_H
#define COLOBUS_APP_CONFIG_DESCRIBE_H

#include "app/text.h"
#include "core/config.h"

/* Key, present value and where it comes from, one setting a line; key=value lines that a file takes. */
void config_print_values(const struct config *c, struct text *out);
void config_describe_table(const struct config *c, struct text *out);
void config_describe_json(const struct config *c, struct text *out);
/* doc/settings.md, which a test compares with this. */
void config_describe_markdown(struct text *out);

#endif
