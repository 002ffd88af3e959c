// Tests of the pollers: one suite, which every Poller of this system must
// pass, because the loop must not notice which one it runs on.

//go:build unix

package main

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pollers has all that this system can run, by name.
var pollers = map[string]func() (Poller, error){"poll": NewPollPoller}

// eachPoller runs the test once with each of them.
func eachPoller(t *testing.T, test func(t *testing.T, p Poller)) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(pollers)) {
		t.Run(name, func(t *testing.T) {
			p, err := pollers[name]()
			require.NoError(t, err)
			test(t, p)
		})
	}
}

// A testPipe is one to watch: it is ready when it has been put into.
type testPipe struct{ r, w int }

// newTestPipe returns a pipe that is closed with the test.
func newTestPipe(t testing.TB) *testPipe {
	t.Helper()
	p := openPipe(t)
	t.Cleanup(func() {
		_ = unix.Close(p.r)
		p.hangUp()
	})
	return p
}

// openPipe returns a pipe that the test must close.
func openPipe(t testing.TB) *testPipe {
	t.Helper()
	var fds [2]int
	require.NoError(t, unix.Pipe(fds[:]))
	for _, fd := range fds {
		require.NoError(t, unix.SetNonblock(fd, true))
	}
	return &testPipe{fds[0], fds[1]}
}

func (p *testPipe) put(t testing.TB) {
	t.Helper()
	_, err := unix.Write(p.w, []byte{0})
	assert.NoError(t, err)
}

func (p *testPipe) take(t testing.TB) {
	t.Helper()
	_, err := unix.Read(p.r, make([]byte, 1))
	assert.NoError(t, err)
}

func (p *testPipe) hangUp() {
	_ = unix.Close(p.w)
	p.w = -1
}

// newPair returns two connected sockets: ours, and the peer's.
func newPair(t testing.TB) (ours, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fds[0]) })
	return fds[0], fds[1] // the peer's is the test's to close
}

// look returns what is ready now, by descriptor.
func look(t testing.TB, p Poller) map[int]Events {
	t.Helper()
	events, err := p.Wait(0)
	require.NoError(t, err)
	found := map[int]Events{}
	for _, ev := range events {
		require.NotContains(t, found, ev.FD, "reported twice in one batch")
		found[ev.FD] = ev.Events
	}
	return found
}

func TestPollerIsLevelTriggered(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		pipe := newTestPipe(t)
		require.NoError(t, p.Set(pipe.r, Readable))
		assert.Empty(t, look(t, p))

		pipe.put(t)
		pipe.put(t)
		ready := map[int]Events{pipe.r: Readable}
		assert.Equal(t, ready, look(t, p))
		assert.Equal(t, ready, look(t, p), "nothing was read: still ready")

		pipe.take(t)
		assert.Equal(t, ready, look(t, p), "not all was read: still ready")
		pipe.take(t)
		assert.Empty(t, look(t, p))
	})
}

func TestPollerReportsWhatTheMaskAsksFor(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		ours, peer := newPair(t)
		defer unix.Close(peer)
		_, err := unix.Write(peer, []byte("x"))
		require.NoError(t, err)
		for _, mask := range []Events{Readable, Writable, Readable | Writable, 0, Writable, Readable} {
			require.NoError(t, p.Set(ours, mask))
			assert.Equal(t, mask, look(t, p)[ours], "both are ready, %b is asked for", mask)
		}
	})
}

func TestPollerReportsHangupUnasked(t *testing.T) {
	for _, mask := range []Events{0, Writable} {
		eachPoller(t, func(t *testing.T, p Poller) {
			defer p.Close()
			ours, peer := newPair(t)
			require.NoError(t, p.Set(ours, mask))

			_, err := unix.Write(peer, []byte("x"))
			require.NoError(t, err)
			require.NoError(t, unix.Shutdown(peer, unix.SHUT_WR))
			assert.Zero(t, look(t, p)[ours]&^mask, "the peer can still read: not hung up")

			require.NoError(t, unix.Close(peer))
			for range 2 {
				got := look(t, p)[ours]
				assert.NotZero(t, got&Hangup)
				assert.Zero(t, got&Readable, "not asked for")
			}
		})
	}
}

func TestPollerRemove(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		ready := map[int]Events{}
		var pipes []*testPipe
		for range 5 {
			pipe := newTestPipe(t)
			pipe.put(t)
			require.NoError(t, p.Set(pipe.r, Readable))
			pipes, ready[pipe.r] = append(pipes, pipe), Readable
		}

		for _, i := range []int{2, 0, 4, 1} { // in the middle, first, last
			require.NoError(t, p.Remove(pipes[i].r))
			delete(ready, pipes[i].r)
			assert.Equal(t, ready, look(t, p))
			assert.ErrorIs(t, p.Remove(pipes[i].r), unix.ENOENT, "removed already")
		}

		require.NoError(t, p.Set(pipes[2].r, Readable))
		ready[pipes[2].r] = Readable
		assert.Equal(t, ready, look(t, p), "back again")
		require.NoError(t, p.Set(pipes[2].r, 0))
		delete(ready, pipes[2].r)
		assert.Equal(t, ready, look(t, p), "the right one's mask was changed")
	})
}

// A listener stays open in the other workers when one of them closes it.
func TestPollerRemoveOfADescriptorThatOthersShare(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		pipe := newTestPipe(t)
		pipe.put(t)
		shared, err := unix.Dup(pipe.r)
		require.NoError(t, err)
		require.NoError(t, p.Set(shared, Readable))
		require.Len(t, look(t, p), 1)
		require.NoError(t, p.Remove(shared))
		require.NoError(t, unix.Close(shared))
		assert.Empty(t, look(t, p))
	})
}

// More are ready than fit into one batch: none may starve.
func TestPollerReportsAllInTurn(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		first := newTestPipe(t)
		first.put(t)
		missing := map[int]bool{}
		for range 300 {
			fd, err := unix.Dup(first.r)
			require.NoError(t, err)
			defer unix.Close(fd)
			missing[fd] = true
			require.NoError(t, p.Set(fd, Readable))
		}

		for range 3 {
			for fd := range look(t, p) {
				delete(missing, fd)
			}
		}
		assert.Empty(t, missing)
	})
}

func TestPollerNeverReturnsEarly(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		pipe := newTestPipe(t)
		require.NoError(t, p.Set(pipe.r, Readable))

		for _, timeout := range []time.Duration{
			1, time.Microsecond, 20 * time.Microsecond, 999 * time.Microsecond,
			time.Millisecond, 1001 * time.Microsecond, 1999 * time.Microsecond, 5500 * time.Microsecond,
		} {
			const tries = 9
			early := 0
			for range tries {
				began := time.Now()
				events, err := p.Wait(timeout)
				if time.Since(began) < timeout {
					early++
				}
				require.NoError(t, err)
				assert.Empty(t, events)
			}

			assert.LessOrEqual(t, early, tries/3,
				"of %d waits for %v (a signal, from Go's own runtime, may end one early)", tries, timeout)
		}
	})
}

func TestPollerWaitsForEverIfTold(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		defer p.Close()
		pipe := newTestPipe(t)
		require.NoError(t, p.Set(pipe.r, Readable))
		const delay = 20 * time.Millisecond
		began := time.Now()
		w := pipe.w
		timer := time.AfterFunc(delay, func() { _, _ = unix.Write(w, []byte{0}) })
		defer timer.Stop()
		events, err := p.Wait(-1)
		require.NoError(t, err)
		assert.Equal(t, []Event{{pipe.r, Readable}}, events)
		assert.GreaterOrEqual(t, time.Since(began), delay)
	})
}

func TestPollerCloseLeavesWhatItWatchedOpen(t *testing.T) {
	eachPoller(t, func(t *testing.T, p Poller) {
		pipe := newTestPipe(t)
		require.NoError(t, p.Set(pipe.r, Readable))
		require.NoError(t, p.Close())
		pipe.put(t)
		pipe.take(t)
	})
}

func TestMillisecondsRoundUp(t *testing.T) {
	for timeout, want := range map[time.Duration]int{
		-1:                           -1,
		-time.Hour:                   -1,
		0:                            0,
		1:                            1,
		time.Millisecond - 1:         1,
		time.Millisecond:             1,
		time.Millisecond + 1:         2,
		1500 * time.Millisecond:      1500,
		time.Hour:                    3_600_000,
		100 * 365 * 24 * time.Hour:   3_600_000,
		time.Duration(1<<63 - 1):     3_600_000,
		-time.Duration(1<<63 - 1000): -1,
	} {
		assert.Equal(t, want, milliseconds(timeout), "%v", timeout)
	}
}
