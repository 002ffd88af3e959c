//go:build linux

// The client: a process on a host of its own that calls without end and tells
// the run, line by line, what became of each call and which servers it lists.

package nettest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netlab"
	"example.com/rpcworkbook/internal/proc"
)

const (
	clientVar    = "NETTEST_CLIENT" // holds an order, in JSON
	callers      = 6                // of each client
	callersPause = 30 * time.Millisecond
	callTime     = 5 * time.Second // for which the client promises an answer
)

// An order is what a client is told.
type order struct {
	Registry, Root string
	Session        time.Duration
}

// A line is what a client tells: of a list, or of a call that has ended.
type line struct {
	At time.Time // when the list came, or the call began

	List  []string `json:",omitempty"`
	Stale bool     `json:",omitempty"`
	Lists bool     `json:",omitempty"` // it is about a list

	Took   time.Duration `json:",omitempty"`
	Caller int           `json:",omitempty"`
	Server string        `json:",omitempty"`
	Error  string        `json:",omitempty"`
}

// Main runs the tests, as harness.Main does, or the client if this process was
// started as one. TestMain calls os.Exit(b.Main(m)).
func (b Backend) Main(m *testing.M) int {
	text, ok := os.LookupEnv(clientVar)
	if !ok {
		return harness.Main(m)
	}

	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = b.call(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		return 1
	}
	return 0
}

// call calls until standard input ends.
func (b Backend) call(o order) error {
	discovery, err := b.Discover(o.Registry, o.Root, o.Session)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	tell := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(l) // if nobody listens, nobody minds
	}
	client := rpc.NewClient(teller{discovery, tell})
	defer client.Close()

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := client.Wait(ctx, serverCount); err != nil {
		return err
	}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { keepCalling(ctx, client, i, tell) })
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	all.Wait()
	return nil
}

// keepCalling calls until ctx ends.
func keepCalling(ctx context.Context, client *rpc.Client, caller int, tell func(line)) {
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(callersPause):
		}
		params := fmt.Sprintf("caller %d, call %d", caller, i)
		if (caller+i)%16 == 0 { // more than a packet, and than a server reads at once
			params = fmt.Sprintf("%s%40000d", params, i)
		}
		want, _ := json.Marshal(params)

		l := line{At: time.Now(), Caller: caller}
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		reply, server, err := client.Call(limited, "ping", params)
		cancel()
		l.Took, l.Server = time.Since(l.At), server
		switch {
		case err != nil:
			l.Error = err.Error()
		case string(reply.Result) != string(want):
			l.Error = fmt.Sprintf("wrong answer from %s: %.100s instead of %.100s", server, reply.Result, want)
		}
		tell(l)
	}
}

// A teller is a Discovery that tells what it publishes.
type teller struct {
	rpc.Discovery
	tell func(line)
}

// Watch implements rpc.Discovery.
func (d teller) Watch(ctx context.Context, publish func(rpc.Snapshot)) {
	d.Discovery.Watch(ctx, func(s rpc.Snapshot) {
		// Before it counts, and after, as far as calls can tell.
		d.tell(line{At: time.Now(), Lists: true, List: s.Servers, Stale: s.Stale})
		publish(s)
	})
}

// A client is such a process, as the run sees it.
type client struct {
	name string
	host *netlab.Host

	group  *proc.Group
	hold   io.Closer // its standard input
	logged string    // the file with what it logs
	read   chan struct{}

	mu       sync.Mutex
	lists    []line // what it listed, oldest first
	failures []line
	calls    int
	byCaller [callers]int
	answered map[string]int // by server
	slowest  time.Duration  // since it was asked before
}

// startClient starts a client, which ends with the test.
func startClient(t *testing.T, host *netlab.Host, o order, listed func(*client, line)) *client {
	t.Helper()
	c := &client{name: host.Name, host: host, read: make(chan struct{}), answered: make(map[string]int)}
	text, err := json.Marshal(o)
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	dir, err := proc.TempDir()
	must(t, err)
	c.logged = filepath.Join(dir, "client-"+c.name)
	log, err := os.Create(c.logged)
	must(t, err)
	defer log.Close()

	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), clientVar+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = log
	c.hold, err = cmd.StdinPipe()
	must(t, err)
	var output *os.File
	host.Do(func() { c.group, output, err = proc.StartReading(cmd) })
	must(t, err)
	go func() {
		defer close(c.read)
		defer output.Close()
		c.listen(output, listed)
	}()
	t.Cleanup(func() {
		if err := c.group.Kill(); err != nil { // if it is still there
			t.Error(err)
		}
		<-c.read
		if t.Failed() {
			fmt.Fprintf(t.Output(), "what %s logged last:\n%s\n", c.name, lastWords(c.logged))
		}
	})
	return c
}

// listen takes down what the client tells.
func (c *client) listen(output io.Reader, listed func(*client, line)) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // the last one, of a client that was killed
		}
		c.note(l)
		if l.Lists {
			listed(c, l)
		}
	}
}

func (c *client) note(l line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.Lists {
		c.lists = append(c.lists, l)
		return
	}

	c.calls++
	c.byCaller[l.Caller]++
	c.answered[l.Server]++
	c.slowest = max(c.slowest, l.Took)
	if l.Error != "" {
		c.failures = append(c.failures, l)
	}
}

// list returns the client's list of the moment.
func (c *client) list() (l line, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lists) == 0 {
		return line{}, false
	}
	return c.lists[len(c.lists)-1], true
}

// live ends the test if the client has ended, which it does only when it is
// told to: it has crashed.
func (c *client) live(t *testing.T) {
	t.Helper()
	select {
	case <-c.read:
		t.Fatalf("%s has ended by itself", c.name)
	default:
	}
}

// takeFailures returns the calls that have failed since it was called before,
// and all lists until now.
func (c *client) takeFailures() (failures, lists []line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	failures, c.failures = c.failures, nil
	return failures, slices.Clone(c.lists)
}

// stop ends the client, which must end well.
func (c *client) stop(t *testing.T) {
	t.Helper()
	c.hold.Close()
	select {
	case <-c.read:
	case <-time.After(callTime + patience):
		t.Errorf("%s has not ended %v after it was told to", c.name, callTime+patience)
		return
	}
	if state := c.group.State(); !state.Success() {
		t.Errorf("%s: %v", c.name, state)
	}
}

// lastWords returns what a log says of a crash or a race and all that follows,
// or else its end.
func lastWords(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	const most = 20
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	crash := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") ||
			strings.HasPrefix(line, "WARNING: DATA RACE")
	})
	if crash < 0 {
		crash = max(0, len(lines)-most)
	}
	return strings.Join(lines[crash:], "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
