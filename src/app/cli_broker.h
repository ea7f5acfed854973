/* Asking a running broker through its management port, for the commands that do. */
#ifndef COLOBUS_APP_CLI_BROKER_H
#define COLOBUS_APP_CLI_BROKER_H

#include <jansson.h>

#include "app/http_client.h"
#include "app/text.h"

/* The options that all of them have; first in the command's state. */
struct broker_args {
    const char *broker;
    const char *user; /* "name:password" */
    bool json;
};

#define BROKER_OPTION                                                                                        \
    {"--broker", "HOST:PORT", "management port of the broker (default 127.0.0.1:15672)", CLI_TEXT,           \
     offsetof(struct broker_args, broker)},                                                                  \
    {                                                                                                        \
        "--user", "NAME:PASSWORD", "user of the broker to ask as (not needed on the same machine)",          \
            CLI_TEXT, offsetof(struct broker_args, user)                                                     \
    }
#define JSON_OPTION                                                                                          \
    {                                                                                                        \
        "--json", NULL, "the broker's answer as it came", CLI_FLAG, offsetof(struct broker_args, json)       \
    }

/* "/api/topics/" and a name, escaped. */
void broker_put_path(const char *prefix, const char *name, struct text *out);
/* The same with several parts: "/api/permissions/", "vhost", "user". NULL ends them. */
void broker_put_paths(const char *prefix, const char *const *names, struct text *out);
/* Asks; on success *ret_reply is the caller's. Else the exit code, after a message about `subject`. */
int broker_ask(const struct broker_args *args, const char *subject, const char *method, const char *path,
               struct span body, struct http_reply *ret_reply);
/* Asks and shows: the JSON as it is, or what `show` makes of it. */
int broker_ask_and_show(const struct broker_args *args, const char *subject, const char *path,
                        void (*show)(json_t *o, struct text *out));
/* Shows an answer, likewise. Frees it. */
int broker_print_done(const struct broker_args *args, struct http_reply *reply,
                      void (*show)(json_t *o, struct text *out));

/* Shows, or deletes, what has this name below the path's prefix. */
int broker_describe(const struct broker_args *args, const char *prefix, const char *name,
                    void (*show)(json_t *o, struct text *out));
int broker_delete(const struct broker_args *args, const char *prefix, const char *name);
/* Sends `o` (taken over; NULL: no body) and says `done` with the name. */
int broker_change(const struct broker_args *args, const char *method, const char *path, json_t *o,
                  const char *done, const char *name);

/* Members of a JSON object as text: "?" if it has none; numbers in a rotating buffer, enough for one row. */
const char *broker_string_of(const json_t *o, const char *key);
const char *broker_number_of(const json_t *o, const char *key);

#endif
