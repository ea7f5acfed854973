/* What is special about a queue, in a word or two each, for lists that people read. */
#ifndef COLOBUS_APP_QUEUE_FEATURES_H
#define COLOBUS_APP_QUEUE_FEATURES_H

struct queue_info;

/* FEATURE(id, mark, text). Marks are those of RabbitMQ's own page where it has them. */
#define QUEUE_FEATURES(FEATURE)                                                                              \
    FEATURE(DURABLE, "D", "durable")                                                                         \
    FEATURE(AUTO_DELETE, "AD", "deleted with its last consumer")                                             \
    FEATURE(EXCLUSIVE, "Excl", "exclusive to one connection")                                                \
    FEATURE(TTL, "TTL", "messages expire")                                                                   \
    FEATURE(EXPIRES, "Exp", "expires if it is not used")                                                     \
    FEATURE(LIMIT, "Lim", "limited number of messages")                                                      \
    FEATURE(LIMIT_BYTES, "Lim B", "limited bytes of messages")                                               \
    FEATURE(OVERFLOW, "Ovfl", "refuses messages when it is full")                                            \
    FEATURE(DEAD_LETTERS, "DLX", "has a dead-letter exchange")                                               \
    FEATURE(DEAD_LETTER_KEY, "DLK", "dead letters have a routing key of their own")                          \
    FEATURE(PRIORITIES, "Pri", "priorities")                                                                 \
    FEATURE(SINGLE_ACTIVE, "SAC", "single active consumer")                                                  \
    FEATURE(DELIVERY_LIMIT, "Dlv", "limited deliveries of a message")                                        \
    FEATURE(RETRIES, "Rty", "retries with delays")

enum queue_feature {
#define FEATURE(id, mark, text) QUEUE_FEATURE_##id,
    QUEUE_FEATURES(FEATURE)
#undef FEATURE
        QUEUE_FEATURE_COUNT
};

extern const char *const queue_feature_marks[QUEUE_FEATURE_COUNT],
    *const queue_feature_texts[QUEUE_FEATURE_COUNT];

/* A bit for each: as declared and as policies make it. */
unsigned queue_features(const struct queue_info *q);

#endif
