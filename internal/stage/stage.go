//go:build unix

// Package stage holds the programs of a show, such as the demo or the page to
// play with: servers with all their processes, and clients. Each gets a process
// group of its own, so that Ctrl-C reaches only the show, and so that at the
// end one look at the groups tells whether anything is left.
package stage

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/rpcworkbook/internal/proc"
)

const (
	endTime    = 8 * time.Second  // for a program that was told to end; a server's grace period is 5 s
	sweepTime  = 2 * time.Second  // for the last of a group to be gone
	changeTime = 10 * time.Second // for processes to start and be replaced
)

// A Stage is everything that runs outside this process. Its methods, and those
// of its programs, are safe for concurrent use.
type Stage struct {
	dir string // for logs; removed when this process ends

	mu       sync.Mutex
	programs []*Program
	groups   []life // of every program ever started
}

// A life is a program's process group, from one start to the end.
type life struct {
	*proc.Group
	what string
}

// New returns an empty stage.
func New() (*Stage, error) {
	dir, err := proc.TempDir()
	return &Stage{dir: dir}, err
}

// Add adds a program that is not started yet. Its name, such as "server A",
// stands in errors and names its log. Command returns a new command to start it
// with, each time.
func (s *Stage) Add(name string, command func() *exec.Cmd) *Program {
	p := &Program{Name: name, stage: s, command: command}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs = append(s.programs, p)
	return p
}

// Clear ends whatever still runs, in good order, and returns what had to be
// killed or can't be: none, if all went well.
func (s *Stage) Clear() (left []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.programs {
		_ = p.Signal(syscall.SIGTERM)
	}
	for _, g := range s.groups {
		_ = g.SignalAll(syscall.SIGCONT) // what is stopped doesn't hear that it is to end
	}

	for _, p := range s.programs {
		if _, err := p.Wait(endTime); err != nil {
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

// A Program is one that may be started again and again, with all the processes
// that it starts.
type Program struct {
	Name string

	stage   *Stage
	command func() *exec.Cmd

	// The group of the latest life; nil before the first.
	group atomic.Pointer[proc.Group]
}

// Log is the path of the file that gets what the program prints, in all its
// lives. It exists after the first start.
func (p *Program) Log() string { return filepath.Join(p.stage.dir, p.Name+".log") }

// Start starts the program and doesn't wait for anything.
func (p *Program) Start() error {
	log, err := os.OpenFile(p.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make a log for %s: %w", p.Name, err)
	}
	defer log.Close()
	return p.start(log)
}

// StartReading is Start for a program whose output is read by the caller while
// it runs, both kinds in one; there is no log then. The output ends with the
// last process that inherited it, and is the caller's to close.
func (p *Program) StartReading() (output *os.File, err error) {
	output, into, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the output of %s: %w", p.Name, err)
	}
	defer into.Close()

	err = p.start(into)
	if err != nil {
		output.Close()
		return nil, err
	}
	return output, nil
}

func (p *Program) start(output *os.File) error {
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = output, output
	started, err := proc.Start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}

	p.group.Store(started)
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.stage.groups = append(p.stage.groups, life{started, p.Name})
	return nil
}

// Group is the process group of the latest life; nil before the first.
func (p *Program) Group() *proc.Group { return p.group.Load() }

// PID is the pid of the process that was started last, a server's master; 0
// before the first start.
func (p *Program) PID() int {
	group := p.group.Load()
	if group == nil {
		return 0
	}
	return group.PID
}

// Running tells whether that process lives.
func (p *Program) Running() bool {
	group := p.group.Load()
	return group != nil && !group.Ended()
}

// Workers returns the pids of the other living processes of its group.
func (p *Program) Workers() ([]int, error) {
	group := p.group.Load()
	if group == nil {
		return nil, nil
	}
	pids, err := group.Living()
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == group.PID }), err
}

// WaitWorkers waits until there are exactly so many workers, none of them gone,
// and returns their pids.
func (p *Program) WaitWorkers(ctx context.Context, many int, gone ...int) (pids []int, err error) {
	err = Await(ctx, changeTime, func() (bool, error) {
		pids, err = p.Workers()
		isGone := func(pid int) bool { return slices.Contains(gone, pid) }
		return len(pids) == many && !slices.ContainsFunc(pids, isGone), err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for %d workers of %s: %w", many, p.Name, err)
	}
	return pids, nil
}

// Signal sends sig to the process that was started last. The error is
// os.ErrProcessDone if there is none.
func (p *Program) Signal(sig syscall.Signal) error {
	group := p.group.Load()
	if group == nil {
		return os.ErrProcessDone
	}
	return group.Signal(sig)
}

// Wait waits for the end of the process that was started last, if there is one,
// and returns how it ended, such as "exit status 0".
func (p *Program) Wait(timeout time.Duration) (string, error) {
	group := p.group.Load()
	if group == nil {
		return "", nil
	}
	select {
	case <-group.Done():
		return group.State().String(), nil
	case <-time.After(timeout):
		return "", fmt.Errorf("%s, process %d, didn't end within %v", p.Name, group.PID, timeout)
	}
}

// Await asks for a condition every 2 ms until it holds, or is an error, or the
// time is over, or ctx ends.
func Await(ctx context.Context, within time.Duration, condition func() (bool, error)) error {
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
