// A worker: chapter 2's server in a process that a master has started.

//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Work serves on the listening socket that the master opened, and blocks until
// this worker is to end: see RunWorker, also for the error. With verbose it
// logs every call.
func Work(service Service, verbose bool, grace time.Duration) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // Ctrl-C reaches us too, but only the master is to act on it
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGTERM)

	poller, err := NewPoller()
	if err != nil {
		return err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return err
	}

	_, err = NewServer(loop, listenerFD, func(c *Conn, body []byte) {
		if verbose {
			LogCall(body)
		}
		c.Reply(service.Answer(body))
	})
	if err != nil {
		return err
	}
	return RunWorker(loop, wishes, grace)
}
