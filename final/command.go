// The server command, but for its registry: the flags that every server has,
// what it prints when it has started and how it ends.

//go:build unix

package rpc

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// The least that some flags may say, if they are not 0.
const (
	minFrame      = 1024           // -max-frame: with less, a server could hardly be called
	minUnfinished = 2 * MaxRequest // -max-unfinished: a long request, alone, should come in whole
	minHang       = time.Second    // -hang-timeout: nobody should be killed for computing for a moment
)

// ServerFlags are the flags -v, -workers, -grace, -hang-timeout, -advertise and
// those of the limits.
type ServerFlags struct {
	config    Config
	advertise string
	flags     *flag.FlagSet
}

// NewServerFlags adds the flags to a set.
func NewServerFlags(flags *flag.FlagSet) *ServerFlags {
	f := &ServerFlags{flags: flags}

	c := &f.config
	flags.BoolVar(&c.Verbose, "v", false, "log every call")
	flags.IntVar(&c.Workers, "workers", DefaultWorkers(), "number of worker processes")
	flags.DurationVar(&c.Grace, "grace", 5*time.Second, "time for workers to finish what they have when told to end")
	flags.DurationVar(&c.HangTimeout, "hang-timeout", 30*time.Second,
		"how long a worker may hang until it is killed and replaced; 0: forever")
	flags.StringVar(&f.advertise, "advertise", "",
		"the `host` to register, when clients cannot use HOST")

	l := &c.Limits
	flags.DurationVar(&l.IdleTimeout, "idle-timeout", 5*time.Minute,
		fmt.Sprintf("how long a connection may make no request and take no reply, at least %v; 0: forever", minTimeout))
	flags.DurationVar(&l.FrameTimeout, "frame-timeout", 10*time.Second,
		fmt.Sprintf("how long a request may take to come in whole, at least %v; 0: forever", minTimeout))
	flags.IntVar(&l.MaxConns, "max-conns", 10_000, "connections per worker; 0: no limit")
	flags.IntVar(&l.MaxFrame, "max-frame", MaxRequest, fmt.Sprintf(
		"the longest request accepted, in `bytes`: from %d to %d, the protocol's limit", minFrame, MaxRequest))
	flags.IntVar(&l.MaxUnfinished, "max-unfinished", 64<<20, fmt.Sprintf(
		"how many `bytes` a worker holds of requests that have not come in whole, beyond 16 KiB of each: "+
			"at least %d; 0: no limit", minUnfinished))
	return f
}

// Config returns the Config of a server that listens at host and port and
// prints where, and the host to register for it. The flags must have been
// parsed; the program ends with exit code 2 and a message when one of them is
// wrong. What the server does, its Service, and Register are still to be set.
func (f *ServerFlags) Config(host, port string) (config Config, registered string) {
	f.check()
	registered, err := RegisterableHost(f.advertise, host)
	if err != nil {
		UsageError(f.flags, "%v", err)
	}

	config = f.config
	config.Host, config.Port = host, port
	config.OnStart = func(addr *net.TCPAddr, pids []int) {
		workers := strings.Trim(fmt.Sprint(pids), "[]")
		fmt.Fprintf(Stdout, "listening on %v\nmaster %d, workers %s\n", addr, os.Getpid(), workers)
	}
	return config, registered
}

// check ends the program when a flag is wrong.
func (f *ServerFlags) check() {
	config := f.config
	switch {
	case config.Workers < 1:
		UsageError(f.flags, "-workers must be at least 1, not %d", config.Workers)
	case config.HangTimeout != 0 && config.HangTimeout < minHang:
		UsageError(f.flags, "-hang-timeout must be 0 or at least %v, not %v", minHang, config.HangTimeout)
	case config.Grace < 0:
		UsageError(f.flags, "-grace must not be negative: %v", config.Grace)
	}

	limits := config.Limits
	f.checkTimeout("-idle-timeout", limits.IdleTimeout)
	f.checkTimeout("-frame-timeout", limits.FrameTimeout)
	switch {
	case limits.MaxConns < 0:
		UsageError(f.flags, "-max-conns must not be negative: %d", limits.MaxConns)
	case limits.MaxFrame < minFrame || limits.MaxFrame > MaxRequest:
		UsageError(f.flags, "-max-frame must be from %d to %d bytes, not %d", minFrame, MaxRequest, limits.MaxFrame)
	case limits.MaxUnfinished != 0 && limits.MaxUnfinished < minUnfinished:
		UsageError(f.flags, "-max-unfinished must be at least %d bytes, or 0 for no limit, not %d",
			minUnfinished, limits.MaxUnfinished)
	}
}

// checkTimeout ends the program when a timeout is too short to be meant.
func (f *ServerFlags) checkTimeout(name string, timeout time.Duration) {
	if timeout != 0 && timeout < minTimeout {
		UsageError(f.flags, "%s must be at least %v, or 0 for no limit, not %v", name, minTimeout, timeout)
	}
}

// Serve is the function of that name for a command, whose output it detaches.
// It returns the command's exit code: 0 when the server was told to end, and
// after saying what went wrong 3 if no worker was ever ready, otherwise 1. Give
// it to Exit.
func (f *ServerFlags) Serve(config Config) (exitCode int) {
	DetachOutput()
	err := Serve(config)
	if err == nil {
		return 0
	}

	fmt.Fprintf(Stderr, "%s: %v\n", f.flags.Name(), err)
	if errors.Is(err, ErrNeverReady) {
		return 3
	}
	return 1
}
