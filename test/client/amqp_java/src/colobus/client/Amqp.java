package colobus.client;

import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The RabbitMQ Java client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here. */
public final class Amqp {
    private static final Map<String, Object> NONE = Map.of();
    private final String host;
    private final int port;
    private final String run = Integer.toString(new Random().nextInt(1 << 30), 36);
    private int count;

    private Amqp(String bootstrap) {
        int colon = bootstrap.lastIndexOf(':');
        host = bootstrap.substring(0, colon);
        port = Integer.parseInt(bootstrap.substring(colon + 1));
    }

    interface Body {
        void run(Connection connection, Channel channel) throws Exception;
    }

    String name(String stem) {
        return stem + "-java" + run + "-" + ++count;
    }

    ConnectionFactory factory() {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(host);
        factory.setPort(port);
        factory.setNetworkRecoveryInterval(200);
        return factory;
    }

    /** A scenario with a connection and a channel of its own. */
    Scenarios.Body with(ConnectionFactory factory, Body body) {
        return () -> {
            try (Connection connection = factory.newConnection()) {
                body.run(connection, connection.createChannel());
            } catch (AlreadyClosedException e) {
                isTrue(e.getMessage().contains("clean"), "closed: " + e); // try-with-resources closes what is closed
            }
        };
    }

    Scenarios.Body with(Body body) {
        return with(factory(), body);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(Delivery delivery) {
        return new String(delivery.getBody(), StandardCharsets.UTF_8);
    }

    static String queue(Channel channel, Map<String, Object> arguments) throws IOException {
        return channel.queueDeclare("", false, true, false, arguments).getQueue();
    }

    static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck) throws IOException {
        BlockingQueue<Delivery> found = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, autoAck, (tag, delivery) -> found.add(delivery), tag -> {});
        return found;
    }

    static <T> T take(BlockingQueue<T> from, String what) throws InterruptedException {
        T item = from.poll(10, TimeUnit.SECONDS);
        isTrue(item != null, "not in time: " + what);
        return item;
    }

    static List<String> texts(BlockingQueue<Delivery> from, int wanted) throws InterruptedException {
        List<String> found = new ArrayList<>();
        while (found.size() < wanted) {
            found.add(text(take(from, "message " + found.size())));
        }
        return found;
    }

    static void silent(BlockingQueue<Delivery> from) throws InterruptedException {
        Delivery more = from.poll(150, TimeUnit.MILLISECONDS);
        isTrue(more == null, "got one more: " + (more == null ? "" : text(more)));
    }

    /** The code and text of the broker's close that is the cause of what the act throws. */
    static String refusal(Scenarios.Act act) throws Exception {
        Throwable error = Scenarios.raises(Exception.class, act);
        while (error != null && !(error instanceof ShutdownSignalException)) {
            error = error.getCause();
        }
        isTrue(error != null, "no shutdown signal");
        Object reason = ((ShutdownSignalException) error).getReason();
        if (reason instanceof AMQP.Channel.Close close) {
            return close.getReplyCode() + " " + close.getReplyText();
        }
        AMQP.Connection.Close close = (AMQP.Connection.Close) reason;
        return "connection " + close.getReplyCode() + " " + close.getReplyText();
    }

    void add(Scenarios all) {
        all.add("confirms: all come, with waitForConfirms and with listeners", with(this::confirms));
        all.add("mandatory: the return comes before the confirm", with(this::returns));
        all.add("a topic exchange and two workers with prefetch 1", with(this::sharing));
        all.add("errors carry code, text and method", with(this::errors));
        all.add("declarations that differ are refused, wider numbers are equal", with(this::equivalence));
        all.add("a consumer of a deleted queue is told", with(this::cancelled));
        all.add("dead letters, expiration and x-death", with(this::deadLetters));
        all.add("basicGet, purge, delete if empty and if unused", with(this::queues));
        all.add("global qos changes while the consumer runs", with(this::qos));
        all.add("priorities of messages and of consumers", with(this::priorities));
        all.add("tables of every type", with(this::tables));
        all.add("remote calls with RpcClient and direct reply-to", with(this::calls));
        all.add("transactions", with(this::transactions));
        all.add("recover and redelivery", with(this::recover));
        ConnectionFactory small = factory();
        small.setRequestedFrameMax(4096);
        all.add("frames of 4096 bytes, bodies of 1 MiB", with(small, this::large));
        ConnectionFactory nio = factory();
        nio.useNio();
        all.add("NIO", with(nio, this::sharing));
        ConnectionFactory beating = factory();
        beating.setRequestedHeartbeat(1);
        all.add("heartbeats keep a quiet connection", with(beating, this::heartbeats));
        ConnectionFactory recovering = factory();
        all.add("a lost connection is recovered with its consumer and its exclusive queue", with(recovering, this::recovery));
        all.add("a wrong password is told", this::login);
    }

    private void confirms(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, Map.of("x-max-length", 100, "x-overflow", "reject-publish"));
        channel.confirmSelect();
        for (int i = 0; i < 100; i++) {
            channel.basicPublish("", queue, MessageProperties.PERSISTENT_TEXT_PLAIN, bytes("" + i));
        }
        channel.waitForConfirmsOrDie(10000);
        BlockingQueue<Boolean> nacks = new LinkedBlockingQueue<>();
        channel.addConfirmListener((tag, multiple) -> nacks.add(false), (tag, multiple) -> nacks.add(true));
        channel.basicPublish("", queue, null, bytes("too many"));
        equal(take(nacks, "answer"), true, "nack");
        equal(channel.messageCount(queue), 100L, "messages");
    }

    private void returns(Connection connection, Channel channel) throws Exception {
        BlockingQueue<String> order = new LinkedBlockingQueue<>();
        channel.confirmSelect();
        channel.addReturnListener(back -> order.add("return " + back.getReplyCode() + " " + back.getReplyText()));
        channel.addConfirmListener((tag, multiple) -> order.add("ack " + tag), (tag, multiple) -> order.add("nack"));
        for (int i = 1; i <= 10; i++) {
            channel.basicPublish("", name("missing"), true, null, bytes("x"));
            equal(take(order, "return"), "return 312 NO_ROUTE", "first");
            equal(take(order, "ack"), "ack " + i, "second");
        }
    }

    private void sharing(Connection connection, Channel channel) throws Exception {
        String exchange = name("x");
        channel.exchangeDeclare(exchange, "topic", true);
        String queue = queue(channel, NONE);
        channel.queueBind(queue, exchange, "order.created.*");
        List<BlockingQueue<Delivery>> found = new ArrayList<>();
        List<Channel> workers = List.of(connection.createChannel(), connection.createChannel());
        for (Channel worker : workers) {
            worker.basicQos(1);
            found.add(consume(worker, queue, false));
        }
        for (int i = 0; i < 10; i++) {
            channel.basicPublish(exchange, i % 2 == 0 ? "order.created.eu" : "order.paid.eu", null, bytes("" + i));
        }
        for (int i = 0; i < 4; i += 2) {
            for (int worker = 0; worker < 2; worker++) {
                Delivery delivery = take(found.get(worker), "a message for worker " + worker);
                silent(found.get(worker));
                workers.get(worker).basicAck(delivery.getEnvelope().getDeliveryTag(), false);
            }
        }
        channel.exchangeDelete(exchange);
    }

    private void errors(Connection connection, Channel channel) throws Exception {
        String missing = name("missing");
        equal(refusal(() -> channel.queueDeclarePassive(missing)), "404 NOT_FOUND - no queue '" + missing + "' in vhost '/'", "passive");
        equal(refusal(() -> connection.createChannel().exchangeDeclare("amq.mine", "direct")),
            "403 ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'", "reserved");
        Channel confirming = connection.createChannel();
        confirming.confirmSelect();
        equal(refusal(confirming::txSelect), "406 PRECONDITION_FAILED - cannot switch from confirm to tx mode", "mode");
        Channel used = connection.createChannel();
        String queue = queue(used, NONE);
        used.basicConsume(queue, true, "tag", (tag, delivery) -> {}, tag -> {});
        BlockingQueue<ShutdownSignalException> ended = new LinkedBlockingQueue<>();
        Connection other = factory().newConnection();
        Channel doomed = other.createChannel();
        doomed.addShutdownListener(ended::add);
        doomed.basicPublish("", "x", false, true, null, bytes("x"));
        ShutdownSignalException end = take(ended, "shutdown");
        isTrue(end.isHardError(), "only the channel ended");
        equal(((AMQP.Connection.Close) end.getReason()).getReplyText(), "NOT_IMPLEMENTED - immediate=true", "text");
        isTrue(connection.isOpen() && used.isOpen(), "the first connection ended too");
    }

    private void equivalence(Connection connection, Channel channel) throws Exception {
        String queue = name("q");
        channel.queueDeclare(queue, true, false, false, Map.of("x-message-ttl", 60000));
        channel.queueDeclare(queue, true, false, false, Map.of("x-message-ttl", 60000L, "mine", 1));
        channel.queueDeclare(queue, true, false, false, Map.of("x-message-ttl", 60000L, "x-queue-type", "classic"));
        equal(refusal(() -> connection.createChannel().queueDeclare(queue, true, false, false, NONE)), "406 PRECONDITION_FAILED - "
            + "inequivalent arg 'x-message-ttl' for queue '" + queue + "' in vhost '/': received none but current is the value '60000' of type 'signedint'", "text");
        equal(refusal(() -> connection.createChannel().queueDeclare(queue, false, false, false, Map.of("x-message-ttl", 60000))),
            "406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue '" + queue + "' in vhost '/': received 'false' but current is 'true'", "text");
        channel.queueDelete(queue);
    }

    private void cancelled(Connection connection, Channel channel) throws Exception {
        String queue = name("q");
        channel.queueDeclare(queue, false, false, false, NONE);
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        channel.basicConsume(queue, true, "mine", (tag, delivery) -> {}, told::add);
        connection.createChannel().queueDelete(queue);
        equal(take(told, "cancel"), "mine", "consumer tag");
    }

    private void deadLetters(Connection connection, Channel channel) throws Exception {
        String grave = queue(channel, NONE);
        String queue = queue(channel, Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", grave));
        BlockingQueue<Delivery> found = consume(channel, grave, true);
        channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().expiration("40").build(), bytes("x"));
        Delivery dead = take(found, "dead letter");
        equal(dead.getProperties().getExpiration(), null, "expiration");
        Map<?, ?> death = (Map<?, ?>) ((List<?>) dead.getProperties().getHeaders().get("x-death")).get(0);
        equal(death.get("reason").toString(), "expired", "reason");
        equal(death.get("queue").toString(), queue, "queue");
        equal(death.get("count"), 1L, "count");
        equal(death.get("original-expiration").toString(), "40", "original-expiration");
        isTrue(death.get("time") instanceof java.util.Date, "time is no date");
    }

    private void queues(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        channel.confirmSelect();
        for (int i = 0; i < 3; i++) {
            channel.basicPublish("", queue, null, bytes("" + i));
        }
        channel.waitForConfirmsOrDie(5000);
        equal(refusal(() -> connection.createChannel().queueDelete(queue, false, true)),
            "406 PRECONDITION_FAILED - queue '" + queue + "' in vhost '/' not empty", "if empty");
        var got = channel.basicGet(queue, false);
        equal(got.getMessageCount(), 2, "messages left");
        channel.basicReject(got.getEnvelope().getDeliveryTag(), true);
        var again = channel.basicGet(queue, true);
        isTrue(again.getEnvelope().isRedeliver(), "not marked as redelivered");
        equal(channel.queuePurge(queue).getMessageCount(), 2, "purged");
        equal(channel.basicGet(queue, true), null, "an empty queue");
        consume(channel, queue, true);
        equal(refusal(() -> connection.createChannel().queueDelete(queue, true, false)),
            "406 PRECONDITION_FAILED - queue '" + queue + "' in vhost '/' in use", "if unused");
    }

    private void qos(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        for (int i = 0; i < 10; i++) {
            channel.basicPublish("", queue, null, bytes("" + i));
        }
        channel.basicQos(2, true);
        BlockingQueue<Delivery> found = consume(channel, queue, false);
        equal(texts(found, 2), List.of("0", "1"), "with 2");
        silent(found);
        channel.basicQos(4, true);
        equal(texts(found, 2), List.of("2", "3"), "with 4");
        silent(found);
        channel.basicAck(4, true);
        equal(texts(found, 4), List.of("4", "5", "6", "7"), "after the acknowledgement");
    }

    private void priorities(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, Map.of("x-max-priority", 10));
        channel.confirmSelect();
        for (int priority : new int[] {2, 9, 5}) {
            channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().priority(priority).build(), bytes("" + priority));
        }
        channel.waitForConfirmsOrDie(5000);
        equal(texts(consume(channel, queue, true), 3), List.of("9", "5", "2"), "order");
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        String other = queue(channel, NONE);
        for (int priority : new int[] {1, 10}) {
            channel.basicConsume(other, true, "p" + priority, false, false, Map.of("x-priority", priority), (tag, delivery) -> turns.add(tag), tag -> {});
        }
        for (int i = 0; i < 3; i++) {
            channel.basicPublish("", other, null, bytes("x"));
            equal(take(turns, "delivery"), "p10", "who gets it");
        }
    }

    private void tables(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        Map<String, Object> given = new java.util.HashMap<>();
        given.put("int", 5);
        given.put("long", 1L << 40);
        given.put("short", (short) -3);
        given.put("byte", (byte) 7);
        given.put("double", 1.5);
        given.put("float", 0.5f);
        given.put("boolean", true);
        given.put("nothing", null);
        given.put("decimal", new java.math.BigDecimal("3.14"));
        given.put("date", new java.util.Date(1700000000000L));
        given.put("table", Map.of("deep", Map.of("er", 1)));
        given.put("list", List.of(1, 2L, Map.of("x", true)));
        channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().headers(given).messageId("m").timestamp(new java.util.Date(1700000001000L)).build(), bytes("x"));
        Delivery delivery = take(consume(channel, queue, true), "message");
        equal(delivery.getProperties().getHeaders(), given, "headers");
        equal(delivery.getProperties().getTimestamp(), new java.util.Date(1700000001000L), "timestamp");
    }

    private void calls(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        Channel serving = connection.createChannel();
        serving.basicConsume(queue, true, (tag, delivery) -> serving.basicPublish("", delivery.getProperties().getReplyTo(),
            new AMQP.BasicProperties.Builder().correlationId(delivery.getProperties().getCorrelationId()).build(), bytes(text(delivery) + "!")), tag -> {});
        var client = new com.rabbitmq.client.RpcClient(new com.rabbitmq.client.RpcClientParams().channel(channel).exchange("").routingKey(queue).timeout(5000));
        for (int i = 0; i < 5; i++) {
            equal(client.stringCall("" + i), i + "!", "answer");
        }
        client.close();
    }

    private void transactions(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        channel.txSelect();
        channel.basicPublish("", queue, null, bytes("no"));
        channel.txRollback();
        channel.basicPublish("", queue, null, bytes("yes"));
        equal(connection.createChannel().messageCount(queue), 0L, "messages before the commit");
        channel.txCommit();
        equal(texts(consume(connection.createChannel(), queue, true), 1), List.of("yes"), "messages");
    }

    private void recover(Connection connection, Channel channel) throws Exception {
        String queue = queue(channel, NONE);
        for (int i = 0; i < 3; i++) {
            channel.basicPublish("", queue, null, bytes("" + i));
        }
        BlockingQueue<Delivery> found = consume(channel, queue, false);
        equal(texts(found, 3), List.of("0", "1", "2"), "first");
        channel.basicRecover(true);
        for (int i = 0; i < 3; i++) {
            Delivery delivery = take(found, "redelivery");
            equal(text(delivery) + delivery.getEnvelope().isRedeliver(), i + "true", "redelivery");
        }
    }

    private void large(Connection connection, Channel channel) throws Exception {
        equal(connection.getFrameMax(), 4096, "frame_max");
        String queue = queue(channel, NONE);
        byte[] body = new byte[1 << 20];
        new Random(1).nextBytes(body);
        BlockingQueue<Delivery> found = consume(channel, queue, true);
        for (int i = 0; i < 3; i++) {
            channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, body);
            isTrue(java.util.Arrays.equals(take(found, "message").getBody(), body), "another body");
        }
    }

    private void heartbeats(Connection connection, Channel channel) throws Exception {
        equal(connection.getHeartbeat(), 1, "heartbeat");
        Thread.sleep(3200);
        isTrue(connection.isOpen(), "the connection was lost");
        queue(channel, NONE);
    }

    private void recovery(Connection connection, Channel channel) throws Exception {
        String queue = channel.queueDeclare(name("q"), false, true, false, NONE).getQueue();
        channel.queueBind(queue, "amq.topic", queue + ".#");
        BlockingQueue<Delivery> found = consume(channel, queue, true);
        BlockingQueue<Boolean> recovered = new LinkedBlockingQueue<>();
        ((com.rabbitmq.client.Recoverable) connection).addRecoveryListener(new com.rabbitmq.client.RecoveryListener() {
            @Override
            public void handleRecovery(com.rabbitmq.client.Recoverable it) {
                recovered.add(true);
            }

            @Override
            public void handleRecoveryStarted(com.rabbitmq.client.Recoverable it) {}
        });
        // The connection that recovers by itself hides the one below, whose socket is what breaks.
        var delegate = (com.rabbitmq.client.impl.recovery.AutorecoveringConnection) connection;
        delegate.getDelegate().getClass().getMethod("close", int.class, String.class, boolean.class, Throwable.class)
            .invoke(delegate.getDelegate(), 200, "lost", false, new IOException("lost"));
        take(recovered, "recovery");
        channel.basicPublish("amq.topic", queue + ".x", null, bytes("again"));
        equal(texts(found, 1), List.of("again"), "message after the recovery");
    }

    private void login() throws Exception {
        ConnectionFactory factory = factory();
        factory.setPassword("wrong");
        Exception error = Scenarios.raises(com.rabbitmq.client.AuthenticationFailureException.class, factory::newConnection);
        isTrue(error.getMessage().startsWith("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."), error.getMessage());
    }

    private static String option(String[] arguments, String name) {
        for (int i = 0; i + 1 < arguments.length; i++) {
            if (arguments[i].equals(name)) {
                return arguments[i + 1];
            }
        }
        return "";
    }

    public static void main(String[] arguments) {
        Scenarios all = new Scenarios();
        new Amqp(option(arguments, "--bootstrap")).add(all);
        int failed = all.run(System.getenv().getOrDefault("CLIENT", "amqp-java"), option(arguments, "--only"));
        System.exit(failed == 0 ? 0 : 1);
    }
}
