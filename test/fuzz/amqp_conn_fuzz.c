/* An AMQP connection and what a client sends. First byte: bit 0: it is open already; bits 1-3: how the rest
 * is split; bit 4: an alarm blocks it half way; bit 5: queue.declare makes its channel wait. Time passes at
 * the end. */
#include "proto/amqp/rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void resume_all(void)
{
    struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
    for (uint32_t i = 0; i < ac->channel_cap; i++)
        while (ac->channels[i] && ac->channels[i]->waits > 0)
            amqp_channel_resume(ac->channels[i]);
    rig_pump();
}

static void send_split(const uint8_t *data, size_t size, unsigned how)
{
    static const size_t steps[8] = {SIZE_MAX, 1, 2, 3, 5, 7, 13, 64};
    for (size_t at = 0, n; at < size && !rig->conn.closing; at += n) {
        n = steps[how] < size - at ? steps[how] : size - at;
        rig_send(span_of(data + at, n));
        if (rig->wait_at_declare && at > size / 2)
            resume_all();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > RIG_INPUT_BYTES / 2)
        return 0;
    uint8_t how = data[0];
    rig_open();
    if (how & 1)
        rig_handshake(4096, 1);
    rig->wait_at_declare = how & 0x20;
    size_t half = (how & 0x10) ? size / 2 : size;
    send_split(data + 1, half - 1, how >> 1 & 7);
    if ((how & 0x10) && !rig->conn.closing) {
        struct amqp_conn *ac = amqp_conn_of(rig->conn.proto_state);
        amqp_conn_set_blocked(ac, true, "fuzz");
        send_split(data + half, size - half, how >> 1 & 7);
        if (!rig->conn.closing)
            amqp_conn_set_blocked(ac, false, NULL);
        rig_pump();
    }
    resume_all();
    for (unsigned i = 0; i < 40 && !rig->conn.closing; i++)
        rig_advance_ms(1000);
    rig_free();
    return 0;
}
