// Shell: a script's simple commands, those in loops and substitutions included,
// as a list that can be gone through from top to bottom.

package book

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A word is one of a command, without its quotes.
type word struct {
	text   string
	varies bool // it holds a variable, a substitution or a pattern: what it is shows when it runs
}

// A simple is a command with its arguments, without redirections. Where a shell
// of its own begins and ends, there are two of them, "(" and ")".
type simple struct {
	line   int // in the script, from 0
	words  []word
	writes []string // files that its output goes to
}

// shellCommands returns the simple commands of a script, in the order in which
// they are run: those of substitutions come before the command that they are
// in. Assignments in front of a command are left out. An error says where the
// shell stops reading, by line and column of the script.
func shellCommands(script string) (commands []simple, err error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(script), "")
	if err != nil {
		return nil, err
	}

	var inside []syntax.Node // from the file down to the present node
	syntax.Walk(file, func(node syntax.Node) bool {
		if node != nil {
			inside = append(inside, node)
			if isShell(node) {
				commands = append(commands, bracket(node, "("))
			}
			return true
		}

		// The end of one. A command comes when its words have been seen.
		node = inside[len(inside)-1]
		inside = inside[:len(inside)-1]
		if isShell(node) {
			commands = append(commands, bracket(node, ")"))
		}
		if stmt, ok := node.(*syntax.Stmt); ok {
			if call, ok := stmt.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 {
				commands = append(commands, newSimple(call, stmt.Redirs))
			}
		}
		return true
	})
	return commands, nil
}

// isShell reports whether a node's commands are run by a shell of their own.
func isShell(node syntax.Node) bool {
	switch node.(type) {
	case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
		return true
	}
	return false
}

func bracket(node syntax.Node, text string) simple {
	return simple{line: lineOf(node), words: []word{{text: text}}}
}

func newSimple(call *syntax.CallExpr, redirections []*syntax.Redirect) simple {
	s := simple{line: lineOf(call.Args[0])}
	for _, arg := range call.Args {
		s.words = append(s.words, newWord(arg.Parts, false))
	}

	for _, r := range redirections {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			if file := newWord(r.Word.Parts, false); !file.varies {
				s.writes = append(s.writes, file.text)
			}
		}
	}
	return s
}

func lineOf(node syntax.Node) int { return int(node.Pos().Line()) - 1 }

var (
	escaped       = regexp.MustCompile(`(?s)\\(.)`)
	escapedQuoted = regexp.MustCompile("(?s)\\\\([\"\\\\$`])") // a backslash before others means itself
)

// newWord puts a word together from its parts; quoted says whether they stand
// between double quotes.
func newWord(parts []syntax.WordPart, quoted bool) (w word) {
	var text strings.Builder

	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.SglQuoted:
			text.WriteString(p.Value)
		case *syntax.DblQuoted:
			inner := newWord(p.Parts, true)
			text.WriteString(inner.text)
			w.varies = w.varies || inner.varies
		case *syntax.Lit:
			if quoted {
				text.WriteString(escapedQuoted.ReplaceAllString(p.Value, "$1"))
				break
			}

			plain := escaped.ReplaceAllString(p.Value, "")
			home := text.Len() == 0 && strings.HasPrefix(plain, "~")
			w.varies = w.varies || home || strings.ContainsAny(plain, "*?[")
			text.WriteString(escaped.ReplaceAllString(p.Value, "$1"))
		case *syntax.ParamExp:
			text.WriteString("$")
			w.varies = true
		default: // a substitution, arithmetic, or a pattern
			w.varies = true
		}
	}

	w.text = text.String()
	return w
}
