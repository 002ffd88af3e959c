// Subjects: the server and the client that a specification is asked of, with
// the command lines that the workbook's programs have. One that doesn't even
// start is reported once, by the first milestone that tries.

package harness

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/freeport"
)

// A ServerProgram says how a step's server is started.
type ServerProgram struct {
	Dir   string   // of its source, relative to the test's package
	Word  string   // the subcommand, such as "server"; "" if there is none
	Alone bool     // the step's own server is a program by itself, without that word
	Flags []string // which of the options it has flags for, see Options.Args
}

// A ClientProgram says the same of a client. It has all the flags of
// ClientOptions, and the subcommands call and list, which need no Word.
type ClientProgram struct {
	Dir, Word string
	Alone     bool
}

func (p ServerProgram) role() role {
	return role{dir: p.Dir, word: p.Word, alone: p.Alone, flag: "server", named: targets.server}
}

func (p ClientProgram) role() role {
	return role{dir: p.Dir, word: p.Word, alone: p.Alone, flag: "client", named: targets.client}
}

// Start starts the server with these options, and returns at once.
func (p ServerProgram) Start(t testing.TB, o Options, host, port string) *Program {
	t.Helper()
	begin(t)
	l := p.launch(t, o, host, port)
	return startIn(t, l, o.Env)
}

func (p ServerProgram) launch(t testing.TB, o Options, host, port string) *launch {
	t.Helper()
	var required []string
	for _, name := range []string{"workers", "zk", "root"} {
		if slices.Contains(p.Flags, name) {
			required = append(required, name)
		}
	}

	values := o.placeholders()
	values["host"], values["port"] = host, port
	args := append(o.Args(p.Flags...), host, port)

	l := p.role().mustFind(t, args, values, append([]string{"host", "port"}, required...))
	l.output, l.ignored, l.files = o.Output, o.Ignored, o.Files
	return l
}

// Serve starts the server with these options on 127.0.0.1 and a free port, and
// waits until it accepts a connection. The port stays reserved until the end
// of the test, so that the server can be started there again.
func (p ServerProgram) Serve(t testing.TB, o Options) *Server {
	t.Helper()
	begin(t)
	report := starts.ask(t, p.kind(o))
	ok := false
	defer func() { report(ok) }()

	port, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)

	s := newServer(p.launch(t, o, "127.0.0.1", strconv.Itoa(port)), port, o.Env)
	began := time.Now()
	Given(t, func() { s.start(t) })
	starts.took(time.Since(began))
	ok = true
	return s
}

// kind names the sort of command line that the options make: a program that
// fails on it once will fail on it again.
func (p ServerProgram) kind(o Options) string {
	var flags []string
	for _, arg := range o.Args(p.Flags...) {
		if strings.HasPrefix(arg, "-") {
			flags = append(flags, arg)
		}
	}
	if o.ZK == "" && slices.Contains(p.Flags, "zk") {
		flags = append(flags, "(without a ZooKeeper)")
	}
	return strings.Join(flags, " ")
}

// Settle returns want if the program can be told its value of an option,
// "grace" or "session", and otherwise the value that it must have by itself.
func (p ServerProgram) Settle(option string, want time.Duration) time.Duration {
	if p.role().can(option) && (p.role().template() != "" || slices.Contains(p.Flags, option)) {
		return want
	}
	return map[string]time.Duration{"grace": DefaultGrace, "session": DefaultSession}[option]
}

// Needs skips a milestone about an option that the command under test leaves
// no place for: {option}.
func (p ServerProgram) Needs(t testing.TB, option string) {
	t.Helper()
	p.role().needs(t, option)
}

// Needs skips a milestone about an option that the command under test leaves
// no place for: {option}.
func (p ClientProgram) Needs(t testing.TB, option string) {
	t.Helper()
	p.role().needs(t, option)
}

func (r role) needs(t testing.TB, option string) {
	t.Helper()
	if !r.can(option) {
		t.Skipf("not asked: there is no {%s} in -%s '%s'", option, r.flagName(), r.template())
	}
}

// mustFind is find for a test. One that can't be found, as it doesn't compile,
// is reported once; other tests that want it are skipped.
func (r role) mustFind(t testing.TB, args []string, values map[string]string, required []string) *launch {
	t.Helper()
	began := time.Now()
	l, err := r.find(args, values, required)
	hasBuilt(t, time.Since(began))
	if err != nil {
		starts.tellLost(t, err.Error())
		Given(t, func() { fail(t, "a "+r.flag+" to test", err.Error()) })
	}
	return l
}

// ClientOptions says how a milestone wants its client. A command gets the
// durations in seconds, with a point.
type ClientOptions struct {
	ZK      string
	Root    string
	Session time.Duration

	Rounds   int           // of one ping and one pi each
	Interval time.Duration // between rounds
	Wait     time.Duration // for a server when there is none
	Timeout  time.Duration // of one call; 0 means the program's own default

	Method string // what is called instead of ping and pi, once in each round; "" for these
	Params string // of Method, as JSON
}

// Start starts the client with these options.
func (p ClientProgram) Start(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	begin(t)

	values := map[string]string{
		"zk": o.ZK, "root": o.Root, "session": seconds(o.Session), "n": strconv.Itoa(o.Rounds),
		"interval": seconds(o.Interval), "wait": seconds(o.Wait), "timeout": seconds(cmp.Or(o.Timeout, DefaultTimeout)),
		"method": o.Method, "params": o.Params,
	}
	args := []string{"-zk", o.ZK, "-root", o.Root, "-session", o.Session.String(),
		"-n", strconv.Itoa(o.Rounds), "-interval", o.Interval.String(), "-wait", o.Wait.String()}
	if o.Timeout != 0 {
		args = append(args, "-timeout", o.Timeout.String())
	}
	if o.Method != "" {
		args = append(args, "-method", o.Method, "-params", o.Params)
	}

	l := p.role().mustFind(t, args, values, []string{"zk", "root", "n", "interval"})
	return &Client{startIn(t, l, nil)}
}

// Call starts the client's subcommand call: n calls of method at the server on
// addr, which may take the time timeout together.
func (p ClientProgram) Call(t testing.TB, addr string, n int, timeout time.Duration, method, params string) *Program {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return p.subcommand(t, "call", "-n", strconv.Itoa(n), "-timeout", timeout.String(), host, port, method, params)
}

// List starts the client's subcommand list.
func (p ClientProgram) List(t testing.TB, zk, root string, session time.Duration) *Listing {
	t.Helper()
	return &Listing{p.subcommand(t, "list", "-zk", zk, "-root", root, "-session", session.String())}
}

// subcommand starts a subcommand that a program has beside what makes it a
// client. If the program is a command line with places for options, there is no
// place for a subcommand, and the milestone is skipped.
func (p ClientProgram) subcommand(t testing.TB, word string, args ...string) *Program {
	t.Helper()
	begin(t)
	r := p.role()
	if r.template() != "" {
		t.Skipf("not asked: a command such as -%s '%s' has no %s", r.flagName(), r.template(), word)
	}

	r.word = "" // not the client's
	return startIn(t, r.mustFind(t, append([]string{word}, args...), nil, nil), nil)
}

// starts remembers which kinds of command lines a server has been started
// with, so that one that can't be is reported once.
var starts startLog

type startLog struct {
	mu     sync.Mutex
	proven map[string]bool
	failed map[string]string // the first test that it failed
	lost   map[string]string // the first test that had no program to start, by the reason
	bomb   string            // the first test that found a fork bomb

	slow     time.Duration // that starts took that were slow
	slowness string        // the first test for which that was too much
}

// tellLost notes why there is no program to start. It skips the test if an
// earlier one has said so.
func (l *startLog) tellLost(t testing.TB, why string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if name := l.lost[why]; name != "" {
		t.Skipf("not asked: there is no program to test, see %s", name)
	}
	if l.lost == nil {
		l.lost = map[string]string{}
	}
	l.lost[why] = testName(t)
}

// tellBomb notes that the program under test is a fork bomb: once is enough.
func (l *startLog) tellBomb(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bomb == "" {
		l.bomb = testName(t)
	}
}

// ask skips the test if the server failed to start like this before, and fails
// one, the first, if starts have become too slow. The function it returns is to
// be told whether it has started now.
func (l *startLog) ask(t testing.TB, kind string) (report func(ok bool)) {
	t.Helper()
	l.askTime(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bomb != "" {
		t.Skipf("not asked: the server is a fork bomb, see %s", l.bomb)
	}
	if name := l.failed[kind]; name != "" {
		t.Skipf("not asked: the server did not start%s, see %s", strings.TrimSuffix(" with "+kind, " with "), name)
	}
	return func(ok bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.proven == nil {
			l.proven, l.failed = map[string]bool{}, map[string]string{}
		}
		switch {
		case ok:
			l.proven[kind] = true
		case !l.proven[kind] && l.failed[kind] == "":
			l.failed[kind] = testName(t)
		}
	}
}

// took notes how long a start took.
func (l *startLog) took(start time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if start > slowStart {
		l.slow += start
	}
}

// askTime ends the test if slow starts took too long, all in all.
func (l *startLog) askTime(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	slow, first := l.slow, l.slowness
	if slow > maxSlow && first == "" {
		l.slowness = testName(t)
	}
	l.mu.Unlock()

	switch {
	case slow <= maxSlow:
	case first == "":
		Given(t, func() {
			fail(t, fmt.Sprintf("a server that accepts connections %v after its start, "+
				"as it is started again for each milestone", slowStart),
				fmt.Sprintf("slower ones, which took %v so far", slow.Round(time.Second)))
		})
	default:
		t.Skipf("not asked: the server starts too slowly, see %s", first)
	}
}

func testName(t testing.TB) string {
	if number, _, ok := milestone(t); ok {
		return number
	}
	return t.Name()
}
