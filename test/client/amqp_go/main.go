// The amqp091-go client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	limit    = 40 * time.Second // for one scenario
	deadline = 10 * time.Second // for one thing to happen
)

type scenario struct {
	name string
	body func(*test)
}

// failure is what a failed expectation panics with.
type failure string

func fail(format string, args ...any) {
	panic(failure(fmt.Sprintf(format, args...)))
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func equal(got, wanted any, what string) {
	if !reflect.DeepEqual(got, wanted) {
		fail("%s: got %v, wanted %v", what, got, wanted)
	}
}

// test makes connections to the broker under test, and names that nobody else uses.
type test struct {
	bootstrap string
	run       int
	count     int
	open      []*amqp.Connection
}

func (t *test) name(stem string) string {
	t.count++
	return fmt.Sprintf("%s-go%d-%d", stem, t.run, t.count)
}

func (t *test) dial(config amqp.Config) *amqp.Connection {
	conn, err := amqp.DialConfig("amqp://guest:guest@"+t.bootstrap+"/", config)
	must(err, "connect")
	t.open = append(t.open, conn)
	return conn
}

func (t *test) connection() *amqp.Connection {
	return t.dial(amqp.Config{Heartbeat: 10 * time.Second, Locale: "en_US"})
}

func (t *test) channel() *amqp.Channel {
	return channelOf(t.connection())
}

func channelOf(conn *amqp.Connection) *amqp.Channel {
	ch, err := conn.Channel()
	must(err, "open a channel")
	return ch
}

func (t *test) closeAll() {
	for _, conn := range t.open {
		conn.Close()
	}
	t.open = nil
}

// queue is a new exclusive one.
func (t *test) queue(ch *amqp.Channel, args amqp.Table) string {
	q, err := ch.QueueDeclare("", false, false, true, false, args)
	must(err, "declare a queue")
	return q.Name
}

func take[T any](from <-chan T, what string) T {
	select {
	case item, more := <-from:
		if !more {
			fail("%s: the channel was closed", what)
		}
		return item
	case <-time.After(deadline):
		fail("%s: not in time", what)
	}
	panic("unreachable")
}

func attempt(s scenario, t *test) string {
	done := make(chan string, 1)
	go func() {
		problem := ""
		defer func() {
			if r := recover(); r != nil {
				if text, expected := r.(failure); expected {
					problem = string(text)
				} else {
					problem = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
				}
			}
			done <- problem
		}()
		s.body(t)
	}()
	select {
	case problem := <-done:
		return problem
	case <-time.After(limit):
		return "time limit of the scenario"
	}
}

func option(name string) string {
	for i := 1; i+1 < len(os.Args); i++ {
		if os.Args[i] == name {
			return os.Args[i+1]
		}
	}
	return ""
}

func main() {
	prefix := os.Getenv("CLIENT")
	if prefix == "" {
		prefix = "amqp091-go"
	}
	number, failed := 0, 0
	for _, s := range scenarios {
		if !strings.Contains(s.name, option("--only")) {
			continue
		}
		number++
		t := &test{bootstrap: option("--bootstrap"), run: rand.New(rand.NewSource(time.Now().UnixNano())).Intn(1 << 30)}
		began := time.Now()
		problem := attempt(s, t)
		t.closeAll()
		verdict := "ok"
		if problem != "" {
			verdict = "not ok"
			failed++
			for _, line := range strings.Split(problem, "\n") {
				fmt.Println("# " + line)
			}
		}
		fmt.Printf("%s %d - %s: %s (%.1f s)\n", verdict, number, prefix, s.name, time.Since(began).Seconds())
	}
	fmt.Printf("1..%d\n", number)
	if failed > 0 {
		os.Exit(1)
	}
}
