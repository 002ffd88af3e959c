// Specification 2, many clients at once: nobody waits for anybody else's
// silence, and nobody can make the server wait, grow or spin. The milestones
// come in the order in which a reader builds them.

package rpc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

func TestSpec2(t *testing.T) {
	// One worker only, in the steps that have workers: a second one would
	// hide it when the first is busy.
	start := func(t *testing.T) *harness.Server {
		t.Helper()
		return theServer.Serve(t, harness.Options{Workers: 1})
	}
	// ping makes a call that must be answered at once.
	ping := func(t *testing.T, c *harness.Conn) {
		t.Helper()
		c.Timeout = 5 * time.Second
		c.SendRequest("ping", "still there?")
		c.WantPong(`"still there?"`)
	}

	t.Run("2.1 a second client is answered while the first is silent", func(t *testing.T) {
		harness.Usually(t, `the loop waits in a read or an accept that blocks → step2 README, "Never block the loop"`)
		s := start(t)
		first, second := s.Dial(t), s.Dial(t)
		ping(t, second)
		ping(t, first)
	})

	t.Run("2.2 half a frame from one client keeps nobody else waiting", func(t *testing.T) {
		harness.Usually(t, "each connection needs a buffer of its own for half a frame")
		s := start(t)
		frame := harness.Frame(`{"in":"ping","params":"two halves"}`)
		var halves []*harness.Conn
		for cut := 1; cut < len(frame); cut++ {
			c := s.Dial(t)
			c.Send(frame[:cut])
			halves = append(halves, c)
		}

		ping(t, s.Dial(t))
		for i, c := range halves {
			c.Send(frame[1+i:])
			c.WantPong(`"two halves"`)
		}
	})

	t.Run("2.3 hundreds of clients at once", func(t *testing.T) {
		harness.Usually(t, "the queue for new connections is short (the backlog that listen is given): "+
			"when it is full the kernel drops handshakes, and a client tries again after a second")
		s := start(t)
		var conns []*harness.Conn
		const some, limit, attempts = 64, 2 * time.Second, 3
		for attempt := 1; ; attempt++ { // the machine may stand still once
			begin, made := time.Now(), 0
			for ; made < some && time.Since(begin) < limit; made++ {
				conns = append(conns, s.Dial(t))
			}
			if took := time.Since(begin); took >= limit {
				harness.Check(t, attempt < attempts,
					fmt.Sprintf("%d connections made within %v", some, limit), "%v for %d", took, made)
				continue
			}
			break
		}
		for len(conns) < 400 {
			conns = append(conns, s.Dial(t))
		}

		harness.Usually(t, "what belongs to one connection is shared by all: a buffer, a decoder")
		for round := range 3 {
			for i, c := range conns {
				c.SendRequest("ping", []int{round, i})
			}
			for i, c := range conns {
				c.WantPong(fmt.Sprintf("[%d,%d]", round, i))
			}
		}

		harness.Usually(t, "with too many files open accept fails, and again and again until somebody leaves: "+
			"that must not end the loop that accepts")
		s = theServer.Serve(t, harness.Options{Workers: 1, Files: 200})
		conns = conns[:300]
		for i := range conns {
			conns[i] = s.Dial(t)
			_ = conns[i].TrySend(harness.Frame(harness.Request("ping", i))) // it may have been sent away already
		}
		answered := 0
		for _, c := range conns {
			c.Timeout = time.Second
			_, err := c.TryReply()
			if err != nil {
				break // it waits for a place, or was sent away
			}
			answered++
		}
		harness.Check(t, answered >= 50, "50 of 300 clients answered, by a server that may have 200 files open",
			"%d", answered)
		for _, c := range conns {
			c.Close()
		}
		ping(t, s.Dial(t))
	})

	t.Run("2.4 a client that sends 10,000 requests before it reads gets 10,000 replies, in order", func(t *testing.T) {
		harness.Usually(t, "a write took only a part and the rest was lost, or replies are read ahead without bound "+
			`→ step2 README, "Read nothing while you owe"`)
		s := start(t)
		c := s.Dial(t)
		go func() { _ = c.TrySend(spec2Pings(10_000)) }() // the server may stop reading until we do
		for i := range 10_000 {
			c.WantPong(fmt.Sprint(i))
		}
	})

	t.Run("2.5 with 1,000 requests sent and the sending side closed, all are answered", func(t *testing.T) {
		harness.Usually(t, "the end of input closed the connection before the replies were sent "+
			`→ step2 README, "Read nothing while you owe"`)
		s := start(t)
		c := s.Dial(t)
		c.Send(spec2Pings(1000))
		c.CloseWrite()
		for i := range 1000 {
			c.WantPong(fmt.Sprint(i))
		}
		c.WantEOF()
	})

	t.Run("2.6 big frames in both directions at the same time", func(t *testing.T) {
		harness.Usually(t, "a write that would block must be finished later, when the poller says so "+
			`→ step2 README, "Never block the loop"`)
		s := start(t)
		const rounds = 4
		params := `"` + strings.Repeat("x", 500_000) + `"`
		frame := harness.Frame(`{"in":"ping","params":` + params + `}`)
		conns := []*harness.Conn{s.Dial(t), s.Dial(t), s.Dial(t), s.Dial(t)}

		for _, c := range conns {
			go func() {
				for range rounds {
					_ = c.TrySend(frame)
				}
			}()
		}

		for range rounds {
			for _, c := range conns {
				c.WantPong(params)
			}
		}
	})

	t.Run("2.7 a client that is late to read gets every reply whole", func(t *testing.T) {
		harness.Usually(t, "a write took only a part, and the rest was forgotten "+
			`→ step2 README, "Read nothing while you owe"`)
		s := start(t)
		const rounds = 40 // 20 MB, more than the buffers on the way hold
		params := `"` + strings.Repeat("x", 500_000) + `"`
		frame := harness.Frame(`{"in":"ping","params":` + params + `}`)
		c := s.Dial(t)
		c.Timeout = 2 * time.Second // for a frame: the server may stop reading until we do

		sent := make(chan int)
		go func() {
			n := 0
			for n < rounds && c.TrySend(frame) == nil {
				n++
			}
			sent <- n
		}()

		ping(t, s.Dial(t))
		n := <-sent
		c.Timeout = 10 * time.Second
		for range n {
			c.WantPong(params)
		}
	})

	t.Run("2.8 a connection that is reset disturbs no other", func(t *testing.T) {
		harness.Usually(t, "an error of one connection, such as ECONNRESET or EPIPE, ended the loop")
		s := start(t)
		good := s.Dial(t)
		for i := range 20 {
			bad := s.Dial(t)
			switch i % 4 {
			case 0: // reset while idle
			case 1:
				bad.Send([]byte{30, 0, 0, 0, '{'})
			case 2:
				bad.Send(spec2Pings(1000))
			case 3:
				ping(t, bad)
			}
			bad.Reset()
			ping(t, good)
		}
	})

	t.Run("2.9 clients that never read: others are served, memory stays bounded, nothing spins", func(t *testing.T) {
		harness.Usually(t, "a connection with unsent replies is still read, so that they pile up; or a write waits "+
			"for the client; or a connection stays armed for writing with nothing to write "+
			`→ step2 README, "Read nothing while you owe"`)
		s := start(t)
		ping(t, s.Dial(t))
		before := s.RSS()
		frames := []byte(strings.Repeat(string(harness.Frame(harness.Request("ping", strings.Repeat("x", 8000)))), 8))

		var deaf []*harness.Conn
		taken := make(chan int)
		for range 8 {
			c := harness.DialSmall(t, s.Addr)
			c.Timeout = 300 * time.Millisecond
			deaf = append(deaf, c)
			go func() {
				n := 0
				for n < 32<<20 && c.TrySend(frames) == nil { // until the server has stopped reading
					n += len(frames)
				}
				taken <- n
			}()
		}

		other := s.Dial(t)
		ping(t, other)
		sum := 0
		for range deaf {
			sum += <-taken
			ping(t, other)
		}

		grown := s.RSS() - before
		// Who reads on takes up to 256 MiB. The race detector multiplies what
		// the others need for a moment.
		harness.Check(t, grown < 128<<20, "less than 128 MiB more memory with eight clients that never read",
			"%d MiB more, after taking %d MiB of requests", grown>>20, sum>>20)

		for _, c := range deaf[:4] {
			c.CloseWrite() // the server is told, and can't do anything about it yet
		}
		s.WantIdle(t)
		ping(t, other)
	})

	t.Run("2.10 idle clients and half frames cost no CPU time", func(t *testing.T) {
		harness.Usually(t, "the poller returns at once, again and again: "+
			"writability armed with nothing to write, or a timeout of 0 "+
			`→ step2 README, "Let go of the dead"`)
		s := start(t)
		idle := s.Dial(t)
		ping(t, idle)
		idleSince := time.Now()
		for range 50 {
			ping(t, s.Dial(t))
			s.Dial(t).Send([]byte{30, 0, 0, 0, '{'})
			s.Dial(t).Send([]byte{30})
		}
		s.WantIdle(t)

		harness.Usually(t, "connections that are idle for a second or two are ended: clients keep them")
		harness.Eventually(t, 10*time.Second, "3s to pass", func() (bool, string) {
			return time.Since(idleSince) > 3*time.Second, "not yet"
		})
		ping(t, idle)
	})

	t.Run("2.11 nothing is left of clients that vanish", func(t *testing.T) {
		harness.Usually(t, "a connection that hung up is neither read nor written and so never closed "+
			`→ step2 README, "Let go of the dead"`)
		s := start(t)
		ping(t, s.Dial(t))
		before := s.Open(t)
		pings := spec2Pings(20_000)

		for i := range 40 {
			c := harness.DialSmall(t, s.Addr)
			switch i % 4 {
			case 0: // silent
			case 1:
				c.Send([]byte{30, 0, 0, 0, '{'})
			case 2:
				ping(t, c)
			case 3: // replies that it doesn't read
				c.Timeout = 20 * time.Millisecond
				_ = c.TrySend(pings)
			}
			if i%8 < 4 {
				c.Reset()
			} else {
				c.Close()
			}
		}

		expected := fmt.Sprintf("%d open files, as before 40 clients came and went", before)
		harness.Eventually(t, 5*time.Second, expected, func() (bool, string) {
			now := s.Open(t)
			return now <= before+5, fmt.Sprint(now) // a program may have opened some more for itself
		})
	})

	t.Run("2.12 Ctrl-C: what was begun is finished, the port is closed, the exit code is 0", func(t *testing.T) {
		harness.Usually(t, "the loop ends at the signal: stop accepting, answer what was read, "+
			"end each connection, then end")
		s := start(t)
		idle, busy, half := s.Dial(t), s.Dial(t), s.Dial(t)
		ping(t, idle)
		request := harness.Frame(`{"in":"ping","params":"the rest"}`)
		half.Send(request[:10])
		idle.Timeout = 3 * time.Second // to be ended now, not when a grace period is over

		work := theServer.Work(t, s, 300*time.Millisecond)
		busy.Send(append(work.Frames, spec2Pings(100)...))
		s.WaitRead(t, busy)
		s.WaitRead(t, half)

		s.SignalGroup(syscall.SIGINT)
		busy.WantDone(work)
		for i := range 100 {
			busy.WantPong(fmt.Sprint(i))
		}
		busy.WantEOF()
		busy.Close()
		idle.WantEOF()
		idle.Close()

		harness.Usually(t, "a request of which only a part had come in at the signal was begun, too: "+
			"its rest may come until the grace period is over")
		half.Send(request[10:])
		half.WantPong(`"the rest"`)
		half.WantEOF()
		half.Close()

		harness.Usually(t, "the program ends before its last connection has, or not at all: "+
			"end the loop when nothing is watched any more")

		code := s.Wait(5 * time.Second)
		harness.Check(t, code == 0, "exit code 0", "%d", code)
		s.WaitRefused(t, time.Second)
		harness.Eventually(t, 2*time.Second, "no process left", func() (bool, string) {
			return len(s.Processes(t)) == 0, "some are"
		})
	})

	t.Run("2.13 the port can be used again at once", func(t *testing.T) {
		harness.Usually(t, "SO_REUSEADDR is missing: the kernel remembers the old connections for a minute")
		s := start(t)
		for i := range 3 {
			c := s.Dial(t)
			ping(t, c)
			s.SignalGroup(syscall.SIGINT)
			c.WantEOF() // the server ends the connection first: its kernel remembers the port for a minute
			c.Close()

			harness.Given(t, func() {
				code := s.Wait(5 * time.Second)
				harness.Check(t, code == 0, "exit code 0", "%d at stop %d", code, 1+i)
			})
			s.WaitRefused(t, time.Second) // it may have workers that end after it
			s = s.Restart(t)
		}
	})

	t.Run("2.14 after Ctrl-C a client that sends a request for each reply is told the end, "+
		"long calls or not", func(t *testing.T) {
		harness.Usually(t, "what a client sends after the signal is taken, too, "+
			"as long as something keeps the server busy "+
			`→ step2 README, "Answer what has come in"`)
		s := start(t)
		busy, eager := s.Dial(t), s.Dial(t)
		ping(t, eager)

		call := harness.Request("pi", theServer.Terms(t, s, 50*time.Millisecond))
		// So long that they aren't read at once.
		call = call[:len(call)-1] + strings.Repeat(" ", 8000-len(call)) + "}"
		go func() { _ = busy.TrySend(slices.Repeat(harness.Frame(call), 32)) }() // until the server has been told

		type end struct {
			at  time.Time
			err error
		}
		told := make(chan end, 1)
		go func() {
			for {
				_, err := eager.TryCall("ping", "more")
				if err != nil {
					told <- end{time.Now(), err}
					return
				}
			}
		}()

		busy.ReadReply()
		s.SignalGroup(syscall.SIGINT)

		var last time.Time
		_, err := busy.TryReply()
		for err == nil {
			last = time.Now()
			_, err = busy.TryReply()
		}
		busy.Close() // it has all replies, or what a grace period left it
		select {
		case eager := <-told:
			harness.Check(t, errors.Is(eager.err, io.EOF), "the end of the connection", "%v", eager.err)
			harness.Check(t, eager.at.Before(last),
				"the end before the last reply to a long call", "%v later", eager.at.Sub(last))
		case <-time.After(5 * time.Second):
			harness.Check(t, false, "the end of the connection", "replies, to whatever it sends")
		}
	})

	t.Run("2.15 after Ctrl-C a client that neither reads nor leaves "+
		"holds the program for seconds at most", func(t *testing.T) {
		harness.Usually(t, "a connection that has ended its side waits for the client without a bound "+
			`→ step2 README, "End your side first"`)
		s := start(t)
		deaf := harness.DialSmall(t, s.Addr)
		// The socket takes this, but the client's kernel doesn't: it stays
		// unacknowledged.
		deaf.SendRequest("ping", strings.Repeat("x", 12_000))
		s.WaitRead(t, deaf)

		s.SignalGroup(syscall.SIGINT)
		code := s.Wait(10 * time.Second)
		harness.Check(t, code == 0, "exit code 0", "%d", code)

		harness.Usually(t, "the second Ctrl-C is not heard: after the first one let the signal do "+
			"what it does by default, with signal.Reset")
		s = s.Restart(t)
		half := s.Dial(t)
		half.Send(harness.Frame(`{"in":"ping","params":"never whole"}`)[:10])
		s.WaitRead(t, half)
		s.SignalGroup(syscall.SIGINT)
		s.WaitRefused(t, 5*time.Second)
		s.SignalGroup(syscall.SIGINT)
		s.Wait(3 * time.Second) // less than a grace period
	})

	t.Run("2.16 newcomers are answered while others send without a pause", func(t *testing.T) {
		harness.Usually(t, "a turn takes long when many have sent much, and only one connection is accepted in each "+
			`→ step2 README, "Bound the turn"`)
		s := start(t)
		const floods, newcomers = 20, 300
		conns := make([]*harness.Conn, floods)
		for i := range conns {
			conns[i] = s.Dial(t)
			ping(t, conns[i])
		}
		for _, c := range conns {
			c.Timeout = time.Minute
			frames := spec2Pings(2000)
			go func() {
				for c.TrySend(frames) == nil {
				}
			}()
			go func() { _ = c.TryDiscard() }()
		}

		const asked = 5
		other, asking := s.Dial(t), time.Now()
		other.Timeout = 20 * time.Second
		for range asked {
			other.Call("ping", "how long is a turn?")
		}
		turn := time.Since(asking) / asked // about: a program in another language may need more for one

		conns = make([]*harness.Conn, newcomers)
		for i := range conns {
			conns[i] = s.Dial(t)
			conns[i].SendRequest("ping", i)
		}
		began := time.Now()
		for i, c := range conns {
			c.Timeout = 20 * time.Second
			c.WantPong(fmt.Sprint(i))
		}
		took := time.Since(began)
		limit := 3 * time.Second // with an accept a turn it is twice as much
		if harness.RaceEnabled {
			limit = 12 * time.Second // the race detector makes turns long
		}
		limit = max(limit, 50*turn) // with an accept a turn it is 300
		harness.Check(t, took < limit, fmt.Sprintf("%d newcomers answered within %v", newcomers, limit), "%v", took)
	})

	t.Run("2.17 a ping waits for a few long requests, not for all that came in at once", func(t *testing.T) {
		harness.Usually(t, "reading a long request takes milliseconds, and all that are complete are handled in "+
			`one turn: let them wait in a queue, and handle one a turn → step2 README, "Bound the turn"`)
		s := start(t)
		other := s.Dial(t)
		ping(t, other)
		const many, size = 100, 600_000
		frame := harness.Frame(`{"in":"pi","params":"` + strings.Repeat("x", size) + `"}`) // its reply is short
		conns := make([]*harness.Conn, many)
		for i := range conns {
			conns[i] = s.Dial(t)
			conns[i].Send(frame[:len(frame)-1])
		}
		for _, c := range conns {
			s.WaitRead(t, c)
		}

		for _, c := range conns {
			c.Send(frame[len(frame)-1:])
		}
		answered := make(chan error, 1)
		go func() {
			for _, c := range conns {
				_, err := c.TryReply()
				if err != nil {
					answered <- err
					return
				}
			}
			answered <- nil
		}()

		// One long request a turn is some hundred turns, and each answers a
		// ping. All in one turn is no wonder in a program that needs little
		// for each.
		const enough, shortly = 10, 250 * time.Millisecond
		var longest time.Duration
		for pings := 0; pings < enough; pings++ {
			begin := time.Now()
			ping(t, other)
			longest = max(longest, time.Since(begin))

			select {
			case err := <-answered:
				harness.Check(t, err == nil, "a reply to each long request", "%v", err)
				harness.Check(t, longest < shortly, fmt.Sprintf("%d pings answered before %d long requests are, "+
					"or each within %v", enough, many, shortly), "%d, and one took %v", pings, longest)
				return
			default:
			}
		}
	})
}

// spec2Pings returns the frames of n pings with the params 0 to n-1.
func spec2Pings(n int) []byte {
	var frames []byte
	for i := range n {
		frames = append(frames, harness.Frame(harness.Request("ping", i))...)
	}
	return frames
}
