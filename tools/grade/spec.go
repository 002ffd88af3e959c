// Specifications: compiled once, and asked of every program.

package grade

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"example.com/rpcworkbook/internal/chapter"
)

// A specification is that of one chapter.
type specification struct {
	number     int
	milestones []chapter.Milestone
}

// A test is the compiled tests of the chapter that a class works on. They hold
// the specifications of the chapters before it, too.
type test struct {
	bin    string // its path
	digest string // of the file
	asked  []specification
}

// compile compiles the specifications into dir and lists what they ask: those
// of the class's chapter, and of the earlier ones first if the class wants
// that.
func (c *Class) compile(ctx context.Context, dir string) (*test, error) {
	t := &test{bin: filepath.Join(dir, "specification.test")}
	last, err := c.Book.Chapter("grade", c.Step)
	if err != nil {
		return nil, err
	}

	for number := 1; number <= last.Number; number++ {
		if number < last.Number && !c.Earlier {
			continue
		}
		of, err := c.Book.Chapter("grade", strconv.Itoa(number))
		if err != nil {
			return nil, err
		}
		milestones, err := c.Book.Milestones(of)
		if err != nil {
			return nil, err
		}
		t.asked = append(t.asked, specification{number, milestones})
	}

	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-o", t.bin, ".")
	cmd.Dir = filepath.Join(c.Root, last.Dir)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compile the specification of %s: %w\n%s", last.Dir, err, output)
	}

	text, err := os.ReadFile(t.bin)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	t.digest = hex.EncodeToString(sum[:])
	return t, nil
}

// pattern returns what asks these milestones alone, for -test.run.
func (s specification) pattern(milestones []chapter.Milestone) string {
	var numbers []string
	for _, m := range milestones {
		numbers = append(numbers, regexp.QuoteMeta(m.Number))
	}
	return fmt.Sprintf("^TestSpec%d$/^(%s)_", s.number, strings.Join(numbers, "|"))
}
