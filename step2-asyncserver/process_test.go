// Tests of output that nobody reads, that has gone away, or for which there is
// no room, and of which signals are heard.

//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A sink takes lines unless it is stalled, or there is an error for it to
// return.
type sink struct {
	mu    sync.Mutex
	text  bytes.Buffer
	err   error
	began chan bool // told of every write that begins
}

func (s *sink) Write(p []byte) (int, error) {
	s.began <- true
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.text.Write(p)
}

func flushed(t *testing.T, o *Output) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	o.Flush(ctx)
	require.NoError(t, ctx.Err())
}

func TestOutputWritesAllInOrder(t *testing.T) {
	s := &sink{began: make(chan bool, 10*maxLines)}
	o := NewOutput(s)
	var want strings.Builder
	for i := range 2 * maxLines {
		fmt.Fprintf(o, "line %d\n", i)
		fmt.Fprintf(&want, "line %d\n", i)
		if i%100 == 0 {
			flushed(t, o)
		}
	}
	flushed(t, o)
	assert.Equal(t, want.String(), s.text.String())
}

func TestOutputThatNobodyReadsDropsAndCounts(t *testing.T) {
	s := &sink{began: make(chan bool, 10*maxLines)}
	o := NewOutput(s)
	s.mu.Lock() // as if the pipe were full
	fmt.Fprintln(o, "first")
	<-s.began

	const lines = maxLines + 10
	for i := range lines {
		fmt.Fprintln(o, i)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	o.Flush(ctx) // waits no longer
	s.mu.Unlock()
	flushed(t, o)

	fmt.Fprintln(o, "last")
	flushed(t, o)
	text := s.text.String()
	assert.True(t, strings.HasPrefix(text, "first\n0\n1\n"), text)
	want := fmt.Sprintf("%d\n(10 lines could not be written here)\nlast\n", maxLines-1)
	assert.True(t, strings.HasSuffix(text, want), text)
}

func TestOutputWithoutRoomSaysSoLater(t *testing.T) {
	s := &sink{began: make(chan bool, 10*maxLines), err: unix.ENOSPC}
	o := NewOutput(s)
	for range 3 {
		n, err := fmt.Fprintln(o, "lost")
		assert.Equal(t, 5, n)
		assert.NoError(t, err)
		flushed(t, o)
	}

	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	flushed(t, o)
	assert.Equal(t, "(3 lines could not be written here)\n", s.text.String(), "the end is told, too")

	fmt.Fprintln(o, "kept")
	flushed(t, o)
	assert.True(t, strings.HasSuffix(s.text.String(), ")\nkept\n"), s.text.String())
}

func TestFlushOfAnOutputThatWasNeverUsed(t *testing.T) {
	flushed(t, NewOutput(&sink{err: errors.New("not used")}))
}

// SIGUSR1 and SIGUSR2 stand for SIGHUP and SIGINT, which Go wouldn't let this
// process unlearn to ignore.
func TestStopSignals(t *testing.T) {
	defer func() {
		undo := make(chan os.Signal, 1)
		signal.Notify(undo, syscall.SIGUSR1, syscall.SIGUSR2)
		signal.Stop(undo)
	}()
	signal.Ignore(syscall.SIGUSR1)
	stop := StopSignals(syscall.SIGUSR1, syscall.SIGUSR2)
	for range 3 {
		require.NoError(t, unix.Kill(os.Getpid(), syscall.SIGUSR1))
	}
	require.NoError(t, unix.Kill(os.Getpid(), syscall.SIGUSR2))
	assert.Equal(t, syscall.SIGUSR2, <-stop)
	assert.True(t, signal.Ignored(syscall.SIGUSR1))
	signal.Stop(stop)

	signal.Ignore(syscall.SIGUSR2)
	none := StopSignals(syscall.SIGUSR1, syscall.SIGUSR2)
	require.NoError(t, unix.Kill(os.Getpid(), syscall.SIGURG)) // one that any Notify without signals would get
	assert.Empty(t, none)
}
