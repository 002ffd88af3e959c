// What came of the mutants: a file that a later run goes on with, the progress,
// and the list.

package mutate

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// What can come of a mutant.
const (
	killed    = "killed"    // a test is red
	survived  = "survived"  // all tests that reach it are green
	unreached = "unreached" // no test reaches it
)

// A result is what came of one mutant.
type result struct {
	ID   int
	Fate string
	By   string `json:",omitempty"` // the test that killed it
}

// Results are those so far. The file has a line for the program and its tests,
// and one for each mutant.
type results struct {
	Sum   string
	Tests []test

	mu   sync.Mutex
	of   map[int]result
	file *os.File
}

// openResults opens the file at path. What it says of another program is
// dropped.
func openResults(path, sum string) (*results, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}

	r := &results{Sum: sum, of: map[int]result{}, file: file}
	good := r.read()
	_, err = file.Seek(good, io.SeekStart)
	err = errors.Join(err, file.Truncate(good))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

// read takes what the file says of this program, and returns where that ends:
// an earlier run may have been interrupted while it wrote a line.
func (r *results) read() (good int64) {
	lines := json.NewDecoder(bufio.NewReader(r.file))
	var head results
	if lines.Decode(&head) != nil || head.Sum != r.Sum {
		return 0
	}

	r.Tests = head.Tests
	for {
		good = lines.InputOffset()
		var one result
		if lines.Decode(&one) != nil {
			return good
		}
		r.of[one.ID] = one
	}
}

// begin takes down the tests, in a file that is empty.
func (r *results) begin(tests []test) error {
	r.Tests = tests
	return r.write(struct {
		Sum   string
		Tests []test
	}{r.Sum, tests})
}

func (r *results) add(one result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[one.ID] = one
	return r.write(one)
}

func (r *results) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append([]byte{'\n'}, line...))
	return err
}

func (r *results) Close() error { return r.file.Close() }

// list writes the mutants that no test noticed.
func (r *results) list(w io.Writer, dir string, mutants []Mutant) {
	count := map[string]int{}
	inOrder := slices.SortedStableFunc(slices.Values(mutants), func(a, b Mutant) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	for _, m := range inOrder {
		fate := r.of[m.ID].Fate
		count[fate]++
		switch fate {
		case survived:
			fmt.Fprintf(w, "%s/%s\n", dir, m)
		case unreached:
			fmt.Fprintf(w, "%s/%s (no test gets here)\n", dir, m)
		}
	}
	fmt.Fprintf(w, "%d mutants: %d killed, %d survived, and %d where no test gets\n",
		len(mutants), count[killed], count[survived], count[unreached])
}

// A progress is a line that says how far a run is: the same again and again on
// a terminal, and elsewhere a new one each minute. Its methods may be called on
// any goroutine.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	what     string // is counted

	of, done int
	since    time.Time
	said     time.Time
}

func newProgress(out io.Writer, of int, what string) *progress {
	p := &progress{out: out, of: of, what: what, since: time.Now(), said: time.Now()}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// step counts one more; more is what else there is to say.
func (p *progress) step(more string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if !p.terminal && time.Since(p.said) < time.Minute && p.done < p.of {
		return
	}

	p.said = time.Now()
	left := time.Since(p.since) / time.Duration(p.done) * time.Duration(p.of-p.done)
	line := fmt.Sprintf("%d of %d %s%s, about %v left", p.done, p.of, p.what, more, left.Round(time.Second))
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.out, line)
}

// end leaves the line of a terminal.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}
