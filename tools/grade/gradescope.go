// results.json, as Gradescope's autograder reads it, and what milestones are
// worth there.

package grade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// A scored is a test of Gradescope's.
type scored struct {
	Number string `json:"number"`
	Name   string `json:"name"`

	// What came of it.
	Score    float64 `json:"score"`
	MaxScore float64 `json:"max_score"`
	Status   string  `json:"status,omitempty"` // without one, the score says it
	Output   string  `json:"output,omitempty"`
	Format   string  `json:"output_format"`
}

// gradescope returns the results.json of one student.
func gradescope(r *Result, weights map[string]float64) ([]byte, error) {
	file := struct {
		Output  string   `json:"output,omitempty"`
		Seconds float64  `json:"execution_time"`
		Tests   []scored `json:"tests"`
	}{Output: r.Problem, Seconds: math.Round(r.Took.Seconds()), Tests: []scored{}}

	for _, v := range r.Verdicts {
		weight, ok := weights[v.Number]
		if !ok {
			weight = 1
		}

		test := scored{Number: v.Number, Name: v.Sentence, MaxScore: weight, Output: v.Report, Format: "text"}
		switch v.Status {
		case Passed:
			test.Score, test.Status = weight, "passed"
		case Failed:
			test.Status = "failed"
		case Unreached:
			test.Status, test.Output = "failed", string(Unreached)
		}
		file.Tests = append(file.Tests, test)
	}
	return json.MarshalIndent(file, "", "  ")
}

var weightLine = regexp.MustCompile(`^([0-9]+\.[0-9]+)\s+([0-9.]+)$`)

// readWeights returns what milestones are worth, by their numbers. Where there
// is no such file, all are worth the same.
func readWeights(path string) (map[string]float64, error) {
	weights := map[string]float64{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return weights, nil
	}
	if err != nil {
		return nil, err
	}

	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := weightLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%s: a line is a milestone and what it is worth, such as 4.2 3: %s", path, line)
		}
		weights[m[1]], err = strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return weights, nil
}
