// Tests of trying again whenever a file is saved.

package chapter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/rpcworkbook/internal/harness"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	root := reader(t, "1.2 not", nil)
	b, out := open(t, root, smallRules)
	said := func() string {
		b.saying.Lock()
		defer b.saying.Unlock()
		return out.String()
	}
	await := func(what string, n int) {
		harness.Eventually(t, time.Minute, what, func() (bool, string) {
			return strings.Count(said(), what) == n, said()
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Watch(ctx, b.chapters[0], How{})
	}()
	await("✗ 1.2 two", 1)
	await("waiting for a change in _mine", 1)

	const program = "package main\n\nfunc main() {}\n"
	write(t, root, map[string]string{"_mine/can": "1.2 hang"})
	write(t, root, map[string]string{"_mine/main.go": program + "// saved\n", "_mine/.main.go.swp": "typing"})
	await("──── main.go ────", 1)
	harness.Eventually(t, time.Minute, "a milestone that hangs", func() (bool, string) {
		_, err := os.Stat(filepath.Join(root, "_mine/pids"))
		return err == nil, said()
	})

	write(t, root, map[string]string{"_mine/can": ""})
	write(t, root, map[string]string{"_mine/more.go": "package main\n"})
	await("──── more.go ────", 1)
	await("Well done", 1)
	cancel()
	<-ended
	assert.NotContains(t, said(), "context canceled")
}

func TestChanged(t *testing.T) {
	now := time.Now()
	one := map[string]fileState{"a.go": {1, now}}
	assert.Empty(t, changed(one, map[string]fileState{"a.go": {1, now}}))
	assert.Equal(t, "a.go", changed(one, map[string]fileState{"a.go": {2, now}}))
	assert.Equal(t, "a.go", changed(one, map[string]fileState{"a.go": {1, now.Add(1)}}))
	assert.Equal(t, "b.go", changed(one, map[string]fileState{"a.go": {1, now}, "b.go": {1, now}}))
	assert.Equal(t, "a.go", changed(one, nil), "it is gone")
}
