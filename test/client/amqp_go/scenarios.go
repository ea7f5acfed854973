package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var scenarios = []scenario{
	{"deferred confirmations: one waits for each publish", deferred},
	{"NotifyPublish counts every publish once, in order", notifyPublish},
	{"mandatory: the return comes before the confirmation", returns},
	{"a topic exchange and work shared by two consumers", sharing},
	{"ack multiple, nack and reject", acknowledgements},
	{"NotifyClose tells code and text; the connection lives on", closing},
	{"an exception of the connection closes all channels", connectionException},
	{"NotifyCancel tells of a deleted queue", cancelled},
	{"Qos global changes while the consumer runs", qos},
	{"tables of every type pass", tables},
	{"a dead letter with x-death", deadLetter},
	{"basic.get, purge, delete, passive", queueMethods},
	{"exchanges bound to exchanges", exchanges},
	{"transactions", transactions},
	{"UpdateSecret", updateSecret},
	{"frames of 4096 bytes and messages of 2 MiB", large},
	{"a connection with heartbeats of a second stays", heartbeats},
	{"fifty channels at once, from as many goroutines", channels},
}

func publish(ch *amqp.Channel, exchange, key, body string) {
	must(ch.PublishWithContext(context.Background(), exchange, key, false, false,
		amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(body)}), "publish")
}

func consume(ch *amqp.Channel, queue string, autoAck bool) <-chan amqp.Delivery {
	deliveries, err := ch.Consume(queue, "", autoAck, false, false, false, nil)
	must(err, "consume")
	return deliveries
}

func silent(from <-chan amqp.Delivery, what string) {
	select {
	case d := <-from:
		fail("%s: got %q, wanted nothing", what, d.Body)
	case <-time.After(150 * time.Millisecond):
	}
}

func deferred(t *test) {
	ch := t.channel()
	must(ch.Confirm(false), "confirm mode")
	queue := t.queue(ch, amqp.Table{"x-max-length": 100, "x-overflow": "reject-publish"})
	for i := 0; i < 103; i++ {
		confirmation, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, false, false,
			amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("x")})
		must(err, "publish")
		equal(confirmation.Wait(), i < 100, fmt.Sprintf("confirmation %d", i))
	}
}

func notifyPublish(t *test) {
	ch := t.channel()
	must(ch.Confirm(false), "confirm mode")
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1000))
	queue := t.queue(ch, nil)
	for i := 0; i < 500; i++ {
		publish(ch, "", queue, "x")
	}
	for i := 1; i <= 500; i++ {
		equal(take(confirms, "confirmation"), amqp.Confirmation{DeliveryTag: uint64(i), Ack: true}, "confirmation")
	}
}

func returns(t *test) {
	ch := t.channel()
	must(ch.Confirm(false), "confirm mode")
	returned := ch.NotifyReturn(make(chan amqp.Return, 1))
	missing := t.name("missing")
	for i := 0; i < 20; i++ {
		confirmation, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", missing, true, false,
			amqp.Publishing{Body: []byte("x"), MessageId: fmt.Sprint(i)})
		must(err, "publish")
		back := take(returned, "return")
		equal([]any{back.ReplyCode, back.ReplyText, back.RoutingKey, back.MessageId}, []any{uint16(312), "NO_ROUTE", missing, fmt.Sprint(i)}, "return")
		equal(confirmation.Wait(), true, "confirmation")
	}
}

func sharing(t *test) {
	conn := t.connection()
	ch, exchange, queue := channelOf(conn), t.name("x"), t.name("q")
	must(ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil), "declare the exchange")
	defer ch.ExchangeDelete(exchange, false, false)
	_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
	must(err, "declare the queue")
	defer ch.QueueDelete(queue, false, false, false)
	must(ch.QueueBind(queue, "order.created.*", exchange, false, nil), "bind")
	var one, two <-chan amqp.Delivery
	for _, to := range []*<-chan amqp.Delivery{&one, &two} {
		worker := channelOf(conn)
		must(worker.Qos(1, 0, false), "qos")
		*to = consume(worker, queue, false)
	}
	for i := 0; i < 10; i++ {
		publish(ch, exchange, "order.created.eu", fmt.Sprint(i))
		publish(ch, exchange, "order.deleted.eu", "wrong")
	}
	shares := map[int]int{}
	for i := 0; i < 10; i++ {
		var d amqp.Delivery
		select {
		case d = <-one:
			shares[1]++
		case d = <-two:
			shares[2]++
		case <-time.After(deadline):
			fail("only %d of 10 came", i)
		}
		must(d.Ack(false), "ack")
	}
	if shares[1] == 0 || shares[2] == 0 {
		fail("shares are %v", shares)
	}
}

func acknowledgements(t *test) {
	ch := t.channel()
	queue := t.queue(ch, nil)
	for i := 0; i < 6; i++ {
		publish(ch, "", queue, fmt.Sprint(i))
	}
	deliveries := consume(ch, queue, false)
	var got []amqp.Delivery
	for i := 0; i < 6; i++ {
		got = append(got, take(deliveries, "delivery"))
	}
	must(got[1].Ack(true), "ack 0 and 1")
	must(got[2].Reject(false), "reject 2")
	must(got[5].Nack(true, true), "nack 3 to 5")
	for i := 3; i < 6; i++ {
		d := take(deliveries, "redelivery")
		equal([]any{string(d.Body), d.Redelivered}, []any{fmt.Sprint(i), true}, "redelivery")
		must(d.Ack(false), "ack")
	}
	silent(deliveries, "after all was acknowledged")
}

func closing(t *test) {
	conn := t.connection()
	ch := channelOf(conn)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	missing := t.name("missing")
	_, err := ch.QueueDeclarePassive(missing, false, false, false, false, nil)
	problem, told := err.(*amqp.Error)
	if !told {
		fail("error is %v", err)
	}
	equal([]any{problem.Code, problem.Reason, problem.Server}, []any{404, "NOT_FOUND - no queue '" + missing + "' in vhost '/'", true}, "error")
	equal(take(closed, "close").Code, 404, "code")
	t.queue(channelOf(conn), nil)
}

func connectionException(t *test) {
	conn := t.connection()
	ch, other := channelOf(conn), channelOf(conn)
	closed, both := conn.NotifyClose(make(chan *amqp.Error, 1)), other.NotifyClose(make(chan *amqp.Error, 1))
	must(ch.PublishWithContext(context.Background(), "", "x", false, true, amqp.Publishing{}), "publish with immediate")
	equal(take(closed, "close of the connection"), &amqp.Error{Code: 540, Reason: "NOT_IMPLEMENTED - immediate=true", Server: true}, "error")
	equal(take(both, "close of another channel").Code, 540, "code")
}

func cancelled(t *test) {
	ch := t.channel()
	queue := t.name("q")
	_, err := ch.QueueDeclare(queue, false, false, false, false, nil)
	must(err, "declare")
	told := ch.NotifyCancel(make(chan string, 1))
	_, err = ch.Consume(queue, "mine", true, false, false, false, nil)
	must(err, "consume")
	_, err = t.channel().QueueDelete(queue, false, false, false)
	must(err, "delete")
	equal(take(told, "cancel"), "mine", "consumer tag")
}

func qos(t *test) {
	ch := t.channel()
	queue := t.queue(ch, nil)
	must(ch.Qos(2, 0, true), "qos")
	deliveries := consume(ch, queue, false)
	for i := 0; i < 10; i++ {
		publish(ch, "", queue, fmt.Sprint(i))
	}
	take(deliveries, "first")
	take(deliveries, "second")
	silent(deliveries, "above 2")
	must(ch.Qos(5, 0, true), "more")
	var last amqp.Delivery
	for i := 0; i < 3; i++ {
		last = take(deliveries, "more")
	}
	silent(deliveries, "above 5")
	must(last.Ack(true), "ack")
	for i := 0; i < 5; i++ {
		take(deliveries, "the rest")
	}
}

func tables(t *test) {
	ch := t.channel()
	queue := t.queue(ch, nil)
	given := amqp.Table{"bool": true, "byte": byte(200), "int8": int8(-3), "int16": int16(-300), "int32": int32(-70000),
		"int64": int64(1) << 40, "float32": float32(0.5), "float64": 1e200, "decimal": amqp.Decimal{Scale: 2, Value: 314},
		"string": "h\u00e9", "bytes": []byte{0, 1}, "time": time.Unix(1700000000, 0), "nil": nil,
		"table": amqp.Table{"deep": amqp.Table{"x": int32(1)}}, "list": []any{int32(1), "two", amqp.Table{}}}
	must(ch.PublishWithContext(context.Background(), "", queue, false, false, amqp.Publishing{Headers: given, Timestamp: time.Unix(1700000001, 0),
		Expiration: "60000", Priority: 3, AppId: "a", CorrelationId: "c", Body: []byte("x")}), "publish")
	d := take(consume(ch, queue, true), "delivery")
	equal(d.Headers, given, "headers")
	equal([]any{d.Timestamp.Unix(), d.Expiration, d.Priority, d.AppId, d.CorrelationId}, []any{int64(1700000001), "60000", uint8(3), "a", "c"}, "properties")
}

func deadLetter(t *test) {
	ch := t.channel()
	grave := t.queue(ch, nil)
	queue := t.queue(ch, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave, "x-message-ttl": int32(50)})
	publish(ch, "", queue, "x")
	d := take(consume(ch, grave, true), "dead letter")
	death := d.Headers["x-death"].([]any)[0].(amqp.Table)
	equal([]any{death["reason"], death["queue"], death["count"], death["routing-keys"]}, []any{"expired", queue, int64(1), []any{queue}}, "x-death")
	if _, timed := death["time"].(time.Time); !timed {
		fail("time is %T", death["time"])
	}
}

func queueMethods(t *test) {
	ch := t.channel()
	queue := t.name("q")
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-max-length": int64(10)})
	must(err, "declare")
	_, err = ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-max-length": int16(10)})
	must(err, "declare with a narrower number")
	must(ch.Confirm(false), "confirm mode")
	for i := 0; i < 3; i++ {
		c, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, false, false, amqp.Publishing{Body: []byte(fmt.Sprint(i))})
		must(err, "publish")
		c.Wait()
	}
	d, found, err := ch.Get(queue, true)
	must(err, "get")
	equal([]any{found, string(d.Body), d.MessageCount}, []any{true, "0", uint32(2)}, "get")
	count, err := ch.QueuePurge(queue, false)
	must(err, "purge")
	equal(count, 2, "purged")
	_, found, err = ch.Get(queue, true)
	must(err, "get")
	equal(found, false, "a message in an empty queue")
	_, err = ch.QueueDelete(queue, true, true, false)
	must(err, "delete")
}

func exchanges(t *test) {
	ch := t.channel()
	source, end := t.name("source"), t.name("end")
	must(ch.ExchangeDeclare(source, "headers", false, true, false, false, nil), "declare")
	must(ch.ExchangeDeclare(end, "fanout", false, true, true, false, nil), "declare")
	must(ch.ExchangeBind(end, "", source, false, amqp.Table{"x-match": "any", "kind": "a"}), "bind")
	queue := t.queue(ch, nil)
	must(ch.QueueBind(queue, "", end, false, nil), "bind")
	deliveries := consume(ch, queue, true)
	for _, kind := range []string{"b", "a"} {
		must(ch.PublishWithContext(context.Background(), source, "", false, false, amqp.Publishing{Headers: amqp.Table{"kind": kind}, Body: []byte(kind)}), "publish")
	}
	equal(string(take(deliveries, "delivery").Body), "a", "body")
	must(ch.ExchangeUnbind(end, "", source, false, amqp.Table{"x-match": "any", "kind": "a"}), "unbind")
}

func transactions(t *test) {
	ch := t.channel()
	queue := t.queue(ch, nil)
	must(ch.Tx(), "select")
	publish(ch, "", queue, "no")
	must(ch.TxRollback(), "rollback")
	publish(ch, "", queue, "yes")
	must(ch.TxCommit(), "commit")
	equal(string(take(consume(ch, queue, true), "delivery").Body), "yes", "body")
}

func updateSecret(t *test) {
	conn := t.connection()
	must(conn.UpdateSecret("guest", "renewed"), "update the secret")
	t.queue(channelOf(conn), nil)
}

func large(t *test) {
	for _, size := range []int{4096, 0} {
		ch := channelOf(t.dial(amqp.Config{FrameSize: size, Heartbeat: 10 * time.Second}))
		queue := t.queue(ch, nil)
		body := make([]byte, 2<<20)
		rand.New(rand.NewSource(1)).Read(body)
		publish(ch, "", queue, string(body))
		if !bytes.Equal(take(consume(ch, queue, true), "delivery").Body, body) {
			fail("another body")
		}
	}
}

func heartbeats(t *test) {
	conn := t.dial(amqp.Config{Heartbeat: time.Second})
	equal(conn.Config.Heartbeat, time.Second, "heartbeat")
	time.Sleep(3500 * time.Millisecond)
	t.queue(channelOf(conn), nil)
}

func channels(t *test) {
	conn := t.connection()
	queue := t.queue(channelOf(conn), nil)
	var all sync.WaitGroup
	problems := make(chan error, 50)
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			ch, err := conn.Channel()
			for n := 0; n < 20 && err == nil; n++ {
				err = ch.PublishWithContext(context.Background(), "", queue, false, false, amqp.Publishing{Body: []byte("x")})
			}
			if err == nil {
				err = ch.Close()
			}
			problems <- err
		}()
	}
	all.Wait()
	for i := 0; i < 50; i++ {
		must(<-problems, "publish from a goroutine")
	}
	deliveries := consume(channelOf(conn), queue, true)
	for i := 0; i < 1000; i++ {
		take(deliveries, "delivery")
	}
}
