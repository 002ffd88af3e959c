//go:build linux

// Command goroutines is a server for chapters 1 to 6 in another style than
// ours: a goroutine for each connection, net.FileListener in each worker, and
// no event loop. It is held against the specifications, which must find nothing
// wrong with it. Registering is the reference implementation's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	rpc "example.com/rpcworkbook/final"
)

// workerMark is the environment variable that tells a worker what it is.
const workerMark = "GOROUTINES_WORKER"

// A worker's descriptors.
const (
	listenerFD = 3 + iota
	lifelineFD // from the master
	wordsFD    // to the master
)

var options struct {
	workers         int
	grace, session  time.Duration
	zookeeper, root string
	advertise       string
}

func main() {
	isWorker := os.Getenv(workerMark) != ""
	os.Unsetenv(workerMark)
	if isWorker {
		for fd := listenerFD; fd <= wordsFD; fd++ {
			unix.CloseOnExec(fd)
		}
	}

	signal.Ignore(syscall.SIGPIPE)
	flag.IntVar(&options.workers, "workers", 2, "worker processes")
	flag.DurationVar(&options.grace, "grace", 5*time.Second, "how long a stop waits for calls")
	flag.StringVar(&options.zookeeper, "zk", "", "ZooKeeper's addresses; without, the server isn't registered")
	flag.StringVar(&options.root, "root", "/demo", "the znode above the servers")
	flag.DurationVar(&options.session, "session", 6*time.Second, "session timeout")
	flag.StringVar(&options.advertise, "advertise", "", "the host to register")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: goroutines [flags] HOST PORT")
		os.Exit(2)
	}

	var err error
	if isWorker {
		err = work()
	} else {
		err = serve(flag.Arg(0), flag.Arg(1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines:", err)
		os.Exit(1)
	}
}

// A child is one worker, as the master sees it.
type child struct {
	pid      int
	started  time.Time
	lifeline *os.File
	delay    time.Duration // before it was started
	retiring bool          // it was told to end
}

// What the master learns.
type (
	word struct { // a child said it
		pid int
		is  byte
	}
	death struct{ pid int }
	calm  struct{}                      // a second after the last child that was ready died
	start struct{ delay time.Duration } // it is time for another one
)

// A master looks after its children. All of it belongs to run's goroutine, news
// excepted.
type master struct {
	listener int
	stopping bool
	children map[int]*child
	ready    map[int]bool
	quiet    time.Time // when the last one that was ready died
	news     chan any

	setServing func(bool)
}

func serve(host, port string) error {
	wishes := make(chan os.Signal, 4)
	signal.Notify(wishes, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(wishes, syscall.SIGHUP)
	}

	registered, err := rpc.RegisterableHost(options.advertise, host)
	if err != nil && options.zookeeper != "" {
		fmt.Fprintln(os.Stderr, "goroutines:", err)
		os.Exit(2)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	fmt.Println("listening on", ln.Addr())

	m := &master{children: map[int]*child{}, ready: map[int]bool{}, news: make(chan any, 64), setServing: func(bool) {}}
	goodbye := func() {}
	if options.zookeeper != "" {
		session, err := rpc.NewSession(options.zookeeper, options.session)
		if err != nil {
			return err
		}
		_, number, _ := net.SplitHostPort(ln.Addr().String())
		n, _ := strconv.Atoi(number)
		registrar := rpc.NewRegistrar(session, options.root, rpc.Endpoint{Host: registered, Port: n})
		m.setServing = registrar.SetServing
		goodbye = func() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			if registrar.Close(ctx) {
				time.Sleep(100 * time.Millisecond) // for clients to notice
			}
		}
	}

	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Control(func(fd uintptr) { m.listener, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return err
	}
	ln.Close() // but not our descriptor

	for range options.workers {
		m.spawn(0)
	}
	m.run(wishes, goodbye)
	return nil
}

func (m *master) run(wishes <-chan os.Signal, goodbye func()) {
	var late, shut <-chan time.Time
	left := make(chan struct{})
	for !m.stopping || len(m.children) > 0 {
		select {
		case sig := <-wishes:
			switch {
			case !m.stopping:
				m.stopping = true
				go func() { goodbye(); close(left) }()
			case sig != syscall.SIGHUP:
				m.each(func(c *child) { _ = syscall.Kill(c.pid, syscall.SIGKILL) })
			}
		case <-left:
			left = nil
			late, shut = time.After(options.grace), time.After(100*time.Millisecond)
			m.each(func(c *child) { _, _ = c.lifeline.WriteString("s") })
		case <-shut:
			_ = unix.Shutdown(m.listener, unix.SHUT_RD)
		case <-late:
			m.each(func(c *child) { _ = syscall.Kill(c.pid, syscall.SIGKILL) })
		case news := <-m.news:
			m.learn(news)
		}
	}

	if left != nil { // all children died before goodbye was said
		<-left
	}
	_ = unix.Shutdown(m.listener, unix.SHUT_RD)
}

func (m *master) each(do func(*child)) {
	for _, c := range m.children {
		do(c)
	}
}

func (m *master) learn(news any) {
	switch news := news.(type) {
	case start:
		if !m.stopping {
			m.spawn(news.delay)
		}

	case word:
		c := m.children[news.pid]
		switch {
		case c == nil:
		case news.is == 'r':
			m.ready[c.pid] = true
			m.setServing(true)
		case news.is == 'w' && !m.stopping:
			c.retiring = true
			_, _ = c.lifeline.WriteString("r")
		}

	case calm:
		if len(m.ready) == 0 && time.Since(m.quiet) >= time.Second && !m.stopping {
			m.setServing(false)
		}

	case death:
		c := m.children[news.pid]
		delete(m.children, news.pid)
		delete(m.ready, news.pid)
		c.lifeline.Close()
		if m.stopping {
			return
		}
		if len(m.ready) == 0 {
			m.quiet = time.Now()
			time.AfterFunc(time.Second, func() { m.news <- calm{} })
		}
		delay := time.Duration(0)
		if !c.retiring && time.Since(c.started) < time.Second {
			delay = min(5*time.Second, max(100*time.Millisecond, 2*c.delay))
		}
		time.AfterFunc(delay, func() { m.news <- start{delay} })
	}
}

func (m *master) spawn(delay time.Duration) {
	lifelineR, lifeline, err := os.Pipe()
	check(err)
	words, wordsW, err := os.Pipe()
	check(err)
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env:   append(os.Environ(), workerMark+"=1"),
		Files: []uintptr{0, 1, 2, uintptr(m.listener), lifelineR.Fd(), wordsW.Fd()},
	})
	check(err)
	lifelineR.Close()
	wordsW.Close()
	m.children[pid] = &child{pid: pid, started: time.Now(), lifeline: lifeline, delay: delay}

	go func() {
		for said := make([]byte, 1); ; {
			_, err := words.Read(said)
			if err != nil {
				break
			}
			m.news <- word{pid, said[0]}
		}
		words.Close()
		for errors.Is(syscall.EINTR, wait(pid)) {
		}
		m.news <- death{pid}
	}()
}

func wait(pid int) error {
	_, err := syscall.Wait4(pid, nil, 0, nil)
	return err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines:", err)
		os.Exit(1)
	}
}
