// Framing: TCP carries a stream of bytes, and a frame is how we put messages
// into it: the body's length (uint32, little-endian), then the body.
// AppendFrame writes frames; a Decoder finds them again in whatever pieces
// the network delivers.

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
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
// acknowledgement of the first, about 40 ms (Nagle's algorithm against
// delayed acknowledgement). The body must be shorter than 4 GiB, which isn't
// checked.
func AppendFrame(dst, body []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}

// A Decoder cuts one connection's stream of bytes into frames: Feed it what
// was read, take the frames that are whole by now with Next, and when there are
// no more ask Err whether the stream can go on. A Decoder is not safe for
// concurrent use.
type Decoder struct {
	limit int    // longest body accepted
	kept  []byte // what was fed and not taken yet
	err   error  // why the stream can't be read any further
}

// NewDecoder returns a Decoder that accepts bodies of up to limit bytes.
func NewDecoder(limit int) *Decoder {
	return &Decoder{limit: limit}
}

// Feed takes the next chunk of the stream, cut anywhere. It keeps a copy, so
// memory grows with the bytes that come, never with the length that a header
// promises. After an error it ignores the chunk.
func (d *Decoder) Feed(chunk []byte) {
	if d.err == nil {
		d.kept = append(d.kept, chunk...)
	}
}

// Next returns the body of the next frame, which is the caller's from then on.
// It returns false when no further frame is whole yet, and after an error.
func (d *Decoder) Next() (body []byte, ok bool) {
	if len(d.kept) < HeaderSize {
		return nil, false
	}

	length, tooLong := d.announced()
	if tooLong {
		d.err = &FrameTooLongError{Length: length, Limit: d.limit}
		d.kept = nil
		return nil, false
	}

	end := HeaderSize + int(length)
	if len(d.kept) < end {
		return nil, false
	}

	body, rest := d.kept[HeaderSize:end:end], d.kept[end:]
	if len(rest) < end {
		// Or a few bytes would hold a long body's memory. A longer rest isn't
		// copied: a chunk of many short frames would be, once for each of them.
		rest = bytes.Clone(rest)
	}
	d.kept = rest
	return body, true
}

// announced returns the length that the header of the next frame announces, and
// whether that is over the limit. The header must be there.
func (d *Decoder) announced() (length uint32, tooLong bool) {
	length = binary.LittleEndian.Uint32(d.kept)
	return length, int64(length) > int64(d.limit)
}

// Err returns why the stream can't be read any further, a *FrameTooLongError,
// or nil. Next sets it, once it has returned every frame before the bad one.
func (d *Decoder) Err() error {
	return d.err
}

// Buffered returns how many bytes wait in the Decoder: part of a frame, or
// whole frames that Next has not been asked for.
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

	length, tooLong := d.announced()
	if tooLong {
		return 0
	}
	return max(0, HeaderSize+int(length)-len(d.kept))
}
