// Tests of what is in a znode, and of the znodes command: what is registered,
// as it comes and goes.

package main

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

func TestParseEndpoint(t *testing.T) {
	for data, want := range map[string]string{
		`{"host":"127.0.0.1","port":8080}`:             "127.0.0.1:8080",
		`{"port": 1, "host": "server.example"}`:        "server.example:1",
		`{"host":"::1","port":65535}`:                  "[::1]:65535",
		`{"host":"h","port":80,"weight":3}`:            "h:80", // more than we know of does no harm
		``:                                             "",
		`8080`:                                         "",
		`null`:                                         "",
		`{}`:                                           "",
		`{"host":"","port":80}`:                        "",
		`{"host":"h"}`:                                 "",
		`{"host":"h","port":0}`:                        "",
		`{"host":"h","port":65536}`:                    "",
		`{"host":"h","port":-1}`:                       "",
		`{"host":"h","port":"80"}`:                     "",
		`{"host":"h","port":80.5}`:                     "",
		`{"host":"[::1]","port":80}`:                   "", // not to be dialed: the brackets belong to the address
		`{"host":"h]","port":80}`:                      "",
		`{"host":"h\n0 failed","port":80}`:             "", // nor to be shown: no host has a new line in its name,
		`{"host":"h\u001b[2J","port":80}`:              "", // nor anything else that moves a cursor
		`{"host":"h\u009b2J","port":80}`:               "",
		`{"host":"h\u202eh","port":80}`:                "",
		`{"host":"a b","port":80}`:                     "",
		`{"host":"h","port":80}{"host":"h","port":80}`: "",
	} {
		addr, err := ParseEndpoint([]byte(data))
		assert.Equal(t, want, addr, data)
		assert.Equal(t, want == "", err != nil, "%s: %v", data, err)
		assert.Truef(t, err == nil || !strings.ContainsFunc(err.Error(), unicode.IsControl), "%q", err)
	}
}

func TestZnodes(t *testing.T) {
	zookeeper := zktest.Start(t)
	registry := zktest.NewRegistry(t, zookeeper, "/znodes")
	o := harness.Options{ZK: zookeeper.Addr(), Root: registry.Root, Session: time.Second}
	p := harness.Start(t, harness.Build(t, "."), nil, "znodes", "-zk", o.ZK, "-root", o.Root, "-session", "1s")
	// waitFor waits until what was printed last matches.
	waitFor := func(what, expression string) {
		t.Helper()
		harness.Eventually(t, 2*soon, what, func() (bool, string) {
			blocks := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  `).Split(p.Stdout(), -1)
			return regexp.MustCompile(expression).MatchString(blocks[len(blocks)-1]), p.Stdout()
		})
	}
	line := func(node zktest.Node) string {
		return regexp.QuoteMeta(fmt.Sprintf("  %s  %s  session %#x\n", node.Name, node.Addr(), node.Session))
	}

	waitFor("no list without the root", `^no list: no server has ever registered`)
	s := theServer.Serve(t, o)
	node := registry.WaitOne(soon, s.Addr)
	waitFor("the server", `^1 registered under /znodes\n`+line(node)+`$`)
	bad := registry.Plant("aaa", `{"host":"h\n1 registered\u001b[2J"}`, true) // it doesn't tell a terminal what to do
	waitFor("a second node whose data are no endpoint, first in order",
		fmt.Sprintf(`^2 registered under /znodes\n  aaa  not an endpoint: host "h\\n1 registered\\x1b.*  session %#x\n`,
			bad.Session)+line(node)+`$`)

	s.Kill()
	waitFor("the server gone after its session", `^1 registered under /znodes\n  aaa`)

	p.Signal(syscall.SIGINT)
	code := p.Wait(soon)
	harness.Check(t, code == 0, "exit code 0", "%d", code)
	harness.Check(t, strings.Count(p.Stdout(), s.Addr) <= 3, "a list only when it has changed", "%s", p.Stdout())
}
