// Specification 6, the client: it finds the servers in ZooKeeper, learns of
// every change, and moves its calls as servers come, go and crash, so that none
// fails. It is judged by what it prints and by which servers it calls. The
// milestones come in the order in which a reader builds them.

package main

import (
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
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
func (s system6) list(addr string) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	s.registry.Plant("stub"+port, fmt.Sprintf(`{"host": "%s", "port": %s}`, host, port), false)
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

func TestSpec6(t *testing.T) {
	zookeeper := zktest.Start(t)
	begin := func(t *testing.T) system6 {
		name, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "TestSpec6/"), "_")
		return system6{t, zookeeper.Addr(), zktest.NewRegistry(t, zookeeper, "/spec"+name).ShowWatches()}
	}
	const session = 2 * time.Second

	t.Run("6.1 a server that joins is called", func(t *testing.T) {
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

	t.Run("6.2 a line for each answer, in the tutorial's form, and a summary", func(t *testing.T) {
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
		harness.Usually(t, "length and body leave in two writes: "+
			"the second waits for the acknowledgement of the first, some 40 ms")
		harness.Check(t, summary.Took < 4*time.Second, "200 calls in much less than 4s", "%v", summary.Took)
	})

	t.Run("6.3 calls spread over the servers", func(t *testing.T) {
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

	t.Run("6.4 without a server the client says so, and its exit code is 1", func(t *testing.T) {
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

	t.Run("6.5 with -wait it waits for one", func(t *testing.T) {
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

	t.Run("6.6 SIGINT or SIGTERM, in a pause or in a call, ends it with the summary", func(t *testing.T) {
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

	t.Run("6.7 a server that leaves is not called any more, and no call fails", func(t *testing.T) {
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

	t.Run("6.8 a server that is no longer listed, but goes on: "+
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

	t.Run("6.9 a znode that is gone between the list and the look at it", func(t *testing.T) {
		harness.Usually(t, `"no such node" was taken for an error of ZooKeeper: `+
			"it means that this server has just left")
		s := begin(t)
		server := s.server(session)
		gate := zktest.NewGate(t, zookeeper)
		planted := []zktest.Node{
			s.registry.Plant("gone", `{"host":"127.0.0.1","port":1}`, false),
			s.registry.Plant("lost", `{"host":"127.0.0.1","port":2}`, false),
		}

		gate.Delay(300 * time.Millisecond) // so that there is a while between list and look
		client := s.client(func(o *harness.ClientOptions) { o.ZK, o.Session = gate.Addr(), 10*time.Second })
		harness.Eventually(t, soon6, "a list asked for by the client's session (GETC) "+
			"among ZooKeeper's connections", func() (bool, string) {
			conns, err := zookeeper.FourLetter("cons")
			return strings.Contains(conns, fmt.Sprintf("sid=%#x,lop=GETC,", gate.Latest())), fmt.Sprint(conns, err)
		})

		s.registry.Remove(planted...)
		gate.Delay(0)
		harness.Did(t, "deleted two znodes between the client's list and its look at them")
		client.WaitAnswers(20, server.Addr)
		s.interrupt(client)
	})

	t.Run("6.10 replies may come in pieces, and be long", func(t *testing.T) {
		harness.Usually(t, "one read was taken for one reply")
		s := begin(t)
		long := strings.Repeat("0123456789", 100_000)
		stub := s.stub(func(conn net.Conn, body []byte) error {
			frame := answer6(body, `"`+long+`"`)
			for b := range slices.Chunk(frame[:100], 1) {
				if _, err := conn.Write(b); err != nil {
					return err
				}
			}
			_, err := conn.Write(frame[100:])
			return err
		})

		client := s.client(func(o *harness.ClientOptions) { o.Rounds = 3 })
		summary := client.WaitSummary()
		for i, answer := range client.Answers() {
			kind := []string{"pong ", "pi_r "}[i%2]
			harness.Check(t, answer == harness.Answer{Server: stub.Addr, Text: kind + long},
				kind+"and a million bytes", "%d", len(answer.Text))
		}
		harness.Check(t, summary.Calls == 6 && summary.Failed == 0, "6 calls, none failed", "%+v", summary)
	})

	t.Run("6.11 an error reply is a failed call, asked once, and the client goes on", func(t *testing.T) {
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

	t.Run("6.12 znodes that are no servers are skipped", func(t *testing.T) {
		harness.Usually(t, "one bad znode ended the client, or hid the good ones")
		s := begin(t)
		bad := []string{"", "gibberish", `"127.0.0.1:8080"`, "[]", "null", "{}", `{"port":8080}`,
			`{"host":"127.0.0.1"}`,
			`{"host":"","port":8080}`, `{"host":"127.0.0.1","port":"8080"}`, `{"host":"127.0.0.1","port":0}`,
			`{"host":"127.0.0.1","port":65536}`, `{"host":"127.0.0.1","port":80.5}`, "\xff\xfe"}
		for i, data := range bad {
			s.registry.Plant(fmt.Sprintf("rpc%010d", 100+i), data, false)
		}
		s.registry.Plant("lock", "", false)

		s.wantNone()
		server := s.server(session)
		client := s.client()
		client.WaitAnswers(50, server.Addr)

		for i, data := range bad { // and again, now that it is there
			s.registry.Plant(fmt.Sprintf("rpc%010d", 200+i), data, false)
		}
		second := s.server(session)
		client.WaitAnswers(50, second.Addr)

		summary := s.interrupt(client)
		harness.Check(t, len(summary.Answered) == 2, "2 servers called", "%v", summary.Answered)
	})

	t.Run("6.13 beside servers that don't keep to the protocol, no call fails", func(t *testing.T) {
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

	t.Run("6.14 a server killed with all its processes, and still listed: no call fails", func(t *testing.T) {
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

	t.Run("6.15 a server that hangs, and stays listed: no call fails, "+
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

	t.Run("6.16 a server killed and started again at once, one address with two znodes: "+
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

	t.Run("6.17 the client's session expires while it is stopped: it still learns of a new server", func(t *testing.T) {
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

	t.Run("6.18 while ZooKeeper hangs or is down calls go on, "+
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

	t.Run("6.19 ZooKeeper loses its data: the client finds the servers that register again, "+
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

	t.Run("6.20 without ZooKeeper the client says so, and its exit code is 1", func(t *testing.T) {
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

	t.Run("6.21 a server that takes three seconds for an answer is waited for, and asked once", func(t *testing.T) {
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
}
