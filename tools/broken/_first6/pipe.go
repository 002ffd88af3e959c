// One connection, which many calls share.

package main

import (
	"net"
	"sync"
)

type pipe struct {
	remote *remote
	wake   chan struct{}

	mu    sync.Mutex
	queue []*attempt
	sent  []*attempt
}

func (p *pipe) send(a *attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.queue = append(p.queue, a)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) run() {
	conn, err := net.Dial("tcp", p.remote.addr)
	if err != nil {
		return
	}
	go p.read(conn)

	for range p.wake {
		_, err := conn.Write(p.take())
		if err != nil {
			return
		}
	}
}

func (p *pipe) take() (frames []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()

	for _, a := range p.queue {
		frames = append(frames, a.frame...)
	}
	p.sent = append(p.sent, p.queue...)
	p.queue = nil
	return frames
}

func (p *pipe) read(conn net.Conn) {
	decoder := NewDecoder(MaxReply)
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		decoder.Feed(buf[:n])
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			p.answer(body)
		}
	}
}

func (p *pipe) answer(body []byte) {
	reply, err := ParseReply(body)
	p.mu.Lock()
	defer p.mu.Unlock()

	a := p.sent[0]
	p.sent = p.sent[1:]
	a.outcomes <- outcome{reply: reply, err: err}
}
