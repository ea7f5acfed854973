/* The broker as a process: from its settings to a clean end. */
#ifndef COLOBUS_APP_SERVE_H
#define COLOBUS_APP_SERVE_H

#include "core/config.h"

/* Recovers, listens, prints "colobus ready" on standard output, serves until SIGTERM or SIGINT, stops
 * cleanly. Returns the exit code: 0; 1 with a log line that says why. The settings are checked, and log lines
 * have a sink. */
int serve_run(const struct config *cfg);

#endif
