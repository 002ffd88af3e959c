// The log of code that runs in the test's own process.

package harness

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// CaptureLog keeps what is logged with slog's default logger until the end of
// the test, and returns a function that tells what was logged so far, as text.
// That may be called on any goroutine. The default logger belongs to the whole
// process: a test that runs in parallel with others must not call this.
func CaptureLog(t testing.TB) (logged func() string) {
	log := &logBuffer{}
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	return log.String
}

// A logBuffer is safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
