// The golden test: each broken program fails exactly the milestones that it
// should, and the first one says what is wrong.

package broken

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
)

var (
	all    = flag.Bool("all", false, "ask every milestone, not only the quick ones")
	update = flag.Bool("update", false, "write the golden files; it asks every milestone")
)

// Some mistakes are races: when the machine is so busy that everybody waits
// anyway, they hide, or more fails than they break. So a program with another
// result is asked again. A result that is another each time is an error.
const maxTries = 3

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "100") // the slots are the limit
	os.Exit(harness.Main(m))
}

func TestPrograms(t *testing.T) {
	for _, p := range Programs() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			numbers := milestones(t, p)
			whole := *all || *update
			if !whole && p.Quick != nil {
				require.Subset(t, numbers, p.Quick, "milestones to ask")
				numbers = slices.DeleteFunc(numbers,
					func(number string) bool { return !slices.Contains(p.Quick, number) })
			}

			got := golden(p, numbers, judge(t, p, numbers))
			name := filepath.Join("testdata", p.Name+".golden")
			if *update {
				require.NoError(t, os.WriteFile(name, []byte(got), 0o600))
			}

			content, err := os.ReadFile(name)
			require.NoError(t, err)
			want := string(content)
			if !whole {
				want = only(want, numbers)
			}

			for tries := 1; tries < maxTries && got != want; tries++ {
				t.Logf("asked again, because of\n%s", got)
				got = golden(p, numbers, judge(t, p, numbers))
			}
			assert.Equal(t, want, got, "It %s.", p.Mistake)
		})
	}
}

// golden returns what is remembered of a run: the numbers of the milestones
// that failed, in order, and the report of the first one.
func golden(p Program, numbers []string, verdicts map[string]verdict) string {
	var failed []string
	for _, number := range numbers {
		if verdicts[number].failed && !slices.Contains(p.Sometimes, number) {
			failed = append(failed, number)
		}
	}
	text := fmt.Sprintf("fails %s\n", strings.Join(failed, " "))
	if len(failed) > 0 {
		text += "\n" + steady(verdicts[failed[0]].report, p.Varies)
	}
	return text
}

// only returns a golden text as a run of only these milestones makes it.
func only(golden string, numbers []string) string {
	set, report, _ := strings.Cut(golden, "\n")
	failed := slices.DeleteFunc(strings.Fields(set)[1:],
		func(number string) bool { return !slices.Contains(numbers, number) })
	return fmt.Sprintf("fails %s\n%s", strings.Join(failed, " "), report)
}

var (
	quoted  = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	numeral = regexp.MustCompile(`0x[0-9a-f]+|[0-9]+([.–, ]+[0-9]+)*`)
)

// steady returns a report without what differs from run to run. Of numbers only
// those in its heading and its advice stay; of what was got, the first line.
func steady(report string, varies []string) string {
	var kept strings.Builder
	for i, line := range strings.Split(report, "\n") {
		field, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		text = numeral.ReplaceAllString(strings.TrimSpace(text), "N")
		switch {
		case i == 0:
			fmt.Fprintf(&kept, "%s\n", line)
		case slices.Contains(varies, field):
			fmt.Fprintf(&kept, "  %-9s …\n", field)
		case field == "did":
			fmt.Fprintf(&kept, "  did       %s\n", quoted.ReplaceAllString(text, `"…"`))
		case field == "expected", field == "got":
			fmt.Fprintf(&kept, "  %-9s %s\n", field, text)
		case field == "usually":
			fmt.Fprintf(&kept, "%s\n", line)
		}
	}
	return kept.String()
}

func TestSteady(t *testing.T) {
	report := `✗ 4.2 sixteen workers killed at once are reaped and replaced
  did       0.41s  SIGKILL to pids 5120–5135 5140, "quoted \" 5"
  expected  16 new workers, no zombie, within 2s
  got       2.41s  9 workers of 127.0.0.1:8080, session 0x10a [1 2 3]
            5119 master ─── 5140–5148 worker (9, sleeping)
  usually   one wait4 per SIGCHLD; 16 deaths may be one signal
  again     make try STEP=4 ONLY=4.2`
	assert.Equal(t, `✗ 4.2 sixteen workers killed at once are reaped and replaced
  did       Ns  SIGKILL to pids N, "…"
  expected  N new workers, no zombie, within Ns
  got       Ns  N workers of N:N, session N [N]
  usually   one wait4 per SIGCHLD; 16 deaths may be one signal
`, steady(report, nil))
	assert.Contains(t, steady(report, []string{"did", "got"}),
		"\n  did       …\n  expected  N new workers, no zombie, within Ns\n  got       …\n  usually")
	assert.Equal(t, "fails 4.2\n\nreport\n", only("fails 4.1 4.2 4.3\n\nreport\n", []string{"4.2", "4.4"}))
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Programs() {
		assert.False(t, seen[p.Name], p.Name)
		seen[p.Name] = true
		assert.Equal(t, p.Quick == nil, p.Why == "", "%s: some milestones only, and why", p.Name)
		assert.Equal(t, p.Sometimes == nil && p.Varies == nil, p.By == "", "%s: by chance, and which", p.Name)
		assert.NotEqual(t, p.Edits == nil, p.Command == "", "%s: either edits or another program", p.Name)

		content, err := os.ReadFile(filepath.Join("testdata", p.Name+".golden"))
		require.NoError(t, err)
		set, _, _ := strings.Cut(string(content), "\n")
		failed := strings.Fields(set)[1:]
		require.NotEmpty(t, failed, "%s: nobody notices the mistake", p.Name)

		if p.Quick != nil {
			assert.Contains(t, p.Quick, failed[0], "%s: the first one that fails", p.Name)
			passes := slices.ContainsFunc(p.Quick, func(number string) bool { return !slices.Contains(failed, number) })
			assert.True(t, passes || p.Name == "each-worker-listens", "%s: a neighbour that passes", p.Name)
		}
	}

	assert.GreaterOrEqual(t, len(seen), 20)
	files, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	assert.Len(t, files, len(seen), "a golden file for each program, and no others")
}

// Cheap, so that who changes a step learns of it long before the programs run.
func TestMistakesFitTheSteps(t *testing.T) {
	for _, p := range Programs() {
		if p.Edits == nil {
			continue
		}
		_, err := p.Overlay(root, t.TempDir())
		assert.NoError(t, err)
	}
}

func TestMistakeWhoseTextIsGone(t *testing.T) {
	p := Program{Name: "late", Step: "step1-framing", Edits: []Edit{{"frame.go", "no such text", ""}}}
	_, err := p.Overlay(root, t.TempDir())
	require.ErrorContains(t, err, "put the mistake late in: step1-framing/frame.go has the text below 0 times")
	p.Edits[0].Old = "func " // it is there, but which one is meant?
	_, err = p.Overlay(root, t.TempDir())
	require.ErrorContains(t, err, "not once")
	p.Edits[0].File = "none.go"
	_, err = p.Overlay(root, t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

// What the chapter says of a first version is what its golden file says.
func TestFirstVersionIsAsTheChapterSays(t *testing.T) {
	content, err := os.ReadFile("testdata/first-version.golden")
	require.NoError(t, err)
	set, _, _ := strings.Cut(string(content), "\n")
	readme, err := os.ReadFile(filepath.Join(root, "step6-client-watch", "README.md"))
	require.NoError(t, err)
	m := regexp.MustCompile(`A first version of all three parts, .* is red at (.*), and green at the rest\.`).
		FindStringSubmatch(string(readme))
	require.NotNil(t, m)

	var said []string
	for _, m := range regexp.MustCompile(`6\.(\d+)(?: to 6\.(\d+))?`).FindAllStringSubmatch(m[1], -1) {
		from, _ := strconv.Atoi(m[1])
		to, err := strconv.Atoi(m[2])
		if err != nil {
			to = from
		}
		for i := from; i <= to; i++ {
			said = append(said, fmt.Sprintf("6.%d", i))
		}
	}
	assert.Equal(t, strings.Fields(set)[1:], said)
}
