// Package zktest is what tests do with a ZooKeeper of package zkdev: they start
// one that ends with the test (Start, StartEnsemble), look at what is
// registered there and change it behind the servers' backs (Registry), put a
// faulty way in front of it and expire sessions (Gate), and open sessions of
// their own (Connect). Nothing here uses the code under test.
package zktest

import (
	"testing"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zkdev"
)

// Start runs a ZooKeeper with these settings, see zkdev.Start, until the end of
// the test. Where no ZooKeeper is installed the test fails, naming the command
// that installs it: a test that skips itself proves nothing.
func Start(t testing.TB, settings ...string) *zkdev.Server {
	t.Helper()
	s, err := zkdev.Start(t.Context(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, s)
	return s
}

// Kill kills s, until the test restarts it, or else until the test's end: the
// next one finds it serving, whatever came of this.
func Kill(t testing.TB, s *zkdev.Server) {
	t.Helper()
	t.Cleanup(func() {
		select {
		case <-s.Done():
			if err := s.Restart(); err != nil {
				t.Error(err)
			}
		default: // the test did it
		}
	})
	s.Kill()
	harness.DidAt(t, harness.ZooKeeper, "killed ZooKeeper")
}

// Restart starts s again on its data, see zkdev.Server.Restart.
func Restart(t testing.TB, s *zkdev.Server) {
	t.Helper()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	harness.DidAt(t, harness.ZooKeeper, "started ZooKeeper again")
}

// Wipe is Restart without the data.
func Wipe(t testing.TB, s *zkdev.Server) {
	t.Helper()
	if err := s.Wipe(); err != nil {
		t.Fatal(err)
	}
	harness.DidAt(t, harness.ZooKeeper, "started ZooKeeper again, with no znode and no session left")
}

// Pause freezes s, until the test resumes it, or else until the test's end.
func Pause(t testing.TB, s *zkdev.Server) {
	t.Helper()
	t.Cleanup(s.Resume)
	s.Pause()
	harness.DidAt(t, harness.ZooKeeper, "froze ZooKeeper: its connections stay, and nothing is answered")
}

// Resume ends a Pause.
func Resume(t testing.TB, s *zkdev.Server) {
	t.Helper()
	s.Resume()
	harness.DidAt(t, harness.ZooKeeper, "let ZooKeeper go on")
}

// stopAfter stops s at the test's end.
func stopAfter(t testing.TB, s *zkdev.Server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what ZooKeeper on %s said: %s", s.Addr(), s.Output())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
}
