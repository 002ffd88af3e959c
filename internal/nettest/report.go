//go:build linux

// What a run shows while it goes on, and the table at its end.

package nettest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (r *run) calls() (n int) {
	for _, c := range r.clients {
		c.mu.Lock()
		n += c.calls
		c.mu.Unlock()
	}
	return n
}

// slowestCall returns how long the slowest call took since it was asked before.
func (r *run) slowestCall() (d time.Duration) {
	for _, c := range r.clients {
		c.mu.Lock()
		d = max(d, c.slowest)
		c.slowest = 0
		c.mu.Unlock()
	}
	r.slowest = max(r.slowest, d)
	return d
}

// logList logs what a client lists.
func (r *run) logList(c *client, l line) {
	r.logf("            %s lists %s", c.name, r.describe(l))
}

func (r *run) describe(l line) string {
	text := r.names(l.List)
	if l.Stale {
		text += fmt.Sprintf(", as last heard from %s", r.b.Name)
	}
	return text
}

// names returns the names of servers, given by their addresses.
func (r *run) names(addrs []string) string {
	var names []string
	for _, addr := range addrs {
		name := addr
		for _, v := range r.servers {
			if v.addr == addr {
				name = v.host.Name
			}
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, " ")
}

// report is the end of the log: a table, and what was wrong.
func (r *run) report() {
	var rows []string
	total := 0
	for k, n := range r.counts {
		rows = append(rows, fmt.Sprintf("  %-34s %6d\n", k.name, n))
		total += n
	}
	slices.Sort(rows)
	slices.Sort(r.listed)
	arrived, lost := r.lab.Packets()
	row := func(what string, value any, more string, args ...any) {
		rows = append(rows, fmt.Sprintf("  %-34s %6v%s\n", what, value, fmt.Sprintf(more, args...)))
	}
	rows = append([]string{fmt.Sprintf("  %-34s %6d, in %d rounds\n", "faults", total, r.rounds)}, rows...)
	row("packets", arrived+lost, ", %d of them lost", lost)
	row("calls", r.calls(), "; the slowest took %.1fs", r.slowest.Seconds())
	row("failed, and nothing was promised", r.excused, "")
	row("failed, and a server was there", r.broken, "")
	row("looks at servers that can", r.lookout.looks[can], " reach a majority: one %s each", r.b.Entry)
	row("looks at servers that can't", r.lookout.looks[cannot], ": none")
	row("seconds such a one was missing", fmt.Sprintf("%.1f", r.lookout.gap.Seconds()), " at most, when its session had ended")
	if len(r.listed) > 0 {
		row("seconds until lists were right", fmt.Sprintf("%.1f", r.listed[len(r.listed)/2].Seconds()),
			", at most %.1f", r.listed[len(r.listed)-1].Seconds())
	}
	fmt.Fprint(r.t.Output(), strings.Join(rows, ""))
	for _, text := range r.complaints() {
		r.t.Errorf("not as promised: %s", text)
	}
}
