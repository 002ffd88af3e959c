// Serve and ServeListener put the parts together. Serve is a server of several
// processes: in the master it is the supervisor and, if there is one, the
// registration; in a worker the loop, the service and the limits. ServeListener
// is all that in one process.

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

	"golang.org/x/sys/unix"
)

// noticeTime is how long a server serves on after its registration has ended,
// for clients to notice.
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

// unlisted is the Registration of a server that nobody is told of.
type unlisted struct{}

func (unlisted) SetServing(serving bool)    { slog.Info("server state", "serving", serving) }
func (unlisted) Close(context.Context) bool { return false }

// Config is what a server is made of.
type Config struct {
	Service Service       // the methods
	Limits  Limits        // on what clients use up, in each worker
	Grace   time.Duration // for what has begun to be finished when the server is told to end
	Verbose bool          // log every call

	// Register, if set, is called once with the address that the server listens
	// on, in the master if there are processes.
	Register func(addr *net.TCPAddr) (Registration, error)

	// What follows is for Serve, which opens its port and starts processes.

	Host, Port string // where to listen; port "0" lets the kernel choose
	Workers    int    // processes, at least 1
	// HangTimeout is for how long a worker's loop may stand still, in a Func
	// for example, until the worker is killed and replaced; 0: for ever.
	HangTimeout time.Duration
	// OnStart, if set, is called once, in the master, when all workers are
	// ready, or with those that are when that takes too long.
	OnStart func(addr *net.TCPAddr, workers []int)
}

// Serve runs a server of several processes until it is told to end by SIGINT,
// SIGTERM or SIGHUP, and returns nil then. A signal that was ignored when the
// program was started stays ignored. It starts the running program again for
// each worker, with the same arguments, and expects to be called there with the
// same Config: in a worker it serves until the master tells it to end. So a
// program must call it once, before it opens files or starts anything of its
// own, and return from main after it. It returns an error wrapping
// ErrNeverReady if no worker can be brought up, and in a worker one if calls
// were unfinished at the end of the grace period.
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
	registration, err := config.register(addr)
	if err != nil {
		_ = unix.Close(listener)
		return err
	}

	s := Supervisor{
		Workers:     config.Workers,
		Grace:       config.Grace,
		HangTimeout: config.HangTimeout,
		OnStart: func(pids []int) {
			if config.OnStart != nil {
				config.OnStart(addr, pids)
			}
		},
		OnServing: registration.SetServing,
		OnStop:    func(ctx context.Context) { withdraw(ctx, registration) },
	}
	return s.Run(listener, stop)
}

// ServeListener runs a server in this process alone: no signals, no other
// processes, one event loop. It is what tests want, and programs that do
// something else as well; a process may have several. It takes over the
// listener, which must be a *net.TCPListener, and blocks until ctx ends and
// the server is down: it ends its registration, refuses new callers and answers
// what has come in. When that takes longer than config.Grace, it ends the
// contexts of the calls under way, closes their connections, and returns an
// error that says so.
//
// A Func is waited for even then, because it has the loop. A function of Handle
// is not: if it goes on although its context has ended, nobody hears of it.
func ServeListener(ctx context.Context, listener net.Listener, config Config) error {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("serve at %v: the listener must be a *net.TCPListener, not a %T", listener.Addr(), listener)
	}
	addr := tcp.Addr().(*net.TCPAddr)
	fd, err := duplicate(tcp)
	tcp.Close() // or Go's own poller would wake for every connection, too
	if err != nil {
		return fmt.Errorf("serve at %v: %w", addr, err)
	}

	calls, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	loop, server, err := config.begin(calls, fd)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	registration, err := config.register(addr)
	if err != nil {
		loop.release()
		_ = unix.Close(fd)
		return err
	}

	ended := make(chan error, 1)
	go func() { ended <- loop.Run() }()
	registration.SetServing(true)
	select {
	case <-ctx.Done():
	case err := <-ended:
		ended <- err // for below
	}

	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	withdraw(stopping, registration)

	loop.Drain()
	select {
	case err := <-ended:
		return err
	case <-time.After(config.Grace):
	}

	giveUp()
	unfinished := 0
	loop.Post(func() { unfinished = server.abort() })
	err = <-ended
	if err == nil && unfinished > 0 {
		return fmt.Errorf("%d connections had calls that were not finished within %v", unfinished, config.Grace)
	}
	return err
}

// begin has a new loop serve at a listening socket, which is the server's from
// then on. The contexts of calls are derived from calls.
func (config *Config) begin(calls context.Context, listener int) (*Loop, *Server, error) {
	poller, err := NewPoller()
	if err != nil {
		return nil, nil, err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return nil, nil, err
	}

	dispatch := newDispatcher(calls, loop, config.Service)
	server, err := NewServer(loop, listener, func(c *Conn, body []byte) {
		if config.Verbose {
			LogCall(body)
		}
		dispatch.handle(c, body)
	})
	if err != nil {
		loop.release()
		return nil, nil, err
	}

	server.OnClose = dispatch.drop
	config.Limits.Apply(server)
	return loop, server, nil
}

// abort closes all connections, and returns how many had calls unanswered.
func (s *Server) abort() (unfinished int) {
	for c := range s.conns {
		if c.state < stateLingering {
			unfinished++
		}
		c.close()
	}
	return unfinished
}

// register returns what makes the server known.
func (config *Config) register(addr *net.TCPAddr) (Registration, error) {
	if config.Register == nil {
		return unlisted{}, nil
	}

	registration, err := config.Register(addr)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return registration, nil
}

// withdraw ends a registration while the server still serves, and blocks until
// clients have had time to notice.
func withdraw(ctx context.Context, registration Registration) {
	slog.Info("stopping")
	if registration.Close(ctx) {
		time.Sleep(noticeTime)
	}
}
