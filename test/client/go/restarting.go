package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// What a group lives through when the broker goes away and comes back.
var restarting = []scenario{
	{"a group goes on after the broker is killed, nothing lost or skipped", func(c *context_) { restart(c, "kill") }},
	{"a group goes on after the broker is stopped, nothing lost or skipped", func(c *context_) { restart(c, "stop") }},
}

// ask has the runner "kill", "stop" or "start" the broker on the same data and port (test/harness/control.py).
func (c *context_) ask(verb string) {
	conn, err := net.DialTimeout("tcp", c.control, deadline)
	must(err, "reach the runner")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(restartLimit))
	fmt.Fprintln(conn, verb)
	answer, err := io.ReadAll(conn)
	must(err, "answer of the runner")
	equal(string(answer), "ok", verb+" the broker")
}

func restart(c *context_, how string) {
	if c.control == "" {
		*c.skip = "the broker can't be restarted from here"
		return
	}
	topic, group := c.topic(4), c.name("group")
	w := &crew{c: c, seen: map[int]int{}}
	one, two := w.hire(group, topic), w.hire(group, topic)
	c.settled(group, 2, 2)
	c.send(topic, 0, 100)
	w.all(100)
	before := c.committed(group, topic, 4)
	c.ask(how)
	c.ask("start")
	for i, offset := range c.committed(group, topic, 4) {
		if offset < before[i] {
			fail("partition %d: offset %d was committed, %d is left after the restart", i, before[i], offset)
		}
	}
	c.send(topic, 100, 200)
	w.all(200)
	c.settled(group, 2, 2)
	c.send(topic, 200, 300)
	w.all(300)
	w.once(200, 300)
	must(one.Close(), "close a reader")
	must(two.Close(), "close a reader")
}
