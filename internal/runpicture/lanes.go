// Lanes: which column of the picture a lane is drawn in. Workers come and go,
// and so do connections: one that has ended leaves its column to the next.

package runpicture

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// maxColumns is how many columns the lanes of a place have at most, those of
// one program's workers for AtProcess. What comes then shares the last one.
var maxColumns = map[Place]int{AtConn: 5, AtProcess: 18, AtStub: 4, AtGate: 3}

// maxPrograms is how many programs have columns of their own.
const maxPrograms = 6

// A column is a lane's, or that of several lanes one after another.
type column struct {
	place   Place
	program int // which of the programs, from 0
	worker  bool
	lane    Lane // the first one

	free   bool
	shared bool // by several at once
	x      int
}

// lanes is the layout of a picture.
type lanes struct {
	columns  []*column // from left to right
	of       map[Lane]*column
	programs []int          // pids of masters, in the order of their starts
	children map[int]bool   // the masters that have workers
	roles    map[int]string // of programs that are one process, "" if that is not known
	pitch    int            // from a column to the next
}

// The distance of two columns, in pixels.
const minPitch, maxPitch = 28, 96

// layOut finds a column for each lane of these events. So many pixels are the
// room for all of them, if that is enough.
func layOut(events []Event, room int) *lanes {
	l := &lanes{of: map[Lane]*column{}, children: map[int]bool{}, roles: map[int]string{}}
	l.find(Lane{})
	for _, e := range events {
		l.find(e.Lane)
		for _, to := range e.To {
			l.find(to)
			if e.Kind == Gone {
				l.of[to].free = true
			}
		}
		if e.Kind == Answer && len(e.To) == 1 {
			l.roles[e.Lane.Group], l.roles[e.To[0].Group] = "server", "client"
		}
		if e.Kind == Closed {
			l.of[e.Lane].free = true
		}
	}

	slices.SortStableFunc(l.columns, func(a, b *column) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.program, b.program))
	})
	l.pitch = min(maxPitch, max(minPitch, room/len(l.columns)))
	for i, c := range l.columns {
		c.x = timeWidth + l.pitch/2 + i*l.pitch
	}
	return l
}

// find sees to it that the lane has a column.
func (l *lanes) find(lane Lane) {
	if l.of[lane] != nil {
		return
	}
	wanted := column{place: lane.Place, lane: lane}
	if lane.Place == AtProcess {
		wanted.worker = lane.Number != lane.Group
		wanted.program = l.program(lane.Group)
		l.children[lane.Group] = l.children[lane.Group] || wanted.worker
	}

	var like []*column // those that the lane may have
	for _, c := range l.columns {
		if c.place == wanted.place && c.program == wanted.program && c.worker == wanted.worker {
			like = append(like, c)
		}
	}

	most, bounded := maxColumns[lane.Place]
	i := slices.IndexFunc(like, func(c *column) bool { return c.free })
	switch {
	case i >= 0:
		like[i].free = false
		l.of[lane] = like[i]
	case bounded && len(like) >= most:
		last := like[len(like)-1]
		last.shared = true
		l.of[lane] = last
	default:
		l.columns = append(l.columns, &wanted)
		l.of[lane] = &wanted
	}
}

// program returns the place of a program among all.
func (l *lanes) program(group int) int {
	i := slices.Index(l.programs, group)
	if i < 0 {
		i = len(l.programs)
		l.programs = append(l.programs, group)
	}
	return min(i, maxPrograms-1)
}

// x returns the middle of a lane.
func (l *lanes) x(lane Lane) int { return l.of[lane].x }

// width is that of time and lanes.
func (l *lanes) width() int { return timeWidth + len(l.columns)*l.pitch + margin }

// heading returns what stands above a column, in up to two lines.
func (l *lanes) heading(c *column) (name, more string) {
	number := strconv.Itoa(c.lane.Number)
	switch {
	case c.place == AtProcess && c.worker && c.shared:
		return "workers", "more"
	case c.place == AtProcess && c.worker:
		return "worker", ""
	case c.place == AtProcess && l.children[c.lane.Group]:
		return "master", number
	case c.place == AtProcess:
		return cmp.Or(l.roles[c.lane.Group], "program"), number
	case c.place == AtConn && c.shared:
		return "connections", "more"
	case c.place == AtConn:
		return "connection", ""
	case c.place == AtStub:
		return "stub server", ":" + number
	case c.place == AtGate:
		return "gate", fmt.Sprintf("no. %d", c.lane.Number)
	}
	return c.lane.String(), ""
}
