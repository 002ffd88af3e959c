// Reading what a specification prints while it runs.

package grade

import (
	"bufio"
	"errors"
	"io"
	"regexp"
	"strings"

	"example.com/rpcworkbook/internal/runpicture"
)

const (
	// What go test puts in front of its own lines, for machines: what a program
	// prints can't pass for one.
	frame = "\x16"

	maxLine   = 16 << 10 // bytes of a line that are kept
	maxReport = 64 << 10 // and of what a milestone says

	maxPictures = 16 << 20 // bytes of all pictures
)

var (
	nowLine     = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +((?:TestSpec\d+/(\d+\.\d+)_)?.*)$`)
	resultLine  = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (TestSpec\d+/(\d+\.\d+)_.*) \(`)
	reportText  = regexp.MustCompile(`(?m)^        (✗ (?s:.*?)^          again .*)$`)
	pictureLine = regexp.MustCompile(`^` + regexp.QuoteMeta(runpicture.OutputLine) + `(\d+\.\d+) (.*)\n$`)
	saidText    = regexp.MustCompile(`(?m)^    [^\s:]+\.go:\d+: `)
)

// A listener takes what a specification says, line by line.
type listener struct {
	tell func(number string) // a milestone begins

	now  string                      // the milestone that runs; "" for none
	said map[string]*strings.Builder // by milestone, "" for what is said outside of them
	is   map[string]Status           // of those that have ended
	test map[string]string           // the test that a milestone is; others of its number are inside it

	pictures    map[string][]byte // by milestone: what is drawn, see draw
	pictureSize int               // of all of them
}

func newListener(tell func(number string)) *listener {
	return &listener{
		tell: tell, said: map[string]*strings.Builder{"": {}}, is: map[string]Status{}, test: map[string]string{},
		pictures: map[string][]byte{},
	}
}

// listen reads to the end of the output.
func (l *listener) listen(output io.Reader) error {
	lines := bufio.NewReaderSize(output, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		l.take(string(line))
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = lines.ReadSlice('\n')
		}

		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *listener) take(line string) {
	own, isOwn := strings.CutPrefix(strings.TrimRight(line, "\n"), frame)
	if !isOwn {
		if said := l.said[l.now]; said.Len()+len(line) <= maxReport {
			said.WriteString(line)
		}
		return
	}

	if m := pictureLine.FindStringSubmatch(line); m != nil && l.pictureSize+len(line) <= maxPictures {
		l.pictures[m[1]] = append(l.pictures[m[1]], m[2]...)
		l.pictureSize += len(line)
		return
	}
	if m := nowLine.FindStringSubmatch(own); m != nil {
		l.now = m[2]
		if l.said[l.now] == nil {
			l.said[l.now], l.test[l.now] = &strings.Builder{}, m[1]
			l.tell(l.now)
		}
	}
	if m := resultLine.FindStringSubmatch(own); m != nil && l.test[m[3]] == m[2] {
		l.is[m[3]] = map[string]Status{"PASS": Passed, "FAIL": Failed, "SKIP": Skipped}[m[1]]
		l.now = ""
	}
}

// report returns what a milestone said: its report, or, where it has none, all
// of it without the places in the source.
func (l *listener) report(number string) string {
	if l.said[number] == nil {
		return ""
	}
	text := l.said[number].String()
	if m := reportText.FindStringSubmatch(text); m != nil {
		return strings.ReplaceAll(m[1], "\n        ", "\n")
	}

	var lines []string
	for line := range strings.Lines(saidText.ReplaceAllString(text, "")) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), "        "))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
