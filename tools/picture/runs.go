// Runs of broken programs, for the chapters: what a milestone sees of a program
// with one mistake.

package picture

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"example.com/rpcworkbook/internal/runpicture"
	"example.com/rpcworkbook/tools/broken"
)

// A Shot is a picture of a milestone that fails.
type Shot struct {
	Program   string // one of package broken
	Milestone string
	File      string // relative to the workbook's root

	From string                        // what the first event says that is shown; "" is the beginning
	Rows int                           // how many are shown, beside the last one; 0 for all
	Keep func(e runpicture.Event) bool // which events are shown at all
}

// Shots are the chapters' pictures.
var Shots = []Shot{
	{
		Program: "one-child-per-signal", Milestone: "4.2", File: "step4-signals/zombies.svg",
		Keep: only(runpicture.Signal, runpicture.Born, runpicture.Zombie, runpicture.Gone),
	},
	{
		Program: "two-nodes", Milestone: "5.12", File: "step5-discovery/two-nodes.svg", From: "asked: create",
		Keep: func(e runpicture.Event) bool {
			return e.Kind != runpicture.Said && e.Kind != runpicture.Born &&
				!strings.Contains(e.Text, "cut the server's connection")
		},
	},
	{
		Program: "removed-server-called", Milestone: "6.23", File: "step6-client-watch/still-called.svg",
		From: "the stub server was asked", Rows: 14,
		Keep: only(runpicture.Frame, runpicture.Answer, runpicture.Act),
	},
}

// only keeps events of these kinds.
func only(kinds ...runpicture.Kind) func(runpicture.Event) bool {
	return func(e runpicture.Event) bool { return slices.Contains(kinds, e.Kind) }
}

// Take has the milestone asked of the program of the workbook in root, which
// takes some seconds, and returns what happened. It is an error if the
// milestone passes.
func (s Shot) Take(root string) (run runpicture.Run, err error) {
	all := broken.Programs()
	i := slices.IndexFunc(all, func(p broken.Program) bool { return p.Name == s.Program })
	if i < 0 {
		return run, fmt.Errorf("there is no broken program %s", s.Program)
	}
	p := all[i]

	dir, err := os.MkdirTemp("", "shot-")
	if err != nil {
		return run, err
	}
	defer os.RemoveAll(dir)
	overlay, err := p.Overlay(root, dir)
	if err != nil {
		return run, err
	}

	pattern := fmt.Sprintf("^TestSpec%d$/^%s_", p.Spec, regexp.QuoteMeta(s.Milestone))
	cmd := exec.Command("go", "test", "-count=1", "./"+p.Step, "-run", pattern, "-pictures", dir)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" '-overlay="+overlay+"'")
	said, err := cmd.CombinedOutput()
	if err == nil {
		return run, fmt.Errorf("%s passes %s", s.Program, s.Milestone)
	}

	text, err := os.ReadFile(filepath.Join(dir, s.Milestone+".json"))
	if err != nil {
		return run, fmt.Errorf("no picture of %s: %w\n%s", s.Program, err, said)
	}
	return run, json.Unmarshal(text, &run)
}

// Draw returns the shot's picture of what happened.
func (s Shot) Draw(run runpicture.Run) []byte {
	var shown []runpicture.Event
	more := 0
	begun := s.From == ""
	for _, e := range run.Events {
		begun = begun || strings.Contains(e.Text, s.From)
		switch {
		case e.Kind == runpicture.Parted:
			if more > 0 {
				text := fmt.Sprintf("and so on: %d more events", more)
				shown = append(shown, runpicture.Event{At: e.At, Kind: runpicture.Left, Text: text})
			}
			shown = append(shown, e)
		case !begun || !s.Keep(e):
		case s.Rows > 0 && len(shown) >= s.Rows:
			more++
		default:
			shown = append(shown, e)
		}
	}

	run.Events = shown
	return run.Chart()
}
