// Package etcddev runs real etcd servers for tests and for the demo, alone or
// three together, each a process of its own with its own temporary directory,
// on 127.0.0.1. They can be killed, restarted on their data, wiped and frozen,
// and they die with the program that started them, however that dies.
package etcddev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
)

const (
	startLimit   = 30 * time.Second // it takes less than a second on an idle machine
	stopLimit    = 5 * time.Second
	probeTimeout = time.Second
)

// TLS names the files, in PEM, with which a server and its clients show each
// other who they are.
type TLS struct{ CA, Cert, Key string }

// A Place is where an etcd runs.
type Place struct {
	Host string         // its address
	Do   func(f func()) // calls f there: what f starts and which connections it makes belong to that place's network
}

// here is this machine, where nobody else reaches it.
var here = Place{Host: "127.0.0.1", Do: func(f func()) { f() }}

// A Server is an etcd that was started here. Its methods are called by one
// goroutine at a time.
type Server struct {
	member  member
	place   Place
	release func() // gives the ports up
	probe   *clientv3.Client

	// Its process.
	process *proc.Group // the latest one, perhaps dead
	stopped bool        // for good
}

// Start runs an etcd on free ports and returns when it serves. With tls it
// speaks to clients that have a certificate of the same authority only. ctx
// bounds the start only; so do 30 seconds.
func Start(ctx context.Context, tls *TLS) (*Server, error) {
	servers, err := start(ctx, []Place{here}, tls)
	if err != nil {
		return nil, err
	}
	return servers[0], nil
}

// StartThree runs a cluster of three and returns when all of them serve.
func StartThree(ctx context.Context) ([]*Server, error) {
	return start(ctx, []Place{here, here, here}, nil)
}

// StartThreeAt is StartThree at places of their own.
func StartThreeAt(ctx context.Context, places [3]Place) ([]*Server, error) {
	return start(ctx, places[:], nil)
}

func start(ctx context.Context, places []Place, tls *TLS) (servers []*Server, err error) {
	defer func() {
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.Stop())
			}
		}
	}()

	dir, err := proc.TempDir()
	if err != nil {
		return nil, err
	}

	var cluster []string
	for i, place := range places {
		s := &Server{member: member{Name: "m" + strconv.Itoa(i+1), TLS: tls}, place: place, release: func() {}}
		servers = append(servers, s)
		s.member.Dir, err = os.MkdirTemp(dir, "etcd-")
		if err != nil {
			return servers, fmt.Errorf("make a directory for etcd: %w", err)
		}

		for _, addr := range []*string{&s.member.Client, &s.member.Peer} {
			port, release, err := freeport.Reserve()
			if err != nil {
				return servers, err
			}
			others := s.release
			s.release = func() { others(); release() }
			*addr = net.JoinHostPort(place.Host, strconv.Itoa(port))
		}
		cluster = append(cluster, s.member.Name+"=http://"+s.member.Peer)
	}

	// Side by side: none serves before most of them are there.
	var starts sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		s.member.Cluster = strings.Join(cluster, ",")
		starts.Go(func() { errs[i] = s.launch(ctx) })
	}
	starts.Wait()
	return servers, errors.Join(errs...)
}

// launch starts a process and waits until it serves; if it doesn't, none is
// left.
func (s *Server) launch(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	text, err := json.Marshal(s.member)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}

	output, err := os.OpenFile(filepath.Join(s.member.Dir, "output"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make a file for etcd's output: %w", err)
	}
	defer output.Close()

	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), memberEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = output, output
	var process *proc.Group
	s.place.Do(func() { process, err = proc.Start(cmd) })
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	s.process = process

	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := s.serves(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-process.Done():
			return fmt.Errorf("etcd exited (%v) instead of serving on %s: %s", process.State(), s.Addr(), s.Output())
		case <-ctx.Done():
			s.Kill()
			return fmt.Errorf("wait for etcd to serve on %s: %w (%w); it said: %s",
				s.Addr(), context.Cause(ctx), err, s.Output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// serves asks for something that only a member with a leader answers.
func (s *Server) serves(ctx context.Context) error {
	conn, err := s.dial(ctx, s.Addr())
	if err != nil {
		return err // the client of etcd would first wait for a second
	}
	conn.Close()

	if s.probe == nil {
		config := clientv3.Config{
			Endpoints: []string{s.URL()}, Logger: zap.NewNop(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(s.dial)},
		}
		config.TLS, err = s.member.TLS.Config()
		if err != nil {
			return err
		}
		s.probe, err = clientv3.New(config)
		if err != nil {
			return err
		}
	}

	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err = s.probe.Get(ctx, "probe", clientv3.WithCountOnly())
	if errors.Is(err, rpctypes.ErrUserEmpty) { // it asks for a password by now, and so it serves
		return nil
	}
	return err
}

// dial connects to etcd from where it is.
func (s *Server) dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: probeTimeout}
	s.place.Do(func() { conn, err = dialer.DialContext(ctx, "tcp4", addr) })
	return conn, err
}

// Addr is the "host:port" of clients, on 127.0.0.1 unless the server has a
// Place. It stays the same for the server's life.
func (s *Server) Addr() string { return s.member.Client }

// URL is the same as etcd's clients want it.
func (s *Server) URL() string {
	if s.member.TLS != nil {
		return "https://" + s.member.Client
	}
	return "http://" + s.member.Client
}

// PID is the process that was started last, and its process group.
func (s *Server) PID() int { return s.process.PID }

// Client is connected to this server only, past anything that stands before it.
// It belongs to the Server.
func (s *Server) Client() *clientv3.Client { return s.probe }

// Output is what etcd has printed: normally nothing, it is told to log errors
// only.
func (s *Server) Output() string {
	output, err := os.ReadFile(filepath.Join(s.member.Dir, "output"))
	if err != nil {
		return err.Error()
	}
	return string(output[max(0, len(output)-2000):])
}

// Kill ends etcd with SIGKILL, and returns when it is reaped and its ports
// refuse connections. The data stays.
func (s *Server) Kill() {
	_ = s.process.Kill() // it can't resist for long
}

// Restart starts etcd again on its data and its ports, after a Kill if it runs.
// Keys and leases live on, with a full time to live from now. It returns when
// etcd serves.
func (s *Server) Restart() error {
	s.Kill()
	return s.launch(context.Background())
}

// Wipe is Restart without the data: no key and no lease is left, and revisions
// begin again at 1.
func (s *Server) Wipe() error {
	s.Kill()
	if err := os.RemoveAll(filepath.Join(s.member.Dir, "data")); err != nil {
		return fmt.Errorf("wipe etcd's data: %w", err)
	}
	return s.launch(context.Background())
}

// Pause freezes etcd with SIGSTOP and returns when it stands still: connections
// stay, and the kernel accepts new ones, but nothing is answered.
func (s *Server) Pause() { s.process.Pause() }

// Resume ends a Pause.
func (s *Server) Resume() { s.process.Resume() }

// Stop ends etcd for good: with SIGTERM, and with SIGKILL if it has not ended
// after 5 seconds. It returns when the process is reaped, its directory removed
// and its ports given up. Calling it again does nothing.
func (s *Server) Stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true

	if s.probe != nil {
		s.probe.Close()
	}
	var err error
	if s.process != nil {
		err = s.process.Stop(stopLimit)
	}

	s.release()
	if removeErr := os.RemoveAll(s.member.Dir); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("remove etcd's directory: %w", removeErr))
	}
	return err
}
