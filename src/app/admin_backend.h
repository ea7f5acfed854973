/* What the management port asks, answered by the broker. */
#ifndef COLOBUS_APP_ADMIN_BACKEND_H
#define COLOBUS_APP_ADMIN_BACKEND_H

#include "app/admin.h"

struct broker;

void admin_backend_init(struct admin_backend *ret, struct broker *b);

#endif
