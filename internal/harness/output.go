// Output: what a program prints or logs comes through a pipe, and of much only
// the beginning and the end are kept, so that a flood costs neither the test's
// memory nor the disk.

package harness

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// How many bytes of an output are kept. The clients of a specification print
// some megabytes.
const (
	keptFirst = 8 << 20
	keptLast  = 1 << 20
)

// maxTold is how many lines somebody is told of. To tell of each line of a
// flood would take longer than the flood itself.
const maxTold = 100_000

// maxPipe is more bytes than wait in a pipe of Linux or macOS, unless root has
// made it longer.
const maxPipe = 1 << 20

// An output is one of a program's two. The zero output is one that the program
// has not, as it writes into somebody else's file. Except open, methods may be
// called on any goroutine.
type output struct {
	reader *os.File
	done   chan struct{}     // closed when there is nothing more to read, see follow
	tell   func(line string) // what is told each line as it comes; nil for nobody

	mu    sync.Mutex
	chunk [64 << 10]byte // what is read at a time

	// What has come: first, then so many bytes that are not kept, then last.
	first   []byte
	dropped int
	last    []byte

	line []byte // the beginning of a line that tell has yet to be told of
	told int    // lines that tell was told of
}

// open returns the end of the pipe that is the program's. Then follow is to be
// called.
func (o *output) open() (writer *os.File, err error) {
	o.reader, writer, err = os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for a program's output: %w", err)
	}
	o.done = make(chan struct{})
	return writer, nil
}

// follow keeps what comes, until the last process that has the pipe's other end
// is gone, or until close.
func (o *output) follow() {
	defer close(o.done)
	defer o.reader.Close()
	pipe, err := o.reader.SyscallConn()
	if err != nil {
		return // closed already
	}

	// Read waits whenever the function says that it has not come to the end.
	_ = pipe.Read(func(fd uintptr) (end bool) {
		n := 1
		for n > 0 {
			n, end = o.take(int(fd))
		}
		return end
	})
}

// take keeps what a read gets, so many bytes: none if there are none at the
// moment, or never again, as it is the end.
func (o *output) take(fd int) (n int, end bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := unix.Read(fd, o.chunk[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, o.chunk[:])
	}
	if n <= 0 {
		return 0, !errors.Is(err, unix.EAGAIN)
	}

	o.keep(o.chunk[:n])
	if o.tell != nil {
		o.tellLines(o.chunk[:n])
	}
	return n, false
}

// keep adds to what has come. The caller must hold mu.
func (o *output) keep(chunk []byte) {
	n := min(len(chunk), keptFirst-len(o.first))
	o.first = append(o.first, chunk[:n]...)
	o.last = append(o.last, chunk[n:]...)
	if len(o.last) > 2*keptLast { // not with each chunk: that would copy all of it each time
		surplus := len(o.last) - keptLast
		o.dropped += surplus
		o.last = append(o.last[:0], o.last[surplus:]...)
	}
}

// tellLines tells of the lines that end in chunk, up to maxTold in all. The
// caller must hold mu.
func (o *output) tellLines(chunk []byte) {
	if o.told >= maxTold {
		return
	}

	for part := range strings.Lines(string(chunk)) {
		if len(o.line) < 1000 { // of a longer one nobody sees more
			o.line = append(o.line, part...)
		}
		if strings.HasSuffix(part, "\n") {
			o.tell(strings.TrimSuffix(string(o.line), "\n"))
			o.line = nil
			o.told++
		}
	}
}

// catchUp keeps what waits in the pipe, such as the last words of a program
// that has ended.
func (o *output) catchUp() {
	pipe, err := o.reader.SyscallConn()
	if err != nil {
		return // closed, as all has been read
	}

	_ = pipe.Control(func(fd uintptr) {
		n := 1
		for sum := 0; n > 0 && sum < maxPipe; sum += n { // a program may write as fast as we read
			n, _ = o.take(int(fd))
		}
	})
}

// close keeps what is left in the pipe and closes it. Who writes into it gets
// SIGPIPE from now on.
func (o *output) close() {
	if o.reader == nil {
		return
	}
	o.catchUp()
	o.reader.Close()
	<-o.done
}

// String returns what has come so far. Where something is left out, it says
// how much.
func (o *output) String() string {
	o.catchUp()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped == 0 {
		return string(o.first) + string(o.last)
	}
	return fmt.Sprintf("%s\n… (%d bytes left out)\n%s", o.first, o.dropped, o.last)
}
