package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var scenarios = []scenario{
	{"connects in RESP3, with a name and a database", each(connects)},
	{"Subscribe, PSubscribe, Unsubscribe, PUnsubscribe: counts", each(counts)},
	{"messages come once for each subscription, any bytes, up to 1 MiB", each(messages)},
	{"Publish counts exactly, with 10 connections that come and go", exact},
	{"patterns with ? [] and escapes", patterns},
	{"sharded channels", each(sharded)},
	{"PubSubChannels, PubSubNumSub, PubSubNumPat, and of shards", each(questions)},
	{"a pipeline of 10,000 publishes, and a transaction", each(pipelines)},
	{"a killed connection comes back and is subscribed again", each(killed)},
	{"Ping while subscribed", each(pings)},
	{"a wrong password is told, guest gets in", each(login)},
	{"errors of commands, and of those that are not served", each(errors)},
}

// each calls a scenario's body for RESP2 and RESP3.
func each(body func(*test, redis.Options)) func(*test) {
	return func(t *test) {
		for _, protocol := range []int{2, 3} {
			body(t, redis.Options{Protocol: protocol})
		}
	}
}

func bodies() []string {
	every := make([]byte, 1<<20)
	for i := range every {
		every[i] = byte(i)
	}
	return []string{"", "x", "\r\n", "$3\r\nabc", "zażółć", "\x00\xff\r\n\x00", string(every)}
}

// listener has subscribed when it is given back.
func (t *test) listener(client *redis.Client, channels []string, patterns ...string) *redis.PubSub {
	pubsub := client.Subscribe(t.ctx, channels...)
	t.open = append(t.open, pubsub)
	if len(patterns) > 0 {
		must(pubsub.PSubscribe(t.ctx, patterns...), "psubscribe")
	}
	for range append(channels, patterns...) {
		t.subscription(pubsub)
	}
	return pubsub
}

func (t *test) receive(pubsub *redis.PubSub) any {
	item, err := pubsub.ReceiveTimeout(t.ctx, deadline)
	must(err, "receive")
	return item
}

func (t *test) subscription(pubsub *redis.PubSub) redis.Subscription {
	item := t.receive(pubsub)
	found, is := item.(*redis.Subscription)
	if !is {
		fail("not the answer to a subscription: %v", item)
	}
	return *found
}

func (t *test) message(pubsub *redis.PubSub) redis.Message {
	item := t.receive(pubsub)
	found, is := item.(*redis.Message)
	if !is {
		fail("not a message: %v", item)
	}
	return *found
}

func (t *test) publish(client *redis.Client, channel string, body any, wanted int64) {
	count, err := client.Publish(t.ctx, channel, body).Result()
	must(err, "publish")
	equal(count, wanted, "receivers on "+channel)
}

func connects(t *test, options redis.Options) {
	options.ClientName, options.DB = "me", 4
	client := t.client(options)
	equal(client.Ping(t.ctx).Val(), "PONG", "ping")
	equal(client.Echo(t.ctx, "x").Val(), "x", "echo")
	equal(client.ClientGetName(t.ctx).Val(), "me", "name")
	info := client.ClientInfo(t.ctx)
	must(info.Err(), "client info")
	equal([]int{info.Val().DB, info.Val().Resp}, []int{4, options.Protocol}, "database and protocol")
	text, err := client.Info(t.ctx).Result()
	must(err, "info")
	equal(strings.Contains(text, "redis_version:7."), true, "version")
}

func counts(t *test, options redis.Options) {
	a, b, p := t.name("a"), t.name("b"), t.name("p")
	pubsub := t.client(options).Subscribe(t.ctx, a, b)
	t.open = append(t.open, pubsub)
	must(pubsub.PSubscribe(t.ctx, p), "psubscribe")
	must(pubsub.Unsubscribe(t.ctx, a), "unsubscribe")
	must(pubsub.PUnsubscribe(t.ctx), "punsubscribe")
	for _, wanted := range []redis.Subscription{{Kind: "subscribe", Channel: a, Count: 1}, {Kind: "subscribe", Channel: b, Count: 2},
		{Kind: "psubscribe", Channel: p, Count: 3}, {Kind: "unsubscribe", Channel: a, Count: 2}, {Kind: "punsubscribe", Channel: p, Count: 1}} {
		equal(t.subscription(pubsub), wanted, wanted.Kind)
	}
}

func messages(t *test, options redis.Options) {
	channel := t.name("channel")
	client := t.client(options)
	one, both := t.listener(client, []string{channel}), t.listener(client, []string{channel}, channel+"*")
	for _, body := range bodies() {
		t.publish(client, channel, body, 3)
		equal(t.message(one), redis.Message{Channel: channel, Payload: body}, "message")
		equal(t.message(both), redis.Message{Channel: channel, Payload: body}, "message")
		equal(t.message(both), redis.Message{Channel: channel, Pattern: channel + "*", Payload: body}, "pmessage")
	}
}

func exact(t *test) {
	channel := t.name("channel")
	client := t.client(redis.Options{})
	var some []*redis.PubSub
	for count := int64(1); count <= 10; count++ {
		some = append(some, t.listener(client, []string{channel}))
		t.publish(client, channel, count, count)
	}
	for i, pubsub := range some {
		for wanted := i + 1; wanted <= 10; wanted++ {
			equal(t.message(pubsub).Payload, fmt.Sprint(wanted), "heard")
		}
	}
	for i, pubsub := range some {
		must(pubsub.Unsubscribe(t.ctx, channel), "unsubscribe")
		for { // what was published meanwhile comes before the answer
			if _, is := t.receive(pubsub).(*redis.Subscription); is {
				break
			}
		}
		t.publish(client, channel, "x", int64(9-i))
	}
}

func patterns(t *test) {
	run := t.name("run") + "."
	client := t.client(redis.Options{})
	pubsub := t.listener(client, nil, run+"h?llo", run+"h[ae]y", run+"\\*")
	for _, one := range []struct {
		channel string
		count   int64
	}{{"hello", 1}, {"hllo", 0}, {"hay", 1}, {"hiy", 0}, {"*", 1}, {"x", 0}} {
		t.publish(client, run+one.channel, "x", one.count)
	}
	for _, wanted := range []string{"hello", "hay", "*"} {
		equal(t.message(pubsub).Channel, run+wanted, "heard")
	}
}

func sharded(t *test, options redis.Options) {
	channel := t.name("channel")
	client := t.client(options)
	pubsub := client.SSubscribe(t.ctx, channel)
	t.open = append(t.open, pubsub)
	equal(t.subscription(pubsub), redis.Subscription{Kind: "ssubscribe", Channel: channel, Count: 1}, "ssubscribe")
	t.publish(client, channel, "no", 0)
	equal(client.SPublish(t.ctx, channel, "x").Val(), int64(1), "receivers")
	equal(t.message(pubsub), redis.Message{Channel: channel, Payload: "x"}, "smessage")
	must(pubsub.SUnsubscribe(t.ctx, channel), "sunsubscribe")
	equal(t.subscription(pubsub).Kind, "sunsubscribe", "answer")
	equal(client.SPublish(t.ctx, channel, "x").Val(), int64(0), "receivers")
}

func questions(t *test, options redis.Options) {
	run := t.name("run")
	client := t.client(options)
	t.listener(client, []string{run + "a", run + "b"}, run+"*")
	found := client.PubSubChannels(t.ctx, run+"*").Val()
	sort.Strings(found)
	equal(found, []string{run + "a", run + "b"}, "channels")
	equal(client.PubSubNumSub(t.ctx, run+"a", run+"c").Val(), map[string]int64{run + "a": 1, run + "c": 0}, "counts")
	equal(client.PubSubNumPat(t.ctx).Val() >= 1, true, "patterns")
	equal(client.PubSubShardChannels(t.ctx, run+"*").Val(), []string{}, "sharded channels")
	equal(client.PubSubShardNumSub(t.ctx, run+"a").Val(), map[string]int64{run + "a": 0}, "counts of shards")
}

func pipelines(t *test, options redis.Options) {
	channel := t.name("channel")
	client := t.client(options)
	heard := t.listener(client, []string{channel}).Channel(redis.WithChannelSize(20000))
	pipe := client.Pipeline()
	for i := 0; i < 10000; i++ {
		pipe.Publish(t.ctx, channel, i)
	}
	answers, err := pipe.Exec(t.ctx)
	must(err, "pipeline")
	for i, answer := range answers {
		equal(answer.(*redis.IntCmd).Val(), int64(1), "receivers")
		equal(next(heard), fmt.Sprint(i), "order")
	}
	both := client.TxPipeline()
	a, x, b := both.Publish(t.ctx, channel, "a"), both.Echo(t.ctx, "x"), both.Publish(t.ctx, channel, "b")
	_, err = both.Exec(t.ctx)
	must(err, "transaction")
	equal([]any{a.Val(), x.Val(), b.Val(), next(heard), next(heard)}, []any{int64(1), "x", int64(1), "a", "b"}, "transaction")
}

func next(from <-chan *redis.Message) string {
	select {
	case message := <-from:
		return message.Payload
	case <-time.After(deadline):
		fail("no message came")
	}
	panic("unreachable")
}

func killed(t *test, options redis.Options) {
	channel := t.name("channel")
	client := t.client(options)
	options.ClientName = t.name("victim")
	heard := t.listener(t.client(options), []string{channel}, channel+"?").Channel()
	list := client.ClientList(t.ctx).Val()
	at := strings.Index(list, " name="+options.ClientName+" ")
	if at < 0 {
		fail("not in the list: %s", list)
	}
	line := list[strings.LastIndex(list[:at], "id="):at]
	equal(client.ClientKillByFilter(t.ctx, "ID", strings.Fields(line[3:])[0]).Val(), int64(1), "killed")
	eventually("subscribed again", func() bool {
		return client.Publish(t.ctx, channel, "x").Val() == 1 && client.Publish(t.ctx, channel+"!", "y").Val() == 1
	})
	next(heard)
}

func pings(t *test, options redis.Options) {
	channel := t.name("channel")
	client := t.client(options)
	pubsub := t.listener(client, []string{channel})
	must(pubsub.Ping(t.ctx), "ping")
	equal(t.receive(pubsub), &redis.Pong{Payload: map[int]string{2: "", 3: "PONG"}[options.Protocol]}, "pong")
	must(pubsub.Ping(t.ctx, "hello"), "ping")
	equal(t.receive(pubsub), &redis.Pong{Payload: "hello"}, "pong")
	t.publish(client, channel, "x", 1)
	equal(t.message(pubsub).Payload, "x", "heard")
}

func login(t *test, options redis.Options) {
	options.Username, options.Password, options.MaxRetries = "nobody", "wrong", -1
	err := t.client(options).Ping(t.ctx).Err()
	equal(err != nil && strings.HasPrefix(err.Error(), "WRONGPASS "), true, fmt.Sprintf("error is %v", err))
	if !t.external {
		options.Username, options.Password = "guest", "guest"
		equal(t.client(options).Do(t.ctx, "ACL", "WHOAMI").Val(), "guest", "who")
	}
}

func errors(t *test, options redis.Options) {
	client := t.client(options)
	err := client.Do(t.ctx, "PUBLISH", "a").Err()
	equal(fmt.Sprint(err), "ERR wrong number of arguments for 'publish' command", "error")
	if !t.external {
		err = client.Get(t.ctx, "k").Err()
		equal(fmt.Sprint(err), "ERR unknown command 'get', with args beginning with: 'k' ", "error")
		err = client.Set(t.ctx, "k", "v", time.Second).Err()
		equal(strings.HasPrefix(fmt.Sprint(err), "ERR unknown command 'set'"), true, fmt.Sprint(err))
	}
	equal(client.Ping(t.ctx).Val(), "PONG", "goes on")
}
