// The table of this workbook: which chapters revise an earlier file, and how
// many statements each chapter may ask its reader to write.

package carry

import "path"

// Rules is what the gate holds the tree to.
type Rules struct {
	Revisions []Revision
	Budgets   map[int][]Budget // by chapter, the parts of each
}

// A Revision says that a chapter changes a file of an earlier one. From Step
// on the new text is the one that is carried.
type Revision struct {
	Step   string // directory
	File   string
	Lines  int    // that diff -u shows as removed or added; or else a change to the one text could miss the other
	Reason string // one line, for the reader of this table
}

// A Budget is the maximum of statements that one part of a chapter may have in
// its new files.
type Budget struct {
	Part       string
	Files      []string // patterns of path.Match; none: all that no other part has
	Statements int
}

// given is the part of a chapter that its reader doesn't write.
const given = "given"

// Workbook returns the rules of this repository.
func Workbook() Rules {
	return Rules{
		Revisions: []Revision{
			{Step: "final", File: "message.go", Lines: 31,
				Reason: "asks fast.go first: encoding/json takes most of a call's time; replies are written in place"},
			{Step: "final", File: "conn.go", Lines: 19,
				Reason: "reads and writes without Go's scheduler; replies are written into memory of earlier ones; " +
					"what limits.go and dispatch.go know of a connection are fields of it"},
			{Step: "final", File: "server.go", Lines: 11,
				Reason: "the limits, and memory for replies that is used again, are fields of the server"},
			{Step: "final", File: "client.go", Lines: 144,
				Reason: "which servers there are, and which of them a call goes to, is balance.go's; " +
					"memory is used again"},
			{Step: "final", File: "errand.go", Lines: 287,
				Reason: "waits for a server that has room; a call that is overdue is hedged; " +
					"replies that can't be are found out; memory is used again"},
			{Step: "final", File: "attempt.go", Lines: 17,
				Reason: "knows how long it takes, and when half of its caller's time is over; is counted"},
			{Step: "final", File: "remote.go", Lines: 66,
				Reason: "has a place in the balance, and tells it of what changes"},
			{Step: "final", File: "pipe.go", Lines: 108,
				Reason: "a caller sends itself when no other call is under way, " +
					"and what is written together is gathered; tells the balance; its client may dial"},
			{Step: "final", File: "silence.go", Lines: 22,
				Reason: "warns callers who have waited for half of their time; lasts as long as its client says"},
			{Step: "final", File: "worker.go", Lines: 30,
				Reason: "a worker of final has tasks, limits and a heartbeat"},
			{Step: "final", File: "zkflags.go", Lines: 80,
				Reason: "takes credentials, with which a server's znodes are protected"},
			{Step: "final", File: "znodes.go", Lines: 89,
				Reason: "the command that shows them is chapter 5's: a library needs what is in them"},
			{Step: "final", File: "service.go", Lines: 44,
				Reason: "a method may also compute in steps, or take its time: Method is method.go's; " +
					"says what replies are called"},
			{Step: "final", File: "supervise.go", Lines: 8,
				Reason: "looks after the heartbeats of its workers, chapter 4's exercise"},
		},
		// A chapter is an evening's work. Chapters 2 and 6 are the two long
		// ones, and are built in parts that each run.
		Budgets: map[int][]Budget{
			1: {
				{Part: given, Files: []string{"args.go"}, Statements: 25},
				{Part: "written", Statements: 170},
			},
			2: {
				{Part: given, Statements: 200, Files: []string{
					"poller.go", "poller_epoll.go", "poller_poll.go", "process.go", "sys_*.go",
				}},
				{Part: "written", Statements: 430},
			},
			3: {{Part: "written", Statements: 190}},
			4: {{Part: "written", Statements: 270}},
			5: {
				{Part: given, Statements: 365, Files: []string{
					"addrs.go", "zkdial.go", "zkflags.go", "zksession.go", "znodes.go",
				}},
				{Part: "written", Statements: 245},
			},
			6: {
				{Part: given, Files: []string{"acked_*.go"}, Statements: 20},
				{Part: "written", Statements: 860},
			},
		},
	}
}

func (r Rules) revised(dir, file string) bool {
	for _, revision := range r.Revisions {
		if revision.Step == dir && revision.File == file {
			return true
		}
	}
	return false
}

// given reports whether a chapter gives its reader one of its new files.
func (r Rules) given(chapter int, file string) bool {
	i := r.budget(chapter, file)
	return i >= 0 && r.Budgets[chapter][i].Part == given
}

// budget returns the index in Budgets of the part that a chapter's file
// belongs to, or -1 when the chapter has no budget for it.
func (r Rules) budget(chapter int, file string) int {
	rest := -1
	for i, budget := range r.Budgets[chapter] {
		if budget.Files == nil {
			rest = i
		}
		for _, pattern := range budget.Files {
			if ok, _ := path.Match(pattern, file); ok {
				return i
			}
		}
	}
	return rest
}
