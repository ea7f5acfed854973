package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// What writers do.
var writing = []scenario{
	{"a writer with LeastBytes fills all partitions", leastBytes},
	{"a writer with Hash keeps each key on one partition, in order", hash},
	{"a writer with LeastBytes makes the topic it misses", autoCreation},
	{"writes and reads back with each codec", codecs},
	{"required acks none, one and all", acks},
	{"a writer without a topic writes to the topic of each message", manyTopics},
	{"headers, key and time survive", fields},
}

func leastBytes(c *context_) {
	topic := c.topic(3)
	writer := c.writer(topic, &kafka.LeastBytes{})
	defer writer.Close()
	for i := 0; i < 10; i++ {
		must(writer.WriteMessages(within(deadline), messages(i*30, i*30+30)...), "write messages")
	}
	all := []int{}
	for partition, found := range c.everything(topic, 3, 300) {
		if len(found) < 50 {
			fail("partition %d has only %d of 300 messages", partition, len(found))
		}
		all = append(all, values(found)...)
	}
	equal(sorted(all), numbers(0, 300), "values")
}

func hash(c *context_) {
	topic := c.topic(4)
	writer := c.writer(topic, &kafka.Hash{})
	var batch []kafka.Message
	for i, m := range messages(0, 400) {
		m.Key = []byte(fmt.Sprintf("key-%d", i%20))
		batch = append(batch, m)
	}
	must(writer.WriteMessages(within(deadline), batch...), "write messages")
	must(writer.Close(), "close the writer")
	last, home := map[string]int{}, map[string]int{}
	for partition, found := range c.everything(topic, 4, 400) {
		for _, m := range found {
			key := string(m.Key)
			if seen, known := home[key]; known && seen != partition {
				fail("%s is on partitions %d and %d", key, seen, partition)
			}
			if seen, known := last[key]; known && seen >= value(m) {
				fail("%s: %d comes after %d", key, value(m), seen)
			}
			home[key], last[key] = partition, value(m)
		}
	}
	equal(len(home), 20, "keys")
}

func autoCreation(c *context_) {
	topic := c.name("auto")
	writer := c.writer(topic, &kafka.LeastBytes{})
	writer.AllowAutoTopicCreation = true
	defer writer.Close()
	eventually("a write to the new topic", func() string {
		err := writer.WriteMessages(within(deadline), kafka.Message{Value: []byte("0")})
		if errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.LeaderNotAvailable) {
			return err.Error() // as its documentation says, the caller tries again
		}
		must(err, "write")
		return ""
	})
	reader := c.reader(topic, 0)
	defer reader.Close()
	equal(values(read(reader, 1)), []int{0}, "values")
}

func codecs(c *context_) {
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		topic := c.topic(1)
		writer := c.writer(topic, &kafka.LeastBytes{})
		writer.Compression = codec
		must(writer.WriteMessages(within(deadline), messages(0, 500)...), codec.String())
		must(writer.Close(), "close the writer")
		reader := c.reader(topic, 0)
		equal(values(read(reader, 500)), numbers(0, 500), codec.String())
		reader.Close()
	}
}

func acks(c *context_) {
	for _, level := range []kafka.RequiredAcks{kafka.RequireNone, kafka.RequireOne, kafka.RequireAll} {
		topic := c.topic(1)
		writer := c.writer(topic, &kafka.RoundRobin{})
		writer.RequiredAcks = level
		must(writer.WriteMessages(within(deadline), messages(0, 3)...), level.String())
		must(writer.Close(), "close the writer")
		reader := c.reader(topic, 0)
		equal(values(read(reader, 3)), numbers(0, 3), "acks="+level.String())
		reader.Close()
	}
}

func manyTopics(c *context_) {
	topics := []string{c.topic(1), c.topic(1)}
	writer := c.writer("", &kafka.LeastBytes{})
	defer writer.Close()
	var batch []kafka.Message
	for i, m := range messages(0, 10) {
		m.Topic = topics[i%2]
		batch = append(batch, m)
	}
	must(writer.WriteMessages(within(deadline), batch...), "write messages")
	for i, wanted := range [][]int{{0, 2, 4, 6, 8}, {1, 3, 5, 7, 9}} {
		reader := c.reader(topics[i], 0)
		equal(values(read(reader, 5)), wanted, "values")
		reader.Close()
	}
}

func fields(c *context_) {
	topic := c.topic(1)
	writer := c.writer(topic, &kafka.LeastBytes{})
	defer writer.Close()
	stamp := time.UnixMilli(time.Now().UnixMilli() - 9000)
	must(writer.WriteMessages(within(deadline), kafka.Message{Key: []byte("key"), Value: []byte("1"), Time: stamp,
		Headers: []kafka.Header{{Key: "a", Value: []byte("x")}, {Key: "a", Value: []byte("y")}}}), "write")
	reader := c.reader(topic, 0)
	defer reader.Close()
	m := read(reader, 1)[0]
	equal(fmt.Sprintf("%s %s %d", m.Key, m.Value, m.Time.UnixMilli()), fmt.Sprintf("key 1 %d", stamp.UnixMilli()), "message")
	equal(fmt.Sprintf("%s", m.Headers), "[{a x} {a y}]", "headers")
}
