// Tests of groups: real programs, which end in every way that there is, and
// what is left of them: nothing. This test binary plays the programs, too.

package proc

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// parentMarker makes this test binary play the program that is killed. Its
// value is a shell script that it starts.
const parentMarker = "PROC_TEST_PARENT"

func TestMain(m *testing.M) {
	if script, ok := os.LookupEnv(parentMarker); ok {
		if err := play(script); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	}
	code := m.Run()
	End()
	os.Exit(code)
}

// play starts a group that has ended and one that lives, says so, and waits for
// its own end.
func play(script string) error {
	ended, err := Start(exec.Command("/bin/sh", "-c", "exit 0"))
	if err != nil {
		return err
	}
	if err := ended.WaitGone(patience); err != nil {
		return err
	}

	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Env = append(os.Environ(), NewMark())
	g, output, err := StartReading(cmd)
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Printf("%d %s", g.PID, line)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// shell starts a shell script, and returns what it prints.
func shell(t *testing.T, script string) (*Group, *bufio.Reader) {
	t.Helper()
	g, output, err := StartReading(exec.Command("/bin/sh", "-c", script))
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, g.Kill())
		output.Close()
	})
	return g, bufio.NewReader(output)
}

// pid reads one from a line of its own.
func pid(t *testing.T, from *bufio.Reader) (pid int) {
	t.Helper()
	_, err := fmt.Fscanln(from, &pid)
	require.NoError(t, err)
	return pid
}

func alive(t *testing.T, pid int) bool {
	t.Helper()
	alive, err := Alive(pid)
	require.NoError(t, err)
	return alive
}

func TestEndByItself(t *testing.T) {
	g, output := shell(t, "echo a word; exit 7")
	assert.Equal(t, 7, g.State().ExitCode())
	text, err := io.ReadAll(output)
	require.NoError(t, err)
	assert.Equal(t, "a word\n", string(text))
	assert.True(t, g.Ended())
	assert.ErrorIs(t, g.Signal(syscall.SIGTERM), os.ErrProcessDone)

	require.NoError(t, g.WaitGone(patience))
	assert.ErrorIs(t, g.SignalAll(syscall.SIGTERM), os.ErrProcessDone)
	require.NoError(t, g.Kill(), "again: nothing to do")
}

func TestProgramThatIsNotThere(t *testing.T) {
	_, err := Start(exec.Command("/no/such/program"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = StartReading(exec.Command("/no/such/program"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// A child that ignores signals, and a parent that is gone already.
const stubborn = "trap '' TERM INT HUP; sleep 1000 & echo $!; "

func TestKillReachesAll(t *testing.T) {
	g, output := shell(t, stubborn+"kill -KILL $$")
	child := pid(t, output)
	<-g.Done()
	left, err := g.Living()
	require.NoError(t, err)
	assert.Equal(t, []int{child}, left)
	assert.ErrorContains(t, g.WaitGone(time.Millisecond), fmt.Sprintf("processes [%d] of group %d", child, g.PID))

	require.NoError(t, g.Kill())
	assert.False(t, alive(t, child))
	left, err = g.Living()
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestSignalAll(t *testing.T) {
	g, output := shell(t, "sleep 1000 & echo $!; wait")
	child := pid(t, output)
	require.NoError(t, g.SignalAll(syscall.SIGTERM))
	require.NoError(t, g.WaitGone(patience))
	assert.Equal(t, syscall.SIGTERM, g.State().Sys().(syscall.WaitStatus).Signal())
	assert.False(t, alive(t, child))
}

func TestStop(t *testing.T) {
	g, output := shell(t, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
	_, err := output.ReadString('\n')
	require.NoError(t, err)
	g.Pause()
	require.NoError(t, g.Stop(patience))
	assert.Equal(t, 3, g.State().ExitCode())
	text, _ := io.ReadAll(output)
	assert.Equal(t, "bye\n", string(text))

	g, output = shell(t, stubborn+"wait; while :; do sleep 1; done")
	child := pid(t, output)
	require.NoError(t, g.Stop(time.Millisecond))
	assert.Equal(t, syscall.SIGKILL, g.State().Sys().(syscall.WaitStatus).Signal())
	assert.False(t, alive(t, child))
}

func TestPauseAndResume(t *testing.T) {
	g, _ := shell(t, "sleep 1000; :")
	g.Pause()
	g.Pause() // no harm
	stopped := func() bool {
		all, err := living(func(p Info) bool { return p.PID == g.PID && p.Stopped() })
		require.NoError(t, err)
		return len(all) == 1
	}
	assert.True(t, stopped(), "at once")
	g.Resume()
	require.Eventually(t, func() bool { return !stopped() }, patience, time.Millisecond)

	require.NoError(t, g.Kill())
	g.Pause() // nor after its end
	g.Resume()
}

func TestAnotherGroupWithThatNumberIsSpared(t *testing.T) {
	g, _ := shell(t, "exit 0")
	other, _ := shell(t, "sleep 1000")
	require.NoError(t, g.WaitGone(patience))
	g.PID = other.PID // as if the kernel had given it anew
	require.NoError(t, g.Kill())
	assert.ErrorIs(t, g.SignalAll(syscall.SIGKILL), os.ErrProcessDone)
	g.Limit(0, "")
	limits.Lock()
	assert.NotContains(t, limits.of, other.PID)
	limits.Unlock()
	assert.True(t, alive(t, other.PID))
}

func TestLimit(t *testing.T) {
	small, output := shell(t, "sleep 1000 & echo $!; wait")
	within := small.Limit(2, "")
	pid(t, output)
	// A bounded one: a guard that fails must not cost us the machine.
	bomb, _ := shell(t, `i=0; while [ $i -lt 40 ]; do sleep 20 & i=$((i+1)); done; wait`)
	exceeded := bomb.Limit(20, "")
	assert.Equal(t, syscall.SIGKILL, bomb.State().Sys().(syscall.WaitStatus).Signal())
	require.NoError(t, bomb.WaitGone(patience))
	assert.Greater(t, exceeded(), 20)

	assert.Zero(t, within())
	require.NoError(t, small.Kill())
	limits.Lock()
	defer limits.Unlock()
	assert.Empty(t, limits.of, "groups that are gone are still counted")
}

// Whoever looks on costs time, in which a fork bomb grows: it is killed first.
func TestATooLargeGroupIsKilledBeforeAnybodyIsTold(t *testing.T) {
	g, _ := shell(t, `i=0; while [ $i -lt 40 ]; do sleep 20 & i=$((i+1)); done; wait`)
	exceeded := g.Limit(20, "")
	seen := make(chan int, 1) // what exceeded says when the observer is told of too many
	g.Observe(func(_ time.Time, rows []Info) {
		if len(rows) <= 20 {
			return
		}
		select {
		case seen <- exceeded():
		default:
		}
	})

	require.NoError(t, g.WaitGone(patience))
	select {
	case n := <-seen:
		assert.Greater(t, n, 20)
	case <-time.After(patience):
		assert.Fail(t, "the observer was never told of too many")
	}
}

// daemons starts, with a mark, a process and so many others in sessions of
// their own, and returns when all are there.
func daemons(t *testing.T, n int) (g *Group, mark string) {
	t.Helper()
	mark = NewMark()
	const script = `i=0; while [ $i -lt $0 ]; do setsid sh -c 'echo; exec sleep 1000' & i=$((i+1)); done; wait`
	cmd := exec.Command("/bin/sh", "-c", script, strconv.Itoa(n))
	cmd.Env = append(os.Environ(), mark)
	g, output, err := StartReading(cmd)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, g.Kill())
		assert.NoError(t, KillMarked(mark))
		output.Close()
	})
	_, err = io.ReadFull(output, make([]byte, n))
	require.NoError(t, err)
	return g, mark
}

func TestKillMarked(t *testing.T) {
	needSetsid(t)
	g, mark := daemons(t, 5)
	_, other := daemons(t, 1)
	require.NoError(t, g.Kill())
	left := func(mark string) int {
		all, err := Marked(mark)
		require.NoError(t, err)
		return len(all)
	}
	require.Equal(t, 5, left(mark), "they have left the group")

	require.NoError(t, KillMarked(mark))
	assert.Zero(t, left(mark))
	assert.Equal(t, 2, left(other), "another's")
	require.NoError(t, KillMarked(mark), "again: nothing to do")
}

// needSetsid skips a test where there is no such command, as on macOS, or no
// /proc.
func needSetsid(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("setsid")
	if err != nil || !HasProc() {
		t.Skip("needs setsid and /proc")
	}
}

func TestLimitCountsStrays(t *testing.T) {
	needSetsid(t)
	small, _ := daemons(t, 5)
	bomb, mark := daemons(t, 40)
	exceeded := bomb.Limit(20, mark)
	within := small.Limit(20, NewMark())
	assert.Equal(t, syscall.SIGKILL, bomb.State().Sys().(syscall.WaitStatus).Signal())
	assert.Greater(t, exceeded(), 20)
	require.Eventually(t, func() bool {
		all, err := Marked(mark)
		return err == nil && len(all) == 0
	}, patience, time.Millisecond)
	assert.Zero(t, within(), "most of the machine's processes bear no mark")
}

func TestNothingOutlivesThisProcess(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(parent *Group, stdin io.Closer) error
	}{
		{"killed", func(parent *Group, _ io.Closer) error { return parent.Signal(syscall.SIGKILL) }},
		{"Ctrl-C", func(parent *Group, _ io.Closer) error { return parent.SignalAll(syscall.SIGINT) }},
		{"a stack dump", func(parent *Group, _ io.Closer) error { return parent.SignalAll(syscall.SIGQUIT) }},
		{"its own end", func(_ *Group, stdin io.Closer) error { return stdin.Close() }},
	} {
		t.Run(end.name, func(t *testing.T) {
			temp := filepath.Join(t.TempDir(), "with a space")
			require.NoError(t, os.Mkdir(temp, 0o755))
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), parentMarker+"="+stubborn+"while :; do wait; done", "TMPDIR="+temp)
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			parent, output, err := StartReading(cmd)
			require.NoError(t, err)
			defer output.Close()
			defer parent.Kill()

			var group, child int
			_, err = fmt.Fscanln(output, &group, &child)
			require.NoError(t, err)
			defer syscall.Kill(child, syscall.SIGKILL) // when this test fails
			assert.True(t, alive(t, group) && alive(t, child))
			require.NoError(t, end.do(parent, stdin))

			<-parent.Done()
			ended := func() bool { return !alive(t, group) && !alive(t, child) }
			require.Eventually(t, ended, patience, time.Millisecond, "their end")
			require.Eventually(t, func() bool {
				left, err := os.ReadDir(temp)
				return err == nil && len(left) == 0
			}, patience, time.Millisecond, "the temporary directory")
		})
	}
}

func TestStraysEndWithThisProcess(t *testing.T) {
	needSetsid(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentMarker+"=setsid sh -c 'echo $$; exec sleep 1000' & wait")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	parent, output, err := StartReading(cmd)
	require.NoError(t, err)
	defer output.Close()
	defer parent.Kill()

	var group, stray int
	_, err = fmt.Fscanln(output, &group, &stray)
	require.NoError(t, err)
	defer syscall.Kill(stray, syscall.SIGKILL) // when this test fails
	bystander, _ := daemons(t, 1)
	require.NoError(t, parent.Signal(syscall.SIGKILL))
	require.Eventually(t, func() bool { return !alive(t, stray) }, patience, time.Millisecond)
	assert.False(t, bystander.Ended())
}

// The watchdog has no use for a number that may be another group's by now.
func TestWatchdogForgetsWhoIsGone(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	script := strings.Replace(watchdogScript, "kill -s KILL", "echo", 1)
	script = strings.Replace(script, "rm -rf", "true", 1)
	cmd := exec.Command("/bin/sh", "-c", script, "watchdog", list)
	cmd.Stdin = strings.NewReader("+ 12\n+ 123\n+ 23\n+ 3\n- 123\n- 3\n")
	output, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "-- -12\n-- -23\n", string(output))
}

// A class may be graded under nohup, or in the background of a script, and the
// programs obey their signals all the same.
func TestStartHeedsSignalsThatItsOwnProcessIgnores(t *testing.T) {
	const ignoring = `trap '' HUP INT; exec "$0"`
	for _, sig := range []string{"HUP", "INT"} {
		cmd := exec.Command("/bin/sh", "-c", ignoring, os.Args[0])
		cmd.Env = append(os.Environ(), parentMarker+"=kill -"+sig+" $$; echo it lives on")
		g, output, err := StartReading(cmd)
		require.NoError(t, err)

		said, err := io.ReadAll(output)
		require.NoError(t, err)
		require.NoError(t, output.Close())
		require.NoError(t, g.WaitGone(patience))
		assert.Equal(t, "EOF\n", string(said), "the program died before it said a word")
	}
}
