// Tests of the hosts, with real sockets on them. make net runs them: they need
// root.

package netlab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const keeperEnv = "NETLAB_TEST_KEEPER"

func TestMain(m *testing.M) {
	if os.Getenv(keeperEnv) != "" {
		keep()
	}
	os.Exit(m.Run())
}

// need fails a test on a machine that can't run it: it never says that all is
// well when it has not looked.
func need(t *testing.T) {
	t.Helper()
	missing := Missing()
	if missing != "" {
		t.Fatalf("make net can't run here: %s", missing)
	}
}

// newLab makes a lab with hosts, until the end of the test.
func newLab(t *testing.T, names ...string) (*Lab, []*Host) {
	t.Helper()
	need(t)
	lab := New(1)
	t.Cleanup(func() { assert.NoError(t, lab.Close()) })
	var hosts []*Host
	for _, name := range names {
		h, err := lab.Add(name)
		require.NoError(t, err)
		hosts = append(hosts, h)
	}
	return lab, hosts
}

// echo answers on a host with what it is sent, until the end of the test.
func echo(t *testing.T, h *Host) (addr string) {
	t.Helper()
	var listener net.Listener
	var err error
	h.Do(func() { listener, err = net.Listen("tcp4", net.JoinHostPort(h.Addr, "7")) })
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// dial connects from a host.
func dial(t *testing.T, h *Host, addr string, within time.Duration) (conn net.Conn, err error) {
	t.Helper()
	h.Do(func() { conn, err = net.DialTimeout("tcp4", addr, within) })
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// say sends n bytes and waits until they are back.
func say(conn net.Conn, n int, within time.Duration) error {
	text := bytes.Repeat([]byte{'x'}, n)
	_ = conn.SetDeadline(time.Now().Add(within))
	if _, err := conn.Write(text); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, text)
	return err
}

func TestNetHostsReachEachOther(t *testing.T) {
	lab, hosts := newLab(t, "a", "b", "c")
	addr := echo(t, hosts[1])
	for _, from := range hosts {
		conn, err := dial(t, from, addr, soon)
		require.NoError(t, err, "from %s", from.Name)
		require.NoError(t, say(conn, 1_000_000, soon), "from %s", from.Name)
	}
	arrived, lost := lab.Packets()
	assert.Greater(t, arrived, int64(1000))
	assert.Zero(t, lost)
}

// No packet of a lab gets out of it, and none comes in.
func TestNetIsNotTheMachines(t *testing.T) {
	_, hosts := newLab(t, "a")
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprint(addrs), hosts[0].Addr+"/", "the machine's own addresses")

	_, err = dial(t, hosts[0], "203.0.113.1:7", soon) // an address for documentation
	require.ErrorContains(t, err, "network is unreachable")

	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, err = dial(t, hosts[0], listener.Addr().String(), soon)
	require.ErrorContains(t, err, "refused", "the host's 127.0.0.1 is its own")
}

func TestNetImpaired(t *testing.T) {
	lab, hosts := newLab(t, "a", "b")
	addr := echo(t, hosts[1])
	conn, err := dial(t, hosts[0], addr, soon)
	require.NoError(t, err)
	require.NoError(t, say(conn, 1, soon))

	// TCP tries again for itself.
	heal := lab.Impair(Rule{Drop: true}, Link{hosts[1], hosts[0]})
	require.True(t, lab.Rule(hosts[1], hosts[0]).Drop)
	require.Error(t, say(conn, 1, 300*time.Millisecond), "the way back is cut")
	heal()
	_ = conn.SetDeadline(time.Now().Add(soon))
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err, "healed")

	// Small packets pass a black hole, and large ones don't.
	heal = lab.Impair(Rule{MaxSize: 600}, Between(hosts[:1], hosts[1:])...)
	require.NoError(t, say(conn, 100, soon))
	require.Error(t, say(conn, 5000, 300*time.Millisecond))
	heal()

	conn, err = dial(t, hosts[0], addr, soon)
	require.NoError(t, err)
	lab.Impair(Rule{Delay: 50 * time.Millisecond}, Between(hosts[:1], hosts[1:])...)
	began := time.Now()
	require.NoError(t, say(conn, 1, soon))
	assert.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)

	lab.Impair(Rule{Loss: 0.1, Late: 0.1, LateBy: 5 * time.Millisecond}, Between(hosts[:1], hosts[1:])...)
	require.NoError(t, say(conn, 100_000, 3*soon), "lost and late packets, and TCP makes up for them")
}

// A process that is started on a host is there, and is missed at the end.
func TestNetFindsProcessesLeft(t *testing.T) {
	need(t)
	lab := New(1)
	host, err := lab.Add("a")
	require.NoError(t, err)
	cmd := exec.Command("cat", "/proc/self/net/dev", "-")
	hold, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	host.Do(func() { err = cmd.Start() })
	require.NoError(t, err)

	var interfaces []string
	for lines := bufio.NewScanner(output); len(interfaces) < 2 && lines.Scan(); {
		name, _, ok := strings.Cut(lines.Text(), ":")
		if ok {
			interfaces = append(interfaces, strings.TrimSpace(name))
		}
	}
	assert.ElementsMatch(t, []string{"lo", "eth0"}, interfaces)
	assert.ErrorContains(t, lab.Close(), fmt.Sprintf("processes left on the host a: [%d]", cmd.Process.Pid))
	hold.Close()
	assert.NoError(t, cmd.Wait())
}

// keep is a test process that makes a host and is killed.
func keep() {
	host, err := New(1).Add("a")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", host.ns.Fd()))
	fmt.Println(link, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1) // nobody has killed it
}

// Nothing is left of a network whose program was killed, and no run has to tidy
// up after another.
func TestNetEndsWithItsProgram(t *testing.T) {
	need(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), keeperEnv+"=yes")
	hold, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer hold.Close()
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	namespace, _, _ := strings.Cut(line, " ")
	require.Contains(t, namespace, "net:[")
	require.Contains(t, references(t), namespace)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // the signal
	assert.NotContains(t, references(t), namespace)
}

// references are the network namespaces that anything on this machine refers
// to: a process, a descriptor or a mount.
func references(t *testing.T) string {
	script := `readlink /proc/[0-9]*/ns/net /proc/[0-9]*/fd/* 2>/dev/null; grep nsfs /proc/self/mountinfo; true`
	output, err := exec.Command("sh", "-c", script).Output()
	require.NoError(t, err)
	return string(output)
}
