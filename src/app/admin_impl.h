/* What the files of the management port share. */
#ifndef COLOBUS_APP_ADMIN_IMPL_H
#define COLOBUS_APP_ADMIN_IMPL_H

#include <jansson.h>

#include "app/admin.h"
#include "app/text.h"

/* Makes a call for this request, to be filled in and given to admin_submit(); answer() gets it back unless
 * the client has gone, or the broker refused (then the error is answered). */
struct admin_call *admin_call_new(struct conn *c, struct http_ticket ticket, enum admin_op op,
                                  void (*answer)(struct conn *c, struct admin_call *call));
void admin_submit(struct admin_call *call);
/* A call that will not be submitted. */
void admin_call_free(struct admin_call *call);

/* Answers and empties the text. */
void admin_answer_text(struct conn *c, uint64_t seq, int status, const char *type, struct text *text);

/* Takes `o` over. */
void admin_answer_json(struct conn *c, uint64_t seq, int status, json_t *o);
json_t *admin_json_span(struct span s);
/* The body; NULL if it is no JSON. False: it was answered that it is of another type. */
bool admin_take_json(struct conn *c, const struct http_request *req, struct http_ticket ticket,
                     json_t **ret_body);

uint64_t admin_uptime_ms(const struct admin *a, const struct shard *s);
const char *admin_status_name(enum admin_status s);
/* A topic id as Kafka's tools print it: 22 characters of base64url. */
enum { ADMIN_ID_BYTES = 23 };
void admin_id_format(const uint8_t id[16], char ret_text[ADMIN_ID_BYTES]);

/* For the sources of the page. As the rest of a path: names are any text. */
void admin_put_path(struct text *out, struct span s);
/* The beginning of a name, cut between two characters of UTF-8, and escaped. */
void admin_put_name(struct text *out, struct span s);
void admin_put_queues(struct text *out, const struct admin_call *call);
void admin_put_exchanges(struct text *out, const struct admin_call *call);
void admin_put_heard(struct text *out, const struct admin_call *call);

http_handler admin_topics_list, admin_topics_create, admin_topic_describe, admin_topic_delete,
    admin_topic_config;
http_handler admin_groups_list, admin_group_describe, admin_group_reset, admin_group_delete;
http_handler admin_metrics, admin_page, admin_heard_list;

#endif
