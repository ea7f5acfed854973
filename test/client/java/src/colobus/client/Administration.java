package colobus.client;

import static colobus.client.Context.bytes;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.fails;
import static colobus.client.Scenarios.isTrue;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What administrators do. */
final class Administration {
    private final Context context;

    Administration(Context context) {
        this.context = context;
    }

    void register(Scenarios scenarios) {
        scenarios.add("admin makes, describes, widens and deletes topics", this::topics);
        scenarios.add("topics are created with the broker's defaults", this::defaults);
        scenarios.add("creation is refused with the right errors", this::refused);
        scenarios.add("listOffsets knows earliest, latest, max timestamp and times", this::listOffsets);
        scenarios.add("deleteRecords moves the beginning", this::deleteRecords);
        scenarios.add("topic configs are described and altered", this::topicConfigs);
        scenarios.add("altering configs is refused with the right errors", this::configsRefused);
        scenarios.add("the broker's configs, log directory and missing ACLs are described", this::broker);
        scenarios.add("describeCluster names this broker", this::cluster);
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    private void topics() throws Exception {
        String name = context.name("admin");
        NewTopic topic = new NewTopic(name, 2, (short) 1);
        try (Admin admin = context.admin()) {
            Uuid id = get(admin.createTopics(List.of(topic)).topicId(name));
            isTrue(!id.equals(Uuid.ZERO_UUID), "topic id is zero");
            fails(TopicExistsException.class, admin.createTopics(List.of(topic)).all());
            var described = get(admin.describeTopics(List.of(name)).allTopicNames()).get(name);
            equal(described.partitions().size(), 2, "partitions");
            equal(described.topicId(), id, "topic id");
            equal(described.partitions().get(0).isr().size(), 1, "replicas in sync");
            get(admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all());
            equal(get(admin.describeTopics(List.of(name)).allTopicNames()).get(name).partitions().size(), 5, "partitions");
            fails(InvalidPartitionsException.class,
                admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all());
            isTrue(get(admin.listTopics().names()).contains(name), "topic is not listed");
            get(admin.deleteTopics(Set.of(name)).all());
            isTrue(!get(admin.listTopics().names()).contains(name), "topic is still listed");
            fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(Set.of(name)).all());
            fails(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of(name)).allTopicNames());
        }
    }

    private void defaults() throws Exception {
        String name = context.name("defaults");
        try (Admin admin = context.admin()) {
            NewTopic topic = new NewTopic(name, java.util.Optional.empty(), java.util.Optional.empty());
            var created = admin.createTopics(List.of(topic));
            isTrue(get(created.numPartitions(name)) >= 1, "no partitions");
            equal(get(created.replicationFactor(name)), 1, "replicas");
            isTrue(get(created.config(name)).get("cleanup.policy") != null, "no configs in the answer");
        }
    }

    private void refused() throws Exception {
        try (Admin admin = context.admin()) {
            fails(InvalidTopicException.class, admin.createTopics(List.of(new NewTopic("bad name!", 1, (short) 1))).all());
            fails(InvalidReplicationFactorException.class,
                admin.createTopics(List.of(new NewTopic(context.name("wide"), 1, (short) 3))).all());
            fails(InvalidPartitionsException.class,
                admin.createTopics(List.of(new NewTopic(context.name("none"), 0, (short) 1))).all());
            String dry = context.name("dry");
            get(admin.createTopics(List.of(new NewTopic(dry, 1, (short) 1)),
                new CreateTopicsOptions().validateOnly(true)).all());
            isTrue(!get(admin.listTopics().names()).contains(dry), "validateOnly made the topic");
        }
    }

    private void listOffsets() throws Exception {
        String topic = context.topic(1);
        TopicPartition where = new TopicPartition(topic, 0);
        long base = System.currentTimeMillis() - 50000;
        try (var producer = context.producer(); Admin admin = context.admin()) {
            for (int stamp : List.of(100, 900, 500)) {
                producer.send(new ProducerRecord<>(topic, 0, base + stamp, null, bytes("v"))).get(20, TimeUnit.SECONDS);
            }
            equal(offset(admin, where, OffsetSpec.earliest()), 0L, "earliest");
            equal(offset(admin, where, OffsetSpec.latest()), 3L, "latest");
            equal(offset(admin, where, OffsetSpec.maxTimestamp()), 1L, "max timestamp");
            equal(offset(admin, where, OffsetSpec.forTimestamp(base + 101)), 1L, "by time");
            equal(offset(admin, where, OffsetSpec.forTimestamp(base + 901)), -1L, "past the last time");
        }
    }

    private static long offset(Admin admin, TopicPartition where, OffsetSpec spec) throws Exception {
        return get(admin.listOffsets(Map.of(where, spec)).partitionResult(where)).offset();
    }

    private void deleteRecords() throws Exception {
        String topic = context.topic(1);
        context.send(topic, 20);
        TopicPartition where = new TopicPartition(topic, 0);
        try (Admin admin = context.admin(); var consumer = context.consumer(topic, 1)) {
            var deleted = admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(7)));
            equal(get(deleted.lowWatermarks().get(where)).lowWatermark(), 7L, "low watermark");
            equal(offset(admin, where, OffsetSpec.earliest()), 7L, "earliest");
            consumer.seekToBeginning(List.of(where));
            equal(Context.values(Context.read(consumer, 13)), Context.numbers(7, 20), "values");
            fails(OffsetOutOfRangeException.class,
                admin.deleteRecords(Map.of(where, RecordsToDelete.beforeOffset(99))).all());
        }
    }

    private static ConfigEntry config(Admin admin, ConfigResource resource, String name) throws Exception {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name);
    }

    private static void alter(Admin admin, ConfigResource resource, AlterConfigOp... ops) throws Exception {
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(ops))).all());
    }

    private static AlterConfigOp op(String name, String value, AlterConfigOp.OpType type) {
        return new AlterConfigOp(new ConfigEntry(name, value), type);
    }

    private void topicConfigs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, context.topic(1));
        try (Admin admin = context.admin()) {
            equal(config(admin, topic, "cleanup.policy").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "source");
            alter(admin, topic, op("cleanup.policy", "compact", AlterConfigOp.OpType.APPEND),
                op("retention.ms", "5000", AlterConfigOp.OpType.SET),
                op("min.cleanable.dirty.ratio", "0.01", AlterConfigOp.OpType.SET));
            equal(Set.of(config(admin, topic, "cleanup.policy").value().split(",")), Set.of("compact", "delete"), "policy");
            ConfigEntry retention = config(admin, topic, "retention.ms");
            equal(retention.value(), "5000", "retention.ms");
            equal(retention.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "source");
            equal(config(admin, topic, "min.cleanable.dirty.ratio").value(), "0.01", "ratio");
            alter(admin, topic, op("cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT),
                op("retention.ms", "", AlterConfigOp.OpType.DELETE));
            equal(config(admin, topic, "cleanup.policy").value(), "compact", "policy");
            equal(config(admin, topic, "retention.ms").value(), "604800000", "retention.ms");
            var described = get(admin.describeConfigs(List.of(topic),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(topic);
            ConfigEntry policy = described.get("cleanup.policy");
            equal(policy.type(), ConfigEntry.ConfigType.LIST, "type");
            isTrue(!policy.documentation().isEmpty(), "no documentation");
            equal(policy.synonyms().get(1).name(), "log.cleanup.policy", "synonym");
        }
    }

    private void configsRefused() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, context.topic(1));
        ConfigResource none = new ConfigResource(ConfigResource.Type.TOPIC, context.name("none"));
        var set = AlterConfigOp.OpType.SET;
        try (Admin admin = context.admin()) {
            var broker = new ConfigResource(ConfigResource.Type.BROKER, get(admin.describeCluster().controller()).idString());
            fails(InvalidConfigurationException.class,
                admin.incrementalAlterConfigs(Map.of(topic, List.of(op("retention.ms", "soon", set)))).all());
            fails(InvalidConfigurationException.class,
                admin.incrementalAlterConfigs(Map.of(topic, List.of(op("no.such", "1", set)))).all());
            fails(UnknownTopicOrPartitionException.class,
                admin.incrementalAlterConfigs(Map.of(none, List.of(op("retention.ms", "1", set)))).all());
            fails(InvalidRequestException.class,
                admin.incrementalAlterConfigs(Map.of(broker, List.of(op("log.dirs", "x", set)))).all());
            fails(UnknownTopicOrPartitionException.class, admin.describeConfigs(List.of(none)).all());
            get(admin.incrementalAlterConfigs(Map.of(topic, List.of(op("retention.ms", "5", set))),
                new AlterConfigsOptions().validateOnly(true)).all());
            equal(config(admin, topic, "retention.ms").value(), "604800000", "retention.ms after a try");
        }
    }

    private void broker() throws Exception {
        String topic = context.topic(2);
        context.send(topic, 20);
        try (Admin admin = context.admin()) {
            int id = get(admin.describeCluster().controller()).id();
            var broker = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(id));
            for (String name : List.of("num.partitions", "log.retention.hours", "message.max.bytes", "listeners", "node.id")) {
                isTrue(config(admin, broker, name).value() != null, name + " has no value");
            }
            var dirs = get(admin.describeLogDirs(List.of(id)).allDescriptions()).get(id).values();
            equal(dirs.size(), 1, "directories");
            var dir = dirs.iterator().next();
            isTrue(dir.totalBytes().getAsLong() > dir.usableBytes().getAsLong(), "no room is told");
            long bytes = 0;
            for (int p = 0; p < 2; p++) {
                bytes += dir.replicaInfos().get(new TopicPartition(topic, p)).size();
            }
            isTrue(bytes > 20, "20 records in " + bytes + " bytes");
            fails(SecurityDisabledException.class, admin.describeAcls(AclBindingFilter.ANY).values());
        }
    }

    private void cluster() throws Exception {
        try (Admin admin = context.admin()) {
            var cluster = admin.describeCluster();
            isTrue(!get(cluster.clusterId()).isEmpty(), "cluster id is empty");
            var nodes = get(cluster.nodes());
            equal(nodes.size(), 1, "nodes");
            var node = nodes.iterator().next();
            equal(node.host() + ":" + node.port(), context.bootstrap, "address");
            equal(get(cluster.controller()).id(), node.id(), "controller");
        }
    }
}
