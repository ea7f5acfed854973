package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	deadline       = 20 * time.Second // for one thing to happen
	sessionTimeout = 6 * time.Second  // the least that a broker allows unless told otherwise
)

// context_ makes clients of the broker under test, and names that nobody else uses.
type context_ struct {
	bootstrap string
	control   string
	run       string
	count     *int
	skip      *string
	log       *logbook
}

func newContext(bootstrap, control string) *context_ {
	rand.Seed(time.Now().UnixNano())
	run := strconv.FormatInt(int64(rand.Intn(1<<30)), 36)
	return &context_{bootstrap, control, run, new(int), new(string), &logbook{}}
}

// fork is the same with a log of its own.
func (c *context_) fork() *context_ {
	own := *c
	own.log = &logbook{}
	return &own
}

func (c *context_) takeSkip() string {
	reason := *c.skip
	*c.skip = ""
	return reason
}

// logbook keeps what kafka-go says of errors.
type logbook struct {
	mutex sync.Mutex
	lines []string
}

func (l *logbook) Printf(format string, args ...interface{}) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.lines = append(l.lines, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (l *logbook) find(text string) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

func (l *logbook) tail(count int) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	from := len(l.lines) - count
	if from < 0 {
		from = 0
	}
	return strings.Join(l.lines[from:], "\n")
}

// ---- expectations

func fail(format string, args ...interface{}) {
	panic(failure(fmt.Sprintf(format, args...)))
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func equal(got, wanted interface{}, what string) {
	if !reflect.DeepEqual(got, wanted) {
		fail("%s: got %v, wanted %v", what, got, wanted)
	}
}

func isError(err error, wanted kafka.Error, what string) {
	if !errors.Is(err, wanted) {
		fail("%s: got error %v, wanted %v", what, err, wanted)
	}
}

// eventually waits until the condition says nothing any more.
func eventually(what string, condition func() string) {
	end := time.Now().Add(deadline)
	for {
		missing := condition()
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			fail("not within %v: %s; last seen: %s", deadline, what, missing)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func within(span time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), span)
	time.AfterFunc(span+time.Second, cancel)
	return ctx
}

// ---- what scenarios use

func (c *context_) name(stem string) string {
	*c.count++
	return fmt.Sprintf("%s-g%s-%d", stem, c.run, *c.count)
}

func (c *context_) addr() net.Addr { return kafka.TCP(c.bootstrap) }

func (c *context_) client() *kafka.Client {
	return &kafka.Client{Addr: c.addr(), Timeout: deadline, Transport: &kafka.Transport{}}
}

func (c *context_) topic(partitions int) string {
	name := c.name("t")
	answer, err := c.client().CreateTopics(within(deadline), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	must(err, "create a topic")
	must(answer.Errors[name], "create a topic")
	return name
}

func (c *context_) writer(topic string, balancer kafka.Balancer) *kafka.Writer {
	return &kafka.Writer{Addr: c.addr(), Topic: topic, Balancer: balancer, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 2 * time.Millisecond, Transport: &kafka.Transport{}, ErrorLogger: c.log}
}

// send writes messages with the values from..to-1 and waits for the acknowledgements.
func (c *context_) send(topic string, from, to int) {
	writer := c.writer(topic, &kafka.RoundRobin{})
	defer writer.Close()
	must(writer.WriteMessages(within(deadline), messages(from, to)...), "write messages")
}

func messages(from, to int) []kafka.Message {
	var made []kafka.Message
	for i := from; i < to; i++ {
		made = append(made, kafka.Message{Value: []byte(strconv.Itoa(i))})
	}
	return made
}

func numbers(from, to int) []int {
	made := []int{}
	for i := from; i < to; i++ {
		made = append(made, i)
	}
	return made
}

func value(m kafka.Message) int {
	number, err := strconv.Atoi(string(m.Value))
	must(err, "value of a message")
	return number
}

// reader of one partition, without a group.
func (c *context_) reader(topic string, partition int) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{Brokers: []string{c.bootstrap}, Topic: topic, Partition: partition,
		MaxWait: 300 * time.Millisecond, ReadLagInterval: -1, ErrorLogger: c.log})
}

// groupReader is a member with short intervals; change may alter its configuration.
func (c *context_) groupReader(group, topic string, change func(*kafka.ReaderConfig)) *kafka.Reader {
	config := kafka.ReaderConfig{Brokers: []string{c.bootstrap}, GroupID: group, Topic: topic,
		MinBytes: 1, MaxBytes: 10e6, MaxWait: 300 * time.Millisecond, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: 200 * time.Millisecond, SessionTimeout: sessionTimeout,
		RebalanceTimeout: 10 * time.Second, JoinGroupBackoff: 200 * time.Millisecond, ErrorLogger: c.log}
	if change != nil {
		change(&config)
	}
	return kafka.NewReader(config)
}

// read takes messages that need no commit, or are committed by reading.
func read(reader *kafka.Reader, count int) []kafka.Message {
	var found []kafka.Message
	ctx := within(deadline)
	for len(found) < count {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			fail("read %d of %d messages, then: %v", len(found), count, err)
		}
		found = append(found, m)
	}
	return found
}

func values(found []kafka.Message) []int {
	made := []int{}
	for _, m := range found {
		made = append(made, value(m))
	}
	return made
}

func sorted(numbers []int) []int {
	sort.Ints(numbers)
	return numbers
}

// everything reads all the partitions of a topic from their beginning, count messages in all.
func (c *context_) everything(topic string, partitions, count int) map[int][]kafka.Message {
	found := map[int][]kafka.Message{}
	total := 0
	for p := 0; p < partitions; p++ {
		first, last := c.bounds(topic, p)
		reader := c.reader(topic, p)
		found[p] = read(reader, int(last-first))
		reader.Close()
		total += len(found[p])
	}
	equal(total, count, "messages in all partitions")
	return found
}

// bounds are the first and the next offset of a partition.
func (c *context_) bounds(topic string, partition int) (int64, int64) {
	conn, err := kafka.DialLeader(within(deadline), "tcp", c.bootstrap, topic, partition)
	must(err, "dial the leader")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(deadline))
	first, last, err := conn.ReadOffsets()
	must(err, "read the offsets")
	return first, last
}

// committed offsets of a group by partition; -1 where there is none.
func (c *context_) committed(group, topic string, partitions int) []int64 {
	offsets := make([]int64, partitions)
	eventually("offsets of the group", func() string {
		answer, err := c.client().OffsetFetch(within(deadline), &kafka.OffsetFetchRequest{GroupID: group,
			Topics: map[string][]int{topic: numbers(0, partitions)}})
		must(err, "fetch offsets")
		if errors.Is(answer.Error, kafka.GroupLoadInProgress) || errors.Is(answer.Error, kafka.NotCoordinatorForGroup) {
			return answer.Error.Error() // the broker has just started
		}
		must(answer.Error, "fetch offsets")
		for _, p := range answer.Topics[topic] {
			must(p.Error, "fetch an offset")
			offsets[p.Partition] = p.CommittedOffset
		}
		return ""
	})
	return offsets
}

func (c *context_) describe(group string) kafka.DescribeGroupsResponseGroup {
	answer, err := c.client().DescribeGroups(within(deadline), &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	must(err, "describe the group")
	equal(len(answer.Groups), 1, "groups described")
	return answer.Groups[0]
}

// settled waits until the group is stable and its members have so many partitions each, sorted.
func (c *context_) settled(group string, wanted ...int) {
	eventually(fmt.Sprintf("group with partitions shared as %v", wanted), func() string {
		described := c.describe(group)
		shares := []int{}
		for _, member := range described.Members {
			share := 0
			for _, topic := range member.MemberAssignments.Topics {
				share += len(topic.Partitions)
			}
			shares = append(shares, share)
		}
		sort.Ints(shares)
		if described.Error == nil && described.GroupState == "Stable" && reflect.DeepEqual(shares, wanted) {
			return ""
		}
		return fmt.Sprintf("state %s, shares %v, error %v", described.GroupState, shares, described.Error)
	})
}
