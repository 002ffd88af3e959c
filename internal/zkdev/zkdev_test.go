// Tests of the ZooKeeper that the other tests rely on: it starts, survives what
// they do to it with the effects they count on, and leaves nothing behind, even
// when the program that started it is killed.
package zkdev_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zktest"
)

const soon = 20 * time.Second // for what must happen, on a machine that is busy with other things

// TestMain lets the test binary play a program that starts a ZooKeeper and then
// waits to be killed.
func TestMain(m *testing.M) {
	mode := os.Getenv("ZKDEV_TEST_PARENT")
	if mode == "" {
		os.Exit(m.Run())
	}

	e, err := &zkdev.Ensemble{}, error(nil)
	if mode == "ensemble" {
		e, err = zkdev.StartEnsemble(context.Background())
	} else {
		e.Members = make([]*zkdev.Server, 1)
		e.Members[0], err = zkdev.Start(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}

	for _, s := range e.Members {
		switch mode {
		case "paused":
			s.Pause()
		case "down":
			s.Kill()
		}
		fmt.Printf("%d %s %q\n", s.PID(), s.Addr(), s.Dir())
	}

	bufio.NewReader(os.Stdin).ReadByte()
	os.Exit(0) // without Stop
}

// gone says that no process has the pid, or only its remains, which whoever
// inherited them has not collected yet.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	alive, err := proc.Alive(pid)
	return assert.NoError(t, err) && !alive
}

func TestStartAndStop(t *testing.T) {
	start := time.Now()
	s := zktest.Start(t)
	t.Logf("serving after %v", time.Since(start))
	answer, err := s.FourLetter("srvr")
	require.NoError(t, err)
	assert.Contains(t, answer, "Mode: standalone")
	zktest.Connect(t, s.Addr()).Close()

	start = time.Now()
	require.NoError(t, s.Stop())
	t.Logf("stopped after %v", time.Since(start))
	assert.True(t, gone(t, s.PID()))
	assert.NoDirExists(t, s.Dir())
	_, err = net.Dial("tcp4", s.Addr())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, s.Stop(), "again")
	assert.ErrorContains(t, s.Restart(), "stopped for good")
	s.Kill() // no harm
}

func TestSeveralAtOnce(t *testing.T) {
	one, other := zktest.Start(t), zktest.Start(t)
	assert.NotEqual(t, one.Addr(), other.Addr())
	zktest.Connect(t, one.Addr()).CreateEphemeral(t, "/here")
	assert.False(t, zktest.Connect(t, other.Addr()).Exists(t, "/here"))
}

func TestKillAndRestartKeepSessions(t *testing.T) {
	s := zktest.Start(t)
	addr := s.Addr()
	c := zktest.Connect(t, addr)
	c.CreateEphemeral(t, "/mine")
	id, pid := c.SessionID(), s.PID()
	s.Kill()
	assert.True(t, gone(t, pid))
	_, err := net.Dial("tcp4", addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	select {
	case <-s.Done():
	default:
		t.Error("not done after Kill")
	}
	require.NoError(t, s.Restart())
	assert.Equal(t, addr, s.Addr())
	c.Await(t, zk.StateHasSession, 2)
	assert.Equal(t, id, c.SessionID(), "the session has another id")
	assert.True(t, c.Exists(t, "/mine"))

	require.NoError(t, s.Restart(), "of one that runs")
	c.Await(t, zk.StateHasSession, 3)
	assert.True(t, c.Exists(t, "/mine"))
	assert.Zero(t, c.Count(zk.StateExpired))
}

func TestWipe(t *testing.T) {
	s := zktest.Start(t)
	c := zktest.Connect(t, s.Addr())
	_, err := c.Create("/kept", nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	require.NoError(t, s.Restart())
	assert.True(t, zktest.Connect(t, s.Addr()).Exists(t, "/kept"))
	require.NoError(t, s.Wipe())
	assert.False(t, zktest.Connect(t, s.Addr()).Exists(t, "/kept"))
}

func TestPauseExpiresSessions(t *testing.T) {
	s := zktest.Start(t)
	g := zktest.NewGate(t, s)
	c := zktest.ConnectFor(t, g.Addr(), time.Second)
	c.CreateEphemeral(t, "/mine")

	s.Pause()
	s.Pause() // no harm
	_, err := zkdev.FourLetter(s.Addr(), "srvr", 200*time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a paused ZooKeeper accepts, and says nothing")

	g.Refuse() // a client whose reconnection is waiting when ZooKeeper wakes up sometimes saves its session
	g.Reset()
	time.Sleep(2 * time.Second) // longer than the session timeout: this is the point, not waiting for something
	s.Resume()

	stranger := zktest.Connect(t, s.Addr())
	require.Eventually(t, func() bool { return !stranger.Exists(t, "/mine") }, soon, 10*time.Millisecond)
	require.NoError(t, g.Heal())
	c.Await(t, zk.StateExpired, 1)
	c.Await(t, zk.StateHasSession, 2)
}

func TestStopWhilePaused(t *testing.T) {
	s := zktest.Start(t)
	s.Pause()
	start := time.Now()
	require.NoError(t, s.Stop())
	assert.Less(t, time.Since(start), zkdev.StopLimit, "it was woken and ended by itself")
}

// Whatever ends the program, every JVM, shell and directory go with it.
func TestDiesWithItsParent(t *testing.T) {
	for _, mode := range []string{"killed", "paused", "down", "exits", "ensemble"} {
		t.Run(mode, func(t *testing.T) {
			// Its configuration is in there, and the name may have a space, and
			// letters that the locale lacks.
			temp := filepath.Join(t.TempDir(), "临时 dir")
			require.NoError(t, os.Mkdir(temp, 0o755))
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), "ZKDEV_TEST_PARENT="+mode, "TMPDIR="+temp, "LC_ALL=C")
			stdin, err := parent.StdinPipe()
			require.NoError(t, err)
			stdout, err := parent.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, parent.Start())
			defer parent.Process.Kill()

			var pids [3]int
			var addrs, dirs [3]string
			servers := 1
			if mode == "ensemble" {
				servers = 3
			}

			for i := range servers {
				_, err = fmt.Fscanf(stdout, "%d %s %q\n", &pids[i], &addrs[i], &dirs[i])
				require.NoError(t, err)
				require.Equal(t, mode == "down", gone(t, pids[i]))
				require.DirExists(t, filepath.Join(dirs[i], "data", "version-2"))
				require.True(t, strings.HasPrefix(dirs[i], temp), dirs[i])
			}

			if mode == "exits" {
				stdin.Close()
			} else {
				parent.Process.Kill()
			}
			parent.Wait()
			for i := range servers {
				ended := func() bool { return gone(t, pids[i]) }
				require.Eventually(t, ended, soon, 10*time.Millisecond, "the JVM lives on")
				require.Eventually(t, func() bool {
					_, err := net.DialTimeout("tcp4", addrs[i], time.Second)
					return err != nil
				}, soon, 10*time.Millisecond, "the port is still open")
				require.Eventually(t, func() bool {
					_, err := os.Stat(dirs[i])
					return os.IsNotExist(err)
				}, soon, 10*time.Millisecond, "the directory is still there")
			}
		})
	}
}

// A JVM is alone in its process group, and the group is gone with it.
func TestGroupsEndWithTheirJVM(t *testing.T) {
	s := zktest.Start(t)
	first := s.PID()
	require.Equal(t, []int{first}, group(t, first))
	require.NoError(t, s.Restart())
	require.Empty(t, group(t, first))

	second := s.PID()
	require.Equal(t, []int{second}, group(t, second))
	require.NoError(t, s.Stop())
	require.Empty(t, group(t, second))
}

// group lists the living members of a process group.
func group(t *testing.T, id int) []int {
	t.Helper()
	members, err := proc.Living(id)
	assert.NoError(t, err)
	return members
}

func TestPortInUse(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	_, err = zkdev.StartOn(t.Context(), port)
	require.ErrorIs(t, err, syscall.EADDRINUSE)

	// The check above comes before the JVM; this is what happens when somebody
	// is faster than the JVM.
	_, err = zkdev.StartUnchecked(t.Context(), port)
	require.ErrorIs(t, err, zkdev.ErrExited)
	assert.ErrorContains(t, err, "BindException", "it says why")
	assert.Empty(t, directories(t))
}

func TestStartCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := zkdev.Start(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Empty(t, directories(t))
}

// The binary release is stood in for by the jars that are here, under a
// release's names.
func TestStartsFromARelease(t *testing.T) {
	installed, err := zkdev.Find()
	require.NoError(t, err)
	if !strings.HasSuffix(installed.Dir, "/usr/share/java") {
		return // what was found is a release, and all other tests start it
	}

	home := t.TempDir()
	require.NoError(t, os.Mkdir(home+"/lib", 0o755))
	require.NoError(t, os.Symlink(installed.Dir+"/zookeeper.jar", home+"/lib/zookeeper-3.8.0.jar"))
	require.NoError(t, os.Symlink(installed.Dir+"/zookeeper-jute.jar", home+"/lib/zookeeper-jute-3.8.0.jar"))
	t.Setenv("ZOOKEEPER_HOME", home)

	s := zktest.Start(t)
	answer, err := s.FourLetter("srvr")
	require.NoError(t, err)
	assert.Contains(t, answer, "Mode: standalone")
}

// directories returns those of servers that are there.
func directories(t *testing.T) []string {
	t.Helper()
	temp, err := proc.TempDir()
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(temp, "zookeeper-*"))
	require.NoError(t, err)
	return left
}
