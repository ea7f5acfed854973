package colobus.client;

import static colobus.client.Redis.bytes;
import static colobus.client.Redis.eventually;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;
import static colobus.client.Scenarios.raises;

import io.lettuce.core.ClientOptions;
import io.lettuce.core.KillArgs;
import io.lettuce.core.LettuceFutures;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisConnectionException;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisURI;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.protocol.ProtocolVersion;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import io.lettuce.core.resource.ClientResources;
import io.lettuce.core.resource.Delay;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;

/** The Lettuce client program, in RESP2 and RESP3. */
public final class Lettuce {
    interface Body {
        void run(RedisClient client) throws Exception;
    }

    /** A connection that keeps what it hears. */
    static final class Listener extends RedisPubSubAdapter<String, String> implements AutoCloseable {
        final Redis.Heard heard = new Redis.Heard();
        final StatefulRedisPubSubConnection<String, String> connection;

        Listener(RedisClient client) {
            connection = client.connectPubSub();
            connection.addListener(this);
        }

        @Override
        public void message(String channel, String message) {
            heard.add("message", channel, message);
        }

        @Override
        public void message(String pattern, String channel, String message) {
            heard.add("pmessage", pattern, channel, message);
        }

        @Override
        public void smessage(String channel, String message) {
            heard.add("smessage", channel, message);
        }

        @Override
        public void subscribed(String channel, long count) {
            heard.add("subscribe", channel, count);
        }

        @Override
        public void psubscribed(String pattern, long count) {
            heard.add("psubscribe", pattern, count);
        }

        @Override
        public void ssubscribed(String channel, long count) {
            heard.add("ssubscribe", channel, count);
        }

        @Override
        public void unsubscribed(String channel, long count) {
            heard.add("unsubscribe", channel, count);
        }

        @Override
        public void punsubscribed(String pattern, long count) {
            heard.add("punsubscribe", pattern, count);
        }

        @Override
        public void sunsubscribed(String channel, long count) {
            heard.add("sunsubscribe", channel, count);
        }

        @Override
        public void close() {
            connection.close();
        }
    }

    private final Redis at;
    private final ClientResources resources =
        ClientResources.builder().ioThreadPoolSize(2).computationThreadPoolSize(2).reconnectDelay(Delay.constant(Duration.ofMillis(50))).build();

    private Lettuce(Redis at) {
        this.at = at;
    }

    private RedisURI.Builder uri() {
        return RedisURI.builder().withHost(at.host).withPort(at.port).withTimeout(Duration.ofSeconds(10));
    }

    private RedisClient client(RedisURI uri, ProtocolVersion version) {
        RedisClient client = RedisClient.create(resources, uri);
        client.setOptions(ClientOptions.builder().protocolVersion(version).build());
        return client;
    }

    private Scenarios.Body each(Body body) {
        return () -> {
            for (ProtocolVersion version : ProtocolVersion.values()) {
                RedisClient client = client(uri().build(), version);
                try {
                    body.run(client);
                } finally {
                    client.shutdown(0, 2, TimeUnit.SECONDS);
                }
            }
        };
    }

    void add(Scenarios all) {
        all.add("connects, with a name and a database", this::connects);
        all.add("subscribe, psubscribe, ssubscribe and back: counts", each(this::counts));
        all.add("messages of any bytes, up to 1 MiB", each(this::messages));
        all.add("publish counts exactly, with 10 connections", each(this::exact));
        all.add("PUBSUB", each(this::questions));
        all.add("10,000 publishes without waiting, and a transaction", each(this::pipelines));
        all.add("a killed connection comes back and is subscribed again", each(this::killed));
        all.add("logins, and errors", this::errors);
    }

    private void connects() {
        for (ProtocolVersion version : ProtocolVersion.values()) {
            RedisClient client = client(uri().withClientName("me").withDatabase(4).build(), version);
            try (var connection = client.connect()) {
                var redis = connection.sync();
                equal(redis.ping() + redis.echo("x") + redis.clientGetname(), "PONGxme", "answers");
                isTrue(redis.clientList().contains(" name=me "), "list");
                isTrue(redis.info().contains("redis_version:7."), "version");
            } finally {
                client.shutdown(0, 2, TimeUnit.SECONDS);
            }
        }
    }

    private void counts(RedisClient client) throws Exception {
        String a = at.name("a");
        String b = at.name("b");
        String p = at.name("p") + "*";
        try (var listener = new Listener(client); var connection = client.connect()) {
            var redis = connection.sync();
            var listening = listener.connection.sync();
            listening.subscribe(a, b);
            listening.psubscribe(p);
            listening.ssubscribe(a);
            listener.heard.expect("subscribe " + a + " 1", "subscribe " + b + " 2", "psubscribe " + p + " 3", "ssubscribe " + a + " 1");
            isTrue(List.of("PONG", "").contains(listening.ping()), "ping"); // RESP2: the pair's second half
            equal(redis.publish(a, "x"), 1L, "receivers");
            equal(redis.publish(p, "y"), 1L, "receivers");
            equal(redis.spublish(a, "z"), 1L, "receivers");
            listener.heard.expect("message " + a + " x", "pmessage " + p + " " + p + " y", "smessage " + a + " z");
            listening.unsubscribe(a, b);
            listening.punsubscribe(p);
            listener.heard.expect("unsubscribe " + a + " 2", "unsubscribe " + b + " 1", "punsubscribe " + p + " 0");
            if (client.getOptions().getProtocolVersion() == ProtocolVersion.RESP3) { // in RESP2 Lettuce itself may refuse it: its state lags
                listening.sunsubscribe(a);
                listener.heard.expect("sunsubscribe " + a + " 0");
            }
        }
    }

    private void messages(RedisClient client) throws Exception {
        byte[] channel = bytes(at.name("channel"));
        BlockingQueue<byte[]> heard = new LinkedBlockingQueue<>();
        try (var listening = client.connectPubSub(ByteArrayCodec.INSTANCE); var connection = client.connect(ByteArrayCodec.INSTANCE)) {
            listening.addListener(new RedisPubSubAdapter<byte[], byte[]>() {
                @Override
                public void message(byte[] name, byte[] message) {
                    heard.add(message);
                }
            });
            listening.sync().subscribe(channel);
            for (byte[] body : Redis.bodies()) {
                equal(connection.sync().publish(channel, body), 1L, "receivers");
                isTrue(Arrays.equals(heard.poll(10, TimeUnit.SECONDS), body), "a body differs");
            }
        }
    }

    private void exact(RedisClient client) throws Exception {
        String channel = at.name("channel");
        List<Listener> some = new ArrayList<>();
        try (var connection = client.connect()) {
            for (long count = 1; count <= 10; count++) {
                Listener listener = new Listener(client);
                some.add(listener);
                listener.connection.sync().subscribe(channel);
                listener.heard.expect("subscribe " + channel + " 1");
                equal(connection.sync().publish(channel, "" + count), count, "receivers");
            }
            for (int i = 0; i < 10; i++) {
                some.get(i).heard.expect(LongStream.rangeClosed(i + 1, 10).mapToObj(n -> "message " + channel + " " + n).toArray(String[]::new));
            }
            for (int i = 0; i < 10; i++) {
                some.get(i).connection.sync().unsubscribe(channel);
                equal(connection.sync().publish(channel, "x"), 9L - i, "receivers");
            }
        } finally {
            some.forEach(Listener::close);
        }
    }

    private void questions(RedisClient client) {
        String run = at.name("run");
        try (var listener = new Listener(client); var connection = client.connect()) {
            listener.connection.sync().subscribe(run + "a", run + "b");
            var redis = connection.sync();
            equal(redis.pubsubChannels(run + "*").stream().sorted().toList(), List.of(run + "a", run + "b"), "channels");
            equal(redis.pubsubNumsub(run + "a", run + "c"), Map.of(run + "a", 1L, run + "c", 0L), "counts");
            isTrue(redis.pubsubNumpat() >= 0, "patterns");
            equal(redis.pubsubShardChannels(run + "*"), List.of(), "sharded channels");
            equal(redis.pubsubShardNumsub(run + "a"), Map.of(run + "a", 0L), "counts of shards");
        }
    }

    private void pipelines(RedisClient client) throws Exception {
        String channel = at.name("channel");
        try (var listener = new Listener(client); var connection = client.connect()) {
            listener.connection.sync().subscribe(channel);
            listener.heard.expect("subscribe " + channel + " 1");
            List<RedisFuture<Long>> answers = new ArrayList<>();
            connection.setAutoFlushCommands(false);
            for (int i = 0; i < 10000; i++) {
                answers.add(connection.async().publish(channel, "" + i));
            }
            connection.flushCommands();
            connection.setAutoFlushCommands(true);
            isTrue(LettuceFutures.awaitAll(Duration.ofSeconds(10), answers.toArray(RedisFuture[]::new)), "not all were answered");
            for (int i = 0; i < 10000; i++) {
                equal(answers.get(i).get(), 1L, "receivers");
                equal(listener.heard.next(), "message " + channel + " " + i, "order");
            }
            var redis = connection.sync();
            redis.multi();
            redis.publish(channel, "a");
            redis.echo("x");
            redis.publish(channel, "b");
            equal(redis.exec().stream().toList(), List.of(1L, "x", 1L), "transaction");
            listener.heard.expect("message " + channel + " a", "message " + channel + " b");
        }
    }

    private void killed(RedisClient client) throws Exception {
        String channel = at.name("channel");
        try (var listener = new Listener(client); var connection = client.connect()) {
            long id = listener.connection.sync().clientId();
            listener.connection.sync().subscribe(channel);
            listener.connection.sync().psubscribe(channel + "?");
            listener.heard.expect("subscribe " + channel + " 1", "psubscribe " + channel + "? 2");
            var redis = connection.sync();
            equal(redis.clientKill(KillArgs.Builder.id(id)), 1L, "killed");
            eventually("subscribed again", () -> redis.publish(channel, "x") == 1 && redis.publish(channel + "!", "y") == 1);
            boolean message = false;
            boolean pmessage = false;
            while (!message || !pmessage) {
                String item = listener.heard.next();
                message |= item.startsWith("message ");
                pmessage |= item.startsWith("pmessage ");
            }
        }
    }

    private void errors() throws Exception {
        for (ProtocolVersion version : ProtocolVersion.values()) {
            RedisClient client = client(uri().build(), version);
            try (var connection = client.connect()) {
                var redis = connection.sync();
                if (!at.external) {
                    var error = raises(RedisCommandExecutionException.class, () -> redis.get("k"));
                    isTrue(error.getMessage().startsWith("ERR unknown command 'GET'"), error.getMessage());
                    equal(redis.auth("guest", "guest") + redis.aclWhoami(), "OKguest", "who");
                }
                isTrue(raises(RedisCommandExecutionException.class, () -> redis.auth("nobody", "wrong")).getMessage().startsWith("WRONGPASS"), "text");
                equal(redis.ping(), "PONG", "goes on");
            } finally {
                client.shutdown(0, 2, TimeUnit.SECONDS);
            }
            RedisClient stranger = client(uri().withAuthentication("nobody", "wrong").build(), version);
            raises(RedisConnectionException.class, stranger::connect);
            stranger.shutdown(0, 2, TimeUnit.SECONDS);
        }
    }

    public static void main(String[] arguments) {
        Scenarios all = new Scenarios();
        new Lettuce(new Redis(arguments)).add(all);
        Redis.run(all, arguments);
    }
}
