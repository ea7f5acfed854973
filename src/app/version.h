/* Which Colobus this is. */
#ifndef COLOBUS_APP_VERSION_H
#define COLOBUS_APP_VERSION_H

/* COLOBUS_VERSION comes from the project's meson.build. */
#ifndef COLOBUS_VERSION
#define COLOBUS_VERSION "unknown"
#endif

#endif
