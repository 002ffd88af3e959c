// Tests of make play from outside: the page's stream of events and its buttons,
// whom it refuses, and that nothing is left, however it ends.

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/play"
	"example.com/rpcworkbook/internal/proc"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const patience = 20 * time.Second

// A page is one that looks on, from outside of any browser.
type page struct {
	t       *testing.T
	program *harness.Program
	base    string // "http://127.0.0.1:4780"
	token   string
}

// start starts the program, with the server and the client beside it.
func start(t *testing.T, args ...string) *page {
	t.Helper()
	bin := harness.Build(t, ".")
	for _, other := range []string{"../../../../final/cmd/server", "../caller"} {
		built := harness.Build(t, other)
		err := os.Symlink(built, filepath.Join(filepath.Dir(bin), filepath.Base(built)))
		require.True(t, err == nil || errors.Is(err, fs.ErrExist), "%v", err)
	}

	p := &page{t: t, program: harness.Start(t, bin, nil, args...)}
	harness.Eventually(t, time.Minute, "the page's address", func() (bool, string) {
		require.False(t, p.program.Ended(), "%s", p.program.Stderr())
		m := regexp.MustCompile(`(http://127\.0\.0\.1:\d+)/\?token=(\w+)`).FindStringSubmatch(p.program.Stdout())
		if m == nil {
			return false, p.program.Stdout()
		}
		p.base, p.token = m[1], m[2]
		return true, ""
	})
	return p
}

// do presses a button, and returns the status and what is said.
func (p *page) do(token, action string) (status int, said string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), "POST", p.base+"/do", strings.NewReader(action))
	require.NoError(p.t, err)
	request.Header.Set("X-Play-Token", token)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	return answer.StatusCode, string(text)
}

// await reads the stream of events until a state is as it should be, and
// returns it with the log so far.
func (p *page) await(what string, right func(s play.State, log string) bool) play.State {
	p.t.Helper()
	answer, err := http.Get(p.base + "/events")
	require.NoError(p.t, err)
	defer answer.Body.Close()
	stop := time.AfterFunc(patience, func() { answer.Body.Close() })
	defer stop.Stop()

	var log strings.Builder
	var state play.State
	kind := ""
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			kind = value
		case name == "data" && kind == "log":
			var e play.Entry
			require.NoError(p.t, json.Unmarshal([]byte(value), &e))
			fmt.Fprintln(&log, e.Text)
		case name == "data" && kind == "state":
			state = play.State{}
			require.NoError(p.t, json.Unmarshal([]byte(value), &state))
			if len(state.Servers) > 0 && right(state, log.String()) {
				return state
			}
		}
	}
	require.Fail(p.t, "not within "+patience.String()+": "+what, "%+v\n%s", state, log.String())
	return state
}

// whole tells whether all runs as it should.
func whole(s play.State, _ string) bool {
	for _, v := range s.Servers {
		if len(v.Processes) != 1+play.Workers || !v.Listening || v.Answered == 0 {
			return false
		}
	}
	return len(s.Servers) == 2 && len(s.ZooKeeper.Znodes) == 2 && len(s.Client.List) == 2
}

// pids are all that the page shows.
func pids(s play.State) (all []int) {
	for _, v := range s.Servers {
		for _, process := range v.Processes {
			all = append(all, process.PID)
		}
	}
	return append(all, s.ZooKeeper.PID, s.Client.PID)
}

// gone waits until none of these processes lives.
func gone(t *testing.T, pids []int) {
	t.Helper()
	harness.Eventually(t, patience, "nothing left", func() (bool, string) {
		for _, pid := range pids {
			alive, err := proc.Alive(pid)
			require.NoError(t, err)
			if alive {
				return false, fmt.Sprintf("process %d", pid)
			}
		}
		return true, ""
	})
}

func TestButtons(t *testing.T) {
	p := start(t)
	s := p.await("all at work", whole)

	t.Run("a worker is killed and replaced", func(t *testing.T) {
		victim := s.Servers[0].Processes[1].PID
		status, said := p.do(p.token, fmt.Sprintf(`{"do":"signal","pid":%d,"signal":"SIGKILL"}`, victim))
		require.Equal(t, http.StatusNoContent, status, said)
		words := regexp.MustCompile(fmt.Sprintf(
			`%d killed \(SIGKILL\) .*\n%[1]d reaped, replaced by \d+ after \d+ ms`, victim))
		p.await("words about it", func(s play.State, log string) bool {
			return words.MatchString(log) && whole(s, log)
		})
	})

	t.Run("ZooKeeper is frozen, and the list is stale", func(t *testing.T) {
		p.do(p.token, `{"do":"freeze"}`)
		p.await("a stale list", func(s play.State, _ string) bool {
			return s.Client.Stale && s.ZooKeeper.State == "frozen" && len(s.Client.List) == 2
		})
		p.do(p.token, `{"do":"go-on"}`)
		p.await("a fresh list", func(s play.State, log string) bool { return !s.Client.Stale && whole(s, log) })
	})

	t.Run("the answer to a create is lost", func(t *testing.T) {
		status, said := p.do(p.token, `{"do":"scenario","scenario":"lose-create","guess":0}`)
		require.Equal(t, http.StatusNoContent, status, said)
		status, _ = p.do(p.token, `{"do":"wipe"}`)
		assert.Equal(t, http.StatusConflict, status, "one thing at a time")
		s := p.await("an outcome", func(s play.State, _ string) bool { return s.Outcome != nil })
		assert.Equal(t, 0, s.Outcome.Happened, "%+v", s.Outcome)
	})

	t.Run("what is no button is refused", func(t *testing.T) {
		signal := func(pid int, name string) string {
			return fmt.Sprintf(`{"do":"signal","pid":%d,"signal":"%s"}`, pid, name)
		}
		for action, want := range map[string]int{
			signal(1, "SIGTERM"):                             http.StatusConflict, // not ours
			signal(s.Servers[0].Processes[0].PID, "SIGUSR1"): http.StatusConflict,
			`{"do":"rm"}`:                                    http.StatusConflict,
			`{"do":"cut","who":"C"}`:                         http.StatusConflict,
			`{"do":"scenario","scenario":"peace"}`:           http.StatusConflict,
			`{"what":"?"}`:                                   http.StatusBadRequest,
		} {
			status, said := p.do(p.token, action)
			assert.Equal(t, want, status, "%s: %s", action, said)
		}
	})
}

func TestStrangers(t *testing.T) {
	p := start(t)
	for _, token := range []string{"", "x" + p.token[1:]} {
		status, said := p.do(token, `{"do":"kill"}`)
		assert.Equal(t, http.StatusForbidden, status)
		assert.Contains(t, said, "token")
	}

	for _, host := range []string{"evil.example", "evil.example:4780", "127.0.0.1", "[::1]:4780"} {
		for _, path := range []string{"/", "/events"} {
			request, err := http.NewRequestWithContext(t.Context(), "GET", p.base+path, nil)
			require.NoError(t, err)
			request.Host = host
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			answer.Body.Close()
			assert.Equal(t, http.StatusForbidden, answer.StatusCode, "%s%s", host, path)
		}
	}
	p.await("a ZooKeeper that nobody killed", func(s play.State, _ string) bool {
		return s.ZooKeeper.State == "serves"
	})
}

func TestNothingIsLeft(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t)
			all := pids(p.await("all at work", whole))
			if sig != syscall.SIGKILL { // what is stopped must end, too
				p.do(p.token, `{"do":"freeze"}`)
				p.do(p.token, fmt.Sprintf(`{"do":"signal","pid":%d,"signal":"SIGSTOP"}`, all[1]))
			}
			p.program.Signal(sig)
			code := p.program.Wait(patience)
			if sig != syscall.SIGKILL {
				assert.Zero(t, code, "%s", p.program.Stderr())
			}
			gone(t, all)
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"-step", "2"}, {"-step", "7"}, {"-step", "4", "-program", "server {port}"}} {
		program := harness.Start(t, harness.Build(t, "."), nil, args...)
		assert.Equal(t, 1, program.Wait(patience), "%v", args)
		assert.NotEmpty(t, program.Stderr())
	}
}
