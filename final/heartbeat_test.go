// Tests of heartbeats: who hangs is replaced, who only computes for a while, or
// can't be heard because the master was away, is not.

//go:build unix

package rpc

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

// startHanging starts a server with that hang timeout.
func startHanging(t *testing.T, timeout string) *harness.Server {
	t.Helper()
	harness.NeedProc(t)
	s := theServer.Serve(t, harness.Options{Workers: 2, Flags: []string{"-hang-timeout", timeout}})
	s.WaitServing(t, 2)
	return s
}

// All of them: as long as one served, callers would hardly notice.
func TestWorkersThatHangAreReplaced(t *testing.T) {
	s := startHanging(t, "1s")
	hanging := s.Workers(t)
	s.Freeze(hanging...)
	s.WaitWorkers(t, soon, 2, hanging...)
	assert.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
	assert.Equal(t, 2, strings.Count(s.Stderr(), "worker hangs"), s.Stderr())
	s.Signal(syscall.SIGTERM)
	assert.Zero(t, s.Wait(soon))
}

// Shorter than the timeout, idle or busy for longer than the timeout.
func TestWorkersThatDontHangStay(t *testing.T) {
	s := startHanging(t, "2s")
	workers := s.Workers(t)
	c := s.Dial(t)
	for range 12 { // seconds of work, in turns
		c.SendRequest("pi", MaxPiTerms)
	}

	s.Freeze(workers...)
	time.Sleep(time.Second)
	s.SignalEach(syscall.SIGCONT, workers...)

	for range 12 {
		assert.Equal(t, "pi_r", c.ReadReply().Kind)
	}

	assert.ElementsMatch(t, workers, s.Workers(t))
}

// The master doesn't hear them while it is stopped, and nobody else is to
// blame.
func TestWorkersStayWhenTheirMasterWasAway(t *testing.T) {
	s := startHanging(t, "1s")
	workers := s.Workers(t)
	for _, frozen := range [][]int{{s.PID}, s.Processes(t)} {
		s.Freeze(frozen...)
		time.Sleep(1500 * time.Millisecond)
		s.SignalEach(syscall.SIGCONT, frozen...)
		time.Sleep(500 * time.Millisecond) // for it to judge
		assert.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
		assert.ElementsMatch(t, workers, s.Workers(t))
	}
}

func TestHangTimeoutFlag(t *testing.T) {
	for value, ok := range map[string]bool{"0": true, "1s": true, "999ms": false, "-1s": false} {
		t.Run(value, func(t *testing.T) {
			if ok {
				startHanging(t, value)
				return
			}
			_, stderr, code := harness.Run(t,
				harness.Build(t, "./cmd/server"), "", "-hang-timeout", value, "127.0.0.1", "0")
			assert.Equal(t, 2, code)
			assert.Contains(t, stderr, "-hang-timeout must be 0 or at least 1s")
		})
	}
}
