// Tests of the port reservation: no port twice, in one process or in several,
// none that is in use, and no lock that outlives its holder.
package freeport

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary play another process that reserves a port and
// then waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("FREEPORT_TEST_HOLD") != "" {
		port, _, err := Reserve()
		fmt.Println(port, err)
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestReserveGivesNoPortTwice(t *testing.T) {
	var mutex sync.Mutex
	var group sync.WaitGroup
	seen := map[int]bool{}
	for range 50 {
		group.Go(func() {
			port, release, err := Reserve()
			if !assert.NoError(t, err) {
				return
			}
			t.Cleanup(release)
			mutex.Lock()
			defer mutex.Unlock()
			assert.False(t, seen[port], "port %d was given twice", port)
			assert.GreaterOrEqual(t, port, first)
			assert.LessOrEqual(t, port, last)
			seen[port] = true
		})
	}
	group.Wait()
}

func TestReservedPortCanBeListenedOn(t *testing.T) {
	port, release, err := Reserve()
	require.NoError(t, err)
	defer release()
	for range 2 { // and again after a restart
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		assert.Error(t, bindable(port), "a port that is listened on must not be handed out")
		require.NoError(t, listener.Close())
	}
}

func TestReleaseGivesThePortUp(t *testing.T) {
	port, release, err := Reserve()
	require.NoError(t, err)
	_, err = lock(port)
	require.Error(t, err, "held")
	release()
	release()
	release, err = lock(port)
	require.NoError(t, err, "given up")
	release()
}

func TestLockEndsWithItsProcess(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "FREEPORT_TEST_HOLD=1")
	stdin, err := other.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	var port int
	_, err = fmt.Fscanln(stdout, &port, new(string))
	require.NoError(t, err)

	_, err = lock(port)
	assert.Error(t, err, "another process holds it")
	require.NoError(t, other.Process.Kill())
	other.Wait()
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	assert.Empty(t, left, "it was killed, and could remove nothing")
	release, err := lock(port)
	require.NoError(t, err, "its holder is dead")
	release()
}

// A child holds all that we have open from its birth until its exec: also the
// socket with which a port was tried, and with it the port.
func TestReservedPortIsFreeWhileProgramsAreStarted(t *testing.T) {
	var stop atomic.Bool
	var starters sync.WaitGroup
	for range 4 {
		starters.Go(func() {
			for !stop.Load() {
				_ = exec.Command("/bin/true").Run()
			}
		})
	}
	defer starters.Wait()
	defer stop.Store(true)

	for range 2000 {
		port, release, err := Reserve()
		require.NoError(t, err)
		listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			listener.Close()
		}
		release()
		require.NoError(t, err)
	}
}
