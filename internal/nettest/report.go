//go:build linux

// What a run shows while it goes on, and the table at its end.

package nettest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// logf adds a line to the log that is shown with -v.
func (r *run) logf(format string, args ...any) {
	fmt.Fprintf(r.t.Output(), "%7.1fs  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// complain notes that something promised didn't hold.
func (r *run) complain(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	r.wrong = append(r.wrong, text)
	r.mu.Unlock()
	r.logf("  NOT AS PROMISED: %s", text)
}

func (r *run) complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wrong)
}

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
	total := 0
	var kinds []string
	for k, n := range r.counts {
		kinds = append(kinds, row(k.name, n, ""))
		total += n
	}
	slices.Sort(kinds)
	arrived, lost := r.lab.Packets()
	slices.Sort(r.listed)

	rows := append([]string{row("faults", total, ", in %d rounds", r.rounds)}, kinds...)
	rows = append(rows,
		row("packets", arrived+lost, ", %d of them lost", lost),
		row("calls", r.calls(), "; the slowest took %.1fs", r.slowest.Seconds()),
		row("failed, and nothing was promised", r.excused, ""),
		row("failed, and a server was there", r.broken, ""),
		row("looks at servers that can", r.lookout.looks[can], " reach a majority: one %s each", r.b.Entry),
		row("looks at servers that can't", r.lookout.looks[cannot], ": none"),
		row("seconds that one who can had none", r.lookout.gap.Seconds(), " at most, when its session had ended"),
	)
	if len(r.listed) > 0 {
		median, most := r.listed[len(r.listed)/2], r.listed[len(r.listed)-1]
		rows = append(rows, row("seconds until lists were right", median.Seconds(), ", at most %.1f", most.Seconds()))
	}
	fmt.Fprint(r.t.Output(), strings.Join(rows, ""))

	for _, text := range r.complaints() {
		r.t.Errorf("not as promised: %s", text)
	}
}

// row is one line of the table.
func row(what string, value any, more string, args ...any) string {
	text := fmt.Sprint(value)
	if seconds, ok := value.(float64); ok {
		text = fmt.Sprintf("%.1f", seconds)
	}
	return fmt.Sprintf("  %-34s %6s%s\n", what, text, fmt.Sprintf(more, args...))
}
