/* Disks as they may look after a power cut. */
#ifndef COLOBUS_OS_SIM_IMAGE_H
#define COLOBUS_OS_SIM_IMAGE_H

#include "os/sim/dice.h"
#include "os/sim/disk.h"
#include "os/sim/sim.h"

struct sim_image {
    struct disk *disk; /* all of it synced */
};

struct sim_image *image_new(const struct disk *d, enum sim_crash_mode mode, struct dice *dice);

#endif
