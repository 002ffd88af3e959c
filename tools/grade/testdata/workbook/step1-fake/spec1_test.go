// A specification of three milestones, which takes a second.

package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

var theServer = harness.ServerProgram{Dir: "."}

func TestSpec1(t *testing.T) {
	t.Run("1.1 it answers", func(t *testing.T) {
		harness.Usually(t, "it doesn't")
		s := theServer.Serve(t, harness.Options{})
		s.Call(t, "ping", 1)
	})

	t.Run("1.2 it answers 1/2 as well", func(t *testing.T) {
		s := theServer.Serve(t, harness.Options{})
		t.Run("once", func(t *testing.T) { s.Call(t, "ping", 1) })
		t.Run("twice", func(t *testing.T) { s.Call(t, "ping", 2) })
	})

	t.Run("1.3 SIGTERM ends it", func(t *testing.T) {
		harness.Usually(t, "it ignores that")
		s := theServer.Serve(t, harness.Options{})
		s.Signal(syscall.SIGTERM)
		s.Wait(2 * time.Second)
	})

	t.Run("1.4 it has a grace period", func(t *testing.T) {
		theServer.Needs(t, "grace")
	})
}
