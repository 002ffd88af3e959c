// What a program may set of a client, and see of its servers.

package rpc

import (
	"cmp"
	"context"
	"net"
	"slices"
	"time"
)

// ClientOptions are what a program may set of a Client, before the first Call.
// The zero value of each stands for the default.
type ClientOptions struct {
	// Idempotent says whether a method may run twice for one call, or more
	// often. Such a call is repeated elsewhere when nobody knows whether a
	// server that failed has run it; and it is sent to other servers on
	// purpose, while the first may still be at work, when that is silent or
	// half of the caller's time is over. The default is the function
	// Idempotent, which says so of ping and pi only.
	Idempotent func(method string) bool

	// Silence is about how long a server may owe replies without any progress
	// until it gets no more calls, and those of its calls that may run twice go
	// to another server, too. The default is 2 s.
	Silence time.Duration

	// Dial connects to a server. Calls wait for that, and move when it fails,
	// so it should fail soon; it must return when ctx ends, because nobody
	// needs the connection any more. The default makes a TCP connection, within
	// a second.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// Choose returns the index of the server that a call goes to. It is given
	// those that have room for a call, at least one, sorted by address, each
	// time another slice; it isn't asked for calls that had to wait until some
	// server had room, nor for those that go to another server because the
	// first is silent or slow. It is not called concurrently, but with a lock
	// held: it must return at once, and not use the Client. Call panics if
	// there is no server with that index. The default takes the server that
	// owes fewer replies, of two that chance has chosen.
	Choose func(servers []ServerStats) int
}

func (o *ClientOptions) mayRunTwice(method string) bool {
	if o.Idempotent == nil {
		return Idempotent(method)
	}
	return o.Idempotent(method)
}

// lookInterval returns the time between two looks at a server that owes
// replies.
func (o *ClientOptions) lookInterval() time.Duration {
	return cmp.Or(o.Silence, silence) / maxQuiet
}

func (o *ClientOptions) dial(ctx context.Context, addr string) (net.Conn, error) {
	if o.Dial == nil {
		dialer := net.Dialer{Timeout: dialTimeout}
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return o.Dial(ctx, addr)
}

// ServerStats are what a client knows of one server. The counts begin when it
// was listed.
type ServerStats struct {
	Addr        string
	Outstanding int   // calls that it has not answered, those included whose callers have left
	Answered    int64 // calls whose callers have its reply; the client's own pings count, too
	Failed      int64 // calls that it has not answered: it refused, broke the connection, or was silent
	SetAside    bool  // it gets no calls at the moment, because it has failed or is silent
}

// Stats returns what the client knows of the servers that are listed, in the
// order of the list, which is sorted by address.
func (c *Client) Stats() []ServerStats {
	c.mu.Lock()
	defer c.mu.Unlock()

	return statsOf(c.list)
}

func statsOf(servers []*remote) []ServerStats {
	stats := make([]ServerStats, len(servers))
	for i, r := range servers {
		stats[i] = r.stats()
	}
	return stats
}

func (r *remote) stats() ServerStats {
	return ServerStats{
		Addr:        r.addr,
		Outstanding: int(r.outstanding.Load()),
		Answered:    r.answers.Load(),
		Failed:      r.losses.Load(),
		SetAside:    r.silent.Load() || r.avoidUntil.Load() != 0,
	}
}

// pickChosen is pick for a program that chooses itself. The caller must hold
// b.mu.
func (b *balance) pickChosen() *remote {
	for _, r := range slices.Clone(b.ready) {
		if !b.hasRoom(r) {
			b.dropUnlessRoom(r)
		}
	}
	if len(b.ready) == 0 {
		return nil
	}

	servers := slices.SortedFunc(slices.Values(b.ready), func(r, other *remote) int {
		return cmp.Compare(r.addr, other.addr)
	})
	return servers[b.options.Choose(statsOf(servers))]
}
