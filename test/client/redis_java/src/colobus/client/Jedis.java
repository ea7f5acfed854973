package colobus.client;

import static colobus.client.Redis.bytes;
import static colobus.client.Redis.eventually;
import static colobus.client.Scenarios.equal;
import static colobus.client.Scenarios.isTrue;
import static colobus.client.Scenarios.raises;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import redis.clients.jedis.BinaryJedisPubSub;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.exceptions.JedisAccessControlException;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ClientKillParams;

/** The Jedis client program, in RESP2 and RESP3. */
public final class Jedis {
    interface Body {
        void run(RedisProtocol protocol) throws Exception;
    }

    /** A subscriber on a thread of its own. */
    static final class Listener extends JedisPubSub implements AutoCloseable {
        final Redis.Heard heard = new Redis.Heard();
        final redis.clients.jedis.Jedis jedis;
        Thread thread;
        volatile Exception error;

        Listener(redis.clients.jedis.Jedis jedis) {
            this.jedis = jedis;
        }

        /** The first subscription: Jedis stays in the call until there is none any more. */
        Listener begin(boolean patterns, String... names) throws InterruptedException {
            thread = new Thread(() -> {
                try {
                    if (patterns) {
                        jedis.psubscribe(this, names);
                    } else {
                        jedis.subscribe(this, names);
                    }
                } catch (JedisConnectionException e) {
                    error = e;
                }
            });
            thread.setDaemon(true);
            thread.start();
            for (int i = 0; i < names.length; i++) {
                heard.expect((patterns ? "psubscribe " : "subscribe ") + names[i] + " " + (i + 1));
            }
            return this;
        }

        @Override
        public void onMessage(String channel, String message) {
            heard.add("message", channel, message);
        }

        @Override
        public void onPMessage(String pattern, String channel, String message) {
            heard.add("pmessage", pattern, channel, message);
        }

        @Override
        public void onSubscribe(String channel, int count) {
            heard.add("subscribe", channel, count);
        }

        @Override
        public void onUnsubscribe(String channel, int count) {
            heard.add("unsubscribe", channel, count);
        }

        @Override
        public void onPSubscribe(String pattern, int count) {
            heard.add("psubscribe", pattern, count);
        }

        @Override
        public void onPUnsubscribe(String pattern, int count) {
            heard.add("punsubscribe", pattern, count);
        }

        @Override
        public void onPong(String pattern) {
            heard.add("pong", pattern);
        }

        void ended() throws InterruptedException {
            thread.join(10_000);
            isTrue(!thread.isAlive(), "it does not end");
        }

        @Override
        public void close() {
            jedis.close();
        }
    }

    private final Redis at;

    private Jedis(Redis at) {
        this.at = at;
    }

    private Scenarios.Body each(Body body) {
        return () -> {
            body.run(RedisProtocol.RESP2);
            body.run(RedisProtocol.RESP3);
        };
    }

    private static DefaultJedisClientConfig.Builder config(RedisProtocol protocol) {
        return DefaultJedisClientConfig.builder().protocol(protocol);
    }

    private redis.clients.jedis.Jedis connect(RedisProtocol protocol) {
        return connect(config(protocol));
    }

    private redis.clients.jedis.Jedis connect(DefaultJedisClientConfig.Builder config) {
        return new redis.clients.jedis.Jedis(new HostAndPort(at.host, at.port), config.build());
    }

    void add(Scenarios all) {
        all.add("connects, with a name and a database; a pool", each(this::connects));
        all.add("subscribe and psubscribe, more and less of them: counts", each(this::counts));
        all.add("messages of any bytes, up to 1 MiB", each(this::messages));
        all.add("publish counts exactly, with 10 connections", this::exact);
        all.add("PUBSUB, sharded channels", each(this::questions));
        all.add("a pipeline of 10,000 publishes, and a transaction", each(this::pipelines));
        all.add("a killed subscriber is told", each(this::killed));
        all.add("logins, and errors", each(this::errors));
    }

    private void connects(RedisProtocol protocol) {
        try (var jedis = connect(config(protocol).clientName("me").database(4))) {
            equal(jedis.ping() + jedis.echo("x") + jedis.clientGetname(), "PONGxme", "answers");
            isTrue(jedis.clientInfo().contains(" db=4 "), jedis.clientInfo());
            isTrue(jedis.info().contains("redis_version:7."), "version");
        }
        try (RedisClient pool = RedisClient.builder().hostAndPort(at.host, at.port).clientConfig(config(protocol).build()).build()) {
            equal(pool.ping(), "PONG", "pool");
            equal(pool.publish(at.name("nobody"), "x"), 0L, "receivers");
        }
    }

    private void counts(RedisProtocol protocol) throws Exception {
        String a = at.name("a");
        String b = at.name("b");
        String p = at.name("p") + "*";
        try (var listener = new Listener(connect(protocol)).begin(false, a); var jedis = connect(protocol)) {
            listener.subscribe(b);
            listener.psubscribe(p);
            listener.heard.expect("subscribe " + b + " 2", "psubscribe " + p + " 3");
            if (protocol == RedisProtocol.RESP2) { // in RESP3 Jedis does not expect the answer, which is no list
                listener.ping("hello");
                listener.heard.expect("pong hello");
            }
            equal(jedis.publish(b, "hello"), 1L, "receivers");
            equal(jedis.publish(p, "world"), 1L, "receivers");
            listener.heard.expect("message " + b + " hello", "pmessage " + p + " " + p + " world");
            listener.unsubscribe(a, b);
            listener.heard.expect("unsubscribe " + a + " 2", "unsubscribe " + b + " 1");
            listener.punsubscribe();
            listener.heard.expect("punsubscribe " + p + " 0");
            listener.ended();
            equal(listener.jedis.ping(), "PONG", "an ordinary connection again");
        }
    }

    private void messages(RedisProtocol protocol) throws Exception {
        byte[] channel = bytes(at.name("channel"));
        BlockingQueue<byte[]> heard = new LinkedBlockingQueue<>();
        BinaryJedisPubSub listener = new BinaryJedisPubSub() {
            @Override
            public void onSubscribe(byte[] name, int count) {
                heard.add(bytes("begun"));
            }

            @Override
            public void onMessage(byte[] name, byte[] message) {
                heard.add(message);
            }
        };
        try (var jedis = connect(protocol); var other = connect(protocol)) {
            Thread thread = new Thread(() -> jedis.subscribe(listener, channel));
            thread.setDaemon(true);
            thread.start();
            heard.poll(10, TimeUnit.SECONDS);
            for (byte[] body : Redis.bodies()) {
                equal(other.publish(channel, body), 1L, "receivers");
                isTrue(Arrays.equals(heard.poll(10, TimeUnit.SECONDS), body), "a body differs");
            }
            listener.unsubscribe();
            thread.join(10_000);
        }
    }

    private void exact() throws Exception {
        String channel = at.name("channel");
        List<Listener> some = new ArrayList<>();
        try (var jedis = connect(RedisProtocol.RESP3)) {
            for (long count = 1; count <= 10; count++) {
                some.add(new Listener(connect(RedisProtocol.RESP3)).begin(false, channel));
                equal(jedis.publish(channel, "" + count), count, "receivers");
            }
            for (int i = 0; i < 10; i++) {
                some.get(i).heard.expect(LongStream.rangeClosed(i + 1, 10).mapToObj(n -> "message " + channel + " " + n).toArray(String[]::new));
            }
            for (int i = 0; i < 10; i++) {
                some.get(i).unsubscribe();
                some.get(i).ended();
                equal(jedis.publish(channel, "x"), 9L - i, "receivers");
            }
        } finally {
            some.forEach(Listener::close);
        }
    }

    private void questions(RedisProtocol protocol) throws Exception {
        String run = at.name("run");
        try (var listener = new Listener(connect(protocol)).begin(false, run + "a", run + "b"); var jedis = connect(protocol)) {
            equal(jedis.pubsubChannels(run + "*").stream().sorted().toList(), List.of(run + "a", run + "b"), "channels");
            equal(jedis.pubsubNumSub(run + "a", run + "c"), Map.of(run + "a", 1L, run + "c", 0L), "counts");
            isTrue(jedis.pubsubNumPat() >= 0, "patterns");
            equal(jedis.pubsubShardChannels(run + "*"), List.of(), "sharded channels");
            equal(jedis.pubsubShardNumSub(run + "a"), Map.of(run + "a", 0L), "counts of shards");
            equal(jedis.sendCommand(Protocol.Command.SPUBLISH, run + "a", "x"), 0L, "receivers");
        }
    }

    private void pipelines(RedisProtocol protocol) throws Exception {
        String channel = at.name("channel");
        try (var listener = new Listener(connect(protocol)).begin(false, channel); var jedis = connect(protocol)) {
            Pipeline pipeline = jedis.pipelined();
            for (int i = 0; i < 10000; i++) {
                pipeline.publish(channel, "" + i);
            }
            isTrue(pipeline.syncAndReturnAll().stream().allMatch(count -> count.equals(1L)), "receivers");
            for (int i = 0; i < 10000; i++) {
                equal(listener.heard.next(), "message " + channel + " " + i, "order");
            }
            Transaction both = jedis.multi();
            both.publish(channel, "a");
            both.sendCommand(Protocol.Command.ECHO, "x");
            both.publish(channel, "b");
            equal(both.exec().stream().map(x -> x instanceof byte[] b ? new String(b) : x).toList(), List.of(1L, "x", 1L), "transaction");
            listener.heard.expect("message " + channel + " a", "message " + channel + " b");
        }
    }

    private void killed(RedisProtocol protocol) throws Exception {
        String channel = at.name("channel");
        try (var victim = connect(protocol); var jedis = connect(protocol)) {
            long id = (Long) victim.sendCommand(Protocol.Command.CLIENT, "ID");
            Listener listener = new Listener(victim).begin(false, channel);
            equal(jedis.clientKill(new ClientKillParams().id("" + id)), 1L, "killed");
            listener.ended();
            isTrue(listener.error != null, "no error");
            eventually("nobody hears it", () -> jedis.publish(channel, "x") == 0);
            try (var again = new Listener(connect(protocol)).begin(false, channel)) {
                equal(jedis.publish(channel, "again"), 1L, "receivers");
                again.heard.expect("message " + channel + " again");
            }
        }
    }

    private void errors(RedisProtocol protocol) throws Exception {
        try (var jedis = connect(protocol)) {
            var wrong = raises(JedisDataException.class, () -> jedis.sendCommand(Protocol.Command.PUBLISH, "a"));
            equal(wrong.getMessage(), "ERR wrong number of arguments for 'publish' command", "text");
            if (!at.external) {
                isTrue(raises(JedisDataException.class, () -> jedis.get("k")).getMessage().startsWith("ERR unknown command 'GET'"), "text");
            }
            equal(jedis.ping(), "PONG", "goes on");
        }
        raises(JedisAccessControlException.class, () -> connect(config(protocol).user("nobody").password("wrong")).ping());
        if (!at.external) {
            try (var jedis = connect(config(protocol).user("guest").password("guest"))) {
                equal(jedis.aclWhoAmI(), "guest", "who");
            }
        }
    }

    public static void main(String[] arguments) {
        Scenarios all = new Scenarios();
        new Jedis(new Redis(arguments)).add(all);
        Redis.run(all, arguments);
    }
}
