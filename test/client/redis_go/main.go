// The go-redis client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
package main

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	limit    = 30 * time.Second // for one scenario
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
		fail("%s: got %.200v, wanted %.200v", what, got, wanted)
	}
}

func eventually(what string, condition func() bool) {
	for end := time.Now().Add(deadline); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fail("not in time: %s", what)
		}
	}
}

// test makes clients of the broker under test, and names that nobody else uses.
type test struct {
	bootstrap string
	external  bool
	run       int
	count     int
	ctx       context.Context
	open      []interface{ Close() error }
}

func (t *test) name(stem string) string {
	t.count++
	return fmt.Sprintf("%s-go%d-%d", stem, t.run, t.count)
}

func (t *test) client(options redis.Options) *redis.Client {
	options.Addr = t.bootstrap
	client := redis.NewClient(&options)
	t.open = append(t.open, client)
	return client
}

func (t *test) closeAll() {
	for _, one := range t.open {
		one.Close()
	}
	t.open = nil
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
		prefix = "go-redis"
	}
	redis.SetLogger(quiet{})
	number, failed := 0, 0
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	for _, s := range scenarios {
		if !strings.Contains(s.name, option("--only")) {
			continue
		}
		number++
		t := &test{bootstrap: option("--bootstrap"), external: strings.Contains(strings.Join(os.Args, " "), "--external"),
			run: random.Intn(1 << 30), ctx: context.Background()}
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

// quiet is for the errors that scenarios ask for.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
