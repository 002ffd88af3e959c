// Tests of make try with the real go command, on a small workbook whose
// specifications look into a file of the reader's.

package chapter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

// What is in _mine/can is what the reader's program can.
const smallProgramTest = `package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	program = flag.String("program", "", "")
	again   = flag.String("again", "", "")
	draw    = flag.String("pictures", "", "")
	all     = flag.Bool("all-pictures", false, "")
)

func can(t *testing.T, number, what string) {
	text, err := os.ReadFile("../" + *program + "/can")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("trace of", number)
	switch {
	case strings.Contains(string(text), number+" hang"):
		child := exec.Command("sleep", "600")
		child.Start()
		os.WriteFile("../" + *program + "/pids", []byte(fmt.Sprint(os.Getpid(), " ", child.Process.Pid)), 0o644)
		time.Sleep(10 * time.Minute)
	case strings.Contains(string(text), number+" panic"):
		panic("out of order")
	case strings.Contains(string(text), number+" kill"):
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case strings.Contains(string(text), number+" skip"):
		t.Skip()
	case strings.Contains(string(text), number+" curse"):
		os.MkdirAll("../"+*draw, 0o755)
		os.WriteFile("../"+*draw+"/"+number+".html", []byte(fmt.Sprint(*all)), 0o644)
		t.Fatal("curse\nand more")
	case strings.Contains(string(text), number+" not"):
		t.Fatalf("✗ %s %s\n  did       0.00s\n  again     %s%s", number, what, *again, number)
	}
}

func TestElse(t *testing.T) { t.Fatal("no specification") }
`

// smallSpec is a specification of two milestones, then two in parallel.
func smallSpec(chapter int) string {
	return fmt.Sprintf(`package main

import (
	"os"
	"testing"
)

func TestSpec%[1]d(t *testing.T) {
	if os.Getenv("SMALL_SPEC") == "set up" {
		t.Fatal("the set-up went wrong")
	}
	t.Run("%[1]d.1 one of 1/n", func(t *testing.T) { can(t, "%[1]d.1", "one of 1/n") })
	t.Run("%[1]d.2 two", func(t *testing.T) {
		t.Run("inside", func(t *testing.T) {})
		can(t, "%[1]d.2", "two")
	})
	t.Run("%[1]d.3 three", func(t *testing.T) { t.Parallel(); can(t, "%[1]d.3", "three") })
	t.Run("%[1]d.4 four", func(t *testing.T) { can(t, "%[1]d.4", "four") })
}
`, chapter)
}

// reader has a small workbook with a program that can what is said.
func reader(t *testing.T, can string, more map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	write(t, root, map[string]string{
		"go.mod":                  "module example.com/small\n\ngo 1.21\n",
		"step1-a/a.go":            "package main\n\nfunc main() {}\n",
		"step1-a/spec1_test.go":   smallSpec(1),
		"step1-a/program_test.go": smallProgramTest,
		"step2-b/a.go":            "package main\n\nfunc main() {}\n",
		"step2-b/spec1_test.go":   smallSpec(1),
		"step2-b/spec2_test.go":   smallSpec(2),
		"step2-b/program_test.go": smallProgramTest,
		"step3-c/a.go":            "package main\n\nfunc main() {}\n",
		"step3-c/spec1_test.go":   smallSpec(1),
		"step3-c/spec2_test.go":   smallSpec(2),
		"step3-c/spec3_test.go":   smallSpec(3),
		"step3-c/program_test.go": smallProgramTest,
		"final/a.go":              "package rpc\n",
		"_mine/main.go":           "package main\n\nfunc main() {}\n",
		"_mine/can":               can,
	})
	write(t, root, more)
	return root
}

// try runs make try, and returns what it says.
func try(t *testing.T, root, step string, how How) (said string, green bool, err error) {
	t.Helper()
	b, out := open(t, root, smallRules)
	c, err := b.Chapter("try", step)
	require.NoError(t, err)
	green, err = b.Try(t.Context(), c, how)
	// On a busy machine, or the first time, it says that it is building.
	said, _ = strings.CutPrefix(out.String(), "building …\n")
	return said, green, err
}

func TestTryAllGreen(t *testing.T) {
	t.Parallel()
	root := reader(t, "", nil)
	said, green, err := try(t, root, "3", How{})
	require.NoError(t, err)
	assert.True(t, green)
	assert.Equal(t, `3.1 ✓ 3.2 ✓ 3.4 ✓ 3.3 ✓ (4 of 4)
chapter 1 ✓ (4 of 4)
chapter 2 ✓ (4 of 4)

Well done: your program does all that chapter 3 asks for.

  compare    make compare STEP=3
  then       final/README.md: what else it needs before untrusted clients may connect
`, said)

	said, _, _ = try(t, root, "1", How{})
	assert.Equal(t, `1.1 ✓ 1.2 ✓ 1.4 ✓ 1.3 ✓ (4 of 4)

Well done: your program does all that chapter 1 asks for.

  compare    make compare STEP=1
  then       make begin STEP=2
`, said)

	require.NoError(t, os.RemoveAll(filepath.Join(root, "final")))
	said, _, _ = try(t, root, "3", How{})
	assert.True(t, strings.HasSuffix(said, "asks for.\n\n"), "%q", said)
}

func TestTryStopsAtTheFirstRed(t *testing.T) {
	t.Parallel()
	root := reader(t, "3.2 not 3.4 not 1.4 not", nil)
	said, green, err := try(t, root, "3", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, `3.1 ✓ 3.2 ✗ (2 of 4)

✗ 3.2 two
  did       0.00s
  again     make try STEP=3 ONLY=3.2
`, said)

	said, green, err = try(t, root, "3", How{Only: "3.2", Full: true})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "3.2 ✗\n\ntrace of 3.2\n✗ 3.2 two\n  did       0.00s\n  again     make try STEP=3 ONLY=3.2\n", said)
}

func TestTryTheEarlierChapters(t *testing.T) {
	t.Parallel()
	root := reader(t, "3.1 skip 2.4 not", nil)
	said, green, err := try(t, root, "3", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, `3.1 – 3.2 ✓ 3.4 ✓ 3.3 ✓ (4 of 4)
chapter 1 ✓ (4 of 4)
chapter 2 ✗ (3 of 4)

✗ 2.4 four
  did       0.00s
  again     make try STEP=3 ONLY=2.4
`, said)
}

func TestTryWithoutTheEarlierChapters(t *testing.T) {
	t.Parallel()
	root := reader(t, "1.4 not", nil)
	said, green, err := try(t, root, "2", How{Alone: true})
	require.NoError(t, err)
	assert.True(t, green)
	assert.Equal(t, `2.1 ✓ 2.2 ✓ 2.4 ✓ 2.3 ✓ (4 of 4)

Well done: your program does all that chapter 2 asks for.

  compare    make compare STEP=2
  then       make begin STEP=3
  but        make try STEP=2, without EARLIER=0, asks the chapters before, too
`, said)
}

func TestTryOne(t *testing.T) {
	t.Parallel()
	root := reader(t, "3.1 not 2.1 not", nil)
	said, green, err := try(t, root, "3", How{Only: "2.3"})
	require.NoError(t, err)
	assert.True(t, green)
	assert.Equal(t, "2.3 ✓\n", said)
	_, _, err = try(t, root, "2", How{Only: "3.1"})
	assert.ErrorContains(t, err, "there is no milestone ONLY=3.1 for STEP=2")
}

func TestTryDraws(t *testing.T) {
	t.Parallel()
	root := reader(t, "1.2 curse", map[string]string{"_pictures/1.1.html": "of an earlier try"})
	picture := func(draw bool) string {
		_, _, err := try(t, root, "1", How{Draw: draw})
		require.NoError(t, err)
		text, err := os.ReadFile(filepath.Join(root, Pictures, "1.2.html"))
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "false", picture(false), "only what fails")
	assert.Equal(t, "true", picture(true), "all")
	assert.NoFileExists(t, filepath.Join(root, Pictures, "1.1.html"))
}

func TestTryFailuresWithoutAReport(t *testing.T) {
	t.Parallel()
	said, green, err := try(t, reader(t, "1.2 curse", nil), "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "1.1 ✓ 1.2 ✗ (2 of 4)\n\n"+
		"✗ 1.2 two\n  trace of 1.2\n  curse\n  and more\n  again     make try STEP=1 ONLY=1.2\n"+
		"  picture   _pictures/1.2.html\n", said)

	said, green, err = try(t, reader(t, "1.2 panic", nil), "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	const want = "1.1 ✓ 1.2 ✗ (2 of 4)\n\n✗ 1.2 two\n  trace of 1.2\n  panic: out of order"
	assert.True(t, strings.HasPrefix(said, want), said)

	said, green, err = try(t, reader(t, "1.2 kill", nil), "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "1.1 ✓ 1.2 ✗ (2 of 4)\n\n✗ 1.2 two\n  trace of 1.2\n  signal: killed\n"+
		"  Somebody killed the tests. They are your program's parent: does it kill that?\n"+
		"  again     make try STEP=1 ONLY=1.2\n", said)

	root := reader(t, "", map[string]string{"step1-a/b_test.go": "package main\n\nvar x int = \"\"\n"})
	said, green, err = try(t, root, "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Contains(t, said, "step1-a/b_test.go:3:13: cannot use")

	root = reader(t, "", map[string]string{
		"step1-a/spec1_test.go": "package main\n\nimport \"fmt\"\n\nvar _ = fmt.Sprint(\"1.1 one\")\n",
	})
	_, _, err = try(t, root, "1", How{})
	assert.ErrorContains(t, err, "milestone 1.1 was not run by go test")
}

func TestTryWhenTheSetUpFails(t *testing.T) {
	t.Setenv("SMALL_SPEC", "set up")
	said, green, err := try(t, reader(t, "", nil), "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "\n\nthe set-up went wrong\n", said)
}

func TestTryAProgramThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	root := reader(t, "", map[string]string{"_mine/main.go": "package main\n\nfunc main() { serve() }\n"})
	said, green, err := try(t, root, "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "Your program doesn't compile:\n\n_mine/main.go:3:15: undefined: serve\n", said)

	write(t, root, map[string]string{"_mine/main.go": "package mine\n"})
	said, green, err = try(t, root, "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t,
		"Your program doesn't compile:\n\n_mine/main.go:1:9: this is package mine; a program is package main\n", said)
}

// As right after make begin, which gives a file or two. The linker would speak
// of runtime.main_main·f.
func TestTryBeforeThereIsAMain(t *testing.T) {
	t.Parallel()
	root := reader(t, "", map[string]string{"_mine/args.go": "package main\n\nvar args = 1\n"})
	require.NoError(t, os.Remove(filepath.Join(root, "_mine/main.go")))
	said, green, err := try(t, root, "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "There is no main.go in _mine yet: you write it. step1-a/README.md says what it is to do.\n", said)

	write(t, root,
		map[string]string{"_mine/main.go": "package main\n\nfunc (server) main() {}\n\ntype server struct{}\n"})
	said, green, err = try(t, root, "1", How{})
	require.NoError(t, err)
	assert.False(t, green)
	assert.Equal(t, "There is no func main in _mine/main.go yet. step1-a/README.md says what it is to do.\n", said)

	write(t, root, map[string]string{"_mine/start.go": "package main\n\nfunc main() {}\n"})
	_, green, err = try(t, root, "1", How{})
	require.NoError(t, err)
	assert.True(t, green, "it may be in any file")
}

func TestTryWithoutAProgram(t *testing.T) {
	t.Parallel()
	root := reader(t, "", nil)
	require.NoError(t, os.Remove(filepath.Join(root, "_mine/main.go")))
	_, _, err := try(t, root, "2", How{})
	assert.EqualError(t, err, "your program is to be in _mine (no Go file there): begin with `make begin STEP=2`")
	require.NoError(t, os.RemoveAll(filepath.Join(root, "_mine")))
	_, _, err = try(t, root, "2", How{})
	assert.EqualError(t, err, "your program is to be in _mine (no such directory): begin with `make begin STEP=2`")
}

func TestTryStopsWithAllThatItStarted(t *testing.T) {
	t.Parallel()
	root := reader(t, "1.2 hang", nil)
	b, out := open(t, root, smallRules)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	ended := make(chan error, 1)
	go func() {
		_, err := b.Try(ctx, b.chapters[0], How{})
		ended <- err
	}()

	var pids []int
	harness.Eventually(t, time.Minute, "two processes that hang", func() (bool, string) {
		text, _ := os.ReadFile(filepath.Join(root, "_mine/pids"))
		pids = nil
		for _, field := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(field)
			pids = append(pids, pid)
		}
		return len(pids) == 2, string(text)
	})

	group, err := syscall.Getpgid(pids[0])
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
	})

	living, err := proc.Living(group)
	require.NoError(t, err)
	require.Subset(t, living, pids)

	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled)
	assert.NotContains(t, out.String(), "1.2", "whether what passed before has been told yet is a matter of luck")
	harness.Eventually(t, time.Minute, "their end", func() (bool, string) {
		living, err := proc.Living(group)
		return err == nil && len(living) == 0, fmt.Sprint(living, err)
	})
}
