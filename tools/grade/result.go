// Results: what came of a submission, kept on disk so that a run that was
// interrupted goes on where it was.

package grade

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Status is what came of one milestone.
type Status string

// The four of them.
const (
	Passed    Status = "passed"
	Failed    Status = "failed"
	Skipped   Status = "skipped"     // for what an earlier one found, or for want of an option
	Unreached Status = "not reached" // the time was over, or there was nothing to ask
)

// A Verdict is a milestone, and what came of it.
type Verdict struct {
	Number   string // "3.4"
	Sentence string
	Status   Status
	Report   string // how it failed, or why it was skipped
	Picture  string `json:",omitempty"` // of its run, as a page; "" for none
}

// A Result is what came of one submission.
type Result struct {
	Who      string
	Problem  string // why nothing could be asked; "" if it was
	Verdicts []Verdict
	Took     time.Duration
	Digest   string // of all that the result depends on
}

// With returns the numbers of the milestones with that status, in order.
func (r *Result) With(status Status) (numbers []string) {
	for _, v := range r.Verdicts {
		if v.Status == status {
			numbers = append(numbers, v.Number)
		}
	}
	return numbers
}

// headline returns the problem in a line: its first one, and the next one too
// if the first announces it, as "it doesn't compile:" does.
func (r *Result) headline() string {
	first, rest, _ := strings.Cut(r.Problem, "\n")
	if strings.HasSuffix(first, ":") {
		next, _, _ := strings.Cut(rest, "\n")
		first += " " + next
	}
	return first
}

// stateDir is where results are kept, in the directory of a run.
const stateDir = ".state"

// load returns the result of an earlier run, nil if there is none with that
// digest.
func load(out, who, digest string) (*Result, error) {
	text, err := os.ReadFile(filepath.Join(out, stateDir, who+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}

	var r Result
	err = json.Unmarshal(text, &r)
	if err != nil || r.Digest != digest {
		return nil, nil // what can't be read is made again
	}
	return &r, nil
}

// save keeps a result: whole, or not at all.
func (r *Result) save(out string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(out, stateDir)
	err = os.MkdirAll(dir, 0o755)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, r.Who+".json"), text)
}

// writeFile writes a file that is never seen half.
func writeFile(path string, text []byte) error {
	half := path + ".new"
	err := os.WriteFile(half, text, 0o644)
	if err != nil {
		return err
	}
	return os.Rename(half, path)
}
