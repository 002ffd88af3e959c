// A worker: a goroutine that accepts, and one for each connection.

//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxRequest = 1 << 20
	maxTerms   = 100_000_000

	lingerTime  = time.Second
	maxLinger   = time.Minute
	lingerBytes = 64 << 20

	longTurn     = 5 * time.Millisecond
	troublePause = 100 * time.Millisecond
)

// A pool is the connections of a worker.
type pool struct {
	mu       sync.Mutex
	conns    map[*conn]bool
	left     *sync.Cond // one of them has
	draining bool
}

func work() error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	wishes := make(chan os.Signal, 1)
	signal.Notify(wishes, syscall.SIGTERM)

	given := os.NewFile(listenerFD, "listener")
	listener, err := net.FileListener(given) // of another descriptor
	if err != nil {
		return err
	}
	ln := listener.(*net.TCPListener)
	given.Close()

	say := func(word string) { _, _ = unix.Write(wordsFD, []byte(word)) }
	words := make(chan byte)
	go hear(words)

	p := &pool{conns: map[*conn]bool{}}
	p.left = sync.NewCond(&p.mu)
	go p.accept(ln)
	say("r")

	said := byte(0)
	for said == 0 {
		select {
		case <-wishes:
			say("w")
		case said = <-words:
		}
	}

	_ = ln.SetDeadline(time.Unix(1, 0)) // which ends accept
	if said != 'r' {                    // the whole server stops: what is queued is ours, too
		p.takeQueued(ln)
	}
	p.drain()
	if said == gone {
		shutDown(ln)
	}
	go func() {
		for said := range words {
			if said == gone {
				shutDown(ln)
			}
		}
	}()

	ended := make(chan struct{})
	go func() {
		p.wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(options.grace):
	}
	return nil
}

// gone stands for the end of the lifeline.
const gone = '.'

func hear(words chan<- byte) {
	lifeline := os.NewFile(lifelineFD, "lifeline")
	for word := make([]byte, 1); ; {
		_, err := lifeline.Read(word)
		if err != nil {
			words <- gone
			return
		}
		words <- word[0]
	}
}

func shutDown(ln *net.TCPListener) {
	raw, err := ln.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) })
	}
}

// accept accepts until the pool drains, and after each connection leaves the
// next one to siblings for a moment. When that became a long one, because many
// connections are busy, it catches up.
func (p *pool) accept(ln *net.TCPListener) {
	for several := 1; ; {
		held := 0
		for range several {
			tcp, err := ln.AcceptTCP()
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, unix.EINVAL) {
				return // we drain, or the socket is shut down
			}
			if err != nil { // too many open files, perhaps: others must leave first
				time.Sleep(troublePause)
				break
			}
			held = p.take(tcp)
		}

		pause, begin := min(400*time.Microsecond, time.Duration(held)*20*time.Microsecond), time.Now()
		time.Sleep(pause)
		several = 1
		if time.Since(begin) > pause+longTurn {
			several = 32
		}
	}
}

// takeQueued accepts what waits, and nothing that comes later.
func (p *pool) takeQueued(ln *net.TCPListener) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(listener uintptr) {
		for {
			fd, _, err := unix.Accept4(int(listener), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
			if err != nil {
				return
			}
			file := os.NewFile(uintptr(fd), "connection")
			accepted, err := net.FileConn(file)
			file.Close()
			if err == nil {
				p.take(accepted.(*net.TCPConn))
			}
		}
	})
}

// take serves a connection, and returns how many there are.
func (p *pool) take(tcp *net.TCPConn) int {
	c := &conn{tcp: tcp}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	if p.draining {
		c.drain()
	}

	go func() {
		c.serve()

		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
		p.left.Broadcast()
	}()
	return len(p.conns)
}

// wait returns when there is no connection. One may still come after that.
func (p *pool) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.conns) > 0 {
		p.left.Wait()
	}
}

func (p *pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	for c := range p.conns {
		c.drain()
	}
}

// A conn is one connection. Its goroutine serves it; others may drain it.
type conn struct {
	tcp *net.TCPConn
	buf []byte // what has come in and is not answered

	// In a drain.
	isDraining bool // the goroutine knows
	quota      int  // bytes that may still be read

	mu        sync.Mutex
	lingering bool
}

// drain has the goroutine find out that no more requests are to be read than
// have come in.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lingering {
		_ = c.tcp.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *conn) serve() {
	defer c.tcp.Close()
	chunk := make([]byte, 16<<10)
	for {
		tooLong, err := c.answerAll()
		if err != nil {
			return
		}
		if tooLong {
			break
		}

		n, err := c.read(chunk)
		if err != nil && !errors.Is(err, io.EOF) {
			return // it was reset
		}
		if err != nil {
			break
		}
		c.buf = append(c.buf, chunk[:n]...)
	}
	c.linger()
}

// answerAll answers the requests that are whole.
func (c *conn) answerAll() (tooLong bool, err error) {
	for len(c.buf) >= 4 {
		length := binary.LittleEndian.Uint32(c.buf)
		if length > maxRequest {
			_, err := c.tcp.Write(reply("error", quote(fmt.Sprintf("a request may have %d bytes", maxRequest))))
			return true, err
		}
		if len(c.buf) < 4+int(length) {
			return false, nil
		}

		_, err := c.tcp.Write(answer(c.buf[4 : 4+length]))
		if err != nil {
			return false, err
		}
		c.buf = c.buf[4+length:]
	}
	return false, nil
}

// read reads a chunk, io.EOF when no more is to come.
func (c *conn) read(chunk []byte) (int, error) {
	if !c.isDraining {
		n, err := c.tcp.Read(chunk)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		c.isDraining, c.quota = true, c.ask(unix.TIOCINQ)
		_ = c.tcp.SetReadDeadline(time.Time{})
	}

	room := c.quota
	if room == 0 {
		room = c.missing()
	}
	if room == 0 {
		return 0, io.EOF
	}
	n, err := c.tcp.Read(chunk[:min(room, len(chunk))])
	c.quota = max(0, c.quota-n)
	return n, err
}

// missing returns how many bytes the frame still needs that has begun.
func (c *conn) missing() int {
	switch {
	case len(c.buf) == 0:
		return 0
	case len(c.buf) < 4:
		return 4 - len(c.buf)
	}
	return 4 + int(binary.LittleEndian.Uint32(c.buf)) - len(c.buf)
}

// ask asks the kernel for a number of bytes.
func (c *conn) ask(request uint) (n int) {
	raw, err := c.tcp.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), request) })
	}
	return n
}

// linger ends our side, and discards what still comes.
func (c *conn) linger() {
	c.mu.Lock()
	c.lingering = true
	c.mu.Unlock()
	_ = c.tcp.CloseWrite()

	left, unsent := int64(lingerBytes), math.MaxInt
	for begin := time.Now(); time.Since(begin) < maxLinger; {
		_ = c.tcp.SetReadDeadline(time.Now().Add(lingerTime))
		n, err := io.CopyN(io.Discard, c.tcp, left)
		left -= n
		switch {
		case err == nil:
			time.Sleep(lingerTime) // enough: now the client waits
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		}

		now := c.ask(unix.TIOCOUTQ)
		if now == 0 || now >= unsent {
			return
		}
		unsent = now
	}
}

// answer returns the reply to a request, as a frame.
func answer(body []byte) []byte {
	var request struct {
		Method *string         `json:"in"`
		Params json.RawMessage `json:"params"`
	}
	err := json.Unmarshal(body, &request)
	switch {
	case err != nil:
		return reply("error", quote(err.Error()))
	case request.Method == nil || request.Params == nil:
		return reply("error", quote("a request needs a method and params"))
	case *request.Method == "ping":
		return reply("pong", string(request.Params))
	case *request.Method != "pi":
		return reply("error", quote("unknown method"))
	}

	var n *int
	err = json.Unmarshal(request.Params, &n)
	if err != nil || n == nil || *n < 0 || *n > maxTerms {
		return reply("error", quote(fmt.Sprintf("pi takes a whole number from 0 to %d", maxTerms)))
	}
	sum := 0.0
	for i := range *n + 1 {
		sum += 1 / float64(2*i+1) / float64(2*i+1)
	}
	result, _ := json.Marshal(math.Sqrt(8 * sum)) // a number never fails
	return reply("pi_r", string(result))
}

func reply(kind, result string) []byte {
	body := fmt.Sprintf(`{"out":"%s","result":%s}`, kind, result)
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a string never fails
	return string(quoted)
}
