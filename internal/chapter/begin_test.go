// Tests of make begin: on small trees, and on the chapters of this workbook,
// where what a reader starts from must compile.

package chapter

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
)

// write makes a tree of files, by path and text, in root.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// A small workbook: step 2 is given given.go.
var (
	small = map[string]string{
		"step1-a/README.md":       "# Chapter 1\n\nWrite `func a()`; copy `step1-a/a_test.go`.\n",
		"step1-a/a.go":            "package main\n\nfunc a() {}\n\nfunc aToo() {}\n",
		"step1-a/main.go":         "package main\n\nfunc main() { a() }\n",
		"step1-a/a_test.go":       "package main\n",
		"step1-a/spec1_test.go":   "package main\n",
		"step2-b/README.md":       "# Chapter 2\n\nWrite a type `b`.\n",
		"step2-b/a.go":            "package main\n\nfunc a() {}\n\nfunc aToo() {}\n",
		"step2-b/b.go":            "package main\n\ntype b struct{}\n",
		"step2-b/given.go":        "package main\n\nvar given, given2 = 1, 2\n",
		"step2-b/main.go":         "package main\n\nfunc main() { a(); _ = b{} }\n",
		"step2-b/main_windows.go": "package main\n\nfunc main() {}\n",
		"step2-b/b_test.go":       "package main\n",
		"step3-c/README.md":       "# Chapter 3\n",
		"step3-c/a.go":            "package main\n\nfunc a() {}\n\nfunc aToo() {}\n",
		"step3-c/b.go":            "package main\n\ntype b struct{}\n",
		"step3-c/c.go":            "package main\n\nconst c = 1\n",
		"step3-c/given.go":        "package main\n\nvar given, given2 = 1, 2\n",
		"step3-c/main.go":         "package main\n\nfunc main() { a(); _ = b{}; _ = c }\n",
		"final/a.go":              "package rpc\n",
	}
	smallRules = carry.Rules{Budgets: map[int][]carry.Budget{
		2: {{Part: "given", Files: []string{"given.go"}}, {Part: "written"}},
	}}
)

// open opens the workbook in root, and returns where it writes to.
func open(t *testing.T, root string, rules carry.Rules) (*Book, *strings.Builder) {
	t.Helper()
	var out strings.Builder
	b, err := Open(root, rules, &out)
	require.NoError(t, err)
	return b, &out
}

// begin runs make begin in the small workbook with what the reader has, and
// returns what it said and what he has then.
func begin(t *testing.T, step string, his map[string]string) (said string, has map[string]string) {
	t.Helper()
	root := t.TempDir()
	write(t, root, small)
	for name, text := range his {
		write(t, root, map[string]string{"_mine/" + name: text})
	}
	b, out := open(t, root, smallRules)
	c, err := b.Chapter("begin", step)
	require.NoError(t, err)
	require.NoError(t, b.Begin(c))
	return out.String(), tree(t, filepath.Join(root, "_mine"))
}

// tree returns the files under a directory, by path and text.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	}))
	return files
}

func TestBeginTheFirstChapter(t *testing.T) {
	said, has := begin(t, "1", nil)
	assert.Equal(t, map[string]string{
		"a.go": "package main\n\nfunc a() { panic(\"a is not written yet\") }\n",
		"main.go": "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\n" +
			"func main() {\n\tfmt.Fprintln(os.Stderr, \"not written yet\")\n\tos.Exit(1)\n}\n",
	}, has)
	assert.Equal(t, `Chapter 1, step1-a. Your program is in _mine.

  stubs      2 files to write in: a.go, main.go
  you write  a.go and main.go; see step1-a/README.md
  then       make try STEP=1
`, said)
}

func TestBeginWithOurSources(t *testing.T) {
	said, has := begin(t, "2", nil)
	assert.Equal(t, map[string]string{
		"a.go": small["step1-a/a.go"], "main.go": small["step1-a/main.go"], "given.go": small["step2-b/given.go"],
		"b.go": small["step2-b/b.go"],
	}, has)
	assert.Equal(t, `Chapter 2, step2-b. Your program is in _mine.

  copied     2 files of step1-a: a.go, main.go
  given      1 file of step2-b: given.go
  stubs      1 file to write in: b.go
  you write  b.go and main.go; see step2-b/README.md
  then       make try STEP=2
`, said)

	_, has = begin(t, "3", nil)
	assert.Equal(t, small["step2-b/main.go"], has["main.go"], "the wiring is that of the step before")
	assert.Equal(t, "package main\n", has["c.go"], "the text names nothing in it")
	assert.NotContains(t, has, "b_test.go")
	assert.Len(t, has, 6)
}

func TestBeginOverwritesNothing(t *testing.T) {
	his := map[string]string{
		"a.go":          "package main\n\nfunc a() { println(1) }\n", // one name is his main.go's now
		"main.go":       "package main\n\nfunc main() {}\n\nfunc aToo() {}\n",
		"mine.go":       "package main\n\nvar mine = 1\n\nfunc init() {}\n\nvar _ = 1\n",
		"mine_test.go":  "package main\n\nfunc given() {}\n",
		"c.go":          "package main\n", // of a later chapter
		"old/given.go":  "package main\n\nvar given = 1\n",
		"broken.go":     "package",
		"notes.txt":     "mine",
		"given.go/x.go": "a directory of that name",
	}
	said, has := begin(t, "2", his)
	assert.Equal(t, small["step2-b/b.go"], has["b.go"])
	delete(has, "b.go")
	assert.Equal(t, his, has)
	assert.Contains(t, said, "kept       3 files that you have: a.go, main.go, given.go\n")
	assert.NotContains(t, said, "copied")
	assert.NotContains(t, said, "left out")
}

func TestBeginAddsWhatIsMissing(t *testing.T) {
	his := map[string]string{
		"b.go":    "package main\n\ntype b struct{ mine bool }\n\nvar more = 1\n",
		"main.go": "package main\n\nfunc main() { _ = given }\n",
		"more.go": "package main\n\nfunc (b) given() {}\n\nfunc init() {}\n", // a method is no clash
	}
	said, has := begin(t, "3", his)
	for name, text := range his {
		assert.Equal(t, text, has[name])
	}
	assert.Equal(t, small["step2-b/a.go"], has["a.go"])
	assert.Equal(t, small["step2-b/given.go"], has["given.go"])
	assert.Contains(t, said, "copied     3 files of step2-b: a.go, given.go, main_windows.go\n")
	assert.Contains(t, said, "kept       2 files that you have: b.go, main.go\n")
}

func TestBeginLeavesAProgramOfAnotherShapeAlone(t *testing.T) {
	his := map[string]string{"server.go": "package main\n\nfunc main() { aToo() }\n\nfunc aToo() {}\n"}
	said, has := begin(t, "2", his)
	assert.Equal(t, map[string]string{"server.go": his["server.go"], "given.go": small["step2-b/given.go"]}, has)
	assert.Contains(t, said, "left out   2 files of step1-a, because your server.go has its own aToo: a.go, main.go\n")

	his["server.go"] = "package main\n\nfunc main() {}\n\nconst (\n\tx = 1\n\tgiven2 = 2\n)\n"
	said, has = begin(t, "2", his)
	assert.Equal(t, his, has)
	assert.Contains(t, said, "left out   1 file of step2-b, because your server.go has its own given2: given.go\n")
}

func TestBeginDoesNotWriteThroughALink(t *testing.T) {
	root := t.TempDir()
	write(t, root, small)
	require.NoError(t, os.Mkdir(filepath.Join(root, "_mine"), 0o755))
	require.NoError(t, os.Symlink("../elsewhere.go", filepath.Join(root, "_mine/a.go")))
	b, out := open(t, root, smallRules)
	require.NoError(t, b.Begin(b.chapters[1]))
	assert.Contains(t, out.String(), "kept       1 file that you have: a.go\n")
	assert.NoFileExists(t, filepath.Join(root, "elsewhere.go"))
}

func TestBeginWithAFileInPlaceOfTheDirectory(t *testing.T) {
	root := t.TempDir()
	write(t, root, small)
	write(t, root, map[string]string{"_mine": "mine"})
	b, _ := open(t, root, smallRules)
	assert.ErrorContains(t, b.Begin(b.chapters[1]), "make the directory for your program")
}

func TestBeginInAHandout(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{
		"step1-a/a.go": "package main\n", "step1-a/main.go": "package main\n", "step2-b/a.go": "package main\n",
		"step2-b/main.go": "package main\n", "step2-b/given.go": "package main\n",
		"step2-b/b.go": "package main\n\n// A stub.\n",
	})
	b, out := open(t, root, smallRules)
	require.NoError(t, b.Begin(b.chapters[1]))
	assert.Contains(t, out.String(), `
  stubs      1 file to write in: b.go
  you write  b.go and main.go; see step2-b/README.md
`)
	has := tree(t, filepath.Join(root, "_mine"))
	assert.Len(t, has, 4)
	assert.Equal(t, "package main\n\n// A stub.\n", has["b.go"])
}

func TestChapterOfTheCommandLine(t *testing.T) {
	root := t.TempDir()
	write(t, root, small)
	b, _ := open(t, root, smallRules)

	for step, want := range map[string]string{
		"":      "STEP is missing: it is a number from 1 to 3, as in `make try STEP=3`",
		"0":     "there is no chapter STEP=0: it is a number from 1 to 3",
		"4":     "there is no chapter STEP=4",
		"-1":    "there is no chapter STEP=-1",
		"03":    "there is no chapter STEP=03",
		"final": "there is no chapter STEP=final: it is a number from 1 to 3",
		"two":   "there is no chapter STEP=two",
	} {
		_, err := b.Chapter("try", step)
		assert.ErrorContains(t, err, want, step)
	}

	c, err := b.Chapter("try", "2")
	require.NoError(t, err)
	assert.Equal(t, "step2-b", c.Dir)

	_, err = Open(t.TempDir(), smallRules, nil)
	assert.ErrorContains(t, err, "no chapter in")
}

// workbook opens this repository.
func workbook(t *testing.T) (*Book, *strings.Builder) {
	t.Helper()
	root, err := carry.FindRoot()
	require.NoError(t, err)
	return open(t, root, carry.Workbook())
}

// The names as the chapters' own pages have them.
func TestChaptersOfTheWorkbook(t *testing.T) {
	b, _ := workbook(t)
	var got []string
	for _, c := range b.chapters {
		got = append(got, c.Dir+": given "+strings.Join(c.Given, " ")+"; written "+strings.Join(c.Write, " "))
	}
	assert.Equal(t, []string{
		"step1-framing: given args.go; written frame.go message.go service.go",
		"step2-asyncserver: " +
			"given poller.go poller_epoll.go poller_poll.go process.go sys_linux.go sys_other.go; " +
			"written conn.go loop.go server.go",
		"step3-prefork: given ; written prefork.go worker.go",
		"step4-signals: given ; written supervise.go",
		"step5-discovery: given addrs.go zkdial.go zkflags.go zksession.go znodes.go; written register.go",
		"step6-client-watch: given acked_linux.go acked_other.go; " +
			"written attempt.go call.go client.go errand.go list.go pipe.go remote.go rounds.go silence.go watch.go",
	}, got)
}

// What a reader starts with is a program that compiles, so that he can change
// it bit by bit; with the tests that the text offers, too.
func TestWhatBeginGivesCompiles(t *testing.T) {
	b, _ := workbook(t)
	for _, c := range b.chapters {
		t.Run(c.Dir, func(t *testing.T) {
			t.Parallel()
			b, out := workbook(t)
			b.mine = t.TempDir()
			require.NoError(t, b.Begin(c))
			assert.Regexp(t, `\n  stubs  .*: .*`+c.Write[0], out.String())

			// A module of its own, with what the tests stand on.
			for _, file := range []string{"go.mod", "go.sum", "internal"} {
				require.NoError(t, os.Symlink(filepath.Join(b.root, file), filepath.Join(b.mine, file)))
			}
			vetted(t, b.mine)

			_, tests, err := b.text(c)
			require.NoError(t, err)
			sources, err := b.read(c.Dir, append(tests, "program_test.go"))
			require.NoError(t, err)
			write(t, b.mine, sources)
			vetted(t, b.mine)
		})
	}
}

// vetted runs go vet on the package in a directory.
func vetted(t *testing.T, dir string) {
	t.Helper()
	vet := exec.Command("go", "vet", ".")
	vet.Dir = dir
	output, err := vet.CombinedOutput()
	assert.NoError(t, err, "%s", output)
}
