// Specification 5, a server that can be found: while a worker serves, and only
// then, there is one ephemeral sequential znode that says where, whatever
// happens to the server or to ZooKeeper. The milestones come in the order in
// which a reader builds them.

package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zktest"
)

func TestSpec5(t *testing.T) {
	const soon = 10 * time.Second // for what happens at once, on a busy machine
	session := theServer.Settle("session", time.Second)
	expired := session + 4*time.Second // by then ZooKeeper has ended a session that it has not heard of
	zookeeper := zktest.Start(t)
	var roots atomic.Int64

	// begin returns a root of the milestone's own, which doesn't exist yet, and
	// the options of a server that registers there.
	begin := func(t *testing.T) (*zktest.Registry, harness.Options) {
		t.Helper()
		registry := zktest.NewRegistry(t, zookeeper, fmt.Sprintf("/spec5-%d", roots.Add(1)))
		return registry, harness.Options{ZK: zookeeper.Addr(), Root: registry.Root, Session: session}
	}

	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	// run starts a server on that host, and a port that the kernel chooses.
	run := func(t *testing.T, o harness.Options, host string) *harness.Program {
		t.Helper()
		return theServer.Start(t, o, host, "0")
	}

	// port returns the port that the server says it listens on.
	port := func(t *testing.T, p *harness.Program) (port string) {
		t.Helper()
		harness.Given(t, func() {
			harness.Eventually(t, soon, `"listening on HOST:PORT" on stdout`, func() (bool, string) {
				m := regexp.MustCompile(`(?m)^listening on \S+:(\d+)$`).FindStringSubmatch(p.Stdout())
				if m != nil {
					port = m[1]
				}
				return m != nil, fmt.Sprintf("%q", p.Stdout())
			})
		})
		return port
	}

	// registered starts a server and returns it, and its node, when it is
	// registered.
	registered := func(t *testing.T, registry *zktest.Registry, o harness.Options) (*harness.Server, zktest.Node) {
		t.Helper()
		s := theServer.Serve(t, o)
		var node zktest.Node
		harness.Given(t, func() { node = registry.WaitOne(soon, s.Addr) })
		return s, node
	}

	// stop ends the server with SIGTERM and expects a clean end. when says what
	// it was like then for ZooKeeper, if that matters.
	stop := func(t *testing.T, p *harness.Program, within time.Duration, when ...string) {
		t.Helper()
		p.Signal(syscall.SIGTERM)
		for _, what := range when {
			harness.Did(t, "SIGTERM to pid %d %s", p.PID, what)
		}
		code := p.Wait(within)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		left := len(p.Processes(t))
		harness.Check(t, left == 0, "no process left", "%d", left)
	}

	// answers checks that the server at addr answers a new client.
	answers := func(t *testing.T, addr string) {
		t.Helper()
		c := harness.Dial(t, addr)
		defer c.Close()
		c.SendRequest("ping", addr)
		c.WantPong(strconv.Quote(addr))
	}

	t.Run("5.1 no node before a worker answers", func(t *testing.T) {
		harness.Usually(t, "registered when the port was open, not when a worker said that it accepts "+
			`→ step5 README, "Only while a worker serves"`)
		registry, o := begin(t)
		o.Workers = 1

		// hold lets the program run for one short moment after the other, until
		// there is a worker, which is stopped before it could get far. On a
		// busy machine the last moment may have become a long one.
		hold := func() (p *harness.Program, short bool) {
			registry.WaitNone(expired) // of the last attempt
			p = run(t, o, "127.0.0.1")

			for deadline := time.Now().Add(2 * soon); time.Now().Before(deadline); {
				begin := time.Now()
				p.SignalGroup(syscall.SIGCONT)
				for time.Since(begin) < 200*time.Microsecond { // no sleep is that short
				}
				p.SignalGroup(syscall.SIGSTOP)

				took := time.Since(begin)
				if len(p.Workers(t)) > 0 {
					p.Freeze(p.Processes(t)...)
					return p, took < 2*time.Millisecond
				}
			}
			harness.Check(t, false, "a worker, stopped at its start", "none")
			return nil, false
		}

		// A worker may have been ready before it was seen and stopped, most
		// likely after a long moment. A server that registers too early does it
		// every time.
		const enough, attempts = 3, time.Minute
		early := 0 // nodes after a short moment
		for begin := time.Now(); ; {
			p, short := hold()
			p.Signal(syscall.SIGCONT)

			// 200 lists take longer than that where all is slow, and a node
			// comes later there.
			var nodes []zktest.Node
			until := time.Now().Add(500 * time.Millisecond)
			for lists := 0; len(nodes) == 0 && (lists < 200 || time.Now().Before(until)); lists++ {
				var err error
				nodes, err = registry.Nodes()
				must(t, err)
			}

			if len(nodes) == 0 {
				p.SignalGroup(syscall.SIGCONT)
				addr := "127.0.0.1:" + port(t, p)
				registry.WaitOne(soon, addr)
				answers(t, addr)
				return
			}

			if short {
				early++
			}
			harness.Check(t, early < enough && time.Since(begin) < attempts,
				"no node while the only worker stands still", "%v", nodes)
			p.Kill()
		}
	})

	t.Run("5.2 the node is ephemeral, numbered by ZooKeeper, and says host and port", func(t *testing.T) {
		harness.Usually(t, "the flags of the create: ephemeral and sequential; "+
			"the data are JSON with a number for the port")
		registry, o := begin(t)
		s := theServer.Serve(t, o)
		node := registry.WaitOne(soon, s.Addr)
		harness.Check(t, node.Name == "rpc0000000000", "the first node named rpc0000000000", "%s", node.Name)
		harness.Check(t, node.Session != 0, "an ephemeral node", "%v", node)

		_, port, _ := net.SplitHostPort(s.Addr)
		number, _ := strconv.ParseFloat(port, 64)
		want, got := map[string]any{"host": "127.0.0.1", "port": number}, map[string]any{}
		err := json.Unmarshal([]byte(node.Data), &got)
		harness.Check(t, err == nil && maps.Equal(got, want),
			fmt.Sprintf(`the data {"host":"127.0.0.1","port":%s}`, port), "%s", node.Data)
	})

	t.Run("5.3 what is missing of the path to the root is created", func(t *testing.T) {
		harness.Usually(t, `create makes one level only, and "it exists" is no error`)
		registry, o := begin(t)
		outside := registry.Root
		for _, root := range []string{outside + "/some/where", outside + "/some/where/else/again"} {
			registry.Root, o.Root = root, root
			s := theServer.Serve(t, o)
			registry.Wait(soon, "a node of "+s.Addr, func(nodes []zktest.Node) bool {
				return len(nodes) > 0 && nodes[0].Addr() == s.Addr
			})
		}
	})

	t.Run("5.4 port 0 registers the port that the kernel chose", func(t *testing.T) {
		harness.Usually(t, "the port of the command line was registered, not that of the socket")
		registry, o := begin(t)
		addr := "127.0.0.1:" + port(t, run(t, o, "127.0.0.1"))
		registry.WaitOne(soon, addr)
		answers(t, addr)
	})

	t.Run("5.5 -advertise names another host to call", func(t *testing.T) {
		harness.Usually(t, "the host that the server listens on was registered")
		theServer.Needs(t, "advertise")
		registry, o := begin(t)
		o.Advertise = "server.example"
		p := run(t, o, "0.0.0.0")
		registry.WaitOne(soon, "server.example:"+port(t, p))
		answers(t, "127.0.0.1:"+port(t, p))
	})

	t.Run("5.6 an address that nobody can call is refused unless another one is advertised", func(t *testing.T) {
		harness.Usually(t, "0.0.0.0 and :: mean every address of this machine, and to a client its own")
		theServer.Needs(t, "advertise")
		registry, o := begin(t)
		for _, host := range []string{"0.0.0.0", "::"} {
			p := run(t, o, host)
			code := p.Wait(soon)
			harness.Check(t, code == 2, "exit code 2 for "+host, "%d", code)
			harness.Check(t, strings.Contains(p.Stderr(), "advertise"),
				"a word about advertising another address", "%s", p.Stderr())
		}
		registry.Want()
	})

	t.Run("5.7 one node, however many workers come and go", func(t *testing.T) {
		harness.Usually(t, "each worker registers: only the master may")
		registry, o := begin(t)
		o.Workers = 4
		s, node := registered(t, registry, o)
		workers := s.WaitServing(t, 4)
		s.SignalEach(syscall.SIGKILL, workers[:2]...)
		s.WaitWorkers(t, soon, 4, workers[:2]...)
		s.WaitServing(t, 4)
		registry.Want(node)

		harness.Usually(t, "the node was withdrawn as soon as no worker was left: one that is replaced at once "+
			"is no reason to send all clients away, so wait for a second "+
			`→ step5 README, "Only while a worker serves"`)
		const soonest = 500 * time.Millisecond
		killed := time.Now()
		s.SignalEach(syscall.SIGKILL, s.Workers(t)...)
		for nodes := registry.Now(); time.Since(killed) < soonest; nodes = registry.Now() {
			harness.Check(t, slices.Contains(nodes, node),
				fmt.Sprintf("the node of %s, for %v and longer after the last worker's death", s.Addr, soonest),
				"%v", nodes)
		}
		registry.WaitOne(soon, s.Addr)
		answers(t, s.Addr)
	})

	t.Run("5.8 SIGTERM: first the node goes, so that clients can notice, "+
		"and only then is anybody refused", func(t *testing.T) {
		harness.Usually(t, "the port was closed first: end the registration, give clients a moment, and then stop "+
			`→ step5 README, "Only while a worker serves"`)
		registry, o := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		o.ZK = gate.Addr()
		s, _ := registered(t, registry, o)

		gate.Partition(netproxy.ToClient) // the server doesn't hear yet that its node is gone
		harness.Did(t, "held back what ZooKeeper says to the server, so that the server doesn't hear yet "+
			"that its node is gone")
		s.Signal(syscall.SIGTERM)
		registry.WaitNone(session / 2) // and not only when the session times out
		answers(t, s.Addr)

		begin := time.Now()
		must(t, gate.Heal())
		code := s.Wait(soon)
		took := time.Since(begin)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		harness.Check(t, took > 50*time.Millisecond,
			"the server to stay for a moment after its node is gone", "it ended in %v", took)
		registry.Want()
	})

	t.Run("5.9 a stop as soon as the port is open leaves no node", func(t *testing.T) {
		harness.Usually(t, "a registration that is under way goes on after the stop")
		registry, o := begin(t)
		for range 3 {
			s := theServer.Serve(t, o)
			stop(t, s.Program, soon)
			registry.Want()
		}

		harness.Usually(t, "the create that was under way came later than the stop: close the session, "+
			`which takes along whatever is still made in it → step5 README, "Only while a worker serves"`)
		registry.MakeRoot()
		gate := zktest.NewGate(t, zookeeper)
		held := make(chan struct{})
		gate.OnRequest(registry.Root+"/rpc", func() {
			gate.Partition(netproxy.ToServer)
			close(held)
		})
		o.ZK, o.Session = gate.Addr(), theServer.Settle("session", 20*time.Second)
		s := theServer.Serve(t, o)
		harness.Given(t, func() {
			harness.Eventually(t, soon, "a request for a node", func() (bool, string) {
				select {
				case <-held:
					return true, ""
				default:
					return false, "none"
				}
			})
		})
		stop(t, s.Program, soon)

		must(t, gate.Heal())
		harness.Did(t, "held the server's create back until the server had ended, and then let it through")
		harness.Eventually(t, soon, "the end of the server's connections to ZooKeeper", func() (bool, string) {
			return gate.Conns() == 0, fmt.Sprint(gate.Conns())
		})
		registry.Want()
	})

	t.Run("5.10 other nodes under the same root are left alone", func(t *testing.T) {
		harness.Usually(t, "find your own znode by its path, not by its name or data alone")
		registry, o := begin(t)
		other := registry.Plant("rpc-", `{"host":"other.example","port":1}`, true)
		note := registry.Plant("zzz", "not an endpoint", false)
		s := theServer.Serve(t, o)
		nodes := registry.Wait(soon, "a third node", func(nodes []zktest.Node) bool { return len(nodes) == 3 })
		registry.Want(other, nodes[1], note)
		harness.Check(t, nodes[1].Addr() == s.Addr, "the third one of "+s.Addr, "%v", nodes)
		stop(t, s.Program, 2500*time.Millisecond) // nothing holds it up
		registry.Want(other, note)
	})

	t.Run("5.11 a session that ZooKeeper has ended: registered again, once", func(t *testing.T) {
		harness.Usually(t, "a new session has no znode: create one, and forget the old path "+
			`→ step5 README, "A session can end"`)
		registry, o := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		o.ZK = gate.Addr()
		s, node := registered(t, registry, o)

		for range 3 {
			must(t, gate.Expire())
			node = registry.WaitOne(soon, s.Addr, node)
		}

		answers(t, s.Addr)
		stop(t, s.Program, soon)
		registry.Want()
	})

	t.Run("5.12 the answer to the registration is lost: one node all the same", func(t *testing.T) {
		harness.Usually(t, "a create without an answer may have worked: look before you create again "+
			`→ step5 README, "After a create without an answer"`)
		registry, o := begin(t)
		registry.MakeRoot()
		gate := zktest.NewGate(t, zookeeper)
		gate.OnRequest(registry.Root+"/rpc", func() {
			gate.Partition(netproxy.ToClient)
			harness.Did(t, "held back the answer to the server's create")
		})
		o.ZK, o.Session = gate.Addr(), 10*time.Second // long enough to come back to
		s := theServer.Serve(t, o)
		_, port, _ := net.SplitHostPort(s.Addr)
		twin := registry.Plant("rpc-", fmt.Sprintf(`{"host":"127.0.0.1","port":%s}`, port), true)
		own := func(nodes []zktest.Node) []zktest.Node {
			return slices.DeleteFunc(nodes, func(n zktest.Node) bool { return n == twin || n.Addr() != s.Addr })
		}
		node := own(registry.Wait(soon, "the server's node, and "+twin.String()+",", func(nodes []zktest.Node) bool {
			return len(own(slices.Clone(nodes))) == 1
		}))[0]

		gate.Reset()
		must(t, gate.Heal())
		harness.Did(t, "cut the server's connection to ZooKeeper while the answer to its create was on its way, "+
			"and let it connect again")
		back := fmt.Sprintf("sid=%#x,", node.Session)
		harness.Eventually(t, soon, "the server's session "+back+
			" back among ZooKeeper's connections", func() (bool, string) {
			answer, err := zookeeper.FourLetter("cons")
			return strings.Contains(answer, back), fmt.Sprint(answer, err)
		})

		for begin := time.Now(); time.Since(begin) < 2*time.Second; {
			nodes := registry.Now()
			harness.Check(t, slices.Contains(nodes, twin), "the node of another session left alone, "+
				"although its data are the same: "+twin.String(), "%v", nodes)
			harness.Check(t, len(own(slices.Clone(nodes))) <= 1, "never more than one node", "%v", nodes)
		}

		registry.Remove(twin)
		registry.WaitOne(soon, s.Addr)
		stop(t, s.Program, soon)
		registry.Want()
	})

	t.Run("5.13 ZooKeeper killed and started again: the node stays", func(t *testing.T) {
		harness.Usually(t, "a lost connection is not a lost session: the znode is still there "+
			`→ step5 README, "A session can end"`)
		registry, o := begin(t)
		// Longer than ZooKeeper is down, and than a handshake may hang with one
		// that only starts.
		o.Session = 15 * time.Second
		s, node := registered(t, registry, o)

		for range 2 { // the second time shows what came of the first
			zktest.Kill(t, zookeeper)
			answers(t, s.Addr)
			zktest.Restart(t, zookeeper)
			back := fmt.Sprintf("sid=%#x,", node.Session)
			harness.Eventually(t, 2*soon, "the server's session "+back+
				" back among ZooKeeper's connections", func() (bool, string) {
				answer, err := zookeeper.FourLetter("cons")
				return strings.Contains(answer, back), fmt.Sprint(answer, err)
			})
			registry.Want(node)
		}
	})

	t.Run("5.14 ZooKeeper wiped: registered again, once", func(t *testing.T) {
		harness.Usually(t, "a ZooKeeper that lost its data turns the old session away without a word: make a new one "+
			`→ step5 README, "A session can end"`)
		registry, o := begin(t)
		s, node := registered(t, registry, o)
		zktest.Wipe(t, zookeeper)
		registry.WaitOne(2*soon, s.Addr, node)
	})

	t.Run("5.15 without ZooKeeper a server serves and stops; "+
		"it is registered as soon as ZooKeeper comes", func(t *testing.T) {
		harness.Usually(t, `the start waits for ZooKeeper → step5 README, "Every wait is bounded"`)
		registry, o := begin(t)
		zktest.Kill(t, zookeeper)
		s, other := theServer.Serve(t, o), theServer.Serve(t, o)
		answers(t, s.Addr)
		answers(t, other.Addr)

		harness.Usually(t, `the end waits for ZooKeeper → step5 README, "Every wait is bounded"`)
		stop(t, other.Program, 3*time.Second, "while no ZooKeeper was there")
		s.WantIdle(t)

		harness.Usually(t, `the server tried once only → step5 README, "Try again, and later each time"`)
		zktest.Restart(t, zookeeper)
		registry.WaitOne(soon, s.Addr)
	})

	t.Run("5.16 a ZooKeeper that hangs doesn't hold up a stop", func(t *testing.T) {
		harness.Usually(t, "closing the session waits for an answer that does not come "+
			`→ step5 README, "Every wait is bounded"`)
		registry, o := begin(t)
		s, _ := registered(t, registry, o)
		zktest.Pause(t, zookeeper)
		stop(t, s.Program, 5*time.Second, "while ZooKeeper was frozen")
		zktest.Resume(t, zookeeper)
		registry.WaitNone(expired)
	})

	t.Run("5.17 nor does one that is out of reach", func(t *testing.T) {
		harness.Usually(t, "closing the session waits for an answer that does not come "+
			`→ step5 README, "Every wait is bounded"`)
		t.Parallel() // it mostly waits, as do those below
		registry, o := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		o.ZK = gate.Addr()
		s, _ := registered(t, registry, o)
		gate.Partition(netproxy.Both)
		stop(t, s.Program, 5*time.Second, "while nothing passed between it and ZooKeeper")
		registry.WaitNone(expired)
	})

	t.Run("5.18 SIGKILL of the master: the node goes after the session timeout, "+
		"and the port is free by then", func(t *testing.T) {
		harness.Usually(t, "the znode is not ephemeral, or the workers hold the session or the port")
		t.Parallel()
		registry, o := begin(t)
		s, node := registered(t, registry, o)
		s.Signal(syscall.SIGKILL)
		s.Wait(soon)
		registry.Want(node)
		registry.WaitNone(expired)
		s.WaitPortFree(t, 0)
		again := s.Restart(t)
		registry.WaitOne(soon, again.Addr)

		harness.Usually(t, "the node of the server that was killed, with the same data, was taken for one's own: "+
			"it goes with that server's session, so look at who owns it "+
			`→ step5 README, "A session can end"`)
		o.Session = theServer.Settle("session", 20*time.Second)
		s = theServer.Serve(t, o)
		nodes := registry.Wait(soon, "a node of "+s.Addr, func(nodes []zktest.Node) bool { return len(nodes) == 2 })
		old := nodes[slices.IndexFunc(nodes, func(n zktest.Node) bool { return n.Addr() == s.Addr })]
		s.Signal(syscall.SIGKILL)
		s.Wait(soon)
		s.WaitPortFree(t, time.Second)
		s = s.Restart(t)
		own := func(n zktest.Node) bool { return n.Addr() == s.Addr && n != old }
		registry.Wait(soon, fmt.Sprintf("a node of %s, and not only %s", s.Addr, old.Name),
			func(nodes []zktest.Node) bool { return slices.ContainsFunc(nodes, own) })
	})

	t.Run("5.19 with no worker alive for long the node goes, and it comes back with the first one", func(t *testing.T) {
		harness.Usually(t, "nobody withdraws the registration when the last worker is gone "+
			`→ step5 README, "Only while a worker serves"`)
		t.Parallel()
		registry, o := begin(t)
		s, node := registered(t, registry, o)
		registry.Wait(2*soon, "no node while every worker is killed at once,", func(nodes []zktest.Node) bool {
			s.SignalEach(syscall.SIGKILL, s.Workers(t)...)
			return len(nodes) == 0
		})
		registry.WaitOne(soon, s.Addr, node)
		answers(t, s.Addr)
	})

	t.Run("5.20 a master that was stopped for longer than its session is registered again", func(t *testing.T) {
		harness.Usually(t, "the session ended while nobody looked: a new session has no znode "+
			`→ step5 README, "A session can end"`)
		t.Parallel()
		registry, o := begin(t)
		s, node := registered(t, registry, o)
		s.Freeze(s.PID)
		registry.WaitNone(expired)
		answers(t, s.Addr)
		s.Signal(syscall.SIGCONT)
		registry.WaitOne(soon, s.Addr, node)
	})

	t.Run("5.21 a server that was cut off for longer than its session is registered again", func(t *testing.T) {
		harness.Usually(t, "the session ended while nobody looked: a new session has no znode "+
			`→ step5 README, "A session can end"`)
		t.Parallel()
		registry, o := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		o.ZK = gate.Addr()
		s, node := registered(t, registry, o)

		gate.Partition(netproxy.Both)
		registry.WaitNone(expired)
		answers(t, s.Addr)
		must(t, gate.Heal())
		registry.WaitOne(5*session, s.Addr, node)
	})

	t.Run("5.22 a node that somebody takes away comes back, once", func(t *testing.T) {
		harness.Usually(t, "nobody looks: the session is well, no request fails, and the node is gone "+
			`→ step5 README, "Look after your znode"`)
		t.Parallel()
		registry, o := begin(t)
		s, node := registered(t, registry, o)

		for range 2 { // the second time shows what came of the first
			registry.Remove(node)
			node = registry.WaitOne(soon, s.Addr, node)
		}

		registry.RemoveRoot(soon)
		node = registry.WaitOne(soon, s.Addr)
		registry.Remove(node)
		registry.WaitOne(soon, s.Addr, node)

		stop(t, s.Program, soon)
		registry.Want()
	})

	t.Run("5.23 the answer is lost, and the session moves to another member of ZooKeeper: "+
		"one node all the same", func(t *testing.T) {
		harness.Usually(t, "the list was asked of a member that has yet to hear of the create: sync first "+
			`→ step5 README, "After a create without an answer"`)
		t.Parallel()
		ensemble := zktest.StartLinkedEnsemble(t)
		leader := ensemble.Leader(t, soon)
		followers := ensemble.Others(leader)
		registry := zktest.NewRegistry(t, leader, "/spec5-members")
		registry.MakeRoot()
		first, second := zktest.NewGate(t, followers[0]), zktest.NewGate(t, followers[1])
		second.Refuse()

		for _, l := range ensemble.Links {
			// The member has just told the leader of the create. What the
			// leader says to that takes its time.
			l.OnRequest(registry.Root+"/rpc", func() {
				for _, l := range ensemble.Links {
					l.Delay(250 * time.Millisecond)
				}
				must(t, second.Heal())
				first.Refuse()
				first.Reset()
				harness.Did(t, "cut the server off from its member of ZooKeeper, which had just asked the leader "+
					"for the server's znode, and let it connect to the other one")
			})
		}
		both := first.Addr() + "," + second.Addr()
		s := theServer.Serve(t, harness.Options{ZK: both, Root: registry.Root, Session: 20 * time.Second})
		harness.Eventually(t, 2*soon, "the server at the other member", func() (bool, string) {
			n := second.Conns()
			return n > 0, fmt.Sprint(n, " connections")
		})
		registry.Wait(2*soon, "a node", func(nodes []zktest.Node) bool { return len(nodes) > 0 })
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			nodes := registry.Now()
			harness.Check(t, len(nodes) == 1, "never more than one node", "%v", nodes)
		}
		for _, l := range ensemble.Links {
			l.Delay(0)
		}
		stop(t, s.Program, soon)
		registry.Want()
	})

	t.Run("5.24 a registration that ZooKeeper refuses is tried again, later and later, "+
		"and the log tells of it once", func(t *testing.T) {
		harness.Usually(t, "nothing wakes the server: no news comes when a right is given, so a timer must try again "+
			`→ step5 README, "Try again, and later each time"`)
		t.Parallel()
		registry, o := begin(t)
		registry.MakeRoot()
		registry.Forbid()
		gate := zktest.NewGate(t, zookeeper)
		o.ZK, o.Session = gate.Addr(), 10*time.Second
		tries := gate.Requests("create", registry.Root+"/rpc")
		s := theServer.Serve(t, o)

		// News of the session may wake a server, too, soon after its start.
		const atOnce, enough = 50 * time.Millisecond, 5
		pauses := func() (long []time.Duration) {
			at := tries()
			for i := 1; i < len(at); i++ {
				if pause := at[i].Sub(at[i-1]); pause >= atOnce {
					long = append(long, pause)
				}
			}
			return long
		}
		await := func(n int) {
			t.Helper()
			harness.Eventually(t, 3*soon, fmt.Sprintf("%d tries to register", n+1), func() (bool, string) {
				return len(pauses()) >= n, fmt.Sprintf("%d, with pauses of %v", len(tries()), pauses())
			})
		}
		await(1)
		lines := strings.Count(s.Stderr(), "\n")
		await(enough)
		lines = strings.Count(s.Stderr(), "\n") - lines

		harness.Usually(t, "the pause is always the same, or there is none: a thousand servers would keep "+
			`a ZooKeeper busy that refuses them → step5 README, "Try again, and later each time"`)
		long := pauses()
		harness.Check(t, len(tries()) <= 4*enough, "a pause before each try",
			"%d tries, with pauses of %v", len(tries()), long)
		harness.Check(t, slices.Max(long) >= 2*long[0], "pauses that grow to at least twice the first one",
			"pauses of %v", long)

		harness.Usually(t, "every failure is logged: one warning for each trouble is enough, however long it lasts "+
			`→ step5 README, "Try again, and later each time"`)
		harness.Check(t, lines < enough-1, "no line in the log for each try",
			"%d lines during the last %d tries:\n%s", lines, enough-1, s.Stderr())

		harness.Usually(t, "the server has given up: try again for as long as it serves")
		registry.Permit()
		registry.WaitOne(soon, s.Addr)
	})

	t.Run("5.25 against somebody who deletes it again and again a server doesn't race", func(t *testing.T) {
		harness.Usually(t, "the node is created again at once, each time: that is a trouble like others, "+
			"with pauses that grow, although each create succeeds "+
			`→ step5 README, "Look after your znode"`)
		t.Parallel()
		registry, o := begin(t)
		s, _ := registered(t, registry, o)

		const most = 10
		deleted := 0
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			nodes := registry.Wait(soon, "the node again", func(nodes []zktest.Node) bool { return len(nodes) > 0 })
			registry.Remove(nodes...)
			deleted += len(nodes)
			harness.Check(t, deleted <= most, fmt.Sprintf("no more than %d new nodes in 3 s", most),
				"%d in %v", deleted, time.Since(begin).Round(time.Millisecond))
		}
		registry.WaitOne(soon, s.Addr)
	})

	t.Run("5.26 trouble that has been over for long is forgotten: what comes next is put right quickly",
		func(t *testing.T) {
			harness.Usually(t, "the pauses never become short again: after ten seconds without trouble begin anew "+
				`→ step5 README, "Try again, and later each time"`)
			t.Parallel()
			registry, o := begin(t)
			s, node := registered(t, registry, o)
			for range 5 { // until the pauses are long
				registry.Remove(node)
				node = registry.WaitOne(soon, s.Addr, node)
			}

			const calm, quickly = 11 * time.Second, 1200 * time.Millisecond
			var took time.Duration
			for range 3 { // a busy machine may be late
				time.Sleep(calm) // in which all is well: nothing else is to be waited for
				harness.Did(t, "left the server alone for %v", calm)
				registry.Remove(node)
				removed := time.Now()
				node = registry.WaitOne(soon, s.Addr, node)
				took = time.Since(removed)
				if took < quickly {
					return
				}
			}
			harness.Check(t, false, fmt.Sprintf("the node again within %v", quickly), "it took %v",
				took.Round(time.Millisecond))
		})

	t.Run("5.27 a withdrawal that is lost on its way is sent again; of one whose answer is lost nothing is left",
		func(t *testing.T) {
			harness.Usually(t, "the path was forgotten, or kept, whatever became of the delete: without an answer "+
				"you don't know whether the node is there "+
				`→ step5 README, "A delete without an answer"`)
			t.Parallel()
			registry, o := begin(t)
			gate := zktest.NewGate(t, zookeeper)
			o.ZK, o.Session = gate.Addr(), 20*time.Second
			s, node := registered(t, registry, o)

			// The server waits longer and longer before it replaces a worker
			// that dies young, so it takes some seconds until none has been
			// there for one.
			for _, lost := range []netproxy.Direction{netproxy.ToServer, netproxy.ToClient} {
				gate.Partition(lost)
				for begin := time.Now(); time.Since(begin) < 5*time.Second; {
					s.SignalEach(syscall.SIGKILL, s.Workers(t)...)
					registry.Now()
				}

				gate.Reset()
				must(t, gate.Heal())
				what := map[netproxy.Direction]string{
					netproxy.ToServer: "the server's request to delete its node never reached ZooKeeper",
					netproxy.ToClient: "ZooKeeper's answer to the delete never reached the server",
				}[lost]
				harness.Did(t, "killed every worker, again and again, and cut the connection to ZooKeeper: %s", what)

				registry.Wait(2*soon, "no node while every worker is killed at once,",
					func(nodes []zktest.Node) bool {
						s.SignalEach(syscall.SIGKILL, s.Workers(t)...)
						return len(nodes) == 0
					})
				node = registry.WaitOne(2*soon, s.Addr, node)
			}
			answers(t, s.Addr)
		})

	t.Run("5.28 a server that comes back costs ZooKeeper a create, and no list", func(t *testing.T) {
		harness.Usually(t, "the children of the root are listed without a doubt: when ZooKeeper comes back, "+
			"a thousand servers would read a thousand names each "+
			`→ step5 README, "After a create without an answer"`)
		t.Parallel()
		registry, o := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		o.ZK = gate.Addr()
		s, node := registered(t, registry, o)
		lists := gate.Requests("list", registry.Root)

		// The session may end while the answer to a create is on its way, and
		// then there is a doubt.
		const rounds = 3
		quiet := 0
		for range rounds {
			before := len(lists())
			must(t, gate.Expire())
			node = registry.WaitOne(soon, s.Addr, node)
			if len(lists()) == before {
				quiet++
			}
		}
		harness.Check(t, quiet > 0, "no list in one of several new sessions", "%d lists in %d new sessions",
			len(lists()), rounds)
	})

	t.Run("5.29 a create whose answer was lost, in a session that the server has given up and ZooKeeper has not: "+
		"one node", func(t *testing.T) {
		harness.Usually(t, "only nodes of the present session were looked for: remember every session in which "+
			`you tried to create one → step5 README, "After a create without an answer"`)
		t.Parallel()
		const session = 6 * time.Second
		zookeeper := zktest.Start(t)
		registry := zktest.NewRegistry(t, zookeeper, "/spec5-given-up")
		registry.MakeRoot()
		gate := zktest.NewGate(t, zookeeper)
		gate.OnRequest(registry.Root+"/rpc", func() {
			gate.DropReplies()
			harness.Did(t, "swallowed the answer to the server's create")
		})
		s := theServer.Serve(t, harness.Options{ZK: gate.Addr(), Root: registry.Root, Session: session})
		registry.WaitOne(2*soon, s.Addr)

		zktest.Kill(t, zookeeper)
		gate.Partition(netproxy.Both)
		gate.Reset()
		time.Sleep(5 * session / 2) // the length of the outage
		harness.Did(t, "swallowed the answer to the server's create, and killed ZooKeeper for %v: "+
			"connections were accepted, and nobody answered", 5*session/2)
		zktest.Restart(t, zookeeper) // with its data: each session has its full time again
		must(t, gate.Heal())

		registry.Wait(soon, "a node", func(nodes []zktest.Node) bool { return len(nodes) > 0 })
		for begin := time.Now(); time.Since(begin) < session; {
			nodes := registry.Now()
			harness.Check(t, len(nodes) <= 1, "never more than one node", "%v", nodes)
		}
		registry.WaitOne(soon, s.Addr)
	})
}
