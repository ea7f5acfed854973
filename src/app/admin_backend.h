/* What the management port asks, answered by the broker. */
#ifndef COLOBUS_APP_ADMIN_BACKEND_H
#define COLOBUS_APP_ADMIN_BACKEND_H

#include "app/admin.h"

struct broker;

/* ---- for the sources of the backend ---- */

struct topic;

/* Fills call->topics with these and the figures of their partitions, then goes on with next(). */
void admin_gather_topics(struct admin_call *call, struct topic *const *topics, size_t count,
                         void (*next)(struct admin_call *call));
void admin_fail(struct admin_call *call, int err);
/* admin_backend_groups.c */
void admin_list_groups(struct admin_call *call);
void admin_describe_group(struct admin_call *call);
void admin_reset_group(struct admin_call *call);
void admin_delete_group(struct admin_call *call);
/* admin_backend_queues.c */
void admin_gather_page(struct admin_call *call);
struct vspace;
/* Does the page show this virtual host to whoever asks? */
bool admin_sees(const struct admin_call *call, const struct vspace *v);
/* admin_backend_heard.c */
void admin_list_heard(struct admin_call *call);
/* The same without an end: fills call->heard by call->limit. */
void admin_gather_heard(struct admin_call *call);

void admin_backend_init(struct admin_backend *ret, struct broker *b);

#endif
