// A picture of a program's processes, for reports.

package harness

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
)

// Tree returns a picture of the program's processes: the one that was started
// on the left, and on its right the others, grouped by state.
func (p *Program) Tree() string {
	p.t.Helper()
	states := map[byte]string{'R': "running", 'S': "sleeping", 'D': "waiting", 'T': "stopped", 't': "stopped"}
	root := fmt.Sprintf("%d gone", p.PID)
	groups := map[string][]int{}
	var order []string

	for _, q := range p.table() {
		state := states[q.State]
		switch {
		case q.PID == p.PID && q.Alive():
			root = fmt.Sprintf("%d master", q.PID)
			if q.Stopped() {
				root += " (stopped)"
			}
			continue
		case q.PID == p.PID:
			continue // a zombie of ours, until Wait
		case !q.Alive():
			state = "Z <defunct>"
		case q.Parent != p.PID:
			state += fmt.Sprintf(", child of %d", q.Parent)
		}

		if groups[state] == nil {
			order = append(order, state)
		}
		groups[state] = append(groups[state], q.PID)
	}

	if len(order) == 0 {
		return root
	}

	var lines []string
	for i, state := range order {
		branch := " ─┬─ "
		switch {
		case len(order) == 1:
			branch = " ─── "
		case i == len(order)-1:
			branch = "  └─ "
		case i > 0:
			branch = "  ├─ "
		}

		left := root
		if i > 0 {
			left = strings.Repeat(" ", len(root))
		}
		what := fmt.Sprintf("worker (%d, %s)", len(groups[state]), state)
		if strings.HasPrefix(state, "Z") {
			what = state
		}
		lines = append(lines, left+branch+pidList(groups[state])+" "+what)
	}
	return strings.Join(lines, "\n")
}

// scene is what a report shows of the program: its processes if there are
// several, and its end if that is over.
func (p *Program) scene() string {
	name := filepath.Base(p.cmd.Path)
	tree := p.Tree()
	alone := !strings.Contains(tree, "─")

	switch {
	case p.dismissed:
		return ""
	case p.Ended() && alone:
		return fmt.Sprintf("%s, pid %d, has ended with exit code %d%s",
			name, p.PID, p.exitCode(), p.lastWords())
	case p.Ended():
		return tree + fmt.Sprintf("\nthe master has ended with exit code %d%s", p.exitCode(), p.lastWords())
	case alone:
		return ""
	}
	return tree
}

// lastWords returns what there is to know of a program's end: what it logged,
// or printed if it logged nothing, as the end of a sentence.
func (p *Program) lastWords() string { return words(", having said", cmp.Or(p.Stderr(), p.Stdout())) }

// words returns the beginning and the end of each of these texts, as the end of
// a sentence; "" if they are empty.
func words(verb string, texts ...string) string {
	said := ""
	for _, text := range texts {
		text = strings.Trim(text, "\n")
		if text != "" {
			said += "\n" + excerpt(text)
		}
	}
	if said == "" {
		return ""
	}
	return verb + strings.ReplaceAll(said, "\n", "\n  ")
}

// pidList writes sorted pids, runs of them as a range.
func pidList(pids []int) string {
	var parts []string
	for i := 0; i < len(pids); {
		j := i
		for j+1 < len(pids) && pids[j+1] == pids[j]+1 {
			j++
		}
		switch {
		case j > i+1:
			parts = append(parts, fmt.Sprintf("%d–%d", pids[i], pids[j]))
		case j == i+1:
			parts = append(parts, fmt.Sprintf("%d %d", pids[i], pids[j]))
		default:
			parts = append(parts, fmt.Sprint(pids[i]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}
