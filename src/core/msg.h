/* Messages between shards: a node and the function that runs on the shard it is sent to. */
#ifndef COLOBUS_CORE_MSG_H
#define COLOBUS_CORE_MSG_H

struct shard;

/* Intrusive: whoever sends keeps the memory alive until run() was called; run() may free it or send it on.
 * Delivery is FIFO per pair of shards, never blocks and never drops. */
struct msg {
    struct msg *next;
    void (*run)(struct shard *here, struct msg *m);
};

/* From the shard whose turn it is to any shard, itself included: never run inside this call. */
void msg_send(struct shard *from, struct shard *to, struct msg *m);

#endif
