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
	addr string
	pids []int // all of its processes
	cmd  *exec.Cmd
	log  *os.File // its standard error
}

// start starts a server and waits until it can be called. binary is our
// server's program; workers, its number of workers.
func start(ctx context.Context, name, binary string, workers int) (*server, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", role, name)
	if name == ours {
		// Nobody answers for ZooKeeper there, so it stays unregistered.
		cmd = exec.CommandContext(ctx, binary, "-workers", strconv.Itoa(workers), "-max-conns", "0", "-zk", "127.0.0.1:1", "127.0.0.1", "0")
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	// If we are killed, so is the server: Go ends no threads, so ours ends with us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	s := &server{cmd: cmd}
	var err error
	if s.log, err = os.CreateTemp("", "bench-*.log"); err != nil {
		return nil, err
	}
	os.Remove(s.log.Name())
	cmd.Stderr = s.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server %q: %w", name, err)
	}
	// A server that neither gets ready nor ends is told to end.
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.addr = addr
		}
		if pids, ok := strings.CutPrefix(lines.Text(), "master "); ok {
			for word := range strings.FieldsSeq(strings.ReplaceAll(pids, ",", "")) {
				if pid, err := strconv.Atoi(word); err == nil {
					s.pids = append(s.pids, pid)
				}
			}
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("the server %q did not get ready%s", name, s.lastWords())
}

// stop ends the server and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait() // it was told to end: how it did doesn't matter
	late.Stop()
}

// lastWords returns the end of the log, for an error, if there is any.
func (s *server) lastWords() string {
	text, _ := io.ReadAll(io.NewSectionReader(s.log, 0, 1<<20))
	if len(text) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(text[max(0, len(text)-500):]))
}
