// What a program under test says in its log.

package main

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// captureLog keeps the log of this test, and returns what it says so far.
func captureLog(t testing.TB) func() string {
	var mu sync.Mutex
	var text strings.Builder
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(p)
	}), nil)))
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
