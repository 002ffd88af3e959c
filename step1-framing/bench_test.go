// Benchmarks of what every call pays for: finding its frame, reading the
// request, writing the reply. Run them with
// go test -run '^$' -bench . -benchmem ./step1-framing

package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkAppendFrame(b *testing.B) {
	body := []byte(`{"in":"ping","params":"hello"}`)
	b.ReportAllocs()
	b.SetBytes(int64(HeaderSize + len(body)))
	var dst []byte
	for b.Loop() {
		dst = AppendFrame(dst[:0], body)
	}
}

// One operation is as many frames of 34 bytes as 16 KiB hold.
func BenchmarkDecoder(b *testing.B) {
	frame := AppendFrame(nil, []byte(`{"in":"ping","params":"hello"}`))
	stream := bytes.Repeat(frame, 16<<10/len(frame))
	for _, bench := range []struct {
		name  string
		piece int // bytes that come at once
	}{
		{"all at once", len(stream)},
		{"frame by frame", len(frame)},
		{"in halves of frames", len(frame) / 2},
	} {
		b.Run(bench.name, func(b *testing.B) {
			pieces := slices.Collect(slices.Chunk(stream, bench.piece))
			d := NewDecoder(MaxRequest)
			b.ReportAllocs()
			b.SetBytes(int64(len(stream)))

			for b.Loop() {
				frames := 0
				for _, piece := range pieces {
					d.Feed(piece)
					for _, ok := d.Next(); ok; _, ok = d.Next() {
						frames++
					}
				}
				if frames != len(stream)/len(frame) {
					b.Fatalf("%d frames", frames)
				}
			}
		})
	}
}

// One operation is one request body turned into one reply body.
func BenchmarkAnswer(b *testing.B) {
	for _, bench := range []struct{ name, body string }{
		{"ping", `{"in":"ping","params":"hello"}`},
		{"ping 1 KiB", `{"in":"ping","params":"` + strings.Repeat("x", 1024) + `"}`},
		{"pi of 0", `{"in":"pi","params":0}`},
		{"pi of 1000", `{"in":"pi","params":1000}`},
		{"unknown method", `{"in":"pong","params":"hello"}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			service, body := NewService(), []byte(bench.body)
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = service.Answer(body).Append(dst[:0])
			}
		})
	}
}

// One operation is a reply that a client reads.
func BenchmarkParseReply(b *testing.B) {
	body := NewReply("pong", "hello").Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseReply(body); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one call over loopback. Header and body in two writes, on a
// connection that gathers small writes, is what AppendFrame is there to avoid.
// Go's connections don't gather them, unless they are told to.
func BenchmarkRoundTrip(b *testing.B) {
	body := []byte(`{"in":"ping","params":"hello"}`)
	frame := AppendFrame(nil, body)
	for _, bench := range []struct {
		name    string
		noDelay bool
		writes  [][]byte
	}{
		{"one write", false, [][]byte{frame}},
		{"two writes", true, [][]byte{frame[:HeaderSize], body}},
		{"two writes that are gathered", false, [][]byte{frame[:HeaderSize], body}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			defer listener.Close()
			go echoFrames(listener, len(frame))

			conn, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(b, err)
			defer conn.Close()
			// Other languages begin with false.
			require.NoError(b, conn.(*net.TCPConn).SetNoDelay(bench.noDelay))

			got := make([]byte, len(frame))
			for b.Loop() {
				for _, piece := range bench.writes {
					if _, err := conn.Write(piece); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := io.ReadFull(conn, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// echoFrames answers each frame of that size, on one connection, with itself.
func echoFrames(listener net.Listener, size int) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()

	for frame := make([]byte, size); ; {
		if _, err := io.ReadFull(conn, frame); err != nil {
			return
		}
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}
