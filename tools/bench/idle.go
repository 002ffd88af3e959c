// Memory: what an idle connection costs the server's process. What it costs
// the kernel is the same for every server and not in these figures.

//go:build linux

package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/tools/usage"
)

// settle is how long a server may tidy up before its memory is looked at.
const settle = 500 * time.Millisecond

// idle opens connections, calls ping on each once and leaves it open, and
// returns what the server's processes held at each point. The first of the
// points is without connections.
func idle(ctx context.Context, s *server, reply string, points []int) (result []IdlePoint, err error) {
	frame, want := rpc.AppendFrame(nil, []byte(request)), rpc.AppendFrame(nil, []byte(reply))
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()

	for _, conns := range append([]int{0}, points...) {
		for len(open) < conns {
			fd, err := dial(s.addr)
			if err != nil {
				return result, err
			}
			for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
				timeout := unix.Timeval{Sec: int64(patience / time.Second)}
				_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &timeout)
			}

			f := os.NewFile(uintptr(fd), "connection")
			open = append(open, f)
			if err := exchange(f, frame, make([]byte, len(want)), want); err != nil {
				return result, fmt.Errorf("connection %d: %w", len(open), err)
			}
		}
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return result, ctx.Err()
		}
		resident, _, err := usage.Memory(s.pids)
		if err != nil {
			return result, err
		}
		p := IdlePoint{Conns: conns, Resident: resident}
		if conns > 0 {
			p.PerConn = float64(resident-result[0].Resident) / float64(conns)
		}
		result = append(result, p)
	}
	return result, nil
}

// exchange sends a frame and reads the one that answers it, into buf.
func exchange(conn io.ReadWriter, frame, buf, want []byte) error {
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, buf); err != nil {
		return err
	}
	if !bytes.Equal(buf, want) {
		return fmt.Errorf("the reply is not %q: %q", want, buf)
	}
	return nil
}

// allow sees to it that this process, and those that it starts, may open that
// many descriptors.
func allow(files int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("look up the limit of open files: %w", err)
	}

	want := unix.Rlimit{Cur: uint64(files), Max: max(limit.Max, uint64(files))}
	if limit.Cur >= want.Cur {
		want = limit
	}

	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &want); err != nil { // even if it's enough: set, it is inherited
		return fmt.Errorf("open %d files at once, as this needs, where %d are allowed (see ulimit -Hn): %w",
			files, limit.Max, err)
	}
	return nil
}
