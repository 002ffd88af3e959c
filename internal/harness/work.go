// Work: calls that keep a server busy for a certain time, however fast it is.

package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// EveryonesPi is how many terms of pi every program must accept.
const EveryonesPi = 1_000_000

const (
	maxTerms     = 50_000_000 // that one of our calls of pi asks for: with fewer a fast program is done too soon
	measurable   = 20 * time.Millisecond
	minWorkCalls = 2
)

// Work is a computation: requests, and how many replies there will be.
type Work struct {
	Frames []byte
	Calls  int
}

// paces remembers how fast each program was: it is asked once in a test
// process.
var paces struct {
	sync.Mutex
	of map[string]pace // by ServerProgram.Dir
}

type pace struct {
	terms int // of the longest call that was tried
	took  time.Duration
	most  int // that the program accepts, as far as we know
}

// Work returns calls of pi that together take the server some d, two at least.
func (p ServerProgram) Work(t testing.TB, s *Server, d time.Duration) Work {
	t.Helper()
	n := p.Terms(t, s, d/minWorkCalls)
	one := p.pace(t, s).time(n)
	calls := max(minWorkCalls, int((d+one/2)/one))
	return Work{slices.Repeat(Frame(Request("pi", n)), calls), calls}
}

// Terms returns an n for which a call of pi takes the server some d. Where the
// program is so fast, or accepts so little, that no call takes that long, it
// returns a smaller one.
func (p ServerProgram) Terms(t testing.TB, s *Server, d time.Duration) int {
	t.Helper()
	pace := p.pace(t, s)
	return max(1, min(pace.most, int(float64(pace.terms)*float64(d)/float64(pace.took))))
}

// time returns how long a call of pi takes.
func (p pace) time(n int) time.Duration {
	return max(time.Microsecond, time.Duration(float64(p.took)*float64(n)/float64(p.terms)))
}

func (p ServerProgram) pace(t testing.TB, s *Server) pace {
	t.Helper()
	paces.Lock()
	defer paces.Unlock()

	known, ok := paces.of[p.Dir]
	if !ok {
		known = measurePace(t, s)
		if paces.of == nil {
			paces.of = map[string]pace{}
		}
		paces.of[p.Dir] = known
	}
	return known
}

// measurePace calls pi with larger and larger n, until that takes a time that
// can be told from the rest of a call.
func measurePace(t testing.TB, s *Server) pace {
	t.Helper()
	c := s.Dial(t)
	defer c.Close()
	known := pace{most: maxTerms}

	for n := 10_000; ; n *= 10 {
		reply, took := timedPi(c, min(n, maxTerms))
		if took >= measurable { // because something else ran meanwhile, perhaps
			again, tookAgain := timedPi(c, min(n, maxTerms))
			reply, took = again, min(took, tookAgain)
		}
		if reply.Kind == "error" && n > EveryonesPi {
			known.most = known.terms
			return known
		}

		Check(t, reply.Kind == "pi_r", fmt.Sprintf("pi of %d", n), "%v", reply)
		known.terms, known.took = min(n, maxTerms), took
		if took >= measurable || n >= maxTerms {
			return known
		}
	}
}

func timedPi(c *Conn, n int) (Reply, time.Duration) {
	c.t.Helper()
	begin := time.Now()
	reply := c.Call("pi", n)
	return reply, time.Since(begin)
}

// WantDone reads the replies to that work.
func (c *Conn) WantDone(w Work) {
	c.t.Helper()
	for range w.Calls {
		reply := c.ReadReply()
		var value float64
		err := json.Unmarshal(reply.Result, &value)
		Check(c.t, reply.Kind == "pi_r" && err == nil, "a reply of kind pi_r", "%v", reply)
	}
}
