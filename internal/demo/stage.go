// The stage: the processes of the demo. Each program gets a process group of
// its own, so that Ctrl-C reaches only the demo, and so that in the end one
// look at the groups tells whether anything is left.

//go:build unix

package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
)

const (
	workers   = 2               // per server
	endTime   = 8 * time.Second // for a server that was told to end; its workers' grace period is 5 s
	sweepTime = 2 * time.Second // for the last of a group to be gone
)

// A stage is everything that runs outside this process.
type stage struct {
	kind     Registry
	registry Running // nil: not yet
	program  string  // the server's
	dir      string  // for logs; removed when the demo ends
	servers  []*server
	groups   []group // of every server ever started
}

// A group is a server's process group, in one of its lives.
type group struct {
	*proc.Group
	what string
}

// newStage returns an empty stage.
func newStage(ctx context.Context, kind Registry) (s *stage, err error) {
	s = &stage{kind: kind}
	s.program, err = kind.Program(ctx)
	if err != nil {
		return nil, err
	}
	s.dir, err = proc.TempDir()
	return s, err
}

// startRegistry starts one and returns when it serves.
func (s *stage) startRegistry(ctx context.Context) error {
	running, err := s.kind.Start(ctx)
	if err != nil {
		return err
	}
	s.registry = running
	return nil
}

// addServer finds a port for a server, which it keeps through all its lives.
func (s *stage) addServer(name string) (*server, error) {
	port, release, err := freeport.Reserve()
	if err != nil {
		return nil, err
	}
	v := &server{name: name, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stage: s, release: release}
	s.servers = append(s.servers, v)
	return v, nil
}

// clear ends whatever still runs, in good order, and returns what had to be
// killed or can't be: none, if all went well.
func (s *stage) clear() (left []string) {
	for _, v := range s.servers {
		_ = v.signal(syscall.SIGTERM)
	}

	for _, v := range s.servers {
		if _, err := v.wait(endTime); err != nil {
			left = append(left, err.Error())
		}
		v.release()
	}

	if s.registry != nil {
		if err := s.registry.Stop(); err != nil {
			left = append(left, err.Error())
		}
	}

	for _, g := range s.groups {
		if err := g.WaitGone(sweepTime); err != nil {
			left = append(left, fmt.Sprintf("of %s: %v", g.what, err))
			_ = g.Kill()
		}
	}
	return left
}

// A server is one server with all its processes.
type server struct {
	name    string
	addr    string // host:port
	stage   *stage
	release func() // gives the port up

	// The master with its workers, of the latest life; nil before the first.
	// The meters look at it while the script goes on.
	group atomic.Pointer[proc.Group]
}

func (v *server) log() string { return filepath.Join(v.stage.dir, v.name+".log") }

// start starts the master and doesn't wait for anything.
func (v *server) start() error {
	log, err := os.OpenFile(v.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make a log for server %s: %w", v.name, err)
	}
	defer log.Close()

	host, port, _ := net.SplitHostPort(v.addr)
	// -v: each call is logged when a worker takes it up, with the worker's pid.
	args := append([]string{"-v", "-workers", strconv.Itoa(workers)}, v.stage.registry.ServerArgs()...)
	cmd := exec.Command(v.stage.program, append(args, host, port)...)
	cmd.Stdout, cmd.Stderr = log, log
	started, err := proc.Start(cmd)
	if err != nil {
		return fmt.Errorf("start server %s: %w", v.name, err)
	}
	v.group.Store(started)
	v.stage.groups = append(v.stage.groups, group{started, "server " + v.name})
	return nil
}

// master is the pid of the master.
func (v *server) master() int { return v.group.Load().PID }

// running tells whether the master lives.
func (v *server) running() bool {
	group := v.group.Load()
	return group != nil && !group.Ended()
}

// workers returns the pids of the other processes in the master's group.
func (v *server) workers() ([]int, error) {
	pids, err := v.group.Load().Living()
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == v.master() }), err
}

// waitWorkers waits until there are as many workers as there should be, none of
// them gone, and returns their pids.
func (v *server) waitWorkers(ctx context.Context, gone ...int) (pids []int, err error) {
	err = await(ctx, changeTime, func() (bool, error) {
		pids, err = v.workers()
		isGone := func(pid int) bool { return slices.Contains(gone, pid) }
		return len(pids) == workers && !slices.ContainsFunc(pids, isGone), err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for %d workers of server %s: %w", workers, v.name, err)
	}
	return pids, nil
}

// signal sends sig to the master, if there is one.
func (v *server) signal(sig syscall.Signal) error {
	group := v.group.Load()
	if group == nil {
		return os.ErrProcessDone
	}
	return group.Signal(sig)
}

// wait waits for the master's end, if there is one, and returns how it ended.
func (v *server) wait(timeout time.Duration) (string, error) {
	group := v.group.Load()
	if group == nil {
		return "", nil
	}
	select {
	case <-group.Done():
		return group.State().String(), nil
	case <-time.After(timeout):
		return "", fmt.Errorf("server %s, master %d, didn't end within %v", v.name, group.PID, timeout)
	}
}

var callLine = regexp.MustCompile(`INFO call pid=(\d+) method=(\w+) params=(.*)`)

// lastCall returns the params of the call of a method that was taken up last,
// if that is not long ago, and the pid of the worker that did.
func (v *server) lastCall(method string) (params string, worker int, err error) {
	const enough = 4 << 10 // the log grows, and we ask often
	log, err := os.Open(v.log())
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

// await asks for a condition again and again until it holds.
func await(ctx context.Context, within time.Duration, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %v", within))
	defer cancel()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
