// The demo's part of the stage: the registry, and servers that keep their
// addresses through all their lives. Package stage has the processes.

//go:build unix

package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/stage"
)

const workers = 2 // per server

// A cast is everything that runs outside this process.
type cast struct {
	*stage.Stage
	kind     Registry
	registry Running // nil: not yet
	program  string  // the server's
	servers  []*server
}

// newCast returns an empty cast.
func newCast(ctx context.Context, kind Registry) (s *cast, err error) {
	s = &cast{kind: kind}
	s.program, err = kind.Program(ctx)
	if err != nil {
		return nil, err
	}
	s.Stage, err = stage.New()
	return s, err
}

// startRegistry starts one and returns when it serves.
func (s *cast) startRegistry(ctx context.Context) error {
	running, err := s.kind.Start(ctx)
	if err != nil {
		return err
	}
	s.registry = running
	return nil
}

// addServer finds a port for a server, which it keeps through all its lives.
func (s *cast) addServer(name string) (*server, error) {
	port, release, err := freeport.Reserve()
	if err != nil {
		return nil, err
	}

	v := &server{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), release: release}
	v.Program = s.Add("server "+name, func() *exec.Cmd {
		// -v: each call is logged when a worker takes it up, with the worker's
		// pid.
		args := append([]string{"-v", "-workers", strconv.Itoa(workers)}, s.registry.ServerArgs()...)
		return exec.Command(s.program, append(args, "127.0.0.1", strconv.Itoa(port))...)
	})
	s.servers = append(s.servers, v)
	return v, nil
}

// clear ends whatever still runs, in good order, and returns what had to be
// killed or can't be: none, if all went well.
func (s *cast) clear() (left []string) {
	left = s.Clear()
	for _, v := range s.servers {
		v.release()
	}

	if s.registry != nil {
		if err := s.registry.Stop(); err != nil {
			left = append(left, err.Error())
		}
	}
	return left
}

// A server is one server with all its processes.
type server struct {
	*stage.Program
	name    string
	addr    string // host:port
	release func() // gives the port up
}

var callLine = regexp.MustCompile(`INFO call pid=(\d+) method=(\w+) params=(.*)`)

// lastCall returns the params of the call of a method that was taken up last,
// if that is not long ago, and the pid of the worker that did.
func (v *server) lastCall(method string) (params string, worker int, err error) {
	const enough = 4 << 10 // the log grows, and we ask often
	log, err := os.Open(v.Log())
	if err != nil {
		return "", 0, fmt.Errorf("read the log of server %s: %w", v.name, err)
	}
	defer log.Close()

	_, _ = log.Seek(-enough, io.SeekEnd) // it fails while the log is shorter: then all of it is read
	end, err := io.ReadAll(log)

	for _, call := range callLine.FindAllStringSubmatch(string(end), -1) {
		if call[2] == method {
			worker, _ = strconv.Atoi(call[1])
			params = call[3]
		}
	}
	return params, worker, err
}
