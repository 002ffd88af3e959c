// Tests of keeping the log.

package harness

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCaptureLog(t *testing.T) {
	before := slog.Default()
	t.Run("while the test runs", func(t *testing.T) {
		logged := CaptureLog(t)
		assert.Empty(t, logged())
		slog.Warn("a word", "pid", 7)
		assert.Contains(t, logged(), `level=WARN msg="a word" pid=7`)
	})
	assert.Same(t, before, slog.Default())
}
