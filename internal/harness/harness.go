// Package harness starts the programs of the workbook and speaks to them from
// outside: over TCP, with signals, and by looking at the process table. The
// specifications (specN_test.go) are written in its verbs, so that the same
// milestones can be asked of every step's program.
package harness

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/proc"
)

// workerMarker is the variable by which a master tells its workers what they
// are.
const workerMarker = "RPC_WORKER"

// What a program has by itself when nobody tells it: PROTOCOL.md's values.
const (
	DefaultGrace   = 5 * time.Second // of a server's stop
	DefaultSession = 6 * time.Second // with ZooKeeper
	DefaultTimeout = 5 * time.Second // of a client's call
)

// What options are by default.
const (
	defaultWorkers = 2
	nowhere        = "127.0.0.1:1" // nothing listens there
)

// Options says how a milestone wants its server. A ServerProgram turns it into
// a command line; what a step doesn't know yet is left out.
type Options struct {
	Workers int           // worker processes; 0 means 2
	Grace   time.Duration // how long a stop waits for calls; 0 means the program's own default

	// From chapter 5 on.
	ZK        string        // ZooKeeper's host:port list; "" means an address where nothing listens
	Root      string        // znode above the servers; "" means the program's default
	Advertise string        // host to register; "" means the program's choice
	Session   time.Duration // ZooKeeper session timeout; 0 means the program's default

	// How it is started.
	Env     []string // more environment, as "NAME=value"
	Flags   []string // more flags
	Ignored string   // a signal that it is started with ignored, such as "HUP"
	Files   int      // how many descriptors each of its processes may have open; 0: as many as the test
	Output  *os.File // where output and log go, if not into what Stdout and Stderr return
}

// withDefaults fills in what a command line always says.
func (o Options) withDefaults() Options {
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.ZK == "" {
		o.ZK = nowhere
	}
	return o
}

// Args returns the command line flags for those of the options that the
// program knows, in the order of the names: workers, grace, zk, root,
// advertise, session. Flags come last.
func (o Options) Args(known ...string) []string {
	o = o.withDefaults()
	values := map[string]string{
		"workers": strconv.Itoa(o.Workers), "zk": o.ZK, "root": o.Root, "advertise": o.Advertise,
	}
	if o.Grace != 0 {
		values["grace"] = o.Grace.String()
	}
	if o.Session != 0 {
		values["session"] = o.Session.String()
	}

	var args []string
	for _, name := range known {
		if values[name] != "" {
			args = append(args, "-"+name, values[name])
		}
	}
	return append(args, o.Flags...)
}

// placeholders returns the options as the values of a command's placeholders,
// all of them, durations in seconds.
func (o Options) placeholders() map[string]string {
	o = o.withDefaults()
	return map[string]string{
		"workers": strconv.Itoa(o.Workers), "zk": o.ZK, "root": cmp.Or(o.Root, "/demo"), "advertise": o.Advertise,
		"grace": seconds(cmp.Or(o.Grace, DefaultGrace)), "session": seconds(cmp.Or(o.Session, DefaultSession)),
	}
}

// seconds writes a duration with a decimal point, for any language to read.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// Main runs the tests and returns the exit code: TestMain calls
// os.Exit(harness.Main(m)). It adds the flags -program, -server, -client,
// -built, -again, -in, -user, -pictures and -all-pictures, which "go test"
// passes on, also without their "-args". When it returns, everything that the
// tests started is dead and the temporary files are removed; the watchdog sees
// to that even if the test process is killed before.
//
// A test binary that finds itself started as a worker says so and exits 3: a
// master under test that starts "itself" again would otherwise run all the
// tests in every worker, each of which starts more of them.
func Main(m *testing.M) int {
	if value, ok := os.LookupEnv(workerMarker); ok {
		fmt.Fprintf(os.Stderr, "%s: this is a test binary, started as a worker (%s=%s).\n"+
			"The code under test starts its own executable again, and in a unit test that is the test binary.\n"+
			"Let the test build the program and start that (harness.Build), "+
			"or pass the program's path to the master.\n",
			os.Args[0], workerMarker, value)
		os.Exit(3)
	}

	if err := parseFlags(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}

	code := m.Run()
	proc.End()
	return code
}
