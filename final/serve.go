// Serve puts the parts together: in the master the supervisor and, if there is
// one, the registration; in a worker the loop, the service and the limits.

//go:build unix

package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"syscall"
	"time"
)

// noticeTime is how long the workers serve on after the registration has
// ended, for clients to notice.
const noticeTime = 100 * time.Millisecond

// A Registration makes a server known to clients for as long as it serves. A
// Registrar is one.
type Registration interface {
	// SetServing says whether the server is to be known. It must not block.
	SetServing(serving bool)
	// Close ends the registration for good and reports whether there was one
	// until now. It must return when ctx ends.
	Close(ctx context.Context) (wasRegistered bool)
}

// Config is what a server is made of.
type Config struct {
	Host, Port string        // where to listen; port "0" lets the kernel choose
	Workers    int           // processes, at least 1
	Grace      time.Duration // for workers to finish what they have when told to end
	// HangTimeout is for how long a worker's loop may stand still, in a method
	// for example, until the worker is killed and replaced; 0: for ever.
	HangTimeout time.Duration
	Limits      Limits // in each worker
	Verbose     bool   // log every call

	Service Service // the methods

	// Register, if set, is called once, in the master, with the address that
	// the server listens on.
	Register func(addr *net.TCPAddr) (Registration, error)
	// OnStart, if set, is called once, in the master, when all workers are
	// ready, or with those that are when that takes too long.
	OnStart func(addr *net.TCPAddr, workers []int)
}

// Serve runs a server until it is told to end by SIGINT, SIGTERM or SIGHUP,
// and returns nil then. A signal that was ignored when the program was started
// stays ignored. It starts the running program again for each worker,
// with the same arguments, and expects to be called there with the same Config:
// in a worker it serves until the master tells it to end. So a program must
// call it once, before it opens files or starts anything of its own, and
// return from main after it. It returns an error wrapping ErrNeverReady if no
// worker can be brought up, and in a worker one if calls were unfinished at the
// end of the grace period.
//
// What the program logs must not block it: DetachOutput sees to that.
func Serve(config Config) error {
	if IsWorker() {
		return config.work()
	}
	stop := StopSignals(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // before anything is started
	defer signal.Stop(stop)
	listener, addr, err := Listen(config.Host, config.Port)
	if err != nil {
		return err
	}
	s := Supervisor{
		Workers:     config.Workers,
		Grace:       config.Grace,
		HangTimeout: config.HangTimeout,
		OnStart:     func([]int) {},
		OnServing:   func(serving bool) { slog.Info("server state", "serving", serving) },
		OnStop:      func(context.Context) { slog.Info("stopping") },
	}
	if config.OnStart != nil {
		s.OnStart = func(pids []int) { config.OnStart(addr, pids) }
	}
	if config.Register != nil {
		registration, err := config.Register(addr)
		if err != nil {
			return fmt.Errorf("register: %w", err)
		}
		s.OnServing = registration.SetServing
		s.OnStop = func(ctx context.Context) {
			slog.Info("stopping")
			if registration.Close(ctx) {
				time.Sleep(noticeTime)
			}
		}
	}
	return s.Run(listener, stop)
}
