// Programs: starting one in a process group of its own, keeping what it says,
// signalling it, and making sure that nothing of it is left behind.

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/runpicture"
)

// maxGroup is the largest process group that a program may have. A worker that
// doesn't see its marker takes itself for a master and starts workers of its
// own, each of which does the same.
const maxGroup = 64

// A Program is a started program with all the processes it starts. Its verbs
// report failures to the test that started it and must be called on that
// test's goroutine, except where they say otherwise.
type Program struct {
	PID int // of the process that was started, which is also its process group

	t              testing.TB
	cmd            *exec.Cmd
	group          *proc.Group
	exceeded       func() int // how many processes it had when they were too many; 0: they never were
	stdout, stderr output

	seen sighting // for the trace

	dismissed bool // see Dismiss
}

// Start starts the program bin with these arguments, in a new process group.
// Its standard input is empty, its output is kept, see Stdout. env, as
// "NAME=value", is added to the test's own environment. The whole group is
// killed at the end of the test, or of the test process.
func Start(t testing.TB, bin string, env []string, args ...string) *Program {
	t.Helper()
	return startIn(t, &launch{bin: bin, args: args}, env)
}

func startIn(t testing.TB, l *launch, env []string) *Program {
	t.Helper()
	begin(t)
	p, err := start(t, l, "", env)
	if err != nil {
		t.Fatalf("start %s: %v", l.bin, err)
	}

	t.Cleanup(p.cleanup)
	Did(t, "started %s, pid %d", strings.Join(append(slices.Clone(env), l.String()), " "), p.PID)
	p.observe()
	tell(t, func(s *story) {
		s.bombs = append(s.bombs, p.bomb)
		s.programs = append(s.programs, p)
	})
	Scene(t, p.scene)
	return p
}

// Run runs the program bin with these arguments and this standard input until
// it ends, and returns what it printed and its exit code. It fails the test if
// that takes longer than 30 s.
func Run(t testing.TB, bin, stdin string, args ...string) (stdout, stderr string, exitCode int) {
	t.Helper()
	begin(t)
	p, err := start(t, &launch{bin: bin, args: args}, stdin, nil)
	if err != nil {
		t.Fatalf("run %s: %v", bin, err)
	}
	t.Cleanup(p.cleanup)
	Did(t, "ran %s %s", filepath.Base(bin), strings.Join(args, " "))
	p.observe()
	exitCode = p.Wait(30 * time.Second)
	return p.Stdout(), p.Stderr(), exitCode
}

func start(t testing.TB, l *launch, input string, env []string) (*Program, error) {
	p := &Program{t: t}
	p.cmd = exec.Command(l.bin, l.args...)
	if before := l.before(); before != "" {
		// A shell does it: we couldn't undo it, and others are started
		// meanwhile.
		shell := []string{"-c", before + `exec "$@"`, "sh", l.bin}
		p.cmd = exec.Command("/bin/sh", append(shell, l.args...)...)
	}
	p.cmd.Dir = l.cwd
	if id := uint32(targets.user); id != 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	}
	mark := markOf(t)
	p.cmd.Env = append(append(environment(), mark), env...)

	if input != "" {
		stdin, err := openText(input)
		if err != nil {
			return nil, err
		}
		defer stdin.Close()
		p.cmd.Stdin = stdin
	}

	stdout, stderr, err := l.output, l.output, error(nil)
	if l.output == nil {
		stdout, stderr, err = p.openOutput()
		if err != nil {
			return nil, err
		}
		defer stdout.Close()
		defer stderr.Close()
	}
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr

	p.group, err = proc.Start(p.cmd)
	if err != nil {
		return nil, err
	}
	p.PID = p.group.PID
	p.exceeded = p.group.Limit(maxGroup, mark)

	if l.output == nil {
		if recording() {
			p.stderr.tell = p.logged
			p.stdout.tell = p.printed
		}
		go p.stdout.follow()
		go p.stderr.follow()
	}

	go func() {
		<-p.group.Done()
		p.ended()
	}()
	return p, nil
}

// logged notes a line that the program logged.
func (p *Program) logged(line string) {
	Note(p.t, func() runpicture.Event {
		text := fmt.Sprintf("%d stderr: %s", p.PID, clip(line))
		return runpicture.Event{Kind: runpicture.Said, Lane: p.lane(), Text: text}
	})
}

// printed notes a line that the program printed. One that begins with a
// server's address is a client's, and tells what that server has answered.
func (p *Program) printed(line string) {
	addr, _, _ := strings.Cut(line, " ")
	server, known := serverAt(p.t, addr)
	Note(p.t, func() runpicture.Event {
		text := fmt.Sprintf("%d stdout: %s", p.PID, clip(line))
		e := runpicture.Event{Kind: runpicture.Said, Lane: p.lane(), Text: text}
		if known {
			e.Kind, e.Lane, e.To = runpicture.Answer, server, []runpicture.Lane{p.lane()}
		}
		return e
	})
}

// openOutput returns the program's ends of the pipes of its two outputs.
func (p *Program) openOutput() (stdout, stderr *os.File, err error) {
	stdout, err = p.stdout.open()
	if err != nil {
		return nil, nil, err
	}
	stderr, err = p.stderr.open()
	if err != nil {
		stdout.Close()
		return nil, nil, err
	}
	return stdout, stderr, nil
}

// openText returns a file to read the text from.
func openText(text string) (*os.File, error) {
	temp, err := proc.TempDir()
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(temp, "stdin-")
	if err != nil {
		return nil, err
	}
	defer file.Close()

	if _, err := file.WriteString(text); err != nil {
		return nil, err
	}
	return os.Open(file.Name())
}

// environment is the test's own without what would change a program's
// behaviour behind the test's back.
func environment() []string {
	// Built with the race detector, a program sleeps for a second at its end.
	env := []string{"GORACE=atexit_sleep_ms=0"}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name != workerMarker && name != "ZK_HOSTS" && name != "ZK_AUTH" {
			env = append(env, entry)
		}
	}
	return env
}

// didSignal notes that the test sends these processes a signal.
func (p *Program) didSignal(words string, pids ...int) {
	did(p.t, words, runpicture.Event{Kind: runpicture.Signal, To: p.lanes(pids), Text: words})
}

// Signal sends sig to the process that was started, the master if there are
// several.
func (p *Program) Signal(sig syscall.Signal) {
	p.t.Helper()
	p.didSignal(fmt.Sprintf("%s to pid %d", unix.SignalName(sig), p.PID), p.PID)
	if err := p.group.Signal(sig); err != nil {
		fail(p.t, fmt.Sprintf("the program still running, to receive %s", unix.SignalName(sig)), err.Error())
	}
}

// SignalGroup sends sig to all processes of the program at once, as Ctrl-C on
// a terminal does.
func (p *Program) SignalGroup(sig syscall.Signal) {
	p.t.Helper()
	p.didSignal(fmt.Sprintf("%s to process group %d", unix.SignalName(sig), p.PID), p.living()...)
	if err := p.group.SignalAll(sig); err != nil {
		fail(p.t, fmt.Sprintf("the program still running, to receive %s", unix.SignalName(sig)), err.Error())
	}
}

// Kill kills all processes of the program with SIGKILL, as a power cut would,
// and returns when they are gone. A program that is gone already stays so.
func (p *Program) Kill() {
	p.t.Helper()
	p.didSignal(fmt.Sprintf("SIGKILL to process group %d", p.PID), p.living()...)
	if err := p.group.Kill(); err != nil {
		fail(p.t, "no process of the program left", err.Error())
	}
}

// Wait waits until the process that was started ends, and returns its exit
// code; 128 + n if signal n ended it.
func (p *Program) Wait(timeout time.Duration) int {
	p.t.Helper()
	select {
	case <-p.group.Done():
	case <-time.After(time.Until(until(p.t, timeout))):
		fail(p.t, fmt.Sprintf("process %d to end within %v", p.PID, timeout), "still there")
	}
	return p.exitCode()
}

// Ended tells whether the process that was started has ended. It may be
// called on any goroutine.
func (p *Program) Ended() bool { return p.group.Ended() }

// Stdout returns what the program has printed so far. Of more than some
// megabytes it is the beginning and the end. There is nothing if
// Options.Output takes it.
func (p *Program) Stdout() string { return p.stdout.String() }

// Stderr returns what the program has logged so far, with the bounds of Stdout.
func (p *Program) Stderr() string { return p.stderr.String() }

// exitCode waits until the process that was started has ended.
func (p *Program) exitCode() int {
	status := p.group.State().Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// bomb says that the program was killed because it had too many processes; ""
// if it was not.
func (p *Program) bomb() string {
	n := p.exceeded()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("fork bomb: %d processes, more than the %d allowed, so all were killed.\n"+
		"A worker that doesn't notice that it is one starts workers of its own: "+
		"check %s in the environment first of all in main.", n, maxGroup, workerMarker)
}

// cleanup runs at the end of the test: it removes the program and looks for
// crashes that nobody may have noticed, such as that of a worker that was
// replaced.
func (p *Program) cleanup() {
	if p.dismissed {
		return
	}
	if err := p.group.Kill(); err != nil {
		p.t.Errorf("%s: %v", p.cmd.Path, err)
	}
	if bomb := p.bomb(); bomb != "" && !p.t.Failed() {
		p.t.Error(bomb)
	}

	p.stdout.close()
	p.stderr.close()
	if crash := findCrash(p.Stderr()); crash != "" {
		p.t.Errorf("a process of the program crashed: %s", crash)
	}
	_, _, ok := milestone(p.t)
	if p.t.Failed() && (tracing() || !ok) {
		p.t.Logf("the program: %s\nstdout:\n%s\nstderr:\n%s",
			strings.Join(p.cmd.Args, " "), listing(p.Stdout()), listing(p.Stderr()))
	}
}

// findCrash returns the line of a log with which a Go program crashes, or the
// race detector complains; "" if there is none.
func findCrash(log string) string {
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		for _, beginning := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if strings.HasPrefix(line, beginning) {
				return line
			}
		}
	}
	return ""
}
