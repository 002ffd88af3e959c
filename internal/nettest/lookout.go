//go:build linux

// The lookout: it sees what is registered, from a host that faults don't hit,
// and complains of servers that are registered and can't be, or can and aren't.

package nettest

import (
	"slices"
	"sync"
	"time"
)

const lookPause = 150 * time.Millisecond

// A look is what was registered at some moment.
type look struct {
	at    time.Time // when it began
	addrs []string  // sorted; one that is registered twice is there twice
	err   error
}

// A lookout looks all the time, in a goroutine of its own.
type lookout struct {
	r    *run
	ask  func() ([]string, error)
	halt sync.Once // closes stop
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	latest look

	// Of that goroutine, until done is closed.
	served  time.Time              // since when the registry has answered every look; zero: not now
	accused [serverCount]reaching  // what each server could do when it was last complained of
	missed  [serverCount]time.Time // since when each server isn't registered though it can be; zero: it is
	gap     time.Duration          // the longest time that one wasn't
	looks   map[reach]int          // that could tell whether a server was as it should be
}

// startLookout starts one, which ends with the test.
func startLookout(r *run, ask func() ([]string, error)) *lookout {
	l := &lookout{r: r, ask: ask, stop: make(chan struct{}), done: make(chan struct{}), looks: make(map[reach]int)}
	go func() {
		defer close(l.done)
		for {
			l.look()
			select {
			case <-l.stop:
				return
			case <-time.After(lookPause):
			}
		}
	}()
	r.t.Cleanup(l.end)
	return l
}

func (l *lookout) end() {
	l.halt.Do(func() { close(l.stop) })
	<-l.done
}

// last returns the latest look.
func (l *lookout) last() look {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// look looks once. What has changed meanwhile is not judged.
func (l *lookout) look() {
	before := l.r.reachesNow()
	now := look{at: time.Now()}
	now.addrs, now.err = l.ask()
	slices.Sort(now.addrs)
	after := l.r.reachesNow()

	l.mu.Lock()
	l.latest = now
	l.mu.Unlock()
	if now.err != nil {
		l.served = time.Time{}
		return
	}
	if l.served.IsZero() {
		l.served = now.at
	}
	for i := range l.r.servers {
		if before[i] == after[i] {
			l.check(i, before[i], now)
		}
	}
}

// check holds a look against what a server can do.
func (l *lookout) check(server int, does reaching, now look) {
	v, count := l.r.servers[server], 0
	for _, addr := range now.addrs {
		if addr == v.addr {
			count++
		}
	}
	l.measure(server, does.reach == can && count == 0, now.at)

	age := now.at.Sub(does.since)
	settled := min(age, now.at.Sub(l.served))
	want := 1
	switch does.reach {
	case unsure:
		return
	case can:
		if settled < onceTime {
			return
		}
	case cannot:
		want = 0
		if min(settled, now.at.Sub(does.voted)-voteTime) < goneTime {
			return
		}
	}

	l.looks[does.reach]++
	if count != want && l.accused[server] != does { // once is enough
		l.accused[server] = does
		l.r.complain("%ss of %s: %d in the place of %d; it %v reach a majority, for %.1fs now",
			l.r.b.Entry, v.host.Name, count, want, does.reach, age.Seconds())
	}
}

// measure takes down for how long a server is missing.
func (l *lookout) measure(server int, missing bool, now time.Time) {
	switch since := &l.missed[server]; {
	case !missing:
		*since = time.Time{}
	case since.IsZero():
		*since = now
	default:
		l.gap = max(l.gap, now.Sub(*since))
	}
}
