// Tests of the checks of commands.

package book

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var smallWorkbook = map[string]string{
	"Makefile": "STEP = 1\n.PHONY: demo\ndemo: install ## shows it\n" +
		"\t@go build -o bin/ ./final/cmd/server ./internal/demo/cmd/demo\n\t@bin/demo\n" +
		"try: chapter\n\tbin/chapter $$STEP \"$(ONLY)\" $(if $(V),-v)\nchapter:\n" +
		"\tgo build -o bin/ ./internal/chapter/cmd/chapter\ninstall:\n\ttrue\n",
	"step1-a/main.go": "package main\n",
	"step1-a/spec1_test.go": "package main\n\n" +
		"func TestSpec1(t *testing.T) { ask(t, \"1.2 it answers\") }\n\nfunc BenchmarkAnswer(b *testing.B) {}\n",
	"step2-b/main.go":                      "package main\n",
	"step2-b/spec2_test.go":                "package main\n\nfunc TestSpec2(t *testing.T) {}\n",
	"final/cmd/server/main.go":             "package main\n",
	"internal/demo/cmd/demo/main.go":       "package main\n",
	"final/rpc.go":                         "package rpc\n",
	"internal/chapter/cmd/chapter/main.go": "package main\n",
	"exercise-x/go.mod":                    "module x\n",
	"exercise-x/cmd/x/main.go":             "package main\n",
	"exercise-x/x_test.go":                 "package x\n\nfunc TestX(t *testing.T) {}\n",
}

// smallHelp is what the small workbook's programs say with -h.
func smallHelp(dir string, args ...string) (string, error) {
	return map[string]string{
		"step1-a":      "usage: step1-a serve|call …\n  serve HOST PORT   answer\n  call HOST   make one call\n",
		"step1-a call": "usage: step1-a call [flags] HOST PORT METHOD PARAMS\n  -trace\n    \tshow\n",
		"step2-b": "About it.\n\nusage: step2-b [flags] HOST PORT\n  -grace duration\n" +
			"    \ttime (default 5s)\n  -v\tlog\n",
		"exercise-x/cmd/x": "usage: x [flags] \n",
	}[strings.Join(append([]string{dir}, args...), " ")], nil
}

func TestCommands(t *testing.T) {
	root := tree(t, smallWorkbook)
	const both = "go build -o bin/ ./step1-a ./step2-b\n"
	for _, c := range []struct{ name, script, want string }{
		{"nothing", "", ""},
		{"targets", "make demo\nmake try STEP=2 ONLY=1.2 V=1", ""},
		{"a program that a target builds", "make demo\nbin/server", ""},
		{"one of a target that it needs", "make try STEP=1\nbin/chapter", ""},
		{"programs that are built",
			both + "bin/step2-b -v -grace 3s 127.0.0.1 8080 > log 2>&1 &\nbin/step1-a call -trace h 1 pi -1", ""},
		{"built under another name", "go build -race -o bin/x ./step2-b; ./bin/x -v h 1", ""},
		{"one argument that is many", both + "bin/step2-b $addr", ""},
		{"behind a tool", both + "strace -f -o log bin/step2-b -v h 1", ""},
		{"tests", "go test -race -count=1 ./step1-a -run 'Spec1/1.2_' -bench Answer -program ../alice\n" +
			"go test ./...\ngo test -run '^$' -bench . ./step1-a", ""},
		{"other commands of go", "go version; go vet ./...; go run ./step1-a serve h 1; go run example.com/x@v1.2.3",
			""},
		{"another module",
			"cd exercise-x\ngo test -run X ./...\ngo build -o bin/ ./cmd/x\nbin/x\ncd ..\nexercise-x/bin/x", ""},
		{"the reader's own directory",
			"mkdir -p ../mine\ncd ../mine\ngo mod init example.com/mine\ngo build ./nowhere\ncat go.mod", ""},
		{"the reader's program", "go build -o bin/ ./_mine\nbin/_mine -x; go test ./_mine ./_mine/...; go run " +
			"./_mine/a b; go build -o _mine/x ./_mine", ""},
		{"a shell of its own",
			"(cd step1-a && cat ./main.go); (cd step2-b); cat ./final/rpc.go $(cd step1-a; ls) step1-a/main.go", ""},
		{"another's program", "strace -c /usr/bin/ls -x", ""},
		{"an alias", "alias zz='make demo'\nzz 1", ""},
		{"the same, in the root", "mkdir work && cd work\nbin/y", ""},
		{"paths", "ls step1-a final/rpc.go ./final step*/*.go _mine/frame.go bin/x; diff -r step1-a step2-b", ""},
		{"files that the commands make", "seq 3 > final/x; cat final/x", ""},
		{"loops and jobs", "for i in $(seq 3); do echo $i; done\n" +
			"until grep -q x log; do sleep 0.1; done; kill %1; exec 3<>/dev/tcp/h/1", ""},

		{"no target", "make nowhere", "make nowhere: the Makefile has no such target"},
		{"no variable", "make try STEPS=2", "make try doesn't use the variable STEPS"},
		{"a variable of another target", "make demo STEP=1", "make demo doesn't use the variable STEP"},
		{"no chapter", "make try STEP=7", "STEP=7: there is no such chapter"},
		{"no milestone", "make try STEP=1 ONLY=1.7", "ONLY=1.7: there is no such milestone"},
		{"a later milestone", "make try STEP=0 ONLY=1.2",
			"ONLY=1.2: STEP is to be its chapter, or a later one\nX.md:4: STEP=0: there is no such chapter"},
		{"a placeholder", "make try STEP=N", "STEP=N: there is no such chapter"},
		{"not built", "bin/step2-b h 1", "X.md:4: bin/step2-b isn't built before that in this text"},
		{"built too late", "bin/step2-b h 1\n" + both, "bin/step2-b isn't built before"},
		{"built without -o", "go build ./step2-b\nbin/step2-b h 1", "bin/step2-b isn't built before"},
		{"no command of the program", both + "bin/step1-a send h 1",
			"X.md:5: bin/step1-a has no command send, but serve, call"},
		{"no flag of the program", both + "bin/step2-b -x h 1", "bin/step2-b has no flag -x"},
		{"no flag of its command", both + "bin/step1-a call -v h 1 pi 1", "bin/step1-a call has no flag -v"},
		{"a flag without a value", both + "bin/step2-b -grace", "-grace needs a value"},
		{"an argument less", both + "bin/step2-b -v h",
			"bin/step2-b takes 2 arguments behind its flags (HOST PORT), not 1"},
		{"an argument more", both + "bin/step2-b h 1 -v", "not 3"},
		{"no flag of a program behind a tool", both + "time bin/step2-b -x h 1", "has no flag -x"},
		{"no flag in a loop", both + "for i in 1 2; do bin/step2-b -x h 1 & done", "has no flag -x"},
		{"no package", "go build -o bin/ ./step3-c", "go build: there is no package ./step3-c"},
		{"a package without ./", "go test step1-a", "there is no package step1-a"},
		{"no package at all", "go test -v", "go test without a package"},
		{"no command of go", "go biuld ./step1-a", "go has no command biuld"},
		{"no flag of go", "go test -runs x ./step1-a", "go test has no flag -runs"},
		{"a flag of go test alone", "go build -run x ./step1-a", "go build has no flag -run"},
		{"no test", "go test -run Spec2 ./step1-a", "-run Spec2 matches nothing in ./step1-a"},
		{"no subtest", "go test -run 'Spec1/1.3_' ./step1-a", "-run Spec1/1.3_ matches nothing"},
		{"no benchmark", "go test -run '^$' -bench X ./step1-a", "-bench X matches nothing in ./step1-a"},
		{"no benchmark in one of two", "go test -run '^$' -bench Answer ./step1-a ./step2-b",
			"-bench Answer matches nothing in ./step2-b"},
		{"no expression", "go test -run '(' ./step1-a", "-run ( is no regular expression"},
		{"no path", "cat final/server.go", "final/server.go isn't there"},
		{"no path to copy", "cp step1-a/x.go ./y.go\ncat ./y.go", "X.md:4: step1-a/x.go isn't there"},
		{"no step", "diff -r step1-a step3-c", "step3-c isn't there"},
		{"no directory", "cd exercise-y", "cd exercise-y: there is no such directory"},
		{"no file in a directory", "cd step1-a\ncat ./frame.go", "X.md:5: ./frame.go isn't there"},
		{"no return", "cd step1-a\ngo test ./_mine", "X.md:5: go test: there is no package ./_mine"},
		{"a slip", "mkae demo", "the command mkae isn't known"},
		{"a slip in a substitution", "kill $(pgerp server)", "the command pgerp isn't known"},
		{"no shell", "echo 'a", "the shell can't read that"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Parse("X.md", ticks("A\n\n'''sh\n"+c.script+"\n'''\n"))
			problems := (&Checker{Root: root, Help: smallHelp}).Check(d)
			if c.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1+strings.Count(c.want, "\n"))
			assert.Contains(t, strings.Join(problems, "\n"), c.want)
		})
	}
}

// Whether a text is right doesn't depend on how far its reader is: he may have
// nothing yet, what make begin gives, or a program.
func TestCommandsForAReaderWhoHasBegun(t *testing.T) {
	const script = "go build -o bin/mine ./_mine\nbin/mine -x 1 2\ngo test -run Own ./_mine\nmake try STEP=1\n" +
		"cat _mine/frame.go"
	for name, his := range map[string]map[string]string{
		"nothing":       nil,
		"what is given": {"_mine/args.go": "package main\n"},
		"a program":     {"_mine/args.go": "package main\n", "_mine/main.go": "package main\n\nfunc main() {}\n"},
		"tests": {"_mine/main.go": "package main\n",
			"_mine/his_test.go": "package main\n\nfunc TestHis(t *testing.T) {}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(smallWorkbook)
			maps.Copy(files, his)
			d := Parse("X.md", ticks("A\n\n'''sh\n"+script+"\n'''\n"))
			assert.Empty(t, (&Checker{Root: tree(t, files), Help: smallHelp}).Check(d))
		})
	}
}

// A handout has no final: what needs it stops there.
func TestCommandsOfAHandout(t *testing.T) {
	files := map[string]string{
		"Makefile": "demo: whole\n\tbin/demo\nlater: demo\n\ttrue\ntest:\n\ttrue\nwhole:\n\ttrue\n",
	}
	d := Parse("X.md", ticks("'''sh\nmake demo\nmake later\nmake test\n'''\n"))
	assert.Equal(t, []string{
		"X.md:2: make demo needs the whole workbook, and this is a handout",
		"X.md:3: make later needs the whole workbook, and this is a handout",
	}, (&Checker{Root: tree(t, files)}).Check(d))

	files["final/rpc.go"] = "package rpc\n"
	assert.Empty(t, (&Checker{Root: tree(t, files)}).Check(d))
}

func TestWhereCommandsAre(t *testing.T) {
	root := tree(t, smallWorkbook)
	for _, c := range []struct {
		name, text string
		want       []string // the commands that aren't known, by line
	}{
		{"a script", "'''sh\nxx 1\n# yy\nzz\n'''", []string{"1 xx", "3 zz"}},
		{"a terminal", "'''console\n$ xx 1 \\\n> yy\nzz\n$ aa | bb\n'''", []string{"1 xx", "4 aa", "4 bb"}},
		{"a fence without a language", "'''\n$ xx\nyy\n'''\n'''\nzz\n'''", []string{"1 xx"}},
		{"another language", "'''go\nxx\n'''\n'''text\n$ yy\n'''", nil},
		{"indented", "A:\n\n    xx\n    yy\n\nB", []string{"2 xx", "3 yy"}},
		{"in a list", "1. A\n\n   '''sh\n   xx\n   '''\n\n   B\n\n       yy\n", []string{"3 xx", "8 yy"}},
		{"in a comment", "<!--\n'''sh\nxx\n'''\n-->", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, problem := range (&Checker{Root: root, Help: smallHelp}).Check(Parse("X.md", ticks(c.text))) {
				at, rest, _ := strings.Cut(strings.TrimPrefix(problem, "X.md:"), ": the command ")
				name, _, _ := strings.Cut(rest, " ")
				number := map[string]string{"2": "1", "3": "2", "4": "3", "5": "4", "9": "8"}[at]
				got = append(got, number+" "+name)
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestCommandsInALineOfText(t *testing.T) {
	root := tree(t, smallWorkbook)
	for _, c := range []struct{ text, want string }{
		{"Type `make demo`, and then `bin/step2-b -v h 1`.", ""},
		{"`make try STEP=N ONLY=N.x`, `go run`, `go build -o bin/ …`, `bin/step2-b -x …`, `ls nowhere`, `maker x`", ""},
		{"Type `make\ntry STEP=9`.", "X.md:1: STEP=9: there is no such chapter"},
		{"A\n`go test -run Nothing ./step1-a`", "X.md:2: -run Nothing matches nothing"},
		{"`bin/step2-b -x h 1`", "bin/step2-b has no flag -x"},
		{"`make nowhere`", "no such target"},
		{ticks("`make demo` makes it:\n\n'''sh\nbin/server\n'''"), ""},
		{ticks("'''sh\nbin/server\n'''\nThat needs `make demo`."), "bin/server isn't built before"},
	} {
		problems := (&Checker{Root: root, Help: smallHelp}).Check(Parse("X.md", c.text))
		if c.want == "" {
			assert.Empty(t, problems, c.text)
		} else if assert.Len(t, problems, 1, c.text) {
			assert.Contains(t, problems[0], c.want)
		}
	}
}

func TestCommandsOfAReplay(t *testing.T) {
	root := tree(t, smallWorkbook)
	for script, want := range map[string]string{
		"bin/step2-b -v h 1 > log &\n$ until grep -q a log; do sleep 1; done": "",
		"bin/step2-b -x h 1": "has no flag -x",
		"make demo":          "a replay has no Makefile",
		"go test ./step1-a":  "a replay has no sources",
		"strace ls":          "strace is nothing that a replay may use",
	} {
		problems := (&Checker{Root: root, Help: smallHelp}).Check(Parse("X.md",
			ticks("<!-- replay -->\n'''console\n$ "+script+"\n'''")))
		if want == "" {
			assert.Empty(t, problems)
		} else if assert.Len(t, problems, 1, script) {
			assert.Contains(t, problems[0], want)
		}
	}
}
