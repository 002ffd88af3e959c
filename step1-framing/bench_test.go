// Benchmarks of what every call pays for: finding its frame, reading the
// request, writing the reply. Run them with
// go test -run '^$' -bench . -benchmem ./step1-framing

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
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
					for range d.Frames(piece) {
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
