// Tests of the ZooKeeper that the other tests rely on: it starts, survives what
// they do to it with the effects they count on, and leaves nothing behind, even
// when the program that started it is killed.
package zkdev

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

const soon = 20 * time.Second // for what must happen, on a machine that is busy with other things

// TestMain lets the test binary play a program that starts a ZooKeeper and then
// waits to be killed.
func TestMain(m *testing.M) {
	mode := os.Getenv("ZKDEV_TEST_PARENT")
	if mode == "" {
		os.Exit(m.Run())
	}

	e, err := &Ensemble{}, error(nil)
	if mode == "ensemble" {
		e, err = StartEnsemble(context.Background())
	} else {
		e.Members = make([]*Server, 1)
		e.Members[0], err = Start(context.Background())
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
		fmt.Printf("%d %s %q\n", s.PID(), s.Addr(), s.dir)
	}

	bufio.NewReader(os.Stdin).ReadByte()
	os.Exit(0) // without Stop
}

// client is a session of the library that the project uses, with its events
// gathered.
type client struct {
	*zk.Conn
	mutex  sync.Mutex
	states []zk.State
}

// connect opens a session that stands all that these tests do, even slowly, and
// returns when it is there.
func connect(t *testing.T, addr string) *client {
	t.Helper()
	return connectFor(t, addr, 10*time.Second)
}

func connectFor(t *testing.T, addr string, timeout time.Duration) *client {
	t.Helper()
	c := &client{}
	// The library sleeps for a second whenever it has tried all its servers
	// once. So it gets more than it will try.
	servers := slices.Repeat([]string{addr}, 100)
	conn, _, err := zk.Connect(servers, timeout, zk.WithLogInfo(false), zk.WithLogger(silent{}),
		zk.WithEventCallback(func(event zk.Event) {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			if event.Type == zk.EventSession {
				c.states = append(c.states, event.State)
			}
		}))

	require.NoError(t, err)
	c.Conn = conn
	t.Cleanup(conn.Close)
	c.await(t, zk.StateHasSession, 1)
	return c
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func (c *client) count(state zk.State) (n int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, s := range c.states {
		if s == state {
			n++
		}
	}
	return n
}

// await waits until the client has been in the state n times.
func (c *client) await(t *testing.T, state zk.State, n int) {
	t.Helper()
	enough := func() bool { return c.count(state) >= n }
	require.Eventually(t, enough, soon, time.Millisecond, "%v for the time number %d", state, n)
}

func (c *client) exists(t *testing.T, path string) bool {
	t.Helper()
	var there bool
	require.Eventually(t, func() bool {
		var err error
		there, _, err = c.Exists(path)
		return err == nil
	}, soon, 10*time.Millisecond)
	return there
}

func ephemeral(t *testing.T, c *client, path string) {
	t.Helper()
	_, err := c.Create(path, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
}

// gone says that no process has the pid, or only its remains, which whoever
// inherited them has not collected yet.
func gone(t *testing.T, pid int) bool {
	t.Helper()
	alive, err := harness.Alive(pid)
	return assert.NoError(t, err) && !alive
}

func TestStartAndStop(t *testing.T) {
	start := time.Now()
	s := StartT(t)
	t.Logf("serving after %v", time.Since(start))
	answer, err := s.FourLetter("srvr")
	require.NoError(t, err)
	assert.Contains(t, answer, "Mode: standalone")
	connect(t, s.Addr()).Close()

	start = time.Now()
	require.NoError(t, s.Stop())
	t.Logf("stopped after %v", time.Since(start))
	assert.True(t, gone(t, s.PID()))
	assert.NoDirExists(t, s.dir)
	_, err = net.Dial("tcp4", s.Addr())
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, s.Stop(), "again")
	assert.ErrorContains(t, s.Restart(), "stopped for good")
	s.Kill() // no harm
}

// Its configuration is in the temporary directory, whose name may have a space,
// and letters that the locale lacks.
func TestStartsWhereverTheTemporaryDirectoryIs(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "临时 dir")
	require.NoError(t, os.Mkdir(temp, 0o755))
	t.Setenv("TMPDIR", temp)
	t.Setenv("LC_ALL", "C")
	s := StartT(t)
	ephemeral(t, connect(t, s.Addr()), "/here")
	assert.DirExists(t, filepath.Join(s.dir, "data", "version-2"))
	require.NoError(t, s.Stop())
	left, err := os.ReadDir(filepath.Dir(temp))
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestSeveralAtOnce(t *testing.T) {
	one, other := StartT(t), StartT(t)
	assert.NotEqual(t, one.Addr(), other.Addr())
	ephemeral(t, connect(t, one.Addr()), "/here")
	assert.False(t, connect(t, other.Addr()).exists(t, "/here"))
}

func TestKillAndRestartKeepSessions(t *testing.T) {
	s := StartT(t)
	addr := s.Addr()
	c := connect(t, addr)
	ephemeral(t, c, "/mine")
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
	c.await(t, zk.StateHasSession, 2)
	assert.Equal(t, id, c.SessionID(), "the session has another id")
	assert.True(t, c.exists(t, "/mine"))

	require.NoError(t, s.Restart(), "of one that runs")
	c.await(t, zk.StateHasSession, 3)
	assert.True(t, c.exists(t, "/mine"))
	assert.Zero(t, c.count(zk.StateExpired))
}

func TestWipe(t *testing.T) {
	s := StartT(t)
	c := connect(t, s.Addr())
	_, err := c.Create("/kept", nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	require.NoError(t, s.Restart())
	assert.True(t, connect(t, s.Addr()).exists(t, "/kept"))
	require.NoError(t, s.Wipe())
	assert.False(t, connect(t, s.Addr()).exists(t, "/kept"))
}

func TestPauseExpiresSessions(t *testing.T) {
	s := StartT(t)
	g := GateT(t, s)
	c := connectFor(t, g.Addr(), time.Second)
	ephemeral(t, c, "/mine")

	s.Pause()
	s.Pause() // no harm
	_, err := fourLetter(s.Addr(), "srvr", probeTimeout)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a paused ZooKeeper accepts, and says nothing")

	g.Refuse() // a client whose reconnection is waiting when ZooKeeper wakes up sometimes saves its session
	g.Reset()
	time.Sleep(2 * time.Second) // longer than the session timeout: this is the point, not waiting for something
	s.Resume()

	stranger := connect(t, s.Addr())
	require.Eventually(t, func() bool { return !stranger.exists(t, "/mine") }, soon, 10*time.Millisecond)
	require.NoError(t, g.Heal())
	c.await(t, zk.StateExpired, 1)
	c.await(t, zk.StateHasSession, 2)
}

func TestStopWhilePaused(t *testing.T) {
	s := StartT(t)
	s.Pause()
	start := time.Now()
	require.NoError(t, s.Stop())
	assert.Less(t, time.Since(start), stopLimit, "it was woken and ended by itself")
}

// Whatever ends the program, every JVM, shell and directory go with it.
func TestDiesWithItsParent(t *testing.T) {
	for _, mode := range []string{"killed", "paused", "down", "exits", "ensemble"} {
		t.Run(mode, func(t *testing.T) {
			temp := filepath.Join(t.TempDir(), "with a space")
			require.NoError(t, os.Mkdir(temp, 0o755))
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), "ZKDEV_TEST_PARENT="+mode, "TMPDIR="+temp)
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
				require.DirExists(t, dirs[i])
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

// After a restart nothing may wait for the death of the first JVM's pid, which
// by then can be another process.
func TestGuardEndsWithItsJVM(t *testing.T) {
	s := StartT(t)
	first := s.PID()
	require.Len(t, group(t, first), 2, "the JVM leads a process group of itself and its guard")
	require.NoError(t, s.Restart())
	require.Eventually(t, func() bool { return len(group(t, first)) == 0 }, soon, 10*time.Millisecond)
	second := s.PID()
	require.Len(t, group(t, second), 2)
	require.NoError(t, s.Stop())
	require.Eventually(t, func() bool { return len(group(t, second)) == 0 }, soon, 10*time.Millisecond)
}

// group lists the living members of a process group.
func group(t *testing.T, id int) []int {
	t.Helper()
	members, err := harness.Living(id)
	assert.NoError(t, err)
	return members
}

func TestPortInUse(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	_, err = StartOn(t.Context(), port)
	require.ErrorIs(t, err, syscall.EADDRINUSE)

	// The check above comes before the JVM; this is what happens when somebody
	// is faster than the JVM.
	t.Setenv("TMPDIR", t.TempDir())
	_, err = start(t.Context(), here, port, 0, "", func() {})
	require.ErrorIs(t, err, errExited)
	assert.ErrorContains(t, err, "BindException", "it says why")
	left, err := filepath.Glob(os.Getenv("TMPDIR") + "/*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestStartCanBeCancelled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Start(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	left, err := filepath.Glob(os.Getenv("TMPDIR") + "/*")
	require.NoError(t, err)
	assert.Empty(t, left)
}
