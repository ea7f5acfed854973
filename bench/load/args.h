/* The command line of the load client. */
#ifndef COLOBUS_BENCH_ARGS_H
#define COLOBUS_BENCH_ARGS_H

#include <stdbool.h>
#include <stdint.h>

enum load_mode { LOAD_CREATE, LOAD_PRODUCE, LOAD_CONSUME, LOAD_TAIL, LOAD_FIRST };

struct load_args {
    enum load_mode mode;
    const char *brokers, *topic, *codec, *acks;
    uint32_t partitions, clients;
    uint32_t size; /* bytes of a record's value */
    double linger_ms;
    uint32_t batch_bytes, in_flight, fetch_wait_ms;
    uint64_t count;           /* 0: until `seconds` have passed */
    double seconds, timeout;  /* timeout: of the whole run, then it fails */
    double rate;              /* records per second of all clients together; 0: as fast as it goes */
    bool idempotent, warm_up; /* warm_up: one unmeasured record to each partition before the clock starts */
};

/* Fills `args` from the command line; the texts are argv's. On a mistake prints what is wrong and returns
 * false. */
bool args_parse(int argc, char **argv, struct load_args *args);
void args_usage(void);

#endif
