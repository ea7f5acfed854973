/* Kafka's error codes, and how an error of ours is told in them. */
#ifndef COLOBUS_PROTO_KAFKA_ERRORS_H
#define COLOBUS_PROTO_KAFKA_ERRORS_H

#include <stdint.h>

/* One row per code that this front end sends: X(NAME, code, text). The texts are those of Kafka's
 * Errors.java, for error_message fields. */
#define KAFKA_ERRORS(X)                                                                                      \
    X(UNKNOWN_SERVER_ERROR, -1, "The server experienced an unexpected error when processing the request.")   \
    X(NONE, 0, "")                                                                                           \
    X(OFFSET_OUT_OF_RANGE, 1,                                                                                \
      "The requested offset is not within the range of offsets maintained by the server.")                   \
    X(CORRUPT_MESSAGE, 2,                                                                                    \
      "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted "    \
      "topic, or is otherwise corrupt.")                                                                     \
    X(UNKNOWN_TOPIC_OR_PARTITION, 3, "This server does not host this topic-partition.")                      \
    X(LEADER_NOT_AVAILABLE, 5,                                                                               \
      "There is no leader for this topic-partition as we are in the middle of a leadership election.")       \
    X(REQUEST_TIMED_OUT, 7, "The request timed out.")                                                        \
    X(BROKER_NOT_AVAILABLE, 8, "The broker is not available.")                                               \
    X(MESSAGE_TOO_LARGE, 10,                                                                                 \
      "The request included a message larger than the max message size the server will accept.")             \
    X(OFFSET_METADATA_TOO_LARGE, 12, "The metadata field of the offset request was too large.")              \
    X(NETWORK_EXCEPTION, 13, "The server disconnected before a response was received.")                      \
    X(COORDINATOR_LOAD_IN_PROGRESS, 14, "The coordinator is loading and hence can't process requests.")      \
    X(COORDINATOR_NOT_AVAILABLE, 15, "The coordinator is not available.")                                    \
    X(NOT_COORDINATOR, 16, "This is not the correct coordinator.")                                           \
    X(INVALID_TOPIC_EXCEPTION, 17, "The request attempted to perform an operation on an invalid topic.")     \
    X(INVALID_REQUIRED_ACKS, 21, "Produce request specified an invalid value for required acks.")            \
    X(ILLEGAL_GENERATION, 22, "Specified group generation id is not valid.")                                 \
    X(INCONSISTENT_GROUP_PROTOCOL, 23,                                                                       \
      "The group member's supported protocols are incompatible with those of existing members or first "     \
      "group member tried to join with empty protocol type or empty protocol list.")                         \
    X(INVALID_GROUP_ID, 24, "The group id is invalid.")                                                      \
    X(UNKNOWN_MEMBER_ID, 25, "The coordinator is not aware of this member.")                                 \
    X(INVALID_SESSION_TIMEOUT, 26,                                                                           \
      "The session timeout is not within the range allowed by the broker (as configured by "                 \
      "group.min.session.timeout.ms and group.max.session.timeout.ms).")                                     \
    X(REBALANCE_IN_PROGRESS, 27, "The group is rebalancing, so a rejoin is needed.")                         \
    X(INVALID_COMMIT_OFFSET_SIZE, 28, "The committing offset data size is not valid.")                       \
    X(TOPIC_AUTHORIZATION_FAILED, 29, "Topic authorization failed.")                                         \
    X(GROUP_AUTHORIZATION_FAILED, 30, "Group authorization failed.")                                         \
    X(INVALID_TIMESTAMP, 32, "The timestamp of the message is out of acceptable range.")                     \
    X(UNSUPPORTED_VERSION, 35, "The version of API is not supported.")                                       \
    X(TOPIC_ALREADY_EXISTS, 36, "Topic with this name already exists.")                                      \
    X(INVALID_PARTITIONS, 37, "Number of partitions is below 1.")                                            \
    X(INVALID_REPLICATION_FACTOR, 38,                                                                        \
      "Replication factor is below 1 or larger than the number of available brokers.")                       \
    X(INVALID_REPLICA_ASSIGNMENT, 39, "Replica assignment is invalid.")                                      \
    X(INVALID_CONFIG, 40, "Configuration is invalid.")                                                       \
    X(INVALID_REQUEST, 42,                                                                                   \
      "This most likely occurs because of a request being malformed by the client library or the message "   \
      "was sent to an incompatible broker. See the broker logs for more details.")                           \
    X(POLICY_VIOLATION, 44, "Request parameters do not satisfy the configured policy.")                      \
    X(OUT_OF_ORDER_SEQUENCE_NUMBER, 45, "The broker received an out of order sequence number.")              \
    X(DUPLICATE_SEQUENCE_NUMBER, 46, "The broker received a duplicate sequence number.")                     \
    X(INVALID_PRODUCER_EPOCH, 47, "Producer attempted to produce with an old epoch.")                        \
    X(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, "The transactional id authorization failed.")               \
    X(SECURITY_DISABLED, 54, "Security features are disabled.")                                              \
    X(KAFKA_STORAGE_ERROR, 56, "Disk error when trying to access log file on the disk.")                     \
    X(UNKNOWN_PRODUCER_ID, 59,                                                                               \
      "This exception is raised by the broker if it could not locate the producer metadata associated with " \
      "the producerId in question.")                                                                         \
    X(NON_EMPTY_GROUP, 68, "The group is not empty.")                                                        \
    X(GROUP_ID_NOT_FOUND, 69, "The group id does not exist.")                                                \
    X(FETCH_SESSION_ID_NOT_FOUND, 70, "The fetch session ID was not found.")                                 \
    X(INVALID_FETCH_SESSION_EPOCH, 71, "The fetch session epoch is invalid.")                                \
    X(FENCED_LEADER_EPOCH, 74, "The leader epoch in the request is older than the epoch on the broker.")     \
    X(UNKNOWN_LEADER_EPOCH, 75, "The leader epoch in the request is newer than the epoch on the broker.")    \
    X(UNSUPPORTED_COMPRESSION_TYPE, 76,                                                                      \
      "The requesting client does not support the compression type of "                                      \
      "given partition.")                                                                                    \
    X(MEMBER_ID_REQUIRED, 79,                                                                                \
      "The group member needs to have a valid member id before actually entering a consumer group.")         \
    X(GROUP_MAX_SIZE_REACHED, 81, "The group has reached its maximum size.")                                 \
    X(FENCED_INSTANCE_ID, 82,                                                                                \
      "The broker rejected this static consumer since another consumer with the same group.instance.id has " \
      "registered with a different member.id.")                                                              \
    X(GROUP_SUBSCRIBED_TO_TOPIC, 86,                                                                         \
      "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it.")     \
    X(INVALID_RECORD, 87, "This record has failed the validation on broker and hence will be rejected.")     \
    X(UNKNOWN_TOPIC_ID, 100, "This server does not host this topic ID.")                                     \
    X(INCONSISTENT_TOPIC_ID, 103, "The log's topic ID did not match the topic ID in the request")            \
    X(FETCH_SESSION_TOPIC_ID_ERROR, 106, "The fetch session encountered inconsistent topic ID usage")        \
    X(MISMATCHED_ENDPOINT_TYPE, 114, "The request was sent to an endpoint of the wrong type.")               \
    X(UNSUPPORTED_ENDPOINT_TYPE, 115, "This endpoint type is not supported yet.")

enum kafka_error_code {
#define KAFKA_ERROR_ENUM(name, code, text) KAFKA_##name = (code),
    KAFKA_ERRORS(KAFKA_ERROR_ENUM)
#undef KAFKA_ERROR_ENUM
};

/* "UNKNOWN_TOPIC_OR_PARTITION"; NULL for a code that is not in the table. */
const char *kafka_error_name(int code);
/* Kafka's text, NULL for 0. */
const char *kafka_error_text(int code);

#endif
