/* One table of errors: a code, a text for people, and what the error is in each protocol's words. */
#ifndef COLOBUS_BASE_ERR_H
#define COLOBUS_BASE_ERR_H

/* Functions that can fail return 0 (or a count) and a negative code of this list. */
enum err {
    ERR_OK = 0,
#define ERR(code, text, kafka, http) ERR_POS_##code,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

enum {
#define ERR(code, text, kafka, http) ERR_##code = -ERR_POS_##code,
#include "base/err.def"
#undef ERR
};

/* All of these take a negative code; 0 gives "ok", "no error", 0 and 200. The strings are static. */
const char *err_name(int code); /* "NO_SPACE" */
const char *err_text(int code); /* "no space left on the disk" */
int err_kafka(int code);        /* Kafka's error code, i16 */
int err_http(int code);         /* HTTP status */

#endif
