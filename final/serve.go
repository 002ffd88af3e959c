// Serve and ServeListener put the parts together. Serve is a server of several
// processes: in the master it is the supervisor and, if there is one, the
// registration; in a worker the loop, the service and the limits. ServeListener
// is all that in one process. This file and its neighbours also add methods to
// the types of the chapters, Server and Conn, and server.go and conn.go call
// them where chapter 2 has nothing to call.

//go:build unix

package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// noticeTime is how long a server goes on serving after its registration has
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

// unlisted stands for the Registration of a server that isn't registered.
type unlisted struct{}

func (unlisted) SetServing(serving bool)    { slog.Info("server state", "serving", serving) }
func (unlisted) Close(context.Context) bool { return false }

// Config is what a server is made of.
type Config struct {
	Service Service // the methods
	Limits  Limits  // on what clients use up, in each worker
	Verbose bool    // log every call
	// Grace is how long calls that have begun may take to finish once the
	// server is told to stop; 0: no time at all.
	Grace time.Duration

	// Register, if set, is called once with the address that the server listens
	// on, in the master if there are processes.
	Register func(addr *net.TCPAddr) (Registration, error)

	// Host and Port, and all fields below, are for Serve alone: ServeListener
	// is given its listener, and starts no processes. They say where Serve
	// listens; port "0" lets the kernel choose.
	Host, Port string
	// Workers is how many processes Serve starts; 0: DefaultWorkers().
	Workers int
	// HangTimeout is how long a worker's loop may stand still, in a Func for
	// example, until the worker is killed and replaced; 0: forever.
	HangTimeout time.Duration
	// OnStart, if set, is called once, in the master, when all workers are
	// ready, or with those that are when that takes too long.
	OnStart func(addr *net.TCPAddr, workers []int)
}

// wasWorker is set once this process has served as a worker. IsWorker is false
// from then on, so a second Serve would start workers, and each of those would
// do the same when its first Serve ends.
var wasWorker atomic.Bool

// Serve runs a server of several processes until it is told to end by SIGINT,
// SIGTERM or SIGHUP, and returns nil then. A signal that was ignored when the
// program was started stays ignored.
//
// It starts the running program again for each worker, with the same arguments,
// and expects to be called there with the same Config: in a worker it serves
// until the master tells it to end. So a program must call it once, before it
// opens files or starts anything of its own, and return from main after it. A
// second call in a worker is refused with an error.
//
// In the master it returns an error wrapping ErrNeverReady if no worker can be
// brought up; in a worker it returns an error if calls were unfinished at the
// end of the grace period.
//
// What the program logs must not block it: DetachOutput sees to that.
func Serve(config Config) error {
	if IsWorker() {
		wasWorker.Store(true)
		return config.work()
	}
	if wasWorker.Load() {
		return errors.New("a second Serve in a worker: the program must return from main after the first")
	}
	if config.Workers < 0 {
		return fmt.Errorf("Config.Workers must not be negative, but is %d", config.Workers)
	}
	if config.HangTimeout < 0 {
		return fmt.Errorf("Config.HangTimeout must not be negative, but is %v", config.HangTimeout)
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
		Workers:     cmp.Or(config.Workers, DefaultWorkers()),
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

	err = s.Run(listener, stop)
	if err != nil { // it has given up, without an OnStop
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		registration.Close(ctx)
	}
	return err
}

// ServeListener runs a server in this process alone: no signals, no other
// processes, one event loop. It is what tests want, and programs that do
// something else as well; a process may have several. It takes over the
// listener, which must be a *net.TCPListener, also when it returns an error.
//
// It blocks until ctx ends and the server is down: it ends its registration,
// refuses new callers and answers what has come in. When that takes longer than
// config.Grace, it ends the contexts of the calls under way and closes all
// connections; it returns an error if any of them had a call to be answered.
//
// A Func is waited for even then, because it has the loop. A function of Handle
// is not: if it goes on although its context has ended, nobody hears of it.
func ServeListener(ctx context.Context, listener net.Listener, config Config) error {
	fd, addr, err := takeOver(listener)
	if err != nil {
		return fmt.Errorf("serve at %v: %w", listener.Addr(), err)
	}

	callsCtx, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer endCalls()
	loop, server, err := config.begin(callsCtx, fd)
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	registration, err := config.register(addr)
	if err != nil {
		loop.release() // and the listening socket, which it watches
		return err
	}

	var loopErr error // why the loop gave up; to be read when ended is closed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		loopErr = loop.Run()
	}()

	registration.SetServing(true)
	select {
	case <-ctx.Done():
	case <-ended:
	}

	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	withdraw(stopCtx, registration)

	unfinished := 0
	loop.Drain()
	select {
	case <-ended:
	case <-time.After(config.Grace):
		endCalls()
		loop.Post(func() { unfinished = server.abort() })
		<-ended
	}

	if loopErr == nil && unfinished > 0 {
		return fmt.Errorf("%d connections had calls that were not finished within %v", unfinished, config.Grace)
	}
	return loopErr
}

// takeOver returns a descriptor of a listener's socket, and its address. It
// closes the listener: otherwise Go's own poller would wake this process for
// every connection, too.
func takeOver(listener net.Listener) (fd int, addr *net.TCPAddr, err error) {
	defer listener.Close()

	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return -1, nil, fmt.Errorf("the listener must be a *net.TCPListener, not a %T", listener)
	}
	fd, err = duplicate(tcp)
	return fd, tcp.Addr().(*net.TCPAddr), err
}

// begin makes a server at a listening socket, which is the server's from then
// on, and the loop that it runs on. The contexts of calls are derived from
// callsCtx. On an error the socket stays the caller's.
func (config *Config) begin(callsCtx context.Context, listener int) (*Loop, *Server, error) {
	poller, err := NewPoller()
	if err != nil {
		return nil, nil, err
	}
	loop, err := NewLoop(poller)
	if err != nil {
		return nil, nil, err
	}

	dispatch := newDispatcher(callsCtx, loop, config.Service)
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

// abort closes all connections, and returns how many were not done: they had
// calls unanswered, replies unsent, or half a request.
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
	wasRegistered := registration.Close(ctx)
	if wasRegistered {
		time.Sleep(noticeTime)
	}
}
