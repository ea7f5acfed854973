/* Inside the AMQP front end: connections, channels, and what the files of this folder ask of each other.
 *
 *   conn.c, handshake.c   the connection: bytes to frames to methods; channel 0; its errors and its end
 *   content.c             content on its way in: method, header, body
 *   send.c                frames on their way out
 *   channel.c and others  what methods of channels do (channel.h)
 *
 * Everything runs on the connection's shard. */
#ifndef COLOBUS_PROTO_AMQP_IMPL_H
#define COLOBUS_PROTO_AMQP_IMPL_H

#include <assert.h>

#include "core/conn.h"
#include "core/shard.h"
#include "core/space.h"
#include "proto/amqp/method.h"
#include "proto/amqp/props.h"

enum { AMQP_CONN_MAGIC = 0x414d5143 };

/* AMQP 0-9-1, 4.2.3: type, channel, size, payload, end. */
enum {
    AMQP_FRAME_METHOD = 1,
    AMQP_FRAME_HEADER = 2,
    AMQP_FRAME_BODY = 3,
    AMQP_FRAME_HEARTBEAT = 8,
    AMQP_FRAME_END = 0xce,
    AMQP_FRAME_HEAD_BYTES = 7,
    AMQP_FRAME_EXTRA_BYTES = 8, /* head and end */
    AMQP_FRAME_MIN_MAX = 4096,  /* least frame_max that may be negotiated */
    AMQP_SHORTSTR_MAX = 255,
};

/* Reply codes (1.2). Whether one ends the channel or the connection: amqp_code_is_hard(). */
enum amqp_code {
    AMQP_REPLY_SUCCESS = 200,
    AMQP_CONTENT_TOO_LARGE = 311,
    AMQP_NO_ROUTE = 312,
    AMQP_NO_CONSUMERS = 313,
    AMQP_CONNECTION_FORCED = 320,
    AMQP_INVALID_PATH = 402,
    AMQP_ACCESS_REFUSED = 403,
    AMQP_NOT_FOUND = 404,
    AMQP_RESOURCE_LOCKED = 405,
    AMQP_PRECONDITION_FAILED = 406,
    AMQP_FRAME_ERROR = 501,
    AMQP_SYNTAX_ERROR = 502,
    AMQP_COMMAND_INVALID = 503,
    AMQP_CHANNEL_ERROR = 504,
    AMQP_UNEXPECTED_FRAME = 505,
    AMQP_RESOURCE_ERROR = 506,
    AMQP_NOT_ALLOWED = 530,
    AMQP_NOT_IMPLEMENTED = 540,
    AMQP_INTERNAL_ERROR = 541,
};
const char *amqp_code_name(int code); /* "ACCESS_REFUSED" */
bool amqp_code_is_hard(int code);

/* What the client said it can do, from client-properties.capabilities. */
enum amqp_capability {
    AMQP_CAN_CONFIRM = 1 << 0,            /* publisher_confirms */
    AMQP_CAN_CANCEL_NOTIFY = 1 << 1,      /* consumer_cancel_notify */
    AMQP_CAN_NACK = 1 << 2,               /* basic.nack */
    AMQP_CAN_BLOCKED = 1 << 3,            /* connection.blocked */
    AMQP_CAN_AUTH_FAILURE_CLOSE = 1 << 4, /* authentication_failure_close */
    AMQP_CAN_EXCHANGE_BINDINGS = 1 << 5,  /* exchange_exchange_bindings */
};

enum amqp_conn_state {
    AMQP_CONN_HEADER,   /* the protocol header is awaited */
    AMQP_CONN_STARTED,  /* start-ok */
    AMQP_CONN_SECURING, /* secure-ok */
    AMQP_CONN_LOGIN,    /* the core looks at what was presented */
    AMQP_CONN_TUNED,    /* tune-ok */
    AMQP_CONN_OPENING,  /* open */
    AMQP_CONN_OPEN,
    AMQP_CONN_CLOSING, /* close was sent: everything but close-ok is ignored */
    AMQP_CONN_OVER,    /* nothing is said or heard any more */
};

enum amqp_channel_phase {
    AMQP_CHANNEL_ALIVE,
    AMQP_CHANNEL_ENDING, /* close was sent: everything but close-ok is ignored, nothing is sent */
};

struct amqp_channel_state; /* channel.h */
struct amqp_conn_channels; /* channel.h: what channels of a connection share */

/* The message that comes in on a channel, as far as it is here. */
enum amqp_content_phase { AMQP_CONTENT_NONE, AMQP_CONTENT_HEADER, AMQP_CONTENT_BODY };
struct amqp_incoming {
    enum amqp_content_phase phase;
    struct chunk *chunk; /* the publish's payload, properties and body, as far as they have come; one
                            reference; NULL: none */
    uint32_t method_len; /* of the publish's payload, at the chunk's begin */
    uint32_t props_len;  /* behind it */
    uint64_t body_size;  /* announced */
};

struct amqp_channel {
    struct amqp_conn *ac;
    uint16_t number;
    enum amqp_channel_phase phase;
    unsigned waits; /* amqp_channel_wait(): its frames stay unread */
    struct amqp_incoming in;
    struct amqp_channel_state *state; /* channel.c's, from amqp_channel_opened() to amqp_channel_closed() */
};

struct amqp_conn {
    uint32_t magic;
    struct conn *conn; /* conn->actor: who logged in and where */
    enum amqp_conn_state phase;
    uint32_t frame_max; /* in force; never 0 */
    uint16_t channel_max, heartbeat_s;
    unsigned capabilities;            /* enum amqp_capability */
    struct vspace *space;             /* one reference, from `open` on */
    char *user;                       /* the login name; NULL before */
    struct span client_properties;    /* owned: what it said of itself, if not too much; null before */
    int64_t opened_ms;                /* wall clock, when it was accepted as a client of AMQP */
    struct amqp_handshake *handshake; /* until the connection is open */

    struct amqp_channel **channels; /* by number, grown when one is opened */
    uint32_t channel_cap, channel_count;
    struct amqp_conn_channels *shared; /* channel.c's, from amqp_conn_opened() to amqp_conn_closed() */

    bool held;         /* conn_hold() is in force: the frame in front must wait */
    bool blocked;      /* publishes are held back */
    bool told_blocked; /* the client knows */

    /* Heartbeats: traffic seen by the last look; when the next looks are due. 0: never. */
    uint64_t in_seen, out_seen, receive_check_ns, send_check_ns, phase_deadline_ns;
    unsigned silent_checks;
};

/* ---- what channel.c and the files of the classes do: called by the connection ------------------------- */

/* connection.open was answered; the other end of it: all channels are closed already. */
void amqp_conn_opened(struct amqp_conn *ac);
void amqp_conn_closed(struct amqp_conn *ac);
/* Before channel.open-ok is sent. */
void amqp_channel_opened(struct amqp_channel *ch);
/* Once: it was closed by either side (before close-ok or close is sent), or its connection has ended. Leases
 * go back, consumers end, operations in flight find the channel gone: by handle of the connection, number,
 * and a generation that channel.c keeps. ch is freed later, when the number is free again; ch->state is NULL
 * then. */
void amqp_channel_closed(struct amqp_channel *ch);
/* A method of class 30 and up, or channel.flow(-ok), without content. Spans lie in the input: copy what must
 * outlive the call, or take a reference to `chunk`. */
void amqp_channel_method(struct amqp_channel *ch, const struct amqp_method *m, struct chunk *chunk);
/* Asked before any method of a channel, channel.close included: true if it must wait for what was settled
 * before to be durable. The channel waits then (amqp_channel_wait()), and is asked again. */
bool amqp_channel_must_wait(struct amqp_channel *ch, uint32_t method);
/* The same before connection.close. */
bool amqp_conn_must_wait(struct amqp_conn *ac);
/* Of a blocked connection: no more publishes are taken from the input. */
bool amqp_held_full(struct amqp_conn *ac);
/* The socket took some output. */
void amqp_output_written(struct amqp_conn *ac);

/* A message that has arrived whole. All its spans, the method's too, lie in `chunk`: whoever needs them
 * longer takes a reference (op_publish_keep()). */
struct amqp_content {
    struct span raw; /* properties as they came: struct message.props */
    struct amqp_props props;
    struct span body;
    struct chunk *chunk;
};
void amqp_channel_content(struct amqp_channel *ch, const struct amqp_method *publish,
                          const struct amqp_content *c);
/* All frames that had arrived are done: submit what was gathered. At the end of every input(), whether or not
 * any channel heard of it; not after amqp_conn_closed(). */
void amqp_input_ended(struct amqp_conn *ac);

/* ---- what they may call ------------------------------------------------------------------------------- */

/* NULL: no such channel, or it is closing. */
struct amqp_channel *amqp_channel_find(struct amqp_conn *ac, unsigned number);

/* From here to amqp_channel_resume() further frames of this channel (other channels' only if they stand
 * behind one of them) stay unread: replies come in the order of the requests. Nests. Take a credit
 * (conn_take_credit()) for the operation that is waited for, so that the connection isn't taken for idle. */
void amqp_channel_wait(struct amqp_channel *ch);
void amqp_channel_resume(struct amqp_channel *ch);

/* Sends nothing on a channel that is closing, nor on a connection that is. */
void amqp_send(struct amqp_channel *ch, const struct amqp_method *m);
/* Method, header and body: deliver, return, get-ok. Small bodies are copied, others referred to: `chunk` is
 * that of `body` (a reference is taken if need be). BCC is left out of the properties here, so props may be a
 * message's own. */
void amqp_send_content(struct amqp_channel *ch, const struct amqp_method *m, struct span props,
                       struct span body, struct chunk *chunk);

/* Ends the channel with channel.close, or, if the code is a hard one, the connection. `method` is the failing
 * one's id (AMQP_NO_METHOD: none). fmt makes what stands behind "NOT_FOUND - "; the text is cut at 255 bytes.
 * amqp_channel_closed() is called before this returns. */
void amqp_channel_exception(struct amqp_channel *ch, enum amqp_code code, uint32_t method, const char *fmt,
                            ...) __attribute__((format(printf, 4, 5)));
void amqp_connection_exception(struct amqp_conn *ac, enum amqp_code code, uint32_t method, const char *fmt,
                               ...) __attribute__((format(printf, 4, 5)));

/* Alarms: while `blocked` publishes are held (blocked.c), and stay unread when that is full; a client that
 * can hear of it is told (connection.blocked). `reason` is at most 255 bytes: "low on memory". */
void amqp_conn_set_blocked(struct amqp_conn *ac, bool blocked, const char *reason);

/* ---- between the files of the connection -------------------------------------------------------------- */

/* A whole frame in front of the input. */
struct amqp_frame {
    uint8_t type;
    uint16_t channel;
    struct span payload;
    size_t bytes; /* with head and end */
};

/* The state of a connection, checked. */
static inline struct amqp_conn *amqp_conn_of(void *state)
{
    struct amqp_conn *ac = state;
    assert(ac->magic == AMQP_CONN_MAGIC);
    return ac;
}
/* Largest payload that is let in now: what was negotiated and a little more, since quite a few clients get it
 * wrong. */
uint32_t amqp_payload_max(const struct amqp_conn *ac);
/* Sets the deadline, from the times above. */
void amqp_arm(struct amqp_conn *ac);
/* Tuned: both sides may expect a sign of life. */
void amqp_heartbeats_begin(struct amqp_conn *ac);

/* handshake.c. Bytes taken, 0: *ret_need are needed, or an error after which nothing is heard any more. */
int64_t amqp_protocol_header(struct amqp_conn *ac, struct span input, size_t *ret_need);
/* A method on channel 0. */
void amqp_connection_method(struct amqp_conn *ac, const struct amqp_method *m);
void amqp_handshake_free(struct amqp_conn *ac);

/* content.c, for a channel that is alive. The publish in front of the input: 0: it stays there until
 * *ret_need bytes have come; else the bytes that were taken, beyond its frame perhaps. */
int64_t amqp_publish_input(struct amqp_channel *ch, const struct amqp_frame *frame,
                           const struct amqp_method *m, struct span input, struct chunk *chunk,
                           size_t *ret_need);
void amqp_header_frame(struct amqp_channel *ch, struct span payload);
void amqp_body_frame(struct amqp_channel *ch, struct span payload);
void amqp_incoming_drop(struct amqp_channel *ch);

/* send.c: on channel 0, in any phase but OVER. */
void amqp_conn_send(struct amqp_conn *ac, const struct amqp_method *m);
void amqp_send_heartbeat(struct amqp_conn *ac);

/* errors.c: connection.close, after which only close-ok is heard. `text` is complete. */
void amqp_conn_say_close(struct amqp_conn *ac, enum amqp_code code, uint32_t method, const char *text);
/* It ends when its output is flushed; nothing is heard any more. */
void amqp_conn_over(struct amqp_conn *ac);

/* conn.c. amqp_channel_closed(), once, and what stands half here goes. */
void amqp_channel_ended(struct amqp_channel *ch);
/* What ends with the connection: channels, exclusive queues, alarms. Safe to call again. */
void amqp_conn_ended(struct amqp_conn *ac);
/* Nothing is in the way any more that a frame waited for. */
void amqp_unhold(struct amqp_conn *ac);

#endif
