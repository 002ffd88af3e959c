// Framing: TCP carries a stream of bytes, and a frame is how we put messages
// into it: the body's length (uint32, little-endian), then the body.
// AppendFrame writes frames; a Decoder finds them again in whatever pieces
// the network delivers.

package main

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// HeaderSize is the length of a frame's header, in bytes.
const HeaderSize = 4

// MaxRequest is the longest request body that a server accepts, in bytes.
const MaxRequest = 1 << 20

// MaxReply is the longest reply body that a client accepts, in bytes. The echo
// of a request at its limit is a little longer than that request.
const MaxReply = MaxRequest + 4096

// FrameTooLongError reports a frame header that announces more than the
// receiver accepts. The stream can't be read any further: nobody knows
// whether that many bytes will follow, or where the next frame begins.
type FrameTooLongError struct {
	Length uint32 // bytes announced
	Limit  int    // bytes accepted
}

func (e *FrameTooLongError) Error() string {
	return fmt.Sprintf("frame of %d bytes is over the limit of %d", e.Length, e.Limit)
}

// AppendFrame appends header and body to dst and returns the extended slice.
// Both leave in one write: sent apart, the second would wait for the
// acknowledgement of the first, some 40 ms (Nagle's algorithm against delayed
// acknowledgement). The body must be shorter than 4 GiB.
func AppendFrame(dst, body []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// A Decoder cuts one connection's stream of bytes into frames. It is not safe
// for concurrent use.
type Decoder struct {
	limit int    // longest body accepted
	kept  []byte // our copy of what earlier chunks left over
	err   error  // why the stream can't be read any further
}

// NewDecoder returns a Decoder that accepts bodies of up to limit bytes.
func NewDecoder(limit int) *Decoder {
	return &Decoder{limit: limit}
}

// Frames takes the next chunk of the stream, cut anywhere, and yields the body
// of each frame that is now whole. A body that lies whole in chunk is not
// copied, and valid as long as chunk is; any other stays valid. What follows
// the last body yielded, because it is incomplete or because the caller
// stopped, is copied and comes first at the next call: Frames(nil) goes on
// after a stop. The error, a *FrameTooLongError, comes last and again at every
// later call.
func (d *Decoder) Frames(chunk []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		rest := chunk
		for d.err == nil {
			body, more := d.next(&rest)
			if !more {
				break
			}
			if !yield(body, nil) {
				d.kept = append(d.kept, rest...)
				return
			}
		}
		if d.err != nil {
			d.kept = nil
			yield(nil, d.err)
		}
	}
}

// Buffered returns how many bytes wait in the Decoder: part of a frame, or
// whole frames behind the one at which the caller stopped.
func (d *Decoder) Buffered() int {
	return len(d.kept)
}

// Missing returns how many bytes the Decoder lacks to go on with the frame that
// has begun: the rest of its header, or then of its body. It is 0 when no frame
// has begun, or the first one is whole or too long.
func (d *Decoder) Missing() int {
	switch {
	case len(d.kept) == 0:
		return 0
	case len(d.kept) < HeaderSize:
		return HeaderSize - len(d.kept)
	}

	length := binary.LittleEndian.Uint32(d.kept)
	if int64(length) > int64(d.limit) {
		return 0
	}
	return max(0, HeaderSize+int(length)-len(d.kept))
}

// next cuts one frame off the kept bytes, topped up from rest, or off rest
// alone when nothing is kept. Without a whole frame it keeps all of rest.
func (d *Decoder) next(rest *[]byte) (body []byte, ok bool) {
	if len(d.kept) == 0 {
		if body, ok = d.cut(rest); !ok && d.err == nil && len(*rest) > 0 {
			d.keep(rest, len(*rest))
		}
		return body, ok
	}
	// Take no more than the kept frame lacks: the frames behind it can then
	// be yielded from rest itself. The header comes first, because only it
	// tells how long the frame is. Memory grows with the bytes that came,
	// never with the length that a header promises.
	d.keep(rest, d.Missing())
	d.keep(rest, d.Missing())

	body, ok = d.cut(&d.kept)
	if len(d.kept) == 0 {
		d.kept = nil // an idle connection holds no buffer
	}
	return body, ok
}

// keep moves up to n bytes from rest to the kept ones.
func (d *Decoder) keep(rest *[]byte, n int) {
	n = min(n, len(*rest))
	d.kept = append(d.kept, (*rest)[:n]...)
	*rest = (*rest)[n:]
}

// cut takes the first frame off buf if it is whole and within the limit.
func (d *Decoder) cut(buf *[]byte) (body []byte, ok bool) {
	if len(*buf) < HeaderSize {
		return nil, false
	}
	length := binary.LittleEndian.Uint32(*buf)
	if int64(length) > int64(d.limit) {
		d.err = &FrameTooLongError{Length: length, Limit: d.limit}
		return nil, false
	}
	end := HeaderSize + int(length)
	if len(*buf) < end {
		return nil, false
	}
	body = (*buf)[HeaderSize:end:end]
	*buf = (*buf)[end:]
	return body, true
}
