// The meters: twice a second, a line that shows how many calls each server has
// answered since the last one.

//go:build unix

package demo

import (
	"fmt"
	"strings"
	"time"
)

const (
	meterPeriod = 500 * time.Millisecond
	barWidth    = 20 // of a server that answers all calls
)

// barStyles are backgrounds, one for each server.
var barStyles = []style{44, 45}

// startMeters shows twice a second who has answered how many calls.
func (s *show) startMeters() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(meterPeriod)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-quit:
				return
			case now := <-ticker.C:
				lately, all := sum(s.calls.endedIn(last, now)), sum(s.calls.endedIn(time.Time{}, now))
				last = now

				if all.calls > 0 {
					s.screen.meters(s.read(lately), all.failed)
				}
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// read reads the meters.
func (s *show) read(lately tally) (meters []meter) {
	for i, v := range s.cast.servers {
		m := meter{name: v.name, style: barStyles[i], calls: lately.answered[v.addr], of: lately.calls}
		switch listed := s.list.has(v.addr); {
		case !listed:
			m.state = "not listed"
		case !v.Running():
			m.state = "dead, still listed"
		}
		meters = append(meters, m)
	}
	return meters
}

// A meter shows how many calls one server has answered lately.
type meter struct {
	name  string
	style style
	calls int
	of    int    // calls that all servers together have answered
	state string // shown when there are none
}

func (m meter) render(s *screen) string {
	if m.calls == 0 {
		return fmt.Sprintf("%s %-*s %4d", m.name, barWidth, m.state, 0)
	}
	length := (m.calls*barWidth + m.of/2) / m.of
	bar := strings.Repeat("#", length)
	if s.colors {
		bar = s.paint(m.style, strings.Repeat(" ", length))
	}
	return fmt.Sprintf("%s %s%s %4d", m.name, bar, strings.Repeat(" ", barWidth-length), m.calls)
}

// meters prints all meters in one line.
func (s *screen) meters(meters []meter, failed int) {
	var parts []string
	for _, m := range meters {
		parts = append(parts, m.render(s))
	}
	verdict := s.paint(faint, fmt.Sprintf("failed %d", failed))
	if failed > 0 {
		verdict = s.paint(red, fmt.Sprintf("failed %d", failed))
	}
	s.line("%s  %s   %s", s.paint(faint, s.clock()), strings.Join(parts, "   "), verdict)
}
