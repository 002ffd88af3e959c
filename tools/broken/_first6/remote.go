// One server, by address, and its connection.

package main

import "sync"

type remote struct {
	addr string

	mu   sync.Mutex
	pipe *pipe
}

func (r *remote) start(frame []byte, outcomes chan<- outcome) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.pipe == nil {
		r.pipe = &pipe{remote: r, wake: make(chan struct{}, 1)}
		go r.pipe.run()
	}
	a := &attempt{frame: frame, outcomes: outcomes}
	r.pipe.send(a)
	return a
}
