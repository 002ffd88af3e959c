// The screen: lines of at most 80 columns that scroll, so that a terminal, a
// file and a log of continuous integration show the same. Only a terminal gets
// colours, and with them bars.

//go:build unix

package demo

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// A screen is safe for concurrent use.
type screen struct {
	colors bool
	began  time.Time

	mu  sync.Mutex
	out io.Writer
}

// A style is how a terminal shows text: the number in the escape sequence.
type style int

const (
	plain style = 0
	bold  style = 1
	faint style = 2
	red   style = 31
	green style = 32
)

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 // or /dev/null, where nobody looks
	return &screen{
		colors: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		began:  time.Now(),
		out:    out,
	}
}

func (s *screen) paint(style style, text string) string {
	if !s.colors || style == plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", style, text)
}

// line prints a line as it is.
func (s *screen) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// heading begins an act.
func (s *screen) heading(number int, title string) {
	s.line("\n%s", s.paint(bold, fmt.Sprintf("%d. %s", number, title)))
}

// note says what has just happened.
func (s *screen) note(format string, args ...any) {
	s.line("%s  %s", s.clock(), fmt.Sprintf(format, args...))
}

func (s *screen) clock() string {
	return fmt.Sprintf("%5.1fs", time.Since(s.began).Seconds())
}

// trouble says why the demo ends early, with the last words of the servers.
func (s *screen) trouble(ctx context.Context, err error, cast *cast) {
	if ctx.Err() != nil {
		s.line("\n%s", s.paint(bold, "Interrupted: ending all that runs."))
		return
	}

	s.line("\n%s %v", s.paint(red, "The demo can't go on:"), err)
	for _, v := range cast.servers {
		log, err := os.ReadFile(v.Log())
		if err != nil {
			continue // it was never started
		}
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		s.line("the end of server %s's log:\n  %s", v.name, strings.Join(lines[max(0, len(lines)-10):], "\n  "))
	}
}
