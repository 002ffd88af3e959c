// The processes: a ZooKeeper and final's servers. Each
// has a process group of its own and ends with this process, however that
// ends.

//go:build linux

package discovery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/zkdev"
)

// A testbed is everything that runs outside this process.
type testbed struct {
	program   string // the server's
	zookeeper *zkdev.Server
	servers   []*server // that were started and not yet waited for
}

// newTestbed starts a ZooKeeper.
func newTestbed(ctx context.Context, program string) (*testbed, error) {
	zookeeper, err := zkdev.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &testbed{program: program, zookeeper: zookeeper}, nil
}

// close ends what runs.
func (b *testbed) close() error {
	var errs []error
	for len(b.servers) > 0 {
		errs = append(errs, b.servers[0].kill())
	}
	return errors.Join(append(errs, b.zookeeper.Stop())...)
}

// A server is a master with its workers.
type server struct {
	addr    string // host:port
	bed     *testbed
	group   *proc.Group
	log     string    // the file that it logs to
	started time.Time // just before exec

	ready   chan struct{}
	readyAt time.Time // when ready was closed: all workers were ready
}

// reservePort returns an address of this machine where nothing listens.
func reservePort() (addr string, release func(), err error) {
	port, release, err := freeport.Reserve()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), release, err
}

// startServer starts a server and doesn't wait for anything.
func (b *testbed) startServer(addr, root string, workers int) (*server, error) {
	dir, err := proc.TempDir()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	s := &server{addr: addr, bed: b, log: filepath.Join(dir, "server-"+port+".log"), ready: make(chan struct{})}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a server's log: %w", err)
	}
	defer log.Close()

	cmd := exec.Command(b.program, "-workers", strconv.Itoa(workers), "-zk", b.zookeeper.Addr(), "-root", root,
		"-session", "2s", host, port)
	cmd.Stderr = log
	s.started = time.Now()
	group, output, err := proc.StartReading(cmd)
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	s.group = group
	b.servers = append(b.servers, s)
	go s.read(output)
	return s, nil
}

// read waits for the line that names all workers.
func (s *server) read(output *os.File) {
	defer output.Close()
	lines := bufio.NewScanner(output)
	for told := false; lines.Scan(); {
		if !told && strings.HasPrefix(lines.Text(), "master ") {
			told, s.readyAt = true, time.Now()
			close(s.ready)
		}
	}
}

// waitReady waits until all workers are ready, and returns when they were.
func (s *server) waitReady(ctx context.Context) (time.Time, error) {
	select {
	case <-s.ready:
		return s.readyAt, nil
	case <-s.group.Done():
		return time.Time{}, s.failure("ended instead of serving")
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-time.After(maxWait):
		return time.Time{}, s.failure("was not ready in time")
	}
}

// firstPong waits until the server answers, and returns when it did: a
// connection that is made as soon as the port accepts any waits for the first
// worker to be ready. That is as early as anybody can be answered.
func (s *server) firstPong(ctx context.Context) (time.Time, error) {
	deadline := time.Now().Add(maxWait)
	for {
		at, err := pingOnce(s.addr, deadline)
		if err == nil {
			return at, nil
		}
		select {
		case <-s.group.Done():
			return time.Time{}, s.failure("ended instead of answering")
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return time.Time{}, s.failure(fmt.Sprintf("doesn't answer: %v", err))
		}
	}
}

func pingOnce(addr string, deadline time.Time) (time.Time, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline)
	request := rpc.Request{Method: "ping", Params: []byte("0")}.Append(nil)
	if _, err := conn.Write(rpc.AppendFrame(nil, request)); err != nil {
		return time.Time{}, err
	}
	_, err = io.ReadFull(conn, make([]byte, 4))
	return time.Now(), err
}

// terminate tells the server to end, and returns when that was.
func (s *server) terminate() (time.Time, error) {
	at := time.Now()
	if err := s.group.Signal(syscall.SIGTERM); err != nil {
		return at, s.failure(err.Error())
	}
	return at, nil
}

// wait waits for the end of a server that was told to end, which must be a
// clean one.
func (s *server) wait(ctx context.Context) error {
	select {
	case <-s.group.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(maxWait):
		return s.failure("doesn't end")
	}
	if state := s.group.State(); !state.Success() {
		return s.failure(state.String())
	}
	return s.gone()
}

// kill kills the server with all its workers, if it is not gone already, and
// returns when it is.
func (s *server) kill() error {
	defer s.bed.forget(s)
	if err := s.group.Kill(); err != nil {
		return s.failure(err.Error())
	}
	return nil
}

// gone waits until no process of the server is left.
func (s *server) gone() error {
	defer s.bed.forget(s)
	if err := s.group.WaitGone(maxWait); err != nil {
		return s.failure(err.Error())
	}
	return nil
}

func (b *testbed) forget(s *server) {
	b.servers = slices.DeleteFunc(b.servers, func(other *server) bool { return other == s })
}

// failure is an error with the end of what the server has logged.
func (s *server) failure(what string) error {
	content, _ := os.ReadFile(s.log)
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return fmt.Errorf("server %s %s; it said:\n%s", s.addr, what, strings.Join(lines[max(0, len(lines)-3):], "\n"))
}
