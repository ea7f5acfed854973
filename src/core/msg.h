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

/* A plain FIFO of nodes, for one thread. */
struct msg_queue {
    struct msg *head, *tail;
};
void msg_push(struct msg_queue *q, struct msg *m);
struct msg *msg_pop(struct msg_queue *q); /* NULL: empty */

/* Runs what has arrived, in order; what these runs send to the same shard waits for the next call. Returns
 * how many there were. */
unsigned msg_run_inbox(struct shard *s);

/* From the shard whose turn it is to any shard, itself included: never run inside this call. */
void msg_send(struct shard *from, struct shard *to, struct msg *m);

#endif
