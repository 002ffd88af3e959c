// Specification 6, the client: it finds the servers in ZooKeeper, learns of
// every change, and moves its calls as servers come, go and crash, so that none
// fails. It is judged by what it prints and by which servers it calls. The
// milestones come in the order in which a reader builds them.

package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

const soon6 = 10 * time.Second // for what happens at once, on a busy machine

// A system6 is what one milestone plays with: its own root in a ZooKeeper.
type system6 struct {
	t        *testing.T
	zk       string
	registry *zktest.Registry
}

// server starts a server and waits until it is registered.
func (s system6) server(session time.Duration) *harness.Server {
	s.t.Helper()
	server := theServer.Serve(s.t, harness.Options{ZK: s.zk, Root: s.registry.Root, Session: session})
	harness.Given(s.t, func() {
		s.registry.Wait(soon6, "the new server", func(nodes []zktest.Node) bool {
			return slices.ContainsFunc(nodes, func(n zktest.Node) bool { return n.Addr() == server.Addr })
		})
	})
	return server
}

// client starts a client that calls without end, unless change says otherwise.
func (s system6) client(change ...func(o *harness.ClientOptions)) *harness.Client {
	s.t.Helper()
	o := harness.ClientOptions{ZK: s.zk, Root: s.registry.Root, Session: 2 * time.Second,
		Interval: 5 * time.Millisecond, Rounds: 1_000_000, Wait: 20 * time.Second}
	for _, change := range change {
		change(&o)
	}
	return theClient.Start(s.t, o)
}

// wantNone expects a client that finds no server.
func (s system6) wantNone() {
	s.t.Helper()
	client := s.client(func(o *harness.ClientOptions) { o.Wait = 0 })
	code := client.Wait(soon6)
	harness.Check(s.t, code == 1, "exit code 1", "%d", code)
	harness.Check(s.t, strings.Contains(client.Stderr(), "no live server"), `"no live server"`, "%s", client.Stderr())
}

// waitNodes waits until so many znodes are registered.
func (s system6) waitNodes(n int) {
	s.t.Helper()
	s.registry.Wait(soon6, fmt.Sprintf("%d nodes", n), func(nodes []zktest.Node) bool { return len(nodes) == n })
}

// stub starts and registers a server that behaves as the test wants.
func (s system6) stub(serve func(conn net.Conn, body []byte) error) *harness.Stub {
	s.t.Helper()
	stub := harness.StartStub(s.t, "", serve)
	s.list(stub.Addr)
	return stub
}

// list registers an address for good.
func (s system6) list(addr string) zktest.Node {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	return s.registry.Plant("stub"+port, fmt.Sprintf(`{"host": "%s", "port": %s}`, host, port), false)
}

// show starts a program that shows the list, as ZooKeeper at that address has
// it.
func (s system6) show(zk string) *harness.Listing {
	s.t.Helper()
	return theClient.List(s.t, zk, s.registry.Root, 2*time.Second)
}

// heal ends the faults of a gate.
func (s system6) heal(gate *zktest.Gate) {
	s.t.Helper()
	err := gate.Heal()
	if err != nil {
		s.t.Fatal(err)
	}
}

// check expects that every call had its answer, and each one the right one.
func (s system6) check(client *harness.Client, summary harness.Summary) harness.Summary {
	s.t.Helper()
	harness.Check(s.t, summary.Failed == 0,
		"no failed call", "%d of %d:\n%s", summary.Failed, summary.Calls, client.Stderr())

	sum := 0.0
	for i, answer := range client.Answers() {
		round := i / 2
		want := fmt.Sprintf("pong ireader %d", round)
		if i%2 == 1 {
			sum += 1.0 / float64(2*round+1) / float64(2*round+1)
			want = fmt.Sprintf("pi_r %.12g", math.Sqrt(8*sum))
		}
		harness.Check(s.t, answer.Text == want, fmt.Sprintf("%q in line %d", want, i+1), "%q", answer.Text)
	}

	return summary
}

// interrupt ends the client, and checks its answers.
func (s system6) interrupt(client *harness.Client) harness.Summary {
	s.t.Helper()
	return s.check(client, client.Interrupt())
}

// answer6 returns a reply of the kind that a request wants, with that result.
func answer6(request []byte, result string) []byte {
	kind := "pong"
	if strings.Contains(string(request), `"pi"`) {
		kind = "pi_r"
	}
	return harness.Frame(fmt.Sprintf(`{"out": "%s", "result": %s}`, kind, result))
}

// answerOnly returns what a server does that answers so many requests, with
// their numbers, and is deaf to the rest.
func answerOnly(n int) func(conn net.Conn, body []byte) error {
	asked := 0
	return func(conn net.Conn, body []byte) error {
		asked++
		if asked > n {
			return nil
		}
		_, err := conn.Write(answer6(body, strconv.Itoa(asked-1)))
		return err
	}
}

// checkFailed expects that a program that made calls has ended, and told that
// these failed.
func checkFailed(t *testing.T, client *harness.Program, code int, calls ...int) {
	t.Helper()
	for _, call := range calls {
		line := fmt.Sprintf("call %d failed: ", call)
		harness.Check(t, strings.Contains(client.Stderr(), line), fmt.Sprintf("%q", line), "%q", client.Stderr())
	}
	harness.Check(t, code == 1, "exit code 1", "%d", code)
}

func TestSpec6(t *testing.T) {
	zookeeper := zktest.Start(t)
	begin := func(t *testing.T) system6 {
		name, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "TestSpec6/"), "_")
		return system6{t, zookeeper.Addr(), zktest.NewRegistry(t, zookeeper, "/spec"+name).ShowWatches()}
	}
	const session = 2 * time.Second

	// Part A: one server, called by the subcommand call.

	t.Run("6.1 calls on one connection don't wait for each other, and are answered in their order", func(t *testing.T) {
		harness.Usually(t, "each call waits for the reply to the one before it, or has a connection of its own "+
			`→ step6 README, "One queue, one reader"`)
		const calls = 5
		asked := 0
		stub := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
			asked++
			if asked < calls {
				return nil // it answers none before it has all
			}
			for i := range calls {
				if _, err := conn.Write(answer6(nil, strconv.Itoa(i))); err != nil {
					return err
				}
			}
			return nil
		})

		client := theClient.Call(t, stub.Addr, calls, 5*time.Second, "ping", "7")
		code := client.Wait(soon6)
		harness.Check(t, client.Stdout() == "pong 0\npong 1\npong 2\npong 3\npong 4\n",
			"the five replies, a line each, in their order", "%q", client.Stdout())
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		harness.Check(t, stub.Conns() == 1, "one connection", "%d", stub.Conns())
	})

	t.Run("6.2 replies may come in pieces, and be long", func(t *testing.T) {
		harness.Usually(t, "one read was taken for one reply: feed what was read to chapter 1's Decoder")
		long := strings.Repeat("0123456789", 100_000)
		stub := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
			frame := answer6(nil, `"`+long+`"`)
			for b := range slices.Chunk(frame[:100], 1) {
				if _, err := conn.Write(b); err != nil {
					return err
				}
			}
			_, err := conn.Write(frame[100:])
			return err
		})

		client := theClient.Call(t, stub.Addr, 3, soon6, "ping", "7")
		code := client.Wait(2 * soon6)
		want := strings.Repeat(`pong "`+long+"\"\n", 3)
		harness.Check(t, client.Stdout() == want,
			"three replies of a million bytes", "%d bytes", len(client.Stdout()))
		harness.Check(t, code == 0, "exit code 0", "%d", code)
	})

	t.Run("6.3 it reads replies while it still writes requests", func(t *testing.T) {
		harness.Usually(t, "all requests are written before the first reply is read: a server that waits for its "+
			`replies to be taken reads nothing meanwhile → step6 README, "One queue, one reader"`)
		const calls = 40_000 // of a kilobyte: the kernel has no room for all of them, either way
		kilobyte := `"` + strings.Repeat("x", 1000) + `"`
		stub := harness.StartStub(t, "", func(conn net.Conn, _ []byte) error {
			_, err := conn.Write(answer6(nil, kilobyte))
			return err
		})

		client := theClient.Call(t, stub.Addr, calls, time.Minute, "ping", kilobyte)
		code := client.Wait(3 * soon6)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		harness.Check(t, stub.Requests() == calls, "40,000 requests", "%d", stub.Requests())
	})

	t.Run("6.4 a call that has no reply in time fails; those before it don't", func(t *testing.T) {
		harness.Usually(t, "a caller waits for its reply and for nothing else: "+
			"it should wait for its deadline, too")
		stub := harness.StartStub(t, "", answerOnly(2))
		client := theClient.Call(t, stub.Addr, 4, time.Second, "ping", "7")
		code := client.Wait(soon6)
		harness.Check(t, client.Stdout() == "pong 0\npong 1\n", "the two replies that came", "%q", client.Stdout())
		checkFailed(t, client, code, 2, 3)
	})

	t.Run("6.5 a connection that breaks, or can't be made, fails the calls on it at once", func(t *testing.T) {
		harness.Usually(t, "a caller goes on waiting for a connection that is gone: whoever finds that it broke "+
			"tells everybody who waits, those whose requests were not sent as well")
		for _, bad := range []string{"", "\x02\x00\x00\x00{}", "\xff\xff\xff\xff"} { // hang up, no reply, too long
			asked := 0
			stub := harness.StartStub(t, "", func(conn net.Conn, body []byte) error {
				asked++
				if asked <= 2 {
					_, err := conn.Write(answer6(body, strconv.Itoa(asked-1)))
					return err
				}
				_, _ = io.WriteString(conn, bad)
				if bad == "" {
					return io.EOF
				}
				return nil
			})
			client := theClient.Call(t, stub.Addr, 4, time.Hour, "ping", "7")
			code := client.Wait(soon6)
			harness.Check(t, client.Stdout() == "pong 0\npong 1\n", "the two replies that came", "%q", client.Stdout())
			checkFailed(t, client, code, 2, 3)
		}

		client := theClient.Call(t, "127.0.0.1:1", 2, time.Hour, "ping", "7") // nobody listens there
		code := client.Wait(soon6)
		checkFailed(t, client, code, 0, 1)
	})

	// Part B: the list of servers, shown by the subcommand list.

	t.Run("6.6 list shows the servers that are registered", func(t *testing.T) {
		harness.Usually(t, "the line is not written at once, or its addresses are not sorted")
		s := begin(t)
		s.list("127.0.0.1:2222")
		s.list("127.0.0.1:1111")
		s.show(s.zk).WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
	})

	t.Run("6.7 and every change of them", func(t *testing.T) {
		harness.Usually(t, "a watch fires once: list again, and set the next one by the same request "+
			`→ step6 README, "The watch fires once"`)
		s := begin(t)
		list := s.show(s.zk)
		list.WaitLine("fresh") // not even a root

		first := s.list("127.0.0.1:1111")
		list.WaitLine("fresh", "127.0.0.1:1111")
		second := s.list("127.0.0.1:2222")
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")

		s.registry.Remove(first)
		list.WaitLine("fresh", "127.0.0.1:2222")
		s.registry.Remove(second)
		list.WaitLine("fresh")
		s.list("127.0.0.1:3333")
		list.WaitLine("fresh", "127.0.0.1:3333")
	})

	t.Run("6.8 znodes that are no servers are skipped", func(t *testing.T) {
		harness.Usually(t, "one bad znode ended the program, or hid the good ones")
		s := begin(t)
		for i, data := range []string{"", "gibberish", `"127.0.0.1:8080"`, "[]", "null", "{}", `{"port":8080}`,
			`{"host":"127.0.0.1"}`,
			`{"host":"","port":8080}`, `{"host":"127.0.0.1","port":"8080"}`, `{"host":"127.0.0.1","port":0}`,
			`{"host":"127.0.0.1","port":65536}`, `{"host":"127.0.0.1","port":80.5}`, "\xff\xfe",
		} {
			s.registry.Plant(fmt.Sprintf("rpc%010d", 100+i), data, false)
		}
		list := s.show(s.zk)
		list.WaitLine("fresh")
		s.list("127.0.0.1:1111")
		list.WaitLine("fresh", "127.0.0.1:1111")

		s.registry.Plant("lock", "", false) // and again, now that there is one
		s.list("127.0.0.1:2222")
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
	})

	t.Run("6.9 an address with two znodes is one server", func(t *testing.T) {
		harness.Usually(t, "addresses are not compacted: a server that was killed and started again "+
			`has two znodes for a while → step6 README, "Keyed by address"`)
		s := begin(t)
		const data = `{"host": "127.0.0.1", "port": 1111}`
		old := s.registry.Plant("old", data, false)
		s.registry.Plant("new", data, false)
		list := s.show(s.zk)
		list.WaitLine("fresh", "127.0.0.1:1111")

		s.registry.Remove(old)
		s.list("127.0.0.1:2222")
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
		lines := list.Lines()
		harness.Check(t, len(slices.Compact(lines)) == len(list.Lines()),
			"no line twice: when the old znode leaves, the set stays the same", "%q", list.Lines())
	})

	t.Run("6.10 a znode that is gone between the list and the look at it, again and again", func(t *testing.T) {
		harness.Usually(t, `"no such node" was taken for an error of ZooKeeper: `+
			"it means that this server has just left, and the others are the list")
		s := begin(t)
		s.list("127.0.0.1:1111")
		gate := zktest.NewGate(t, zookeeper)

		// Whenever the program asks for one such znode, that is deleted before
		// ZooKeeper hears of it, and there is another.
		asked, goOn, ended := make(chan zktest.Node), make(chan struct{}), make(chan struct{})
		defer close(ended)
		gone := 0
		lure := func() {
			gone++
			node := s.registry.Plant(fmt.Sprintf("gone%03d", gone), `{"host": "127.0.0.1", "port": 2222}`, false)
			gate.OnRequest(s.registry.Root+"/"+node.Name, func() {
				select {
				case asked <- node:
					<-goOn
				case <-ended:
				}
			})
		}
		lure()

		list := s.show(gate.Addr())
		harness.Eventually(t, soon6, "the other server shown", func() (bool, string) {
			select {
			case node := <-asked:
				s.registry.Remove(node)
				lure()
				goOn <- struct{}{}
			default:
			}
			shown := slices.Contains(list.Lines(), "fresh 1 127.0.0.1:1111")
			return shown, fmt.Sprintf("%q, and %d znodes were gone", list.Lines(), gone-1)
		})
		harness.Check(t, gone > 1, "a look at a znode that was gone", "none")
	})

	t.Run("6.11 a change costs a list and a look at what is new", func(t *testing.T) {
		harness.Usually(t, "everything is read again at each change: "+
			"a name stands for the same server as long as the session lasts, so read only names that you don't know")
		s := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		s.list("127.0.0.1:1111")
		list := s.show(gate.Addr())
		list.WaitLine("fresh", "127.0.0.1:1111")

		var again atomic.Bool
		gate.OnRequest(s.registry.Root+"/stub1111", func() { again.Store(true) })
		s.list("127.0.0.1:2222")
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
		harness.Check(t, !again.Load(), "no look at a znode that was known", "one")
	})

	t.Run("6.12 while ZooKeeper can't be reached the last set stays, and is stale", func(t *testing.T) {
		harness.Usually(t, "an error of ZooKeeper was taken for an empty list "+
			`→ step6 README, "The watch fires once"`)
		s := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		s.list("127.0.0.1:1111")
		list := s.show(gate.Addr())
		list.WaitLine("fresh", "127.0.0.1:1111")

		gate.Refuse()
		gate.Reset()
		list.WaitLine("stale", "127.0.0.1:1111")
		s.list("127.0.0.1:2222")
		s.heal(gate)
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
		harness.Check(t, !slices.Contains(list.Lines(), "fresh 0"), "never an empty set", "%q", list.Lines())
	})

	t.Run("6.13 a part of the servers is no set", func(t *testing.T) {
		harness.Usually(t, "ZooKeeper was lost in the middle of reading, "+
			"and what had been read was taken for everything")
		s := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		s.list("127.0.0.1:1111")
		s.list("127.0.0.1:2222")
		cut := make(chan struct{})
		gate.OnRequest(s.registry.Root+"/stub2222", func() { // before ZooKeeper hears of it
			gate.Refuse()
			gate.Reset()
			close(cut)
		})

		list := s.show(gate.Addr())
		harness.Eventually(t, soon6, "a look at the znode of the second server", func() (bool, string) {
			select {
			case <-cut:
				return true, ""
			default:
				return false, "none"
			}
		})
		s.heal(gate)
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
		first := list.Lines()[0]
		harness.Check(t, first == "fresh 2 127.0.0.1:1111 127.0.0.1:2222", "no line before that", "%q", first)
	})

	t.Run("6.14 a znode that nobody may read holds up none of the others", func(t *testing.T) {
		harness.Usually(t, "that one znode is forbidden was taken for a failure to read them all")
		s := begin(t)
		hidden := s.list("127.0.0.1:1111")
		s.registry.Hide(hidden)
		s.list("127.0.0.1:2222")
		list := s.show(s.zk)
		list.WaitLine("fresh", "127.0.0.1:2222")
		s.registry.Show(hidden)
		list.WaitLine("fresh", "127.0.0.1:1111", "127.0.0.1:2222")
	})

	t.Run("6.15 at SIGINT list ends its session, and itself", func(t *testing.T) {
		harness.Usually(t, "the program ends before its session is closed: ZooKeeper keeps it until the timeout")
		s := begin(t)
		s.list("127.0.0.1:1111")
		gate := zktest.NewGate(t, zookeeper)
		list := theClient.List(t, gate.Addr(), s.registry.Root, 30*time.Second)
		list.WaitLine("fresh", "127.0.0.1:1111")

		list.Signal(syscall.SIGINT)
		code := list.Wait(soon6)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		id := fmt.Sprintf("%#x", gate.Latest())
		harness.Eventually(t, 2*time.Second, "the end of session "+id, func() (bool, string) {
			sessions, err := zookeeper.FourLetter("dump")
			return err == nil && !strings.Contains(sessions, id), sessions
		})
	})

	// Part C: the client.

	t.Run("6.16 a line for each answer, in the tutorial's form, and a summary", func(t *testing.T) {
		harness.Usually(t, "flush each line; a string is printed without its quotes, "+
			"a number with twelve digits (%.12g)")
		s := begin(t)
		server := s.server(session)
		client := s.client(func(o *harness.ClientOptions) { o.Rounds, o.Interval = 100, 0 })
		summary := s.check(client, client.WaitSummary())

		harness.Check(t, summary.Calls == 200, "200 calls", "%d", summary.Calls)
		for _, line := range []string{
			"pong ireader 93", "pi_r 3.1382045832", "pi_r 3.13827520401", "pi_r 3.13840796707",
		} {
			harness.Check(t, strings.Contains(client.Stdout(), server.Addr+" "+line+"\n"),
				"the line "+line, "%s", client.Stdout())
		}

		// Two calls that wait for delayed acknowledgements take 88 ms.
		harness.Usually(t, "the client waits before each call, or, in a language whose sockets have Nagle's "+
			"algorithm on, length and body leave in two writes: some 40 ms")
		harness.Check(t, summary.Took < 4*time.Second, "200 calls in much less than 4s", "%v", summary.Took)
	})

	t.Run("6.17 calls spread over the servers", func(t *testing.T) {
		harness.Usually(t, "one server is chosen once, not at random for each call")
		s := begin(t)
		servers := []string{s.server(session).Addr, s.server(session).Addr, s.server(session).Addr}
		client := s.client(func(o *harness.ClientOptions) { o.Rounds, o.Interval = 150, 10*time.Millisecond })
		summary := s.check(client, client.WaitSummary())
		for _, server := range servers { // 100 each, give or take 8, unless a slow one is avoided for a moment
			harness.Check(t, summary.Answered[server] >= 20,
				"at least 20 of 300 calls at "+server, "%v", summary.Answered)
		}
	})

	t.Run("6.18 a server that joins is called", func(t *testing.T) {
		harness.Usually(t, "a watch fires once: list again, and set the next one by the same request "+
			`→ step6 README, "The watch fires once"`)
		s := begin(t)
		first := s.server(session)
		client := s.client()
		client.WaitAnswers(1, first.Addr)
		second := s.server(session)
		client.WaitAnswers(1, second.Addr)
		s.interrupt(client)
	})

	t.Run("6.19 without a server the client says so, and its exit code is 1", func(t *testing.T) {
		harness.Usually(t, "an empty list, or no root, is an answer, and no reason to crash or to wait for ever")
		s := begin(t)
		s.wantNone() // not even a root
		server := s.server(session)
		client := s.client(func(o *harness.ClientOptions) { o.Wait = 0 })
		client.WaitAnswers(1, server.Addr)
		server.Signal(syscall.SIGTERM)
		code := client.Wait(2 * soon6) // it may hope for a while
		harness.Check(t, code == 1, "exit code 1", "%d", code)
		client.Summary()
		s.wantNone() // an empty root
	})

	t.Run("6.20 with -wait it waits for one", func(t *testing.T) {
		harness.Usually(t, `the list is read once, without a watch on it → step6 README, "The watch fires once"`)
		theClient.Needs(t, "wait")
		s := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		client := s.client(func(o *harness.ClientOptions) { o.ZK = gate.Addr() })
		harness.Eventually(t, soon6, "the client to open a session", func() (bool, string) {
			return len(gate.Sessions()) > 0, "none"
		})
		server := s.server(session)
		client.WaitAnswers(10, server.Addr)
		s.interrupt(client)
	})

	t.Run("6.21 SIGINT or SIGTERM, in a pause or in a call, ends it with the summary", func(t *testing.T) {
		harness.Usually(t, "the signal is looked at between two calls only")
		theClient.Needs(t, "timeout")
		s := begin(t)
		server := s.server(session)

		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			client := s.client(func(o *harness.ClientOptions) { o.Interval = time.Hour })
			client.WaitAnswers(2, server.Addr)
			client.Signal(sig)
			summary := client.WaitSummary()
			harness.Check(t, summary.Calls == 2 && summary.Failed == 0, "2 calls, none failed", "%+v", summary)
		}

		server.Signal(syscall.SIGTERM)
		server.Wait(soon6)
		deaf := s.stub(func(net.Conn, []byte) error { return nil })
		client := s.client(func(o *harness.ClientOptions) { o.Timeout = time.Hour })
		harness.Eventually(t, soon6, "a call", func() (bool, string) { return deaf.Requests() > 0, "none" })
		summary := client.Interrupt()
		harness.Check(t, summary.Calls == 0, "no call answered, and none that counts as failed", "%+v", summary)
	})

	t.Run("6.22 a server that leaves is not called any more, and no call fails", func(t *testing.T) {
		harness.Usually(t, "the list is read once only, or a removed server is still called, or its connection is cut "+
			"with calls in flight: it takes no new calls and finishes those it has "+
			`→ step6 README, "When a call may move"`)
		s := begin(t)
		stays, leaves := s.server(session), s.server(session)
		client := s.client()
		client.WaitAnswers(10, leaves.Addr)

		leaves.Signal(syscall.SIGTERM)
		code := leaves.Wait(soon6)
		harness.Check(t, code == 0, "the server's exit code 0", "%d", code)
		client.WaitAnswers(20, stays.Addr)

		late := harness.StartStub(t, leaves.Addr, func(net.Conn, []byte) error { return io.EOF })
		client.WaitAnswers(100, stays.Addr)
		harness.Check(t, late.Conns() == 0, "nobody to call where it was", "%d connections", late.Conns())
		late.Close()

		again := leaves.Restart(t)
		client.WaitAnswers(10, again.Addr)
		s.interrupt(client)
	})

	t.Run("6.23 a server that is no longer listed, but goes on: "+
		"its connection is closed when the last call is answered", func(t *testing.T) {
		harness.Usually(t, "a server that left the list was forgotten with its connection still open")
		s := begin(t)
		stays := s.server(session)
		hold := make(chan struct{})
		answer := sync.OnceFunc(func() { close(hold) })
		defer answer() // or else the stub never ends
		leaves := s.stub(func(conn net.Conn, body []byte) error {
			<-hold
			_, err := conn.Write(answer6(body, `"late"`))
			return err
		})

		client := s.client()
		harness.Eventually(t, soon6, "a call of "+leaves.Addr, func() (bool, string) {
			return leaves.Requests() > 0, "none"
		})

		nodes, err := s.registry.Nodes()
		harness.Check(t, err == nil, "a list of what is registered", "%v", err)
		s.registry.Remove(nodes[slices.IndexFunc(nodes, func(n zktest.Node) bool { return n.Addr() == leaves.Addr })])

		answer()
		harness.Did(t, "deleted the znode of the server on %s, and let it answer the call that it had then",
			leaves.Addr)
		client.WaitAnswers(50, stays.Addr)
		harness.Eventually(t, soon6, "no connection to "+leaves.Addr, func() (bool, string) {
			return leaves.Open() == 0, fmt.Sprint(leaves.Open())
		})
		summary := client.Interrupt()
		harness.Check(t, summary.Failed == 0,
			"no failed call", "%d of %d:\n%s", summary.Failed, summary.Calls, client.Stderr())
	})

	t.Run("6.24 an error reply is a failed call, asked once, and the client goes on", func(t *testing.T) {
		harness.Usually(t, "an error reply is an answer: do not ask anybody else")
		s := begin(t)
		stub := s.stub(func(conn net.Conn, body []byte) error {
			_, err := conn.Write(harness.Frame(`{"out":"error","result":"not today"}`))
			return err
		})
		client := s.client(func(o *harness.ClientOptions) { o.Rounds = 5 })
		summary := client.WaitSummary()
		harness.Check(t, summary.Calls == 10 && summary.Failed == 10, "10 calls, all failed", "%+v", summary)
		harness.Check(t, stub.Requests() == 10, "10 requests", "%d", stub.Requests())
		said := client.Stderr()
		harness.Check(t, strings.Contains(said, `ping "ireader 4" failed: `) && strings.Count(said, "not today") == 10,
			"a line that says so for each call", "%s", said)
	})

	t.Run("6.25 a call that a server may have run is asked again only if the method may run twice", func(t *testing.T) {
		harness.Usually(t, "the request was written, so the server may have run it: "+
			"of the methods that the client knows, only ping and pi may run twice "+
			`→ step6 README, "When a call may move"`)
		theClient.Needs(t, "method")
		s := begin(t)

		// A server that broke may also be asked for a ping, whether it is back.
		var appends, pings atomic.Int64
		hangUp := func(_ net.Conn, body []byte) error { // it has run the call, and dies
			if bytes.Contains(body, []byte(`"append"`)) {
				appends.Add(1)
			} else {
				pings.Add(1)
			}
			return io.EOF
		}
		s.stub(hangUp)
		s.stub(hangUp)

		client := s.client(func(o *harness.ClientOptions) { o.Rounds, o.Method, o.Params = 3, "append", "7" })
		summary := client.WaitSummary()
		harness.Check(t, summary.Calls == 3 && summary.Failed == 3, "3 calls, all failed", "%+v", summary)
		asked := appends.Load()
		harness.Check(t, asked >= 1 && asked <= 3, "one request for each append at most", "%d for 3", asked)
		harness.Check(t, strings.Count(client.Stderr(), "append 7 failed: ") == 3,
			"a line that says so for each call", "%s", client.Stderr())

		before := pings.Load()
		client = s.client(func(o *harness.ClientOptions) {
			o.Rounds, o.Method, o.Params, o.Timeout = 1, "ping", "7", time.Second
		})
		client.WaitSummary()
		asked = pings.Load() - before
		harness.Check(t, asked > 1, "more than one request for a ping", "%d", asked)
	})

	t.Run("6.26 a call that was not sent goes to another server, whatever its method", func(t *testing.T) {
		harness.Usually(t, "a call failed because its server refused the connection: nothing was sent, "+
			`so it may move → step6 README, "When a call may move"`)
		theClient.Needs(t, "method")
		s := begin(t)
		for port := range 3 {
			s.list(fmt.Sprintf("127.0.0.1:%d", port+1)) // nobody listens there
		}
		counter := s.stub(func(conn net.Conn, body []byte) error {
			_, err := conn.Write(answer6(body, "7"))
			return err
		})

		client := s.client(func(o *harness.ClientOptions) { o.Rounds, o.Method, o.Params = 20, "append", "7" })
		summary := client.WaitSummary()
		harness.Check(t, summary.Calls == 20 && summary.Failed == 0,
			"20 calls, none failed", "%+v\n%s", summary, client.Stderr())
		harness.Check(t, counter.Requests() == 20, "20 requests", "%d", counter.Requests())
	})

	t.Run("6.27 beside servers that don't keep to the protocol, no call fails", func(t *testing.T) {
		harness.Usually(t, "a broken connection lost the call: a ping or pi may be asked again elsewhere "+
			`→ step6 README, "When a call may move"`)
		s := begin(t)
		for _, reply := range []string{
			"", "\x02", "\x02\x00\x00\x00{", "\x00\x00\x00\x00", "\x02\x00\x00\x00{}", "\xff\xff\xff\xff",
		} {
			s.stub(func(conn net.Conn, _ []byte) error {
				_, _ = io.WriteString(conn, reply)
				return io.EOF // hang up
			})
		}

		server := s.server(session)
		client := s.client()
		client.WaitAnswers(200, server.Addr)
		summary := s.interrupt(client)
		harness.Check(t, len(summary.Answered) == 1, "1 server", "%v", summary.Answered)
	})

	// What follows mostly waits.

	t.Run("6.28 a server killed with all its processes, and still listed: no call fails", func(t *testing.T) {
		harness.Usually(t, "a call that a dead server refused was given up: move it, "+
			"and avoid that server for a while "+
			`→ step6 README, "When a call may move"`)
		t.Parallel()
		s := begin(t)
		stays, dies := s.server(session), s.server(session)
		client := s.client()
		client.WaitAnswers(10, dies.Addr)

		dies.Kill()
		client.WaitAnswers(50, stays.Addr)
		s.waitNodes(1)
		client.WaitAnswers(50, stays.Addr)
		s.interrupt(client)
	})

	t.Run("6.29 a server that breaks each connection is tried less and less often", func(t *testing.T) {
		harness.Usually(t, "a server that fails is asked again at once, or after the same short pause each time "+
			`→ step6 README, "Less and less often"`)
		t.Parallel()
		s := begin(t)
		breaks := s.stub(func(net.Conn, []byte) error { return io.EOF })
		server := s.server(session)
		client := s.client()
		client.WaitAnswers(10, server.Addr)

		before, began := breaks.Conns(), time.Now()
		harness.Eventually(t, soon6, "four seconds of calls", func() (bool, string) {
			return time.Since(began) > 4*time.Second, ""
		})
		tries := breaks.Conns() - before
		harness.Check(t, tries <= 12, "at most 12 tries in four seconds", "%d", tries)
		s.interrupt(client)
	})

	t.Run("6.30 a server that hangs, and stays listed: no call fails, "+
		"and once it goes on it is called again", func(t *testing.T) {
		harness.Usually(t, "nothing ends a wait for a server that is silent: it neither refuses nor resets "+
			`→ step6 README, "When a call may move"`)
		t.Parallel()
		s := begin(t)
		stays, hangs := s.server(session), s.server(session)
		s.list(hangs.Addr) // whatever becomes of its session
		client := s.client()
		client.WaitAnswers(10, hangs.Addr)

		all := hangs.Processes(t)
		hangs.Freeze(all...)
		client.WaitAnswers(30, stays.Addr)

		hangs.SignalEach(syscall.SIGCONT, all...)
		client.WaitAnswers(10, hangs.Addr)
		s.interrupt(client)
	})

	t.Run("6.31 a server that takes three seconds for an answer is waited for, and asked once", func(t *testing.T) {
		harness.Usually(t, "a silent server was given up, and its work begun anew: "+
			"it is suspect, not dead, so wait on "+
			`→ step6 README, "When a call may move"`)
		theClient.Needs(t, "timeout")
		t.Parallel()
		s := begin(t)
		stub := s.stub(func(conn net.Conn, body []byte) error {
			time.Sleep(3 * time.Second) // what it computes takes so long
			_, err := conn.Write(answer6(body, `"at last"`))
			return err
		})

		client := s.client(func(o *harness.ClientOptions) { o.Rounds, o.Timeout = 1, 30*time.Second })
		summary := client.WaitSummary()
		harness.Check(t, summary.Calls == 2 && summary.Failed == 0,
			"2 calls, none failed", "%+v\n%s", summary, client.Stderr())
		harness.Check(t, stub.Requests() == 2, "2 requests", "%d", stub.Requests())
	})

	t.Run("6.32 while its server is silent, a call that must not run twice waits", func(t *testing.T) {
		harness.Usually(t, "a call was sent to a second server, or given up, although the first may be at work on it "+
			`→ step6 README, "When a call may move"`)
		theClient.Needs(t, "method")
		theClient.Needs(t, "timeout")
		t.Parallel()
		s := begin(t)
		slow := func(conn net.Conn, body []byte) error {
			time.Sleep(3 * time.Second) // what it computes takes so long
			_, err := conn.Write(answer6(body, "7"))
			return err
		}
		counters := []*harness.Stub{s.stub(slow), s.stub(slow)}

		client := s.client(func(o *harness.ClientOptions) {
			o.Rounds, o.Method, o.Params, o.Timeout = 1, "append", "7", 30*time.Second
		})
		summary := client.WaitSummary()
		harness.Check(t, summary.Calls == 1 && summary.Failed == 0,
			"1 call, not failed", "%+v\n%s", summary, client.Stderr())
		asked := counters[0].Requests() + counters[1].Requests()
		harness.Check(t, asked == 1, "1 request", "%d", asked)
	})

	t.Run("6.33 twenty servers hang, one answers: no call fails", func(t *testing.T) {
		harness.Usually(t, "the time was spent on one silent server after the other: ask all of them with a ping "+
			`who is there → step6 README, "Who is there"`)
		t.Parallel()
		s := begin(t)
		answers := s.stub(func(conn net.Conn, body []byte) error {
			_, err := conn.Write(answer6(body, `"here"`))
			return err
		})
		for range 20 {
			s.stub(func(net.Conn, []byte) error { return nil })
		}

		var clients []*harness.Client
		for range 4 { // each begins with a server that chance has chosen
			clients = append(clients, s.client(func(o *harness.ClientOptions) { o.Rounds = 2 }))
		}
		for _, client := range clients {
			summary := client.WaitSummary()
			harness.Check(t, summary.Failed == 0 && summary.Answered[answers.Addr] == 4,
				"4 answers of "+answers.Addr+", no failed call", "%+v\n%s", summary, client.Stderr())
		}
	})

	t.Run("6.34 when nobody waits any more for a server that is silent, its connection is reset", func(t *testing.T) {
		harness.Usually(t, "the connection to a silent server is kept, or closed in good order: "+
			"the server goes on working for nobody "+
			`→ step6 README, "Who is there"`)
		theClient.Needs(t, "timeout")
		t.Parallel()
		s := begin(t)
		hangs := s.stub(func(net.Conn, []byte) error { return nil })
		client := s.client(func(o *harness.ClientOptions) { o.Timeout = 3 * time.Second })
		harness.Eventually(t, soon6, "a reset of the connection to "+hangs.Addr, func() (bool, string) {
			return hangs.Resets() > 0, fmt.Sprintf("%d connections, none reset", hangs.Conns())
		})
		client.Interrupt()
	})

	t.Run("6.35 a server killed and started again at once, one address with two znodes: "+
		"no call fails", func(t *testing.T) {
		harness.Usually(t, "the connection is kept by znode: when the old one goes, it takes the living server away "+
			`→ step6 README, "Keyed by address"`)
		t.Parallel()
		s := begin(t)
		server := s.server(session)
		client := s.client()
		client.WaitAnswers(10, server.Addr)

		server.Kill()
		server = server.Restart(t)
		s.waitNodes(2)
		client.WaitAnswers(10, server.Addr)
		s.waitNodes(1) // the old one is gone
		client.WaitAnswers(50, server.Addr)
		s.interrupt(client)
	})

	t.Run("6.36 the client's session expires while it is stopped: it still learns of a new server", func(t *testing.T) {
		harness.Usually(t, "the watch died with the session: list again in the new one "+
			`→ step6 README, "The watch fires once"`)
		t.Parallel()
		s := begin(t)
		first := s.server(session)
		gate := zktest.NewGate(t, zookeeper)
		client := s.client(func(o *harness.ClientOptions) { o.ZK, o.Session = gate.Addr(), time.Second })
		client.WaitAnswers(10, first.Addr)

		client.Freeze(client.PID)
		id := fmt.Sprintf("0x%x", gate.Latest())
		harness.Eventually(t, soon6, "the end of session "+id, func() (bool, string) {
			sessions, err := zookeeper.FourLetter("dump")
			return err == nil && !strings.Contains(sessions, id), sessions
		})

		second := s.server(session)
		client.SignalEach(syscall.SIGCONT, client.PID)
		client.WaitAnswers(10, second.Addr)
		client.WaitAnswers(10, first.Addr)
		s.interrupt(client)
	})

	t.Run("6.37 an empty list just after a reconnection is believed after a session timeout", func(t *testing.T) {
		harness.Usually(t, "an empty list was believed at once: "+
			"a ZooKeeper that was away has ended the sessions of servers that live, "+
			`and they need a moment to register again → step6 README, "An empty list"`)
		t.Parallel()
		s := begin(t)
		gate := zktest.NewGate(t, zookeeper)
		node := s.list("127.0.0.1:1111")
		list := s.show(gate.Addr())
		list.WaitLine("fresh", "127.0.0.1:1111")

		gate.Refuse()
		gate.Reset()
		list.WaitLine("stale", "127.0.0.1:1111")
		s.registry.Remove(node)
		s.heal(gate)
		back := time.Now()
		list.WaitLine("fresh")
		harness.Check(t, time.Since(back) > session*3/4,
			"the last set, for about a session timeout of 2s", "an empty one after %v", time.Since(back))

		s.list("127.0.0.1:2222") // now an empty set is old, and the next one is news
		list.WaitLine("fresh", "127.0.0.1:2222")
	})

	t.Run("6.38 while ZooKeeper hangs or is down calls go on, "+
		"and a new server is found when it is back", func(t *testing.T) {
		harness.Usually(t, "an error of ZooKeeper was taken for an empty list: keep the last one "+
			`→ step6 README, "The watch fires once"`)
		t.Parallel()
		own := zktest.Start(t)
		s := system6{t, own.Addr(), zktest.NewRegistry(t, own, "/demo").ShowWatches()}
		servers := []*harness.Server{s.server(session), s.server(session)}
		brief := func(o *harness.ClientOptions) { o.Session = time.Second }
		client, short := s.client(brief), s.client(brief)
		callsGoOn := func() {
			t.Helper()
			for _, server := range servers {
				client.WaitAnswers(30, server.Addr)
			}
		}

		short.WaitAnswers(10, "")
		callsGoOn()
		zktest.Pause(t, own)
		callsGoOn()

		asked := time.Now()
		s.interrupt(short)
		harness.Check(t, time.Since(asked) < 3*time.Second, "an end within 3s of SIGINT", "%v", time.Since(asked))

		zktest.Kill(t, own)
		callsGoOn()
		zktest.Restart(t, own)
		s.waitNodes(2)
		servers = append(servers, s.server(session))
		callsGoOn()
		s.interrupt(client)
	})

	t.Run("6.39 ZooKeeper loses its data: the client finds the servers that register again, "+
		"and forgets the others", func(t *testing.T) {
		harness.Usually(t, "names known from the old session stand for other servers in the new one "+
			`→ step6 README, "The watch fires once"`)
		t.Parallel()
		own := zktest.Start(t)
		s := system6{t, own.Addr(), zktest.NewRegistry(t, own, "/demo").ShowWatches()}
		dies, stays := s.server(session), s.server(session)
		client := s.client(func(o *harness.ClientOptions) { o.Session = time.Second })
		client.WaitAnswers(10, dies.Addr)
		client.WaitAnswers(10, stays.Addr)

		client.Freeze(client.PID) // so that it finds the end of all this, with znodes of the same names as before
		dies.Kill()
		zktest.Wipe(t, own)
		s.waitNodes(1)

		joins := s.server(session)
		client.SignalEach(syscall.SIGCONT, client.PID)
		client.WaitAnswers(10, joins.Addr)
		client.WaitAnswers(10, stays.Addr)

		late := harness.StartStub(t, dies.Addr, func(net.Conn, []byte) error { return io.EOF })
		client.WaitAnswers(100, "")
		harness.Check(t, late.Conns() == 0, "nobody to call where the dead server was", "%d connections", late.Conns())
		s.interrupt(client)
	})

	t.Run("6.40 without ZooKeeper the client says so, and its exit code is 1", func(t *testing.T) {
		harness.Usually(t, "a wait without a bound, or a crash without a word")
		t.Parallel()
		client := system6{t, "127.0.0.1:1", &zktest.Registry{Root: "/demo"}}.client(func(o *harness.ClientOptions) {
			o.Wait = time.Second
		})
		code := client.Wait(2 * soon6)
		harness.Check(t, code == 1, "exit code 1", "%d", code)
		harness.Check(t, strings.Contains(client.Stderr(), "127.0.0.1:1"),
			"a word about ZooKeeper's address", "%s", client.Stderr())
	})
}
