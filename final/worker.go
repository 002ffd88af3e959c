// A worker: the server, with its service and limits, in a process that a master
// has started.

//go:build unix

package rpc

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// work serves on the listening socket that the master opened, and blocks until
// this worker is to end: see RunWorker, also for the error.
func (config *Config) work() error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP) // Ctrl-C reaches us too, but only the master is to act on it
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGTERM)

	loop, _, err := config.begin(context.Background(), listenerFD)
	if err != nil {
		return err
	}

	beat(loop, config.HangTimeout)
	return RunWorker(loop, wishes, config.Grace)
}
