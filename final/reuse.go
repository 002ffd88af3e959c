// Reuse: what a call needs of memory, the next one uses again. At 100,000 calls
// a second and more the garbage collector would otherwise be busy with nothing
// but frames and channels that lived for some microseconds.

package rpc

import (
	"encoding/binary"
	"fmt"
	"sync"
)

// A callFrame is the memory for one call's frame.
type callFrame struct {
	encoder *encoder
	frame   []byte
}

var callFrames = sync.Pool{New: func() any { return &callFrame{encoder: newEncoder()} }}

// newCallFrame returns a callFrame, which must be released.
func newCallFrame() *callFrame { return callFrames.Get().(*callFrame) }

// build returns the frame of a call, valid until the release.
func (f *callFrame) build(method string, params any) ([]byte, error) {
	raw, err := f.encoder.encode(params)
	if err != nil {
		return nil, fmt.Errorf("params are not JSON: %w", err)
	}

	f.frame = Request{Method: method, Params: raw}.Append(append(f.frame[:0], make([]byte, HeaderSize)...))
	length := uint32(len(f.frame) - HeaderSize)
	if length > MaxRequest {
		return nil, &FrameTooLongError{Length: length, Limit: MaxRequest}
	}
	binary.LittleEndian.PutUint32(f.frame, length)
	return f.frame, nil
}

func (f *callFrame) release() {
	if cap(f.frame)+f.encoder.buf.Cap() <= maxKept {
		callFrames.Put(f)
	}
}

var errands = sync.Pool{New: func() any {
	return &errand{outcomes: make(chan outcome, 4*maxAttempts)} // more than all of them can have
}}

// newErrand returns an errand, which must be released. Its frame must stay as
// it is until then.
func newErrand(c *Client, method string, frame []byte) *errand {
	e := errands.Get().(*errand)
	e.client, e.method, e.frame = c, method, frame
	return e
}

// release keeps the memory of a call of one attempt, which has ended: nothing
// can come for it any more.
func (e *errand) release() {
	if e.tries == 1 && len(e.open) == 0 && len(e.outcomes) == 0 {
		*e = errand{outcomes: e.outcomes, open: e.open[:0]}
		errands.Put(e)
	}
}
