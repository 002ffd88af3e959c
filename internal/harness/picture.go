// The picture of a test's run: a file for each milestone that has failed, or
// for each one, in the directory that -pictures names; or its events, in the
// test's output.

package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/runpicture"
)

// withPicture draws the picture of a milestone that fails with this report, and
// returns the report with the picture's name.
func (s *story) withPicture(t testing.TB, report string) string {
	s.record(time.Since(s.start), runpicture.Event{Kind: runpicture.Parted, Text: parted(report)})
	path := s.draw(t, report)
	if path == "" {
		return report
	}
	return report + "\n  picture   " + path
}

// draw writes the picture of the test's run so far, and the events that it
// shows beside it, as JSON. It returns the picture's path if readers know the
// place, as it is in the workbook; "" otherwise, and if none is wanted. One
// that can't be written is no reason for a test to fail.
func (s *story) draw(t testing.TB, report string) (path string) {
	number, sentence, ok := milestone(t)
	if targets.pictures == "" || !ok {
		return ""
	}
	s.drawn = true

	run := runpicture.Run{
		Title: number + " " + sentence, Failed: report != "", Report: fieldsOf(report), Events: s.log.Events(),
	}
	events, err := json.Marshal(run)
	if err != nil {
		t.Logf("draw a picture: %v", err)
		return ""
	}
	if targets.pictures == toOutput {
		sayPicture(number, events)
		return ""
	}
	page, err := run.Page()
	if err != nil {
		t.Logf("draw a picture: %v", err)
		return ""
	}

	name := filepath.Join(targets.pictures, number)
	if err := writeBoth(name, page, events); err != nil {
		t.Logf("draw a picture: %v", err)
		return ""
	}

	root, err := carry.FindRoot()
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(root, name+".html")
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.ToSlash(rel)
}

// picturePart is how many bytes of a run a line has at most.
const picturePart = 8 << 10

// sayPicture writes the run of a milestone's picture, as JSON, to the output:
// at once, so that nothing of another goroutine gets between its lines.
func sayPicture(number string, run []byte) {
	var lines bytes.Buffer
	for part := range slices.Chunk(run, picturePart) {
		fmt.Fprintf(&lines, "%s%s %s\n", runpicture.OutputLine, number, part)
	}
	_, _ = os.Stdout.Write(lines.Bytes()) // where it fails, so do the test's own lines
}

func writeBoth(name string, page, events []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", events, 0o644); err != nil {
		return err
	}
	return os.WriteFile(name+".html", page, 0o644)
}

// clock is the time in front of what was got.
var clock = regexp.MustCompile(`^\d+\.\d\ds +`)

// parted returns the first lines of what a report says was expected and got.
func parted(report string) string {
	var words []string
	for line := range strings.Lines(fieldsOf(report)) {
		name, rest, _ := strings.Cut(line, " ")
		if name == "expected" || name == "got" {
			words = append(words, name+" "+clock.ReplaceAllString(strings.TrimSpace(rest), ""))
		}
	}
	return strings.Join(words, "; ")
}

// failedWithoutReport is what a picture says of a test that failed in words of
// its own; "" if it passed.
func failedWithoutReport(t testing.TB) string {
	if t.Failed() {
		return "\nthe test failed in words of its own, which make try and go test show"
	}
	return ""
}

// fieldsOf returns a report without its first line, which is the picture's
// title, and without the indentation of its fields.
func fieldsOf(report string) string {
	_, fields, _ := strings.Cut(strings.TrimLeft(report, "\n"), "\n")
	return strings.ReplaceAll(strings.TrimPrefix(fields, "  "), "\n  ", "\n")
}
