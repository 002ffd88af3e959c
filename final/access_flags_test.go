// Tests of -zk-auth and $ZK_AUTH: which of them counts, what is wrong usage,
// what a client says that isn't let in, and that the password is never shown.

//go:build unix

package rpc

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestParseCredentials(t *testing.T) {
	for text, want := range map[string]string{
		"alice:secret":   "alice",
		"alice:a:b:c":    "alice",
		"alice: ":        "alice",
		"ä b:ß":          "ä b",
		"":               "no colon",
		"secret":         "no colon",
		":secret":        "the user is empty",
		"alice:":         "the password is empty",
		":":              "the user is empty",
		"\x00secret\xff": "no colon",
	} {
		c, err := ParseCredentials(text)
		if err != nil {
			assert.Nil(t, c)
			assert.ErrorContains(t, err, want, text)
			assert.NotContains(t, err.Error(), "secret")
			continue
		}
		assert.Equal(t, want, c.User)
		assert.Equal(t, text, string(c.auth))
	}
}

// runs runs a command to its end, with $ZK_AUTH if it isn't "".
func runs(t *testing.T, command, env string, args ...string) (output string, code int) {
	t.Helper()
	p := harness.Start(t, harness.Build(t, "./cmd/"+command), []string{"ZK_AUTH=" + env}, args...)
	code = p.Wait(soon)
	return p.Stdout() + p.Stderr(), code
}

func TestAuthFlagThatIsWrong(t *testing.T) {
	server, client := []string{"-zk", "127.0.0.1:1", "127.0.0.1", "0"}, []string{"-zk", "127.0.0.1:1"}
	for _, c := range []struct{ flag, env, want string }{
		{"open-sesame", "", "-zk-auth: credentials must be user:password, and it has no colon"},
		// As with a variable that isn't set.
		{"", "", "-zk-auth: credentials must be user:password, and it has no colon"},
		{":open-sesame", "", "-zk-auth: credentials must be user:password, and the user is empty"},
		{"alice:", "", "-zk-auth: credentials must be user:password, and the password is empty"},
		{":open-sesame", ours, "-zk-auth: "},
		{"-", "open-sesame", "$ZK_AUTH: credentials must be user:password, and it has no colon"},
		{"-", ":open-sesame", "$ZK_AUTH: credentials must be user:password, and the user is empty"},
	} {
		for command, args := range map[string][]string{"server": server, "client": client} {
			if c.flag != "-" {
				args = append([]string{"-zk-auth", c.flag}, args...)
			}

			output, code := runs(t, command, c.env, args...)
			assert.Equal(t, 2, code, "%s %q: %s", command, args, output)
			assert.Contains(t, output, c.want)
			assert.NotContains(t, output, "sesame")
		}
	}
}

// What is wrong with the way to ZooKeeper is said at once, not looked for for
// ever.
func TestWrongZKFlags(t *testing.T) {
	for _, c := range []struct{ flag, value, want string }{
		{"-zk", "zk1", `-zk: address "zk1" must be host:port`},
		{"-zk", "zk1:99999", "1 to 65535"},
		{"-zk", "zk1:2181/app", "-root"},
		{"-zk", "zk1:2181,", `address ""`},
		{"-root", "app", `-root: "app" is not an absolute path`},
		{"-session", "999ms", "-session must be at least 1s"},
	} {
		for command, args := range map[string][]string{"server": {"127.0.0.1", "0"}, "client": nil} {
			output, code := runs(t, command, "", append([]string{c.flag, c.value}, args...)...)
			assert.Equal(t, 2, code, "%s %s %q", command, c.flag, c.value)
			assert.Contains(t, output, c.want)
			assert.NotContains(t, output, "listening")
		}
	}
}

// Nor do the mistakes show it that the flag's own check doesn't see.
func TestPasswordIsNotInUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-zk-auth", ours, "127.0.0.1"},
		{"127.0.0.1", "0", "-zk-auth", ours},
		{"127.0.0.1", "0", "-zk-auth=" + ours},
		{"127.0.0.1", "-zk-auth=" + ours, "0"},
		{"-zk-oath=" + ours, "127.0.0.1", "0"},
		{"-zk-auth"},
	} {
		output, code := runs(t, "server", "alice:open sesame", args...)
		assert.Equal(t, 2, code, output)
		assert.NotContains(t, output, "sesame", "%q", args)
	}
	for _, command := range []string{"server", "client"} {
		output, code := runs(t, command, ours, "-h")
		assert.Zero(t, code)
		assert.Contains(t, output, "$ZK_AUTH")
		assert.NotContains(t, output, "sesame")
	}
}

// What others on the machine see of a server that has its credentials from the
// environment. Only its own user, and root, can read the master's environment;
// the workers, who speak to strangers, have no password at all.
func TestPasswordIsNotInTheProcessList(t *testing.T) {
	harness.NeedProc(t)
	a := newAccess(t, zktest.Start(t))
	s := a.server(ours, harness.Options{Workers: 2})
	a.wantClosed(a.registered(s))
	first := s.WaitServing(t, 2)
	s.SignalEach(syscall.SIGKILL, first[0]) // its successor is started later
	s.WaitWorkers(t, soon, 2, first[0])
	workers := s.WaitServing(t, 2) // before its exec a new process is a copy of the master

	read := func(pid int, file string) string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		require.NoError(t, err)
		require.NotEmpty(t, text)
		return string(text)
	}

	for _, pid := range append(workers, s.PID) {
		assert.NotContains(t, read(pid, "cmdline"), "sesame", "%d", pid)
	}
	for _, pid := range workers {
		assert.NotContains(t, read(pid, "environ"), "sesame", "%d", pid)
	}

	s.Signal(syscall.SIGTERM)
	assert.Zero(t, s.Wait(soon))
	assert.NotContains(t, s.Stderr()+s.Stdout(), "sesame")
}

func TestAuthFlagWinsOverTheEnvironment(t *testing.T) {
	a := newAccess(t, zktest.Start(t))
	s := a.server("mallory", harness.Options{Flags: []string{"-zk-auth", ours}}) // the variable would be wrong usage
	a.wantClosed(a.registered(s))
	assert.NotContains(t, s.Stderr()+s.Stdout(), "sesame")
}

// A list that not everyone may read, made by somebody who knows how: a client
// needs the credentials, and says so.
func TestClientThatMayNotReadTheList(t *testing.T) {
	zookeeper := zktest.Start(t)
	a := newAccess(t, zookeeper)
	_, err := a.root.Create(a.Root, nil, 0, zk.AuthACL(zk.PermAll))
	require.NoError(t, err)

	s := a.server(ours, harness.Options{})
	harness.Eventually(t, soon, "a registration", func() (bool, string) {
		names, _, err := a.root.Children(a.Root)
		return len(names) == 1, fmt.Sprint(names, err)
	})

	args := []string{"-zk", zookeeper.Addr(), "-root", a.Root, "-n", "3", "-interval", "0s"}
	for _, c := range []struct{ flag, env, want string }{
		{"", "", "the ACL asks for credentials, see -zk-auth"},
		{theirs, "", "the ACL asks for other credentials than those of -zk-auth"},
		{"", "alice:wrong", "the ACL asks for other credentials than those of $ZK_AUTH"},
	} {
		args := args
		if c.flag != "" {
			args = append([]string{"-zk-auth", c.flag}, args...)
		}
		output, code := runs(t, "client", c.env, args...)
		assert.Equal(t, 1, code)
		assert.Contains(t, output, "can't read the list of servers under "+a.Root)
		assert.Contains(t, output, c.want)
		assert.NotContains(t, output, "sesame")
	}

	for _, env := range []string{"", ours} {
		args := args
		if env == "" {
			args = append([]string{"-zk-auth", ours}, args...)
		}
		output, code := runs(t, "client", env, args...)
		assert.Zero(t, code, output)
		assert.Equal(t, 6, strings.Count(output, s.Addr+" p"), output)
		assert.NotContains(t, output, "sesame")
	}
}

// A client whose servers are all hidden from it doesn't say that there is none
// and leave it at that.
func TestClientThatMayNotReadTheServers(t *testing.T) {
	zookeeper := zktest.Start(t)
	a := newAccess(t, zookeeper)
	_, err := a.root.Create(a.Root, nil, 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	_, err = a.root.Create(a.Root+"/rpc0", []byte(`{"host":"127.0.0.1","port":1}`), 0, zk.AuthACL(zk.PermAll))
	require.NoError(t, err)
	output, code := runs(t, "client", "", "-zk", zookeeper.Addr(), "-root", a.Root)
	assert.Equal(t, 1, code)
	assert.Contains(t, output, "no live server")
	assert.Contains(t, output, "the ACL asks for credentials")
}
