package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// What readers in a group do.
var grouping = []scenario{
	{"a group reads everything with MinBytes and MaxBytes, and commits", groupReads},
	{"commits are explicit, and a new reader goes on there", explicitCommits},
	{"offsets are committed by interval and on close", intervalCommits},
	{"readers share partitions as the group grows and shrinks", growAndShrink},
	{"round robin balances by member", roundRobin},
	{"a group reads several topics", groupTopics},
	{"a group without a commit starts at the end with LastOffset", lastOffset},
	{"a group takes up new partitions", newPartitions},
	{"a lone ConsumerGroup gives generations and commits", generations},
}

func groupReads(c *context_) {
	topic, group := c.topic(3), c.name("group")
	c.send(topic, 0, 300)
	reader := c.groupReader(group, topic, func(config *kafka.ReaderConfig) {
		config.MinBytes, config.MaxBytes = 10e3, 10e6
	})
	equal(sorted(values(read(reader, 300))), numbers(0, 300), "values")
	must(reader.Close(), "close the reader")
	total := int64(0)
	for _, offset := range c.committed(group, topic, 3) {
		total += offset
	}
	equal(total, int64(300), "sum of the committed offsets")
}

func explicitCommits(c *context_) {
	topic, group := c.topic(1), c.name("group")
	c.send(topic, 0, 50)
	from := 0
	for _, commit := range []int{10, 30, 31} {
		reader := c.groupReader(group, topic, nil)
		for i := from; i < from+20; i++ {
			m, err := reader.FetchMessage(within(deadline))
			must(err, "fetch")
			equal(value(m), i, "value")
			if i+1 == commit {
				must(reader.CommitMessages(within(deadline), m), "commit")
				equal(c.committed(group, topic, 1), []int64{int64(commit)}, "committed offset")
			}
			if i == 49 {
				break
			}
		}
		must(reader.Close(), "close the reader")
		from = commit
	}
	equal(c.committed(group, topic, 1), []int64{31}, "offset in the end")
}

func intervalCommits(c *context_) {
	topic, group := c.topic(1), c.name("group")
	c.send(topic, 0, 20)
	reader := c.groupReader(group, topic, func(config *kafka.ReaderConfig) {
		config.CommitInterval = 200 * time.Millisecond
	})
	read(reader, 10)
	eventually("a commit in the background", func() string {
		if offset := c.committed(group, topic, 1)[0]; offset != 10 {
			return fmt.Sprint("offset ", offset)
		}
		return ""
	})
	read(reader, 5)
	must(reader.Close(), "close the reader")
	equal(c.committed(group, topic, 1), []int64{15}, "offset after closing")
	reader = c.groupReader(group, topic, nil)
	defer reader.Close()
	equal(values(read(reader, 5)), numbers(15, 20), "values after the restart")
}

// crew is a number of readers in one group whose messages are counted together.
type crew struct {
	c     *context_
	mutex sync.Mutex
	seen  map[int]int
}

func (w *crew) work(reader *kafka.Reader) {
	for {
		m, err := reader.FetchMessage(context.Background())
		if errors.Is(err, io.EOF) {
			return // the reader was closed
		}
		if err != nil {
			continue // kept in the log; the reader heals itself
		}
		w.mutex.Lock()
		w.seen[value(m)]++
		w.mutex.Unlock()
		// Where it fails the message comes again.
		reader.CommitMessages(context.Background(), m)
	}
}

func (w *crew) hire(group, topic string) *kafka.Reader {
	reader := w.c.groupReader(group, topic, nil)
	go w.work(reader)
	return reader
}

// all waits until each value from 0 to count-1 has been seen.
func (w *crew) all(count int) {
	eventually(fmt.Sprintf("%d values", count), func() string {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		for i := 0; i < count; i++ {
			if w.seen[i] == 0 {
				return fmt.Sprintf("%d values, the first missing is %d", len(w.seen), i)
			}
		}
		return ""
	})
}

// once fails if a value of that range was seen twice.
func (w *crew) once(from, to int) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for i := from; i < to; i++ {
		if w.seen[i] != 1 {
			fail("value %d was seen %d times though the group was settled", i, w.seen[i])
		}
	}
}

func growAndShrink(c *context_) {
	topic, group := c.topic(6), c.name("group")
	w := &crew{c: c, seen: map[int]int{}}
	readers := []*kafka.Reader{w.hire(group, topic)}
	c.settled(group, 6)
	c.send(topic, 0, 60)
	w.all(60)
	readers = append(readers, w.hire(group, topic), w.hire(group, topic))
	c.settled(group, 2, 2, 2)
	c.send(topic, 60, 120)
	w.all(120)
	must(readers[0].Close(), "close the first reader")
	c.settled(group, 3, 3)
	c.send(topic, 120, 180)
	w.all(180)
	w.once(0, 60)
	must(readers[1].Close(), "close the second reader")
	must(readers[2].Close(), "close the third reader")
	eventually("an empty group", func() string {
		if state := c.describe(group).GroupState; state != "Empty" {
			return state
		}
		return ""
	})
	total := int64(0)
	for _, offset := range c.committed(group, topic, 6) {
		total += offset
	}
	equal(total, int64(180), "sum of the committed offsets")
}

func roundRobin(c *context_) {
	topic, group := c.topic(4), c.name("group")
	balance := func(config *kafka.ReaderConfig) {
		config.GroupBalancers = []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}}
	}
	one, two := c.groupReader(group, topic, balance), c.groupReader(group, topic, balance)
	defer one.Close()
	defer two.Close()
	c.settled(group, 2, 2)
}

func groupTopics(c *context_) {
	topics, group := []string{c.topic(1), c.topic(2), c.topic(1)}, c.name("group")
	for i, topic := range topics {
		c.send(topic, i*10, i*10+10)
	}
	reader := c.groupReader(group, "", func(config *kafka.ReaderConfig) { config.GroupTopics = topics })
	defer reader.Close()
	equal(sorted(values(read(reader, 30))), numbers(0, 30), "values")
}

func lastOffset(c *context_) {
	topic, group := c.topic(1), c.name("group")
	c.send(topic, 0, 10)
	reader := c.groupReader(group, topic, func(config *kafka.ReaderConfig) { config.StartOffset = kafka.LastOffset })
	defer reader.Close()
	c.settled(group, 1)
	stop := make(chan bool)
	defer close(stop)
	go func() { // the reader asks for the end only after it has settled
		defer func() { recover() }()
		for i := 10; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				c.send(topic, i, i+1)
			}
		}
	}()
	if first := values(read(reader, 1))[0]; first < 10 {
		fail("got value %d, which was there before the group", first)
	}
}

func newPartitions(c *context_) {
	topic, group := c.topic(1), c.name("group")
	c.send(topic, 0, 10)
	reader := c.groupReader(group, topic, func(config *kafka.ReaderConfig) {
		config.WatchPartitionChanges, config.PartitionWatchInterval = true, 100*time.Millisecond
	})
	defer reader.Close()
	read(reader, 10)
	answer, err := c.client().CreatePartitions(within(deadline), &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	if err == nil {
		err = answer.Errors[topic]
	}
	must(err, "create partitions")
	c.settled(group, 3)
	c.send(topic, 10, 40)
	equal(sorted(values(read(reader, 30))), numbers(10, 40), "values on old and new partitions")
}

func generations(c *context_) {
	topic, group := c.topic(2), c.name("group")
	members, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: group, Brokers: []string{c.bootstrap},
		Topics: []string{topic}, HeartbeatInterval: 200 * time.Millisecond, SessionTimeout: 10 * time.Second,
		RebalanceTimeout: 10 * time.Second, ErrorLogger: c.log})
	must(err, "make a consumer group")
	defer members.Close()
	generation, err := members.Next(within(deadline))
	must(err, "first generation")
	equal(len(generation.Assignments[topic]), 2, "partitions")
	must(generation.CommitOffsets(map[string]map[int]int64{topic: {0: 5, 1: 7}}), "commit")
	equal(c.committed(group, topic, 2), []int64{5, 7}, "committed offsets")
}
