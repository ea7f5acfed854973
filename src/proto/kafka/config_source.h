/* Where the value of a setting comes from, as DescribeConfigs and CreateTopics say it. */
#ifndef COLOBUS_PROTO_KAFKA_CONFIG_SOURCE_H
#define COLOBUS_PROTO_KAFKA_CONFIG_SOURCE_H

#include "core/topic.h"

/* DescribeConfigsResponse.ConfigSource. */
enum kafka_config_source {
    KAFKA_SOURCE_TOPIC = 1,
    KAFKA_SOURCE_STATIC_BROKER = 4,
    KAFKA_SOURCE_DEFAULT = 5,
};

static inline int8_t kafka_setting_source(const struct topic_setting *s)
{
    return s->is_set ? KAFKA_SOURCE_TOPIC : s->broker_set ? KAFKA_SOURCE_STATIC_BROKER : KAFKA_SOURCE_DEFAULT;
}

#endif
