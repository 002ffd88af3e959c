// A process among others: which signals it hears, and how it prints and logs
// so that nobody who reads that, or doesn't, can hold it up or end it.

//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxLines  = 1024                   // that wait to be written
	flushTime = 250 * time.Millisecond // for those that wait when the process ends
)

// Stdout and Stderr are standard output and error for a process that must not
// wait: see Output.
var (
	Stdout = NewOutput(os.Stdout)
	Stderr = NewOutput(os.Stderr)
)

// StopSignals returns a channel of these signals. Those that were ignored when
// the program was started are left out: that is how nohup protects a program
// from SIGHUP, and a shell its background jobs from SIGINT.
func StopSignals(signals ...os.Signal) chan os.Signal {
	stop := make(chan os.Signal, len(signals))
	signals = slices.DeleteFunc(signals, signal.Ignored)
	if len(signals) > 0 { // or else Notify takes all there are
		signal.Notify(stop, signals...)
	}
	return stop
}

// DetachOutput makes the log go to Stderr. From then on a reader of our output
// that has gone away doesn't end us by SIGPIPE either.
func DetachOutput() {
	signal.Ignore(unix.SIGPIPE)
	log.SetOutput(Stderr)
}

// Exit ends the program, once what it has printed is written. For a reader
// that doesn't read it waits no longer than a moment.
func Exit(code int) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	Stdout.Flush(ctx)
	Stderr.Flush(ctx)
	os.Exit(code)
}

// An Output writes lines on a goroutine of its own. A full pipe blocks whoever
// writes to it until somebody reads, and a disk may be full. Then lines are
// dropped and counted, and the next one that can be written says how many. Any
// goroutine may call its methods.
type Output struct {
	w       io.Writer
	begin   sync.Once
	work    chan func()
	dropped atomic.Int64 // lines that nothing in work tells of
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output {
	return &Output{w: w, work: make(chan func(), maxLines)}
}

// Write takes one line, to be written or dropped as a whole. It doesn't block
// and never fails.
func (o *Output) Write(line []byte) (int, error) {
	o.put(bytes.Clone(line), 1)
	return len(line), nil
}

// put queues a text, which stands for that many lines, and in front of it says
// how many lines are missing there.
func (o *Output) put(text []byte, lines int64) {
	o.begin.Do(func() { go o.run() })
	missing := o.dropped.Swap(0)
	if missing > 0 {
		text = append(fmt.Appendf(nil, "(%d lines could not be written here)\n", missing), text...)
		lines += missing
	}

	select {
	case o.work <- func() { o.write(text, lines) }:
	default:
		o.dropped.Add(lines)
	}
}

// Flush returns when everything is written, or when ctx ends.
func (o *Output) Flush(ctx context.Context) {
	o.put(nil, 0) // says what is missing at the end

	done := make(chan struct{})
	select {
	case o.work <- func() { close(done) }:
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (o *Output) run() {
	for f := range o.work {
		f()
	}
}

// write writes a text that stands for so many lines.
func (o *Output) write(text []byte, lines int64) {
	if len(text) == 0 {
		return
	}
	_, err := o.w.Write(text)
	if err != nil {
		o.dropped.Add(lines)
	}
}
