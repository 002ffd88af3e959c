// One process, one goroutine, many connections: the service of chapter 1 on an
// event loop.

//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	DetachOutput()
	flags := flag.NewFlagSet("step2-asyncserver", flag.ExitOnError)
	verbose := flags.Bool("v", false, "log every call")
	pos := ParseArgs(flags, os.Args[1:], "HOST", "PORT")

	err := run(pos[0], pos[1], *verbose)
	if err != nil {
		fmt.Fprintln(Stderr, "step2-asyncserver:", err)
		Exit(1)
	}
	Exit(0)
}

func run(host, port string, verbose bool) error {
	listener, addr, err := Listen(host, port)
	if err != nil {
		return err
	}

	poller, err := NewPoller()
	if err != nil {
		return err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return err
	}

	service := NewService()
	_, err = NewServer(loop, listener, func(c *Conn, body []byte) {
		if verbose {
			LogCall(body)
		}
		c.Reply(service.Answer(body))
	})
	if err != nil {
		return err
	}

	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		signal.Reset(syscall.SIGINT, syscall.SIGTERM) // a second Ctrl-C ends the program at once
		loop.Drain()
	}()

	fmt.Fprintln(Stdout, "listening on", addr)
	return loop.Run()
}
