/* The configuration file: INI text whose sections are prefixes of keys. */
#ifndef COLOBUS_APP_CONFIG_FILE_H
#define COLOBUS_APP_CONFIG_FILE_H

#include "core/config.h"

enum { CONFIG_FILE_BYTES = 1 << 20, CONFIG_LINE_BYTES = 2048 };

/* Applies each `key = value`: under [kafka], `listen = ...` is kafka.listen; a key may also be written in
 * full. `name` is for messages ("colobus.ini:12: ..."). ERR_INVALID or ERR_NOT_FOUND with the reason; what
 * stood before the bad line is applied. */
int config_file_parse(struct config *c, const char *name, struct span text, struct config_error *ret_error);
/* Reads the file through os/. Also ERR_NOT_FOUND, ERR_DENIED, ERR_IO of the file, ERR_TOO_LARGE; each with a
 * reason. */
int config_file_load(struct config *c, const char *path, struct config_error *ret_error);

#endif
