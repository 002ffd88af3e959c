// The servers as processes: each measurement starts one afresh, learns its
// address and processes from what it prints, and stops it by its pid.

//go:build linux

package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/proc"
)

// role is the first argument by which this program is told to be a rival.
const role = "serve-as"

// Rival serves as a rival, and doesn't return, if the arguments of the program
// say so. Otherwise it returns at once. Call it first in main: servers are
// started by running the program again.
func Rival(args []string) {
	if len(args) != 2 || args[0] != role {
		return
	}
	err := serveRival(args[1], func(addr net.Addr) {
		fmt.Printf("listening on %v\nmaster %d, workers\n", addr, os.Getpid())
	})
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// A server is one that runs.
type server struct {
	addr  string
	pids  []int // all of its processes
	group *proc.Group
	told  func() bool // takes back that the end of a context ends the server
	log   *os.File    // its standard error
}

// start starts a contender's server and waits until it can be called. It is
// told to stop when ctx ends, which also ends what is measured. binary is our
// server's program.
func start(ctx context.Context, c contender, binary string) (s *server, err error) {
	log, err := os.CreateTemp("", "bench-*.log")
	if err != nil {
		return nil, err
	}
	os.Remove(log.Name())

	switch {
	case c.line != "":
		s, err = startLine(ctx, c.line, log)
	case c.server == ours:
		// Nobody answers for ZooKeeper there, so it stays unregistered.
		s, err = startTelling(ctx, log, binary, "-workers", strconv.Itoa(c.workers), "-max-conns", "0",
			"-zk", "127.0.0.1:1", "127.0.0.1", "0")
	default:
		s, err = startTelling(ctx, log, "/proc/self/exe", role, c.server)
	}
	if err != nil {
		return nil, fmt.Errorf("start the server %q: %w", c.server, err)
	}
	return s, nil
}

// startTelling starts a server that tells where it listens, and which its
// processes are.
func startTelling(ctx context.Context, log *os.File, program string, args ...string) (*server, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	group, out, err := proc.StartReading(cmd)
	if err != nil {
		return nil, err
	}

	s := newServer(ctx, group, log)
	err = s.await(out)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("it did not get ready%s", s.lastWords())
	}
	return s, nil
}

// newServer returns one that has just been started.
func newServer(ctx context.Context, group *proc.Group, log *os.File) *server {
	told := context.AfterFunc(ctx, func() { _ = group.Signal(syscall.SIGTERM) })
	return &server{group: group, log: log, told: told}
}

// await reads what the server prints until all of its processes are named. It
// fails when the server ends before, and ends it when that takes too long.
func (s *server) await(out *os.File) error {
	defer out.Close()
	late := time.AfterFunc(patience, func() { _ = s.group.Kill() })
	defer late.Stop()

	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.addr = addr
		}
		pids, ok := strings.CutPrefix(lines.Text(), "master ")
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(strings.ReplaceAll(pids, ",", "")) {
			if pid, err := strconv.Atoi(word); err == nil {
				s.pids = append(s.pids, pid)
			}
		}
		return nil
	}
	return io.ErrUnexpectedEOF
}

// stop ends the server and waits until nothing of it is left. How it ends
// doesn't matter.
func (s *server) stop() {
	s.told()
	_ = s.group.Stop(patience)
}

// lastWords returns the end of the log, for an error, if there is any.
func (s *server) lastWords() string {
	text, _ := io.ReadAll(io.NewSectionReader(s.log, 0, 1<<20))
	if len(text) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(text[max(0, len(text)-500):]))
}
