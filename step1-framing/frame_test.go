// Tests of framing: whatever pieces the network delivers, the same frames come
// out, and nobody makes the decoder hold more than was sent.

package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decode feeds chunks to d and returns the bodies that it finds, and the error.
// Each chunk comes in the same buffer, as from a real connection: what the
// decoder holds on to without copying is overwritten.
func decode(d *Decoder, chunks ...[]byte) (bodies []string, err error) {
	var buf []byte
	for _, chunk := range chunks {
		buf = append(buf[:0], chunk...)
		d.Feed(buf)
		for i := range buf {
			buf[i] = 0xEE
		}
		bodies = append(bodies, rest(d)...)
	}
	return bodies, d.Err()
}

// rest returns all bodies that are whole now.
func rest(d *Decoder) (bodies []string) {
	for {
		body, ok := d.Next()
		if !ok {
			return bodies
		}
		bodies = append(bodies, string(body))
	}
}

// pieces cuts stream into chunks of that size.
func pieces(stream []byte, size int) (chunks [][]byte) {
	for len(stream) > 0 {
		n := min(size, len(stream))
		chunks, stream = append(chunks, stream[:n]), stream[n:]
	}
	return chunks
}

// header announces a body of that many bytes.
func header(length uint32) []byte {
	return []byte{byte(length), byte(length >> 8), byte(length >> 16), byte(length >> 24)}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAppendFrameIsLittleEndianLengthThenBody(t *testing.T) {
	assert.Equal(t, []byte{2, 0, 0, 0, '{', '}'}, AppendFrame(nil, []byte(`{}`)))
	assert.Equal(t, []byte{0, 0, 0, 0}, AppendFrame(nil, nil))
	assert.Equal(t, []byte{'x', 1, 0, 0, 0, 'y'}, AppendFrame([]byte("x"), []byte("y")), "behind what is there")

	frame := AppendFrame(nil, make([]byte, 0x030201))
	assert.Equal(t, []byte{1, 2, 3, 0}, frame[:HeaderSize])
	assert.Len(t, frame, HeaderSize+0x030201)
}

func TestSameFramesInAnyPieces(t *testing.T) {
	bodies := []string{`{"in":"ping","params":1}`, "", "x", strings.Repeat("long ", 200), "", "end"}
	var stream []byte
	for _, body := range bodies {
		stream = AppendFrame(stream, []byte(body))
	}

	for size := 1; size <= len(stream); size++ {
		d := NewDecoder(MaxRequest)
		got, err := decode(d, pieces(stream, size)...)
		require.NoError(t, err, "pieces of %d", size)
		require.Equal(t, bodies, got, "pieces of %d", size)
		require.Zero(t, d.Buffered(), "pieces of %d", size)
	}
}

func TestEverySplitOfTwoFrames(t *testing.T) {
	stream := AppendFrame(AppendFrame(nil, []byte("one")), []byte("two"))
	for cut := range stream {
		d := NewDecoder(3)
		first, err := decode(d, stream[:cut])
		require.NoError(t, err)
		assert.Len(t, first, cut/(HeaderSize+3), "a frame is yielded as soon as it is whole, cut at %d", cut)
		assert.Equal(t, cut%(HeaderSize+3) != 0, d.Buffered() > 0, "cut at %d", cut)
		second, err := decode(d, stream[cut:])
		require.NoError(t, err)
		assert.Equal(t, []string{"one", "two"}, append(first, second...), "cut at %d", cut)
		assert.Zero(t, d.Buffered(), "cut at %d", cut)
	}
}

func TestFramesOfMultiplesOf1024Bytes(t *testing.T) {
	// Reading in blocks of 1024 and waiting for a short one goes wrong here.
	for _, size := range []int{1023, 1024, 1025, 2048, 4096, 16 << 10} {
		frame := AppendFrame(nil, bytes.Repeat([]byte("a"), size-HeaderSize))
		require.Len(t, frame, size)
		got, err := decode(NewDecoder(MaxRequest), pieces(frame, 1024)...)
		require.NoError(t, err)
		require.Len(t, got, 1, "a frame of %d bytes", size)
		assert.Len(t, got[0], size-HeaderSize)
	}
}

func TestLengthLimit(t *testing.T) {
	for _, c := range []struct {
		limit  int
		length uint32
		ok     bool
	}{
		{limit: 0, length: 0, ok: true},
		{limit: 0, length: 1},
		{limit: 10, length: 9, ok: true},
		{limit: 10, length: 10, ok: true},
		{limit: 10, length: 11},
		{limit: MaxRequest, length: MaxRequest, ok: true},
		{limit: MaxRequest, length: MaxRequest + 1},
		{limit: MaxRequest, length: 1 << 31},
		{limit: MaxRequest, length: math.MaxUint32},
	} {
		for _, size := range []int{1, 3, 4, 1 << 16} {
			name := fmt.Sprintf("%d bytes with limit %d in pieces of %d", c.length, c.limit, size)
			good := AppendFrame(nil, nil)
			stream := append(good, header(c.length)...)
			if c.ok {
				stream = append(stream, make([]byte, c.length)...)
			}

			got, err := decode(NewDecoder(c.limit), pieces(stream, size)...)
			if c.ok {
				require.NoError(t, err, name)
				require.Len(t, got, 2, name)
				assert.Len(t, got[1], int(c.length), name)
				continue
			}
			assert.Equal(t, &FrameTooLongError{Length: c.length, Limit: c.limit}, err, name)
			assert.Len(t, got, 1, "the frame before the bad one still counts: %s", name)
		}
	}

	assert.EqualError(t, &FrameTooLongError{Length: math.MaxUint32, Limit: MaxRequest},
		"frame of 4294967295 bytes is over the limit of 1048576")
}

func TestErrorStays(t *testing.T) {
	d := NewDecoder(10)
	var first error
	for range 3 {
		got, err := decode(d, pieces(header(11), 3)...)
		assert.Empty(t, got)
		require.Error(t, err)
		if first == nil {
			first = err
		}
		assert.Same(t, first, err)

		got, err = decode(d, AppendFrame(nil, []byte("good")))
		assert.Empty(t, got, "behind a bad header nobody knows where a frame begins")
		assert.Same(t, first, err)

		_, err = decode(d, nil)
		assert.Same(t, first, err)
		assert.Zero(t, d.Buffered())
		assert.Nil(t, d.kept, "nothing is kept for a stream that is lost")
	}
}

func TestAnnouncedLengthIsNotAllocated(t *testing.T) {
	little := make([]byte, 100)
	for _, c := range []struct {
		name    string
		decoder *Decoder
		length  uint32
	}{
		{"over the limit", NewDecoder(MaxRequest), math.MaxUint32},
		{"at the limit", NewDecoder(MaxRequest), MaxRequest},
		{"at a huge limit", NewDecoder(math.MaxInt32), math.MaxInt32},
	} {
		chunk := append(header(c.length), little...)
		used := allocated(func() {
			for _, b := range chunk {
				c.decoder.Feed([]byte{b})
				c.decoder.Next()
			}
		})
		assert.Less(t, used, uint64(16<<10), c.name)
	}
}

func TestNothingIsKeptOfAFrameOverTheLimit(t *testing.T) {
	d := NewDecoder(MaxRequest)
	stream := append(header(MaxRequest+1), make([]byte, MaxRequest)...)
	chunks := pieces(stream, 1<<10)
	used := allocated(func() {
		for _, chunk := range chunks {
			d.Feed(chunk)
			d.Next()
		}
	})
	assert.Less(t, used, uint64(4<<10), "the first chunk, and no other")
	assert.Nil(t, d.kept)
}

func TestMemoryGrowsWithTheBytesThatCame(t *testing.T) {
	d := NewDecoder(MaxRequest)
	stream := AppendFrame(nil, make([]byte, MaxRequest))
	used := allocated(func() {
		for _, chunk := range pieces(stream, 64) {
			d.Feed(chunk)
			d.Next()
		}
	})
	assert.Less(t, used, uint64(12<<20), "growing a buffer step by step copies it a few times, not for every piece")
}

func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	d := NewDecoder(MaxRequest)
	got, err := decode(d, pieces(AppendFrame(nil, make([]byte, MaxRequest)), 4096)...)
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Zero(t, cap(d.kept))
}

// What follows a long frame must not hold that frame's memory.
func TestRestOfALongFrameHoldsLittle(t *testing.T) {
	stream := append(AppendFrame(nil, make([]byte, MaxRequest)), header(10)...)
	inUse := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}

	before := inUse()
	var decoders []*Decoder
	for range 20 {
		d := NewDecoder(MaxRequest)
		got, err := decode(d, stream)
		require.NoError(t, err)
		require.Len(t, got, 1)
		assert.Equal(t, HeaderSize, d.Buffered())
		decoders = append(decoders, d)
	}
	assert.Less(t, inUse()-before, int64(MaxRequest), "held by 20 decoders")
	runtime.KeepAlive(decoders)
}

// A server answers one request before it looks at the next, and reads on in
// between or not.
func TestFramesWaitUntilTheyAreTaken(t *testing.T) {
	bodies := []string{"one", "two", "three", "four"}
	var stream []byte
	for _, body := range bodies {
		stream = AppendFrame(stream, []byte(body))
	}

	for _, size := range []int{1, 6, 7, 8, 15, len(stream)} {
		d := NewDecoder(10)
		var got []string
		for _, chunk := range pieces(stream, size) {
			d.Feed(chunk)
			if body, ok := d.Next(); ok {
				got = append(got, string(body))
			}
		}
		got = append(got, rest(d)...)

		assert.Equal(t, bodies, got, "pieces of %d", size)
		assert.Zero(t, d.Buffered(), "pieces of %d", size)
	}
}

func TestErrorComesBehindTheFramesBeforeIt(t *testing.T) {
	d := NewDecoder(10)
	d.Feed(slices.Concat(AppendFrame(nil, []byte("one")), AppendFrame(nil, []byte("two")), header(11)))
	for _, want := range []string{"one", "two"} {
		body, ok := d.Next()
		assert.True(t, ok)
		assert.Equal(t, want, string(body))
		assert.NoError(t, d.Err(), "nobody has come to the bad header yet")
	}
	got, err := decode(d, []byte("more"))
	assert.Empty(t, got)
	assert.Equal(t, &FrameTooLongError{Length: 11, Limit: 10}, err)
}

// Whoever wants to handle a body later may keep it, and append to it.
func TestBodyIsTheCallers(t *testing.T) {
	bodies := []string{"first", "second", "third", "fourth"}
	var stream []byte
	for _, body := range bodies {
		stream = AppendFrame(stream, []byte(body))
	}

	for size := 1; size <= len(stream); size++ {
		d := NewDecoder(100)
		var kept [][]byte
		for _, chunk := range pieces(stream, size) {
			d.Feed(chunk)
			for {
				body, ok := d.Next()
				if !ok {
					break
				}
				assert.Equal(t, len(body), cap(body), "appending to a body must not run into the next frame")
				kept = append(kept, body)
			}
		}

		var got []string
		for _, body := range kept {
			got = append(got, string(body))
		}
		assert.Equal(t, bodies, got, "pieces of %d", size)
	}
}

func TestBufferedAndMissing(t *testing.T) {
	d := NewDecoder(10)
	assert.Zero(t, d.Buffered(), "nothing came")
	assert.Zero(t, d.Missing(), "nothing has begun")
	missing := []int{3, 2, 1, 2, 1, 0}
	for i, b := range AppendFrame(nil, []byte("ab")) {
		_, err := decode(d, []byte{b})
		require.NoError(t, err)
		assert.Equal(t, (i+1)%6, d.Buffered(), "after byte %d of 6", i+1)
		assert.Equal(t, missing[i], d.Missing(), "after byte %d of 6", i+1)
	}
	_, err := decode(d, nil)
	require.NoError(t, err)
	assert.Zero(t, d.Buffered(), "an empty chunk is no part of a frame")
	assert.Zero(t, d.Missing(), "an empty chunk is no part of a frame")

	d.Feed(slices.Repeat(AppendFrame(nil, []byte("ab")), 3))
	d.Next()
	assert.Equal(t, 12, d.Buffered(), "two whole frames wait")
	assert.Zero(t, d.Missing(), "the first of them is whole")

	d = NewDecoder(10)
	d.Feed(AppendFrame(nil, make([]byte, 11))[:HeaderSize])
	assert.Zero(t, d.Missing(), "the first one is too long")
}

// parse is the definition of the format, in one piece: all whole frames, and
// what follows them.
func parse(stream []byte, limit int) (bodies []string, rest []byte, err error) {
	for len(stream) >= 4 {
		length := uint64(stream[0]) | uint64(stream[1])<<8 | uint64(stream[2])<<16 | uint64(stream[3])<<24
		if length > uint64(limit) {
			return bodies, nil, &FrameTooLongError{Length: uint32(length), Limit: limit}
		}
		if uint64(len(stream)-4) < length {
			break
		}
		bodies = append(bodies, string(stream[4:4+length]))
		stream = stream[4+length:]
	}
	return bodies, stream, nil
}

// FuzzDecoder: any bytes in any chunks give the frames that they give in one
// piece, or the same error. The seed of a random number generator chooses the
// chunks, and how many frames are taken in between. The fuzzer starts from
// the cases in testdata/fuzz.
func FuzzDecoder(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream []byte, limit uint16, seed uint64) {
		bodies, left, wantErr := parse(stream, int(limit))

		d := NewDecoder(int(limit))
		got, err := decode(d, stream)
		assert.Equal(t, bodies, got, "in one piece")
		assert.Equal(t, wantErr, err, "in one piece")
		assert.Equal(t, len(left) > 0, d.Buffered() > 0, "in one piece")

		random := rand.New(rand.NewPCG(seed, 0))
		d = NewDecoder(int(limit))
		got = nil
		for unread := stream; len(unread) > 0; {
			n := 1 + random.IntN(min(len(unread), 1+random.IntN(len(stream))))
			chunk := bytes.Clone(unread[:n])
			unread = unread[n:]
			d.Feed(chunk)
			clear(chunk)

			for random.IntN(4) > 0 { // or else some wait until there are more
				body, ok := d.Next()
				if !ok {
					break
				}
				got = append(got, string(body))
			}
		}
		got = append(got, rest(d)...)

		assert.Equal(t, bodies, got, "in pieces, seed %d", seed)
		assert.Equal(t, wantErr, d.Err(), "in pieces, seed %d", seed)
		assert.Equal(t, len(left) > 0, d.Buffered() > 0, "in pieces, seed %d", seed)
		if wantErr == nil {
			assert.Equal(t, string(left), string(d.kept), "what is kept is what is left, seed %d", seed)
		}
	})
}
