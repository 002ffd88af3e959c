// Gate: a faulty way to ZooKeeper, for tests.

package zktest

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/runpicture"
	"example.com/rpcworkbook/internal/zkdev"
	"example.com/rpcworkbook/internal/zkgate"
)

// Gate is a proxy in front of a ZooKeeper, with all the proxy's faults. It
// works for any client, a library in this process or a program in any language,
// that is given the gate's Addr instead of ZooKeeper's.
type Gate struct {
	*zkgate.Gate
	t    testing.TB
	lane runpicture.Lane
}

// NewGate starts a gate to s, and closes it at the test's end.
func NewGate(t testing.TB, s *zkdev.Server) *Gate {
	t.Helper()
	gate, err := zkgate.New(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Gate: gate, t: t, lane: harness.NewGate(t)}
	g.TapBoth(g.listen)
	t.Cleanup(g.Close)
	harness.DidAt(t, g.lane, "put a gate, %s, in front of ZooKeeper on %s", g.Addr(), s.Addr())
	g.Tell(func(what string) { harness.DidAt(t, g.lane, "gate to ZooKeeper: %s", what) })
	return g
}

// Requests notes from now on when each request of that kind, "create" or
// "list", goes through the gate for this path: for a numbered znode, the one
// without the number. The function that it returns tells when that was. It may
// be called on any goroutine.
func (g *Gate) Requests(kind, path string) (at func() []time.Time) {
	var mutex sync.Mutex
	var times []time.Time

	var listen func(opcode uint32)
	listen = func(opcode uint32) {
		// The opcode, and then the path: a length, and as many bytes.
		request := binary.BigEndian.AppendUint32(nil, opcode)
		request = binary.BigEndian.AppendUint32(request, uint32(len(path)))
		g.OnRequest(string(request)+path, func() {
			mutex.Lock()
			times = append(times, time.Now())
			mutex.Unlock()
			harness.Saw(g.t, "gate to ZooKeeper: a request to %s %s", kind, path)
			listen(opcode)
		})
	}
	for _, opcode := range opcodes[kind] {
		listen(opcode)
	}

	return func() []time.Time {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.Clone(times)
	}
}

// Which requests are of a kind. A newer one of each also returns what ZooKeeper
// knows about the znode.
var opcodes = map[string][]uint32{
	"create": {1, 15},
	"list":   {8, 12},
}

// Expire ends every session opened through the gate, see zkgate.Gate.Expire.
func (g *Gate) Expire() error {
	ended, err := g.Gate.Expire()
	harness.DidAt(g.t, harness.ZooKeeper,
		"had ZooKeeper end the %d sessions that were opened through the gate", ended)
	return err
}
