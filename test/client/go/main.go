// The kafka-go client program: --bootstrap HOST:PORT [--only TEXT]; other options of the runner are not needed here.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

const (
	limit        = 60 * time.Second  // for one scenario
	restartLimit = 150 * time.Second // where the broker starts again: others than ours take their time
)

type scenario struct {
	name string
	body func(*context_)
}

// failure is what a failed expectation panics with.
type failure string

// attempt runs one scenario; "" or what failed.
func attempt(s scenario, c *context_) string {
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
		s.body(c)
	}()
	var problem string
	span := limit
	if c.control != "" && strings.Contains(s.name, "broker") {
		span = restartLimit
	}
	select {
	case problem = <-done:
	case <-time.After(span):
		problem = "time limit of the scenario"
	}
	// kafka-go retries after this error, so a scenario would not notice it.
	if unread := c.log.find("unread bytes"); unread != "" && problem == "" {
		problem = "kafka-go read an answer longer than it should be: " + unread
	}
	if problem != "" {
		problem += "\nlog of kafka-go:\n" + c.log.tail(15)
	}
	return problem
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
		prefix = "kafka-go"
	}
	shared := newContext(option("--bootstrap"), os.Getenv("CONTROL"))
	var all []scenario
	for _, some := range [][]scenario{writing, reading, grouping, administering, restarting} {
		all = append(all, some...)
	}
	number, failed := 0, 0
	for _, s := range all {
		if !strings.Contains(s.name, option("--only")) {
			continue
		}
		number++
		began := time.Now()
		problem := attempt(s, shared.fork())
		verdict := "ok"
		if problem != "" {
			failed++
			verdict = "not ok"
			for _, line := range strings.Split(strings.TrimSpace(problem), "\n") {
				fmt.Println("#", line)
			}
		}
		if reason := shared.takeSkip(); reason != "" && problem == "" {
			fmt.Printf("ok %d - %s: %s # SKIP %s\n", number, prefix, s.name, reason)
			continue
		}
		fmt.Printf("%s %d - %s: %s (%.1f s)\n", verdict, number, prefix, s.name, time.Since(began).Seconds())
	}
	fmt.Printf("1..%d\n", number)
	if failed > 0 {
		os.Exit(1)
	}
}
