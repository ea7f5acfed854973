/* Sizes of the parts of a log's state as bytes; the layout is specified at the top of state.c. */
#ifndef COLOBUS_STORE_STATE_FORMAT_H
#define COLOBUS_STORE_STATE_FORMAT_H

enum {
    STATE_MAGIC = 0x31545343, /* "CST1" */
    STATE_FLAG_DAMAGED = 1,   /* the log is in quarantine */
    STATE_HEADER_BYTES = 48,
    STATE_START_AT = 16,
    STATE_SEGMENT_BYTES = 40,
    STATE_EPOCH_BYTES = 12,
    STATE_PRODUCER_BYTES = 20,
    STATE_BATCH_BYTES = 24,
    STATE_NAME_BYTES = 48, /* of the file, in the entry of a spilled state */
    STATE_SPILL_BYTES = 20 + STATE_NAME_BYTES,
};

#endif
