// make try WATCH=1: again whenever the reader saves a file.

package chapter

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.com/rpcworkbook/internal/carry"
)

// lookEvery is how often Watch looks for a file that was saved.
const lookEvery = 200 * time.Millisecond

// Watch tries the program now, and again whenever a Go file of it is saved,
// until ctx ends. A try that is under way then is stopped.
func (b *Book) Watch(ctx context.Context, c carry.Chapter, how How) {
	for ctx.Err() == nil {
		files := b.files()
		one, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, err := b.Try(one, c, how)
			if one.Err() != nil {
				return
			}
			if err != nil {
				b.say("%v\n", err)
			}
			b.say("\nwaiting for a change in %s; Ctrl-C ends this\n", Mine)
		}()

		saved := b.awaitSave(ctx, files)
		stop()
		<-ended
		if ctx.Err() == nil {
			b.say("\n──── %s ────\n\n", saved)
		}
	}
}

// A fileState changes when a file is saved.
type fileState struct {
	size int64
	time time.Time
}

// files returns the state of the reader's Go files, by name. What editors put
// beside them while somebody types is none, as for the go command.
func (b *Book) files() map[string]fileState {
	states := map[string]fileState{}
	entries, _ := os.ReadDir(b.mine) // none yet: it may come

	for _, entry := range entries {
		name := entry.Name()
		if filepath.Ext(name) != ".go" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		info, err := os.Stat(filepath.Join(b.mine, name))
		if err == nil {
			states[name] = fileState{info.Size(), info.ModTime()}
		}
	}
	return states
}

// awaitSave returns the name of a file whose state is another than before, as
// soon as there is one and no more are being saved, or when ctx ends.
func (b *Book) awaitSave(ctx context.Context, before map[string]fileState) (saved string) {
	last := before
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}

		now := b.files()
		quiet := changed(last, now) == ""
		last = now
		saved = changed(before, now)
		if saved != "" && quiet {
			return saved
		}
	}
	return ""
}

// changed returns the name of a file that is not the same in both; "" if all
// are.
func changed(before, now map[string]fileState) string {
	for name, state := range now {
		if before[name] != state {
			return name
		}
	}
	for name := range before {
		if _, there := now[name]; !there {
			return name
		}
	}
	return ""
}
