// Mistakes with frames and connections: chapters 1 and 2.

package broken

var wire = []Program{
	{
		Name:    "one-read-one-frame",
		Mistake: "takes what one read returned for exactly one frame",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"main.go", `	decoder := NewDecoder(MaxRequest)
`, ``},
			{"main.go", `		decoder.Feed(buf[:n])

		var out []byte
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			out = AppendReply(out, answer(body))
		}
		if decoder.Err() != nil {
			out = AppendReply(out, ErrorReply(decoder.Err()))
		}

		_, err := conn.Write(out)
		switch {
		case err != nil:
			return err
		case decoder.Err() != nil:
			return linger(conn)
`, `		var out []byte
		if n > HeaderSize {
			out = AppendReply(out, answer(buf[HeaderSize:n]))
		}

		_, err := conn.Write(out)
		switch {
		case err != nil:
			return err
`},
		},
		Sometimes: []string{"1.6"},
		Varies:    []string{"got"},
		By:        "whether what is written byte by byte comes in with one read or with several",
	},
	{
		Name:    "first-frame-only",
		Mistake: "looks for one frame after each read, where a read may bring several",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `			out = AppendReply(out, answer(body))
`, `			out = AppendReply(out, answer(body))
			break
`}},
	},
	{
		Name:    "rest-dropped",
		Mistake: "empties its buffer when a frame is done, and the beginning of the next one with it",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"frame.go", `	d.kept = rest
`, `	d.kept = nil
`}},
	},
	{
		Name:    "big-endian",
		Mistake: "writes and reads the length in network byte order",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"frame.go", `binary.LittleEndian.AppendUint32(dst`, `binary.BigEndian.AppendUint32(dst`},
			{"frame.go", `binary.LittleEndian.Uint32(d.kept)`, `binary.BigEndian.Uint32(d.kept)`},
		},
	},
	{
		Name:    "length-trusted",
		Mistake: "makes a buffer as long as the client announces, up to 4 GiB, and waits until it is full",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"main.go", `import (
	"bufio"
	"bytes"
`, `import (
	"bufio"
	"bytes"
	"encoding/binary"
`},
			{"main.go", `	decoder := NewDecoder(MaxRequest)
	buf := make([]byte, 16<<10)
	for {
		n, readErr := conn.Read(buf)
		decoder.Feed(buf[:n])

		var out []byte
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			out = AppendReply(out, answer(body))
		}
		if decoder.Err() != nil {
			out = AppendReply(out, ErrorReply(decoder.Err()))
		}

		_, err := conn.Write(out)
		switch {
		case err != nil:
			return err
		case decoder.Err() != nil:
			return linger(conn)
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
`, `	for {
		header := make([]byte, HeaderSize)
		_, err := io.ReadFull(conn, header)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		body := make([]byte, binary.LittleEndian.Uint32(header))
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		if _, err := conn.Write(AppendFrame(nil, answer(body).Append(nil))); err != nil {
			return err
		}
	}
`},
		},
	},
	{
		Name:    "characters-counted",
		Mistake: "writes the number of characters in front of a body, instead of the number of bytes",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"frame.go", `AppendUint32(dst, uint32(len(body)))`, `AppendUint32(dst, uint32(utf8.RuneCount(body)))`},
			{"frame.go", `	"encoding/binary"
`, `	"encoding/binary"
	"unicode/utf8"
`},
		},
	},
	{
		Name:    "pi-from-the-end",
		Mistake: "adds up the terms of pi from the smallest to the largest, which is more exact, and gives other bits",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"service.go", `		odd := float64(2*i + 1)
`, `		odd := float64(2*(n-i) + 1)
`}},
	},
	{
		Name:    "goroutine-per-request",
		Mistake: "answers each request in a goroutine of its own, so that a reply overtakes the one before it",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `			out = AppendReply(out, answer(body))
`, `			go func() { _, _ = conn.Write(AppendReply(nil, answer(body))) }()
`}},
		Sometimes: []string{"1.7", "1.9", "1.11", "1.12", "1.14", "1.15", "1.16"},
		Varies:    []string{"expected", "got"},
		By:        "which of several goroutines runs first",
	},
	{
		Name:    "in-before-params",
		Mistake: "looks for \"params\" behind \"in\" only, although the members of an object have no order",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"message.go", `		return r, fmt.Errorf("bad request: %w", err)
	}
`, `		return r, fmt.Errorf("bad request: %w", err)
	}
	in, params := bytes.Index(body, []byte("\"in\"")), bytes.Index(body, []byte("\"params\""))
	if params < in {
		r.Params = nil
	}
`}},
	},
	{
		Name:    "echoes-the-rest",
		Mistake: "takes all that follows \"params\" for its value, up to the last brace",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"message.go", `		return r, fmt.Errorf("bad request: %w", err)
	}
`, `		return r, fmt.Errorf("bad request: %w", err)
	}
	_, rest, ok := bytes.Cut(body, []byte("\"params\":"))
	if ok {
		r.Params = bytes.TrimSpace(rest[:bytes.LastIndexByte(rest, '}')])
	}
`}},
	},
	{
		Name:    "strict-about-members",
		Mistake: "refuses a request that has one more member than it knows",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"message.go", `	err := json.Unmarshal(body, into)
`, `	err := json.Unmarshal(body, into)
	if err == nil {
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		err = strict.Decode(into)
	}
`}},
	},
	{
		Name:    "pi-of-a-fraction",
		Mistake: "reads pi's params as a floating point number, and asks whether that is whole",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"service.go", `	var n *int // a pointer, because null is no number: into an int it would pass as 0
`, `	var n *float64
`},
			{"service.go", `n == nil || *n < 0 || *n > MaxPiTerms {
`, `n == nil || *n != math.Trunc(*n) || *n < 0 || *n > MaxPiTerms {
`},
			{"service.go", `	return *n, nil
`, `	return int(*n), nil
`},
		},
	},
	{
		Name:    "params-encoded-again",
		Mistake: "decodes ping's params and encodes them again, which loses white space and rounds long numbers",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"service.go", `	return Reply{Kind: "pong", Result: params}, nil
`, `	var value any
	err := json.Unmarshal(params, &value)
	return NewReply("pong", value), err
`}},
	},
	{
		Name:    "bad-request-ends",
		Mistake: "closes the connection after the error reply to a bad request, and the requests behind it are lost",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `			out = AppendReply(out, answer(body))
`, `			reply := answer(body)
			out = AppendReply(out, reply)
			if reply.Kind == "error" {
				_, err := conn.Write(out)
				return err
			}
`}},
		Varies: []string{"expected", "got"},
		By:     "how far the next call has come when the connection ends",
	},
	{
		Name:    "null-is-a-number",
		Mistake: "decodes pi's params into an int, into which null goes without an error",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"service.go", `	var n *int // a pointer, because null is no number: into an int it would pass as 0
`, `	var n int
`},
			{"service.go", `n == nil || *n < 0 || *n > MaxPiTerms {
`, `n < 0 || n > MaxPiTerms {
`},
			{"service.go", `	return *n, nil
`, `	return n, nil
`},
		},
	},
	{
		Name:    "missing-params-echoed",
		Mistake: "echoes params that are missing, so that its reply isn't JSON",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"service.go", `	if req.Params == nil {
		return ErrorReply(fmt.Errorf(` + "`%s: \"params\" is missing`" + `, req.Method))
	}
`, ``}},
	},
	{
		Name:    "errors-quote-everything",
		Mistake: "quotes all of a bad request in the error, escaped, which is longer than a client accepts",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"service.go", `	const maxQuote = 60
`, `	const maxQuote = MaxRequest
`},
			{"message.go", `	if len(body) > MaxReply {
		body = replyTooLong(len(body)).Append(nil)
	}
`, ``},
		},
	},
	{
		Name:    "closed-with-unread-input",
		Mistake: "closes the connection after the last reply, while the client is still sending",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `			return linger(conn)
`, `			return nil
`}},
		Sometimes: []string{"1.15"},
		Varies:    []string{"expected", "got"},
		By:        "whether the reset comes before the client has read",
	},
	{
		Name:    "lingers-on-and-on",
		Mistake: "reads on after it has ended its side, until the client ends its own, which it may never do",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	err := conn.CloseWrite()
`, `	err := conn.CloseWrite()
`}},
	},
	{
		Name:    "end-of-input-first",
		Mistake: "closes the connection at the end of what the client sends, before it has written the replies",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `		decoder.Feed(buf[:n])

		var out []byte
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			out = AppendReply(out, answer(body))
`, `		decoder.Feed(buf[:n])
		for n > 0 && readErr == nil {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			n, readErr = conn.Read(buf)
			decoder.Feed(buf[:n])
		}
		_ = conn.SetReadDeadline(time.Time{})
		if errors.Is(readErr, io.EOF) {
			return nil
		}
		if errors.Is(readErr, os.ErrDeadlineExceeded) {
			readErr = nil
		}

		var out []byte
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			out = AppendReply(out, answer(body))
`}},
	},
	{
		Name:    "error-ends-the-server",
		Mistake: "ends the loop that accepts at an error of one connection",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{{"main.go", `			slog.Warn("connection lost", "peer", conn.RemoteAddr(), "err", err)
`, `			slog.Warn("connection lost", "peer", conn.RemoteAddr(), "err", err)
			return err
`}},
		Varies: []string{"did", "expected", "got"},
		By:     "how far the next call has come when the program ends",
	},
	{
		Name:    "two-writes",
		Mistake: "writes the length and then the body, on a connection that gathers small writes (Nagle's algorithm)",
		Step:    "step1-framing", Spec: 1,
		Edits: []Edit{
			{"main.go", `	decoder := NewDecoder(MaxRequest)
	buf := make([]byte, 16<<10)
	for {
		n, readErr := conn.Read(buf)
		decoder.Feed(buf[:n])

		var out`, `	decoder := NewDecoder(MaxRequest)
	buf := make([]byte, 16<<10)
	_ = conn.SetNoDelay(false)
	for {
		n, readErr := conn.Read(buf)
		decoder.Feed(buf[:n])

		var out`},
			{"main.go", `		_, err := conn.Write(out)
		switch {
`, `		header := min(len(out), HeaderSize)
		_, err := conn.Write(out[:header])
		if err == nil {
			_, err = conn.Write(out[header:])
		}
		switch {
`},
		},
	},
	{
		Name:    "multiple-of-the-buffer",
		Mistake: "reads again after a full buffer, and takes \"nothing there yet\" for the end of the connection",
		Step:    "step2-asyncserver", Spec: 1,
		Edits: []Edit{
			{"conn.go", `		c.receive(chunk[:n])
	case errors.Is(err, unix.EAGAIN):
		// There was nothing after all.
`, `		c.receive(chunk[:n])
		if n == chunkSize && c.state == stateOpen {
			c.read()
		}
`},
			{"conn.go", `	n, err := unix.Read(c.fd, chunk)
`, `	n, _ := unix.Read(c.fd, chunk)
`},
		},
	},
	{
		Name:    "short-write-ignored",
		Mistake: "believes that a write takes everything, although a full socket buffer takes a part, or nothing",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"conn.go", `	n, err := unix.Write(c.fd, c.out)
	if n > 0 {
		c.out = c.out[n:]
	}
	if len(c.out) == 0 {
		c.out = nil // an idle connection holds no buffer
	}
`, `	_, err := unix.Write(c.fd, c.out)
	c.out = nil
`},
		},
		Varies: []string{"got"},
		By:     "how much is missing when the client begins to read",
	},
	{
		Name:    "blocking-socket",
		Mistake: "leaves accepted connections blocking: one client that doesn't read stops everybody",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"sys_linux.go", `unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC`, `unix.SOCK_CLOEXEC`},
			{"sys_other.go", `	err = unix.SetNonblock(fd, true)
`, ``},
		},
	},
	{
		Name: "drains-on-and-on",
		Mistake: "ends a connection in a stop when it has been idle for a moment, so that a client which sends on " +
			"and on holds it",
		Step: "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"conn.go", `	c.quota, _ = unread(c.fd)
	c.flush()
}
`, `	c.quota = 1 << 40
	c.endWhenIdle()
	c.flush()
}

func (c *Conn) endWhenIdle() {
	c.lingering.Stop()
	c.lingering = c.server.loop.AfterFunc(time.Second, func() {
		if n, _ := unread(c.fd); n > 0 || c.unanswered || len(c.out) > 0 {
			c.endWhenIdle()
		} else {
			c.linger()
		}
	})
}
`},
			{"conn.go", `	n, err := unix.Read(c.fd, chunk)
`, `	n, err := unix.Read(c.fd, chunk)
	if c.state == stateDraining {
		c.endWhenIdle()
	}
`},
		},
		Sometimes: []string{"2.12"},
		By:        "whether the rest of half a request comes before the moment is over",
	},
	{
		Name:    "accepts-one-a-turn",
		Mistake: "accepts one connection in each turn of the loop, however long the turn is",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"server.go", `	maxAccepts = 32
`, `	maxAccepts = 1
`},
		},
	},
	{
		Name:    "short-queue",
		Mistake: "lets one client wait in the queue for new connections: listen(1), as the tutorial has it",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"server.go", `	return fd, ln.Addr().(*net.TCPAddr), err
`, `	return fd, ln.Addr().(*net.TCPAddr), errors.Join(err, unix.Listen(fd, 1))
`}},
		Quick: []string{"2.2", "2.3", "2.4"},
		Why:   "in 2.16 it takes a minute until hundreds of clients are connected",
	},
	{
		Name:    "accepts-until-an-error",
		Mistake: "stops accepting at the first error, such as too many open files",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"server.go", `		return troublePause // the usual cause,`,
			`		return -1 // the usual cause,`}},
	},
	{
		Name:    "idle-clients-thrown-out",
		Mistake: "ends a connection on which nothing has come for two seconds",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `	err := c.write()

	switch {
`, `	err := c.write()
	c.lingering.Stop()

	switch {
`}, {"conn.go", `		c.linger()
	default:
		c.watch(Readable)
`, `		c.linger()
	default:
		c.lingering = c.server.loop.AfterFunc(2*time.Second, c.linger)
		c.watch(Readable)
`}},
		Quick:     []string{"2.10", "2.11"},
		Why:       "on a busy machine there may be a client that is idle for two seconds in others, too",
		Sometimes: []string{"2.2", "2.3", "2.4", "2.6", "2.7", "2.9", "2.12", "2.13", "2.14"},
		By:        "whether the machine lets a client wait for two seconds",
	},
	{
		Name:    "decoder-shared",
		Mistake: "has one decoder for all connections, so that half a frame of one is put before what others send",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"server.go", `	c := &Conn{server: s, fd: fd, decoder: NewDecoder(s.MaxFrame)}
`, `	if shared == nil {
		shared = NewDecoder(s.MaxFrame)
	}
	c := &Conn{server: s, fd: fd, decoder: shared}
`},
			{"server.go", `// open starts serving a connection.
`, `var shared *Decoder

// open starts serving a connection.
`},
		},
		Sometimes: []string{"2.6", "2.7", "2.8", "2.9", "2.10", "2.11", "2.12", "2.14", "2.16", "2.17"},
		Varies:    []string{"expected", "got"},
		By:        "in which pieces frames come in, and on which connection first",
	},
	{
		Name:    "reads-to-the-end",
		Mistake: "reads until nothing is left before it answers, and closes the connection if that is the end of input",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `		c.quota = max(0, c.quota-n) // 0 stays 0
		c.receive(chunk[:n])
`, `		c.quota = max(0, c.quota-n) // 0 stays 0
		if c.state == stateOpen {
			c.decoder.Feed(chunk[:n])
			c.read()
			return
		}
		c.receive(chunk[:n])
`}, {"conn.go", `		// There was nothing after all.
`, `		c.process(nil)
`}},
		Sometimes: []string{"2.14"},
		By:        "whether there is ever nothing left to read of a client that sends on and on",
	},
	{
		Name:    "error-ends-the-loop",
		Mistake: "ends the program at an error of one connection",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `	default: // an error, or the end of the stream:`, `	case err != nil:
		panic(err)
	default: //`}},
		Varies: []string{"did", "expected", "got"},
		By:     "how far the next call has come when the program ends",
	},
	{
		Name:    "reads-while-it-owes",
		Mistake: "reads from a client although replies to it are unsent, and keeps what piles up",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{
			{"conn.go", `		c.watch(Writable) // alone`, `		c.watch(Readable | Writable) // alone`},
			{"conn.go", ` && len(c.out) <= maxReplies {
`, ` {
`},
		},
		Varies: []string{"got"},
		By:     "how much the clients have sent",
	},
	{
		Name:    "always-writable",
		Mistake: "waits for a connection to be writable although it has nothing to write, and is told at once",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `	default:
		c.watch(Readable)
	}
`, `	default:
		c.watch(Readable | Writable)
	}
`}},
		Varies: []string{"got"},
		By:     "how busy the machine is",
	},
	{
		Name:    "never-closed",
		Mistake: "stops watching a connection that has ended, and doesn't close it",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"loop.go", `	l.closing = append(l.closing, fd)
`, `	if len(l.onDrain) == 0 || l.draining {
		l.closing = append(l.closing, fd)
	}
`}},
	},
	{
		Name:    "ends-at-once",
		Mistake: "ends the loop at the signal, with the calls that are under way",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"loop.go", `	for !l.draining || l.isWatching() {
`, `	for !l.draining {
`}},
		Sometimes: []string{"2.14"},
		Varies:    []string{"expected", "got"},
		By:        "what the loop has read when the signal comes",
	},
	{
		Name:    "port-not-reused",
		Mistake: "opens its port without SO_REUSEADDR",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"server.go", `	config.SetMultipathTCP(false)
`, `	config.SetMultipathTCP(false)
	config.Control = func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(s uintptr) {
			_ = unix.SetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
		})
	}
`}, {"server.go", `	"net"
	"time"
`, `	"net"
	"syscall"
	"time"
`}},
	},
	{
		Name:    "lingers-for-the-deaf",
		Mistake: "waits for a client that it has told the end, although that takes nothing any more",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `		taking := err == nil && now > 0 && now < unacknowledged
`, `		taking := err == nil && now > 0
`}},
	},
	{
		Name:    "second-interrupt-ignored",
		Mistake: "ignores every Ctrl-C after the first, so that only SIGKILL ends a stop that waits",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"main.go", `		signal.Reset(syscall.SIGINT, syscall.SIGTERM) //`,
			`		signal.Ignore(syscall.SIGINT, syscall.SIGTERM) //`}},
	},
	{
		Name:    "long-requests-at-once",
		Mistake: "handles all long requests that are complete in one turn of the loop",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"server.go", `	longBody = chunkSize
`, `	longBody = MaxRequest
`}},
		Varies: []string{"got"},
		By:     "how long a request takes to be parsed",
	},
	{
		Name:    "half-a-request-dropped",
		Mistake: "ends a connection in a stop although half a request has come, instead of waiting for the rest",
		Step:    "step2-asyncserver", Spec: 2,
		Edits: []Edit{{"conn.go", `		return min(chunkSize, c.decoder.Missing())
`, `		return 0
`}},
	},
	{
		Name: "one-client-at-a-time",
		Mistake: "serves one client until it leaves, and lets all others wait: chapter 1's server, held against " +
			"specification 2",
		Step: "step2-asyncserver", Spec: 2,
		Command: "step1-framing", Args: "serve {host} {port}",
		Quick: []string{"2.1", "2.2", "2.4", "2.5"},
		Why:   "nearly all milestones have a client that waits for another, for up to 10 s each",
	},
}
