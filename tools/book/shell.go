// A reader of shell commands: it cuts a script into the simple commands that
// it is made of, those in loops and substitutions included. It knows as much of
// the language as texts for people need.

package book

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
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

// keywords stand before a command, or between commands.
var keywords = []string{"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "{", "}", "!", "time"}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=`)
	arrayHead  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=$`)
)

// shellCommands returns the simple commands of a script, in its order.
// Assignments in front of one are left out.
func shellCommands(script string) (commands []simple, err error) {
	r := &shellReader{rest: script}
	for r.err == nil && (r.rest != "" || len(r.words) > 0) {
		r.next()
	}
	return r.done, r.err
}

type shellReader struct {
	rest   string
	line   int // the present one
	done   []simple
	words  []word // of the present command
	begun  int    // where its first word is
	writes []string
	ends   []string // of here documents that begin with the next line
	err    error
}

// next reads a word, an operator, or white space.
func (r *shellReader) next() {
	switch c := first(r.rest); {
	case c == 0:
		r.finish()
	case c == ' ' || c == '\t':
		r.take(1)
	case strings.HasPrefix(r.rest, "\\\n"):
		r.take(2)
	case c == '#':
		i := strings.IndexByte(r.rest+"\n", '\n')
		r.take(i)
	case c == '\n':
		r.finish()
		r.take(1)
		r.hereDocuments()
	case strings.HasPrefix(r.rest, "&>"):
		r.take(1)
	case c == '(' || c == ')':
		r.finish()
		r.done = append(r.done, simple{line: r.line, words: []word{{text: string(c)}}})
		r.take(1)
	case strings.ContainsRune(";|&", rune(c)):
		r.finish()
		r.take(1)
	case redirection.MatchString(r.rest):
		r.redirect(redirection.FindString(r.rest))
	default:
		if len(r.words) == 0 {
			r.begun = r.line
		}
		r.words = append(r.words, r.word())
	}
}

var redirection = regexp.MustCompile(`^([0-9]+|\{[a-z]+\})?(<<<|<<-?|<>|<&|>&|>>|>\||<|>)`)

// redirect reads an operator such as 2> and its file.
func (r *shellReader) redirect(operator string) {
	if strings.HasSuffix(operator, "<") && strings.HasPrefix(r.rest[len(operator):], "(") {
		r.take(len(operator))
		return // a process substitution: its command is read like those in brackets
	}
	r.take(len(operator))
	for first(r.rest) == ' ' {
		r.take(1)
	}
	file := r.word()
	switch kind := strings.TrimLeft(operator, "0123456789"); {
	case kind == "<<" || kind == "<<-":
		r.ends = append(r.ends, file.text)
	case strings.HasPrefix(kind, ">") && kind != ">&" && !file.varies:
		r.writes = append(r.writes, file.text)
	}
}

// hereDocuments skips those that begin here.
func (r *shellReader) hereDocuments() {
	for _, end := range r.ends {
		for r.rest != "" {
			i := strings.IndexByte(r.rest+"\n", '\n')
			line := r.rest[:i]
			r.take(min(i+1, len(r.rest)))
			if strings.TrimLeft(line, "\t") == end {
				break
			}
		}
	}
	r.ends = nil
}

// word reads one, from where it begins.
func (r *shellReader) word() (w word) {
	var out strings.Builder
	for r.rest != "" && !strings.ContainsRune(" \t\n;|&()<>", rune(r.rest[0])) {
		switch c := r.rest[0]; c {
		case '\'':
			r.take(1)
			out.WriteString(r.until("'"))
		case '"':
			r.take(1)
			for r.err == nil && first(r.rest) != '"' {
				if r.rest == "" {
					r.fail(`a " isn't closed`)
				}
				r.character(&out, &w, true)
			}
			r.take(1)
		default:
			r.character(&out, &w, false)
		}
	}
	w.text = out.String()
	if first(r.rest) == '(' && arrayHead.MatchString(w.text) {
		r.take(1)
		r.bracketed() // an array's elements
		w.varies = true
	}
	return w
}

// character reads one, or what a $, a backquote or a backslash begins.
func (r *shellReader) character(out *strings.Builder, w *word, quoted bool) {
	switch c := first(r.rest); {
	case c == 0:
	case c == '\\' && len(r.rest) > 1:
		if r.rest[1] != '\n' {
			out.WriteByte(r.rest[1])
		}
		r.take(2)
	case strings.HasPrefix(r.rest, "$(("):
		w.varies = true
		r.take(3)
		r.until("))")
	case strings.HasPrefix(r.rest, "$("):
		w.varies = true
		r.take(2)
		r.inner(r.bracketed())
	case strings.HasPrefix(r.rest, "${"):
		w.varies = true
		out.WriteString("$")
		r.take(2)
		r.until("}")
	case c == '`':
		w.varies = true
		r.take(1)
		r.inner(r.until("`"))
	default:
		w.varies = w.varies || c == '$' || !quoted && strings.ContainsRune("*?[", rune(c)) || !quoted && c == '~' && out.Len() == 0
		out.WriteByte(c)
		r.take(1)
	}
}

// inner reads the commands of a substitution.
func (r *shellReader) inner(script string) {
	commands, err := shellCommands(script)
	if err != nil && r.err == nil {
		r.err = err
	}
	bracket := func(b string) { r.done = append(r.done, simple{line: r.line, words: []word{{text: b}}}) }
	bracket("(")
	for _, c := range commands {
		c.line = r.line
		r.done = append(r.done, c)
	}
	bracket(")")
}

// bracketed reads up to the bracket that closes one, and that bracket.
func (r *shellReader) bracketed() string {
	depth := 1
	for i, c := range r.rest {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			inside := r.rest[:i]
			r.take(i + 1)
			return inside
		}
	}
	r.fail("a $( isn't closed")
	return ""
}

// until reads up to an end, and the end.
func (r *shellReader) until(end string) string {
	inside, _, found := strings.Cut(r.rest, end)
	if !found {
		r.fail("a " + end + " is missing")
		return ""
	}
	r.take(len(inside) + len(end))
	return inside
}

// finish ends the present command.
func (r *shellReader) finish() {
	words := r.words
	for len(words) > 0 && !words[0].varies && slices.Contains(keywords, words[0].text) {
		words = words[1:]
	}
	for len(words) > 0 && assignment.MatchString(words[0].text) {
		words = words[1:]
	}
	if len(words) > 0 && words[0].text != "for" {
		r.done = append(r.done, simple{r.begun, words, r.writes})
	}
	r.words, r.writes = nil, nil
}

func (r *shellReader) take(n int) {
	n = min(n, len(r.rest))
	r.line += strings.Count(r.rest[:n], "\n")
	r.rest = r.rest[n:]
}

func (r *shellReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s, from line %d on", what, r.line+1)
	}
	r.rest = ""
}

// first returns a text's first byte, 0 if it is empty.
func first(text string) byte {
	if text == "" {
		return 0
	}
	return text[0]
}
