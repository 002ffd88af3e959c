// The harness's own tests: that its verbs fail when they should, with a report
// that helps, and that nothing it starts stays behind.

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/proc"
)

// childMarker makes this test binary play the test process that is killed.
const childMarker = "HARNESS_TEST_CHILD"

func TestMain(m *testing.M) {
	os.Exit(Main(m))
}

// A recorder stands in for a test that is expected to fail.
type recorder struct {
	testing.TB
	failed   bool
	log      strings.Builder
	cleanups []func()
}

func (r *recorder) Helper()                      {}
func (r *recorder) Failed() bool                 { return r.failed }
func (r *recorder) Cleanup(f func())             { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(f string, args ...any)   { fmt.Fprintf(&r.log, f+"\n", args...) }
func (r *recorder) Error(args ...any)            { r.failed = true; fmt.Fprintln(&r.log, args...) }
func (r *recorder) Errorf(f string, args ...any) { r.failed = true; r.Logf(f, args...) }
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)            { r.Error(args...); runtime.Goexit() }

// record runs a test and its cleanups, and returns whether it failed and what
// it logged.
func record(t *testing.T, test func(t testing.TB)) (failed bool, log string) {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(r.cleanups) - 1; i >= 0; i-- {
				r.cleanups[i]()
			}
		}()
		test(r)
	}()
	<-done
	return r.failed, r.log.String()
}

// mustFail returns the log of a test that has to fail.
func mustFail(t *testing.T, test func(t testing.TB)) string {
	t.Helper()
	failed, log := record(t, test)
	require.True(t, failed, "the test passed")
	return log
}

// fake starts the small server with these flags.
func fake(t testing.TB, flags ...string) *Server {
	t.Helper()
	return StartServer(t, Build(t, "testdata/server"), func(host, port string) []string {
		return append(flags, host, port)
	}, Options{})
}

// shell starts a shell script.
func shell(t testing.TB, script string) *Program {
	t.Helper()
	return Start(t, "/bin/sh", nil, "-c", script)
}

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }

// waitGone waits for a process that some other process has to reap.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	Eventually(t, 10*time.Second, fmt.Sprintf("process %d gone", pid), func() (bool, string) {
		alive, err := proc.Alive(pid)
		require.NoError(t, err)
		return !alive, "alive"
	})
}

func TestArgs(t *testing.T) {
	o := Options{Grace: time.Second, Flags: []string{"-v"}}
	assert.Equal(t, []string{"-workers", "2", "-grace", "1s", "-v"}, o.Args("workers", "grace"))
	assert.Equal(t, []string{"-zk", "127.0.0.1:1", "-v"}, o.Args("zk", "root", "session"))
	assert.Equal(t, []string{"-v"}, o.Args())
}

func TestEventuallyReports(t *testing.T) {
	calls := 0
	log := mustFail(t, func(t testing.TB) {
		Did(t, "sent 3 bytes")
		Eventually(t, 300*time.Millisecond, "three answers", func() (bool, string) {
			calls++
			return false, "two answers\nand a half"
		})
		t.Error("the test went on")
	})
	assert.Greater(t, calls, 2)
	assert.Regexp(t, `  did       \d+\.\d\ds  sent 3 bytes
  expected  three answers, within 300ms
  got       \d+\.\d\ds  two answers
            and a half`, log)
	assert.NotContains(t, log, "went on")
}

func TestCheck(t *testing.T) {
	failed, _ := record(t, func(t testing.TB) { Check(t, true, "nothing", "nothing") })
	assert.False(t, failed)
	log := mustFail(t, func(t testing.TB) { Check(t, false, "16 workers", "%d", 9) })
	assert.Regexp(t, `  expected  16 workers\n  got       0\.\d\ds  9`, log)
}

func TestExitCodeAndOutput(t *testing.T) {
	p := shell(t, "echo out; echo err >&2; exit 5")
	assert.Equal(t, 5, p.Wait(5*time.Second))
	assert.Equal(t, "out\n", p.Stdout())
	assert.Equal(t, "err\n", p.Stderr())

	p = shell(t, "kill -TERM $$")
	assert.Equal(t, 128+15, p.Wait(5*time.Second))

	stdout, _, code := Run(t, "/bin/cat", "what cat got")
	assert.Equal(t, "what cat got", stdout)
	assert.Zero(t, code)
}

func TestEnvironment(t *testing.T) {
	t.Setenv("ZK_HOSTS", "somewhere:2181")
	t.Setenv("ZK_AUTH", "some:body")
	p := Start(t, "/bin/sh", []string{"MORE=yes"}, "-c", `echo "$ZK_HOSTS$ZK_AUTH,$RPC_WORKER,$MORE"`)
	p.Wait(5 * time.Second)
	assert.Equal(t, ",,yes\n", p.Stdout())
}

func TestEverythingDiesWithTheTest(t *testing.T) {
	var p *Program
	var child int
	log := mustFail(t, func(t testing.TB) {
		// A child that ignores signals and a parent that is gone already.
		p = shell(t, `trap '' TERM INT HUP; sleep 1000 & echo $!; kill -KILL $$`)
		p.Wait(5 * time.Second)
		var err error
		child, err = strconv.Atoi(strings.TrimSpace(p.Stdout()))
		require.NoError(t, err)
		require.True(t, running(child))
		require.False(t, p.Gone(child))
		Check(t, false, "another end", "this one")
	})
	tree := fmt.Sprintf(`%d gone ─── %d worker \(1, (running|sleeping|waiting), child of `, p.PID, child)
	assert.Regexp(t, tree, log, "the tree")
	waitGone(t, child)
}

func TestForkBomb(t *testing.T) {
	var p *Program
	log := mustFail(t, func(t testing.TB) {
		// A bounded one: a guard that fails must not cost us the machine.
		p = shell(t, `i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; wait`)
		assert.Equal(t, 128+9, p.Wait(15*time.Second))
	})
	assert.Contains(t, log, "fork bomb")
	assert.Contains(t, log, "check RPC_WORKER")
}

func TestCrashOfAChildIsNoticed(t *testing.T) {
	log := mustFail(t, func(t testing.TB) {
		s := fake(t, "-crash")
		s.Call(t, "ping", 1)
	})
	assert.Contains(t, log, "panic: a worker's last words")
}

func TestProgramThatDoesNotStart(t *testing.T) {
	log := mustFail(t, func(t testing.TB) { fake(t, "-quit") })
	assert.Contains(t, log, "exit code 7 before it accepted a connection")
	assert.Contains(t, log, "having said\n              I don't feel like it")

	log = mustFail(t, func(t testing.TB) { Build(t, "testdata") })
	assert.Contains(t, log, "no Go files")
}

func TestWorkersZombiesAndGone(t *testing.T) {
	s := fake(t, "-children", "3")
	workers := s.WaitWorkers(t, 10*time.Second, 3)
	assert.Empty(t, s.Zombies())
	assert.Equal(t, append([]int{s.PID}, workers...), s.Processes(t))

	s.SignalEach(syscall.SIGKILL, workers[0])
	Eventually(t, 5*time.Second, "a zombie", func() (bool, string) {
		return len(s.Zombies()) == 1, s.Tree()
	})
	assert.Equal(t, workers[:1], s.Zombies())
	assert.Equal(t, workers[1:], s.Workers(t))
	assert.False(t, s.Gone(workers[0]), "a zombie of ours is not gone")
	assert.Contains(t, s.Tree(), fmt.Sprintf(" %d Z <defunct>", workers[0]))
	log := mustFail(t, func(t testing.TB) { s.WaitWorkers(t, 50*time.Millisecond, 3, workers[0]) })
	assert.Contains(t, log, "expected  3 new workers in the place of")

	s.Freeze(workers[1])
	assert.Contains(t, s.Tree(), fmt.Sprintf("├─ %d worker (1, stopped)", workers[1]))

	// The kernel hangs up a group that has stopped members and lost its parent.
	s.SignalEach(syscall.SIGCONT, workers[1])
	s.Signal(syscall.SIGKILL)
	s.Wait(5 * time.Second)
	assert.True(t, s.Gone(workers[0]), "its parent is gone: whoever adopts it fetches its status")
	assert.False(t, s.Gone(workers[1]))
	s.Kill()
	assert.True(t, s.Gone(workers...))
	s.Kill() // again: nothing to do
}

func TestSignalToAProgramThatIsGone(t *testing.T) {
	log := mustFail(t, func(t testing.TB) {
		p := shell(t, "exit 0")
		p.Wait(5 * time.Second)
		p.Signal(syscall.SIGTERM)
	})
	assert.Contains(t, log, "expected  the program still running, to receive SIGTERM")
}

func TestWaitForAProgramThatStays(t *testing.T) {
	log := mustFail(t, func(t testing.TB) {
		s := fake(t, "-ignore")
		s.Signal(syscall.SIGTERM)
		s.Wait(50 * time.Millisecond)
	})
	assert.Regexp(t, `did       .*SIGTERM to pid \d+\n  expected  process \d+ to end within 50ms`, log)
}

func TestWantIdle(t *testing.T) {
	s := fake(t)
	s.WantIdle(t)
	log := mustFail(t, func(t testing.TB) { fake(t, "-spin").WantIdle(t) })
	assert.Contains(t, log, "expected  at most 100ms of CPU time wanted in some 500ms")
}

func TestRestart(t *testing.T) {
	s := fake(t)
	s.Kill()
	s.WaitRefused(t, time.Second)
	s.WaitPortFree(t, time.Second)
	again := s.Restart(t)
	assert.Equal(t, s.Addr, again.Addr)
	assert.Equal(t, "pong 1", again.Call(t, "ping", 1).String())
	log := mustFail(t, func(t testing.TB) { again.WaitPortFree(t, 20*time.Millisecond) })
	assert.Contains(t, log, "address already in use")
}

// TestChild is the test process for the tests below it, which kill it.
func TestChild(t *testing.T) {
	dir := os.Getenv(childMarker)
	if dir == "" {
		t.Skip("a helper of other tests")
	}
	p := shell(t, `trap '' TERM INT HUP; sleep 1000 & echo $!; while :; do wait; done`)
	ended := shell(t, `exit 0`)
	ended.Kill()
	Eventually(t, 5*time.Second, "the child's pid", func() (bool, string) { return p.Stdout() != "", "" })
	facts := fmt.Sprintf("%d %s", p.PID, p.Stdout())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte(facts), 0o600))
	require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "facts")))
	select {}
}

func TestNothingOutlivesTheTestProcess(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGQUIT} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
		cmd.Env = append(os.Environ(), childMarker+"="+dir, "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		require.NoError(t, cmd.Start())

		var master, child int
		t.Cleanup(func() { // when this test fails
			_ = cmd.Process.Kill()
			if master > 0 {
				_ = syscall.Kill(-master, syscall.SIGKILL)
			}
		})

		Eventually(t, 20*time.Second, "a test process with a program running", func() (bool, string) {
			facts, err := os.ReadFile(filepath.Join(dir, "facts"))
			if err != nil {
				return false, err.Error()
			}
			_, err = fmt.Sscan(string(facts), &master, &child)
			require.NoError(t, err)
			return true, ""
		})

		assert.True(t, running(master) && running(child))
		require.NoError(t, syscall.Kill(-cmd.Process.Pid, sig))
		_ = cmd.Wait()
		waitGone(t, master)
		waitGone(t, child)

		Eventually(t, 5*time.Second, "no temporary directory", func() (bool, string) {
			left, err := filepath.Glob(filepath.Join(dir, "rpcworkbook-*"))
			require.NoError(t, err)
			return len(left) == 0, fmt.Sprint(left)
		})
	}
}

func TestTestBinaryAsAWorker(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestArgs$")
	cmd.Env = append(os.Environ(), workerMarker+"=1")
	output, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, 3, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(output), "this is a test binary, started as a worker (RPC_WORKER=1)")
}
