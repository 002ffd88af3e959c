// The client's list of servers, watched: a Discovery that passes on what
// another one finds and notes when it came.

//go:build unix

package demo

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/stage"
)

// listTime bounds how long a change may take to reach the client: a session
// that has to time out, and much patience with a busy machine.
const listTime = 20 * time.Second

// A list is what the client knows of the servers. It is safe for concurrent
// use.
type list struct {
	source rpc.Discovery

	mu        sync.Mutex
	sightings []sighting // all so far
}

type sighting struct {
	when     time.Time
	snapshot rpc.Snapshot
}

// Watch implements rpc.Discovery.
func (l *list) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	l.source.Watch(ctx, func(s rpc.Snapshot) {
		publish(s)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.sightings = append(l.sightings, sighting{time.Now(), s})
	})
}

// has tells whether the server is in the list now.
func (l *list) has(addr string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sightings) > 0 && l.sightings[len(l.sightings)-1].has(addr)
}

func (s sighting) has(addr string) bool { return slices.Contains(s.snapshot.Servers, addr) }

// await waits for the first list since a moment that has, or hasn't, the
// server, and returns how long after that moment it came.
func (l *list) await(ctx context.Context, since time.Time, addr string, listed bool) (took time.Duration, err error) {
	err = stage.Await(ctx, listTime, func() (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, s := range l.sightings {
			if s.when.After(since) && s.has(addr) == listed {
				took = s.when.Sub(since)
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait until the client's list has %s (%t): %w", addr, listed, err)
	}
	return took, nil
}
