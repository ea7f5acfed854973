package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// What readers of one partition and connections do.
var reading = []scenario{
	{"a reader of a partition seeks, and knows its offset and lag", seek},
	{"a reader finds offsets by time", byTime},
	{"a reader waits for MinBytes no longer than MaxWait", minBytes},
	{"a reader follows the end of a partition", tail},
	{"a connection stays in step through each request", conversation},
	{"a connection writes, seeks and reads batches", batches},
}

func seek(c *context_) {
	topic := c.topic(2)
	writer := c.writer(topic, kafka.BalancerFunc(func(kafka.Message, ...int) int { return 1 }))
	must(writer.WriteMessages(within(deadline), messages(0, 200)...), "write messages")
	must(writer.Close(), "close the writer")
	reader := c.reader(topic, 1)
	defer reader.Close()
	for _, offset := range []int{0, 1, 150, 199, 33} {
		must(reader.SetOffset(int64(offset)), "set the offset")
		equal(values(read(reader, 1)), []int{offset}, "value at the offset")
		equal(reader.Offset(), int64(offset+1), "offset of the reader")
		lag, err := reader.ReadLag(within(deadline))
		must(err, "read the lag")
		equal(lag, int64(200-offset-1), "lag")
	}
	must(reader.SetOffset(kafka.FirstOffset), "set the offset")
	equal(values(read(reader, 200)), numbers(0, 200), "values from the first offset")
}

func byTime(c *context_) {
	topic := c.topic(1)
	base := time.UnixMilli(time.Now().UnixMilli() - 100000)
	batch := messages(0, 100)
	for i := range batch {
		batch[i].Time = base.Add(time.Duration(i*10) * time.Millisecond)
	}
	writer := c.writer(topic, &kafka.LeastBytes{})
	must(writer.WriteMessages(within(deadline), batch...), "write messages")
	must(writer.Close(), "close the writer")
	reader := c.reader(topic, 0)
	defer reader.Close()
	for millis, wanted := range map[int]int{0: 0, 1: 1, 495: 50, 990: 99} {
		at := base.Add(time.Duration(millis) * time.Millisecond)
		must(reader.SetOffsetAt(within(deadline), at), "set the offset by time")
		equal(values(read(reader, 1)), []int{wanted}, "value found by time")
	}
}

func minBytes(c *context_) {
	topic := c.topic(1)
	c.send(topic, 0, 3)
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, MinBytes: 10e3,
		MaxBytes: 10e6, MaxWait: 500 * time.Millisecond, ErrorLogger: c.log})
	defer reader.Close()
	equal(values(read(reader, 3)), numbers(0, 3), "values")
	c.send(topic, 3, 5)
	equal(values(read(reader, 2)), numbers(3, 5), "values that came later")
}

func tail(c *context_) {
	topic := c.topic(1)
	reader := c.reader(topic, 0)
	defer reader.Close()
	for i := 0; i < 20; i++ {
		c.send(topic, i, i+1)
		equal(values(read(reader, 1)), []int{i}, "message")
	}
}

func conversation(c *context_) {
	conn, err := kafka.Dial("tcp", c.bootstrap)
	must(err, "dial")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(deadline))
	topic := c.name("conn")
	create := func() error {
		return conn.CreateTopics(kafka.TopicConfig{Topic: topic, NumPartitions: 3, ReplicationFactor: 1})
	}
	old := strings.HasSuffix(os.Getenv("CLIENT"), "-0.4.47") // asks for versions 0 that no broker of today has
	if old {
		topic = c.topic(3)
	} else {
		must(create(), "CreateTopics")
		must(create(), "a second creation, whose error kafka-go takes for success")
	}
	_, err = conn.ApiVersions()
	must(err, "ApiVersions")
	brokers, err := conn.Brokers()
	must(err, "Brokers")
	equal(len(brokers), 1, "brokers")
	controller, err := conn.Controller()
	must(err, "Controller")
	equal(controller.ID, brokers[0].ID, "controller")
	eventually("three partitions with a leader", func() string {
		found, err := conn.ReadPartitions(topic)
		if err == nil && len(found) == 3 && found[2].Leader.ID == controller.ID {
			return ""
		}
		return fmt.Sprint(found, err)
	})
	if !old {
		must(conn.DeleteTopics(topic), "DeleteTopics")
	}
	_, err = conn.ReadPartitions()
	must(err, "ReadPartitions of all topics")
}

func batches(c *context_) {
	topic := c.topic(1)
	conn, err := kafka.DialLeader(within(deadline), "tcp", c.bootstrap, topic, 0)
	must(err, "dial the leader")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(deadline))
	for i := 0; i < 5; i++ {
		_, err = conn.WriteCompressedMessages(kafka.Snappy.Codec(), messages(i*20, i*20+20)...)
		must(err, "write")
	}
	first, last, err := conn.ReadOffsets()
	must(err, "read the offsets")
	equal([]int64{first, last}, []int64{0, 100}, "offsets")
	for _, offset := range []int{0, 20, 57, 99} {
		_, err = conn.Seek(int64(offset), kafka.SeekAbsolute)
		must(err, "seek")
		batch := conn.ReadBatch(1, 1e6)
		m, err := batch.ReadMessage()
		must(err, "read from the batch")
		equal(value(m), offset, "first value")
		for err == nil {
			_, err = batch.ReadMessage()
		}
		equal(err, io.EOF, "end of the batch")
		must(batch.Close(), "close the batch")
	}
	last, err = conn.ReadLastOffset()
	must(err, "the connection after reading batches")
	equal(last, int64(100), "last offset")
}
