// The table of signals in README.md, asked of the running programs: what each
// does to a master and to a worker, and what a disposition that the server was
// started with changes.

package rpc

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// blockVar has the test binary block the signal of that name, and become the
// program that its arguments name.
const blockVar = "SIGNALS_TEST_BLOCK"

func init() {
	name := os.Getenv(blockVar)
	if name == "" {
		return
	}

	runtime.LockOSThread() // a mask is a thread's, and execve keeps that of its caller
	sig := unix.SignalNum(name)
	set := unix.Sigset_t{}
	set.Val[0] = 1 << (sig - 1)

	err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
	if err == nil {
		os.Unsetenv(blockVar)
		err = syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}

	fmt.Fprintln(os.Stderr, "block a signal and execute a program:", err)
	os.Exit(4)
}

// signalTable returns the effects that README.md tells of, by signal, on a
// master and on a worker.
func signalTable(t *testing.T) (effects map[string][2]string) {
	t.Helper()
	effects = map[string][2]string{}
	for _, row := range tableRows(section(t, "### Signals")) {
		for _, name := range regexp.MustCompile("`(SIG[A-Z0-9]+)`").FindAllStringSubmatch(row[0], -1) {
			require.NotContains(t, effects, name[1])
			master, _, _ := strings.Cut(row[1], ";")
			worker, _, _ := strings.Cut(row[2], ";")
			effects[name[1]] = [2]string{master, worker}
		}
	}
	return effects
}

func TestSignals(t *testing.T) {
	table := signalTable(t)
	for number := syscall.Signal(1); number < 32; number++ {
		name := unix.SignalName(number)
		require.Contains(t, table, name, "every signal is in the table")
		if number == syscall.SIGKILL || number == syscall.SIGSTOP {
			continue // nobody can choose
		}

		for i, who := range []string{"master", "worker"} {
			effect := table[name][i]
			t.Run(name+" to a "+who, func(t *testing.T) {
				t.Parallel()
				s := theServer.Serve(t, harness.Options{Workers: 2})
				workers := s.WaitServing(t, 2)
				target := []int{s.PID, workers[0]}[i]
				s.SignalEach(number, target)
				checkEffect(t, s, effect, target, workers)
			})
		}
		delete(table, name)
	}

	delete(table, "SIGSTOP")
	delete(table, "SIGKILL")
	assert.Empty(t, table, "signals that there aren't")
}

// checkEffect checks what a signal did to a process of that server.
func checkEffect(t *testing.T, s *harness.Server, effect string, target int, workers []int) {
	t.Helper()
	unharmed := func() {
		t.Helper()
		for range 10 { // for both workers to have a turn
			require.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
		}
		require.False(t, s.Ended())
		require.ElementsMatch(t, workers, s.Workers(t))
	}

	switch effect {
	case "graceful stop":
		assert.Zero(t, s.Wait(soon))
	case "end":
		assert.NotZero(t, s.Wait(soon))
		harness.Eventually(t, soon, "no worker left", func() (bool, string) { return s.Gone(workers...), s.Tree() })
	case "drained and replaced", "end, and replaced":
		s.WaitWorkers(t, soon, 2, target)
		unharmedButFor := slices.DeleteFunc(slices.Clone(workers), func(pid int) bool { return pid == target })
		assert.Subset(t, s.Workers(t), unharmedButFor)
	case "nothing":
		unharmed()
	case "halt":
		harness.Eventually(t, soon, "a process that is stopped", func() (bool, string) {
			status := procStatus(t, target, "State")
			return strings.HasPrefix(status, "T"), status
		})
		s.SignalEach(syscall.SIGCONT, target)
		unharmed()
	default:
		t.Errorf("no such effect in this test: %q", effect)
	}
}

// procStatus returns a field of /proc/PID/status.
func procStatus(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "\n"+field+":")
	require.True(t, ok, field)
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// What a shell, nohup or another supervisor may have set before.
func TestSignalsAtTheStart(t *testing.T) {
	for _, c := range []struct {
		sig    syscall.Signal
		before string
		stops  bool
	}{
		{syscall.SIGTERM, "blocked", true},
		{syscall.SIGTERM, "ignored", true}, // Go doesn't tell, and a server must end somehow
		{syscall.SIGINT, "blocked", true},
		{syscall.SIGINT, "ignored", false},
		{syscall.SIGHUP, "blocked", true},
		{syscall.SIGHUP, "ignored", false},
		{syscall.SIGCHLD, "blocked", false},
		{syscall.SIGCHLD, "ignored", false},
		{syscall.SIGPIPE, "blocked", false},
		{syscall.SIGPIPE, "ignored", false},
	} {
		t.Run(unix.SignalName(c.sig)+" "+c.before, func(t *testing.T) {
			s := startWithSignal(t, c.sig, c.before == "blocked")
			workers := s.WaitServing(t, 2)
			s.SignalEach(syscall.SIGKILL, workers[0])
			s.WaitWorkers(t, soon, 2, workers[0])
			harness.Eventually(t, soon, "no zombie", func() (bool, string) { return len(s.Zombies()) == 0, s.Tree() })
			workers = s.WaitServing(t, 2)

			s.SignalGroup(c.sig)
			if c.stops {
				assert.Zero(t, s.Wait(soon))
				return
			}

			checkEffect(t, s, "nothing", s.PID, workers)
			s.Signal(syscall.SIGTERM)
			assert.Zero(t, s.Wait(soon))
		})
	}
}

// startWithSignal starts the server with a signal blocked or ignored.
func startWithSignal(t *testing.T, sig syscall.Signal, blocked bool) *harness.Server {
	t.Helper()
	server := harness.Build(t, "./cmd/server")
	o := harness.Options{Workers: 2}
	bin, before := server, []string(nil)
	if blocked {
		self, err := os.Executable()
		require.NoError(t, err)
		bin, before, o.Env = self, []string{server}, []string{blockVar + "=" + unix.SignalName(sig)}
	} else {
		o.Ignored = strings.TrimPrefix(unix.SignalName(sig), "SIG")
	}

	s := harness.StartServer(t, bin, func(host, port string) []string {
		return append(before, append(o.Args("workers", "zk"), host, port)...)
	}, o)

	// Go takes over the others, or those that the program asks for.
	field := map[bool]string{true: "SigBlk", false: "SigIgn"}[blocked]
	if sig == syscall.SIGPIPE || !blocked && (sig == syscall.SIGHUP || sig == syscall.SIGINT) {
		assert.True(t, hasSignal(procStatus(t, s.PID, field), sig), "%s of the master", field)
	}
	return s
}

// hasSignal reports whether a mask of /proc has the signal in it.
func hasSignal(mask string, sig syscall.Signal) bool {
	var bits uint64
	_, _ = fmt.Sscanf(mask, "%x", &bits)
	return bits&(1<<(sig-1)) != 0
}
