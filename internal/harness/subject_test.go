// Tests of reports as milestones have them, and of other programs under test.

package harness

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// as lets a recorder pass for a milestone.
type as struct {
	testing.TB
	name string
}

func (a as) Name() string { return a.name }

// aim sets the flags for one test.
func aim(t *testing.T, program string) {
	t.Helper()
	before := targets
	t.Cleanup(func() { targets = before })
	targets.program, targets.server, targets.client, targets.again = program, "", "", ""
	targets.in, targets.user = "", 0
	targets.pictures, targets.allPictures = "", false
	starts.proven, starts.failed, starts.lost, starts.bomb = nil, nil, nil, ""
	starts.slow, starts.slowness = 0, ""
}

func TestReportOfAMilestone(t *testing.T) {
	aim(t, "")
	report := func() string {
		return mustFail(t, func(t testing.TB) {
			t = as{t, "TestSpec4/4.2_sixteen_workers_are_replaced"}
			Usually(t, "one wait4 per SIGCHLD")
			Scene(t, func() string { return "" })
			Scene(t, func() string { return "5119 master" })
			Did(t, "SIGKILL to pids 5120–5135")
			Check(t, false, "16 workers", "%d", 9)
		})
	}
	assert.Regexp(t, `^\n✗ 4\.2 sixteen workers are replaced
  did       0\.\d\ds  SIGKILL to pids 5120–5135
  expected  16 workers
  got       0\.\d\ds  9
            5119 master
  usually   one wait4 per SIGCHLD
  again     go test \./internal/harness -run 'Spec4/4\.2_'\n`, report())
	targets.again = "make try STEP=4 ONLY="
	assert.Contains(t, report(), "  again     make try STEP=4 ONLY=4.2\n")
	targets.again, targets.program = "", "python3 server.py {host} {port}"
	assert.Contains(t, report(), "-run 'Spec4/4.2_' -program 'python3 server.py {host} {port}'\n")
}

func TestPidList(t *testing.T) {
	for want, pids := range map[string][]int{
		"": nil, "7": {7}, "7 8": {7, 8}, "7–9": {7, 8, 9}, "1 3–5 7 8 10": {1, 3, 4, 5, 7, 8, 10},
	} {
		assert.Equal(t, want, pidList(pids))
	}
}

func TestTraceShowsWhatAProgramLogs(t *testing.T) {
	t.Setenv("CI", "true")
	log := mustFail(t, func(t testing.TB) {
		p := shell(t, "echo one >&2; echo two >&2; exit 3")
		Check(t, p.Wait(5*time.Second) == 0, "exit code 0", "3")
	})
	assert.Regexp(t, `(?s)all that happened.* started echo one .* \d+ stderr: one\n.* \d+ stderr: two\n`, log)
	assert.Contains(t, log, "ended with exit code 3")
}

// the little server, as a step would name it.
var little = ServerProgram{Dir: "testdata/server", Flags: []string{"children"}}

func TestAnotherProgram(t *testing.T) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "testdata", "server")
	for _, program := range []string{"testdata/server", "internal/harness/testdata/server", dir} {
		found, err := findProgram(program)
		require.NoError(t, err)
		assert.Equal(t, dir, found)
	}
	_, err := findProgram("no/such")
	require.ErrorContains(t, err,
		"there is no directory or program no/such in "+filepath.Dir(file)+" or in the module's root")

	bin := Build(t, "testdata/server")
	// Its path may have a space, where the temporary directory's has.
	spaced := filepath.Join(t.TempDir(), "a server")
	require.NoError(t, os.Symlink(bin, spaced))
	aim(t, "'"+spaced+"' {host} {port}")
	s := little.Serve(t, Options{})
	assert.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
	s.Kill()
	again := s.Restart(t)
	assert.Equal(t, "pong 2", again.Call(t, "ping", 2).String())
	assert.Equal(t, []int{again.PID}, again.Owners(t, again.Dial(t)), "the shell has become the program")
}

func TestAProgramThatHasBeenBuilt(t *testing.T) {
	bin := Build(t, "testdata/server")
	found, err := findProgram(bin)
	require.NoError(t, err)
	aim(t, found)
	assert.Equal(t, "pong 1", little.Serve(t, Options{}).Call(t, "ping", 1).String())
}

func TestWhereACommandRunsAndAsWhom(t *testing.T) {
	aim(t, "pwd -P # {host} {port}")
	targets.in = t.TempDir()
	p := ServerProgram{}.Start(t, Options{}, "127.0.0.1", "0")
	p.Wait(10 * time.Second)
	where, err := filepath.EvalSymlinks(targets.in)
	require.NoError(t, err)
	Eventually(t, 10*time.Second, "the directory", func() (bool, string) {
		return p.Stdout() == where+"\n", p.Stdout()
	})

	if os.Getuid() != 0 {
		return
	}
	aim(t, "echo $(id -u) $(id -g) $(id -G) # {host} {port}")
	targets.in, targets.user = "/", 60123
	p = ServerProgram{}.Start(t, Options{}, "127.0.0.1", "0")
	Eventually(t, 10*time.Second, "the user and the groups", func() (bool, string) {
		return p.Stdout() == "60123 60123 60123\n", p.Stdout()
	})
}

func TestCommandsThatCanNotBe(t *testing.T) {
	for command, want := range map[string]string{
		"server {port}": "-program: the command must contain {host}: server {port}",
		"server {host} {port} {color}": "unknown placeholder {color}; " +
			"known are {advertise} {grace} {host} {port} {root} {session} {workers} {zk}",
		"server {host} {port} {worker}": "the command must contain {workers}",
	} {
		aim(t, command)
		log := mustFail(t, func(t testing.TB) { ServerProgram{Flags: []string{"workers"}}.Serve(t, Options{}) })
		if command == "server {host} {port} {color}" {
			log = mustFail(t, func(t testing.TB) { ServerProgram{}.Serve(t, Options{}) })
		}
		assert.Contains(t, log, want)
	}

	filled, err := fill("s {workers} {session} {host}",
		map[string]string{"workers": "3", "session": "1.5", "host": "h"}, nil)
	require.NoError(t, err)
	assert.Equal(t, "s 3 1.5 h", filled)
}

func TestAProgramThatDoesNotStartIsReportedOnce(t *testing.T) {
	for _, program := range []string{"echo sorry >&2; exit 7 # {host} {port}", "testdata"} {
		aim(t, program)
		log := mustFail(t, func(t testing.TB) { little.Serve(as{t, "TestSpec1/1.1_a"}, Options{}) })
		assert.Contains(t, log, "✗ 1.1 a\n")
		skipped := t.Run("again", func(t *testing.T) {
			defer func() { assert.True(t, t.Skipped()) }()
			little.Serve(t, Options{})
		})
		assert.True(t, skipped)
	}
	aim(t, "'"+Build(t, "testdata/server")+"' {host} {port}")
	little.Serve(t, Options{}) // other flags may do
}

// Whatever wants it, in whichever way: one that doesn't compile is one report.
func TestAProgramThatIsNotThereIsReportedOnce(t *testing.T) {
	aim(t, "testdata") // no Go file in there
	start := func(t testing.TB) { little.Start(t, Options{Grace: time.Second}, "127.0.0.1", "0") }
	log := mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.1_a"}
		Usually(t, "the master does not wait for its children")
		start(t)
	})
	assert.Contains(t, log, "no Go files")
	assert.NotContains(t, log, "usually")

	for _, start := range []func(t testing.TB){start, func(t testing.TB) { little.Serve(t, Options{}) }} {
		t.Run("again", func(t *testing.T) {
			defer func() { assert.True(t, t.Skipped()) }()
			start(t)
		})
	}
}

// What a milestone's mistake usually is has nothing to do with a server that
// doesn't start.
func TestStartIsNoMatterOfTheMilestone(t *testing.T) {
	aim(t, "sh -c 'echo sorry; exit 7' # {host} {port}")
	log := mustFail(t, func(t testing.TB) {
		Usually(t, "the length is big-endian")
		little.Serve(t, Options{})
	})
	assert.Contains(t, log, "ended with exit code 7 before it accepted a connection")
	assert.Contains(t, log, ", having said\n              sorry\n", "on standard output")
	assert.NotContains(t, log, "usually")

	aim(t, "'"+Build(t, "testdata/server")+"' {host} {port}")
	log = mustFail(t, func(t testing.TB) {
		Usually(t, "the port is taken")
		s := little.Serve(t, Options{})
		s.Kill()
		s.launch.args = []string{"-c", "exit 7"}
		s.Restart(t)
	})
	assert.Contains(t, log, "usually   the port is taken", "it has started before")
}

func TestServerOnAnotherPort(t *testing.T) {
	aim(t, "sh -c 'echo starting >&2; echo listening on {host}:1{port}; exec sleep 100'")
	before := startTimeout
	defer func() { startTimeout = before }()
	startTimeout = 500 * time.Millisecond
	log := mustFail(t, func(t testing.TB) { little.Serve(t, Options{}) })
	assert.Regexp(t, `connection refused, while the program says
 +listening on 127.0.0.1:1\d+
 +starting
`, log)
}

func TestOptionsThatACommandLeavesNoPlaceFor(t *testing.T) {
	p := ServerProgram{Flags: []string{"grace"}}
	aim(t, "")
	assert.Equal(t, time.Second, p.Settle("grace", time.Second))
	assert.Equal(t, DefaultSession, p.Settle("session", time.Second))
	aim(t, "server {host} {port} {session}")
	assert.Equal(t, DefaultGrace, p.Settle("grace", time.Second))
	assert.Equal(t, time.Second, p.Settle("session", time.Second))
	t.Run("needs", func(t *testing.T) {
		p.Needs(t, "session")
		defer func() { assert.True(t, t.Skipped()) }()
		p.Needs(t, "grace")
	})
}

func TestAForkBombIsReportedAtOnceAndNotStartedAgain(t *testing.T) {
	aim(t, `i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; wait # {host} {port}`)
	targets.program = "sh -c '" + targets.program + "'"
	log := mustFail(t, func(t testing.TB) { little.Serve(as{t, "TestSpec3/3.1_a"}, Options{}) })
	assert.Contains(t, log, "s  fork bomb: ")
	t.Run("again", func(t *testing.T) {
		defer func() { assert.True(t, t.Skipped()) }()
		little.Serve(t, Options{})
	})
	aim(t, "")
}
