// Tests of the znodes command: what is registered, as it comes and goes.

package main

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
)

func TestZnodes(t *testing.T) {
	zookeeper := zkdev.StartT(t)
	registry := zkdev.RegistryT(t, zookeeper, "/znodes")
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
	line := func(node zkdev.Node) string {
		return regexp.QuoteMeta(fmt.Sprintf("  %s  %s  session %#x\n", node.Name, node.Addr(), node.Session))
	}

	waitFor("no list without the root", `^no list: no server has ever registered`)
	s := theServer.Serve(t, o)
	node := registry.WaitOne(soon, s.Addr)
	waitFor("the server", `^1 registered under /znodes\n`+line(node)+`$`)
	bad := registry.Plant("aaa", `{"host":"h\n1 registered\u001b[2J"}`, true) // it doesn't tell a terminal what to do
	waitFor("a second node whose data are no endpoint, first in order",
		fmt.Sprintf(`^2 registered under /znodes\n  aaa  not an endpoint: host "h\\n1 registered\\x1b.*  session %#x\n`, bad.Session)+line(node)+`$`)

	s.Kill()
	waitFor("the server gone after its session", `^1 registered under /znodes\n  aaa`)

	p.Signal(syscall.SIGINT)
	code := p.Wait(soon)
	harness.Check(t, code == 0, "exit code 0", "%d", code)
	harness.Check(t, strings.Count(p.Stdout(), s.Addr) <= 3, "a list only when it has changed", "%s", p.Stdout())
}
