// Tests of Serve: the parts work together, and the registration comes first
// and goes first.

//go:build unix

package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/harness"
)

// partVar is how a test tells a process that it is to be a worker of Serve: the
// executable that Serve starts again is the test binary.
const partVar = "SERVE_TEST_PART"

// againVar, if set, has each worker call Serve once more, and write to a file
// in that directory what comes of it.
const againVar = "SERVE_TEST_AGAIN"

// Returns at once in a test process. In a worker it never returns. The
// specification's TestMain knows nothing of parts, so it has to be here that
// the part takes over.
func init() {
	if os.Getenv(partVar) == "" {
		return
	}

	if os.Getenv(partVar) == "die" {
		os.Exit(1)
	}

	slog.SetDefault(slog.New(slog.DiscardHandler))
	err := errors.New("started without the mark of a worker")
	if os.Getenv(workerMark) != "" { // or it would run the tests, which start it again, and so on
		err = Serve(serveConfig())
		again := os.Getenv(againVar)
		if again != "" {
			err := Serve(Config{Port: "none"}) // with a port, it would be a master
			_ = os.WriteFile(filepath.Join(again, fmt.Sprint(os.Getpid())), fmt.Append(nil, err), 0o600)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "in a worker that a test has started:", err)
		os.Exit(4)
	}
	os.Exit(0)
}

func serveConfig() Config {
	service := NewService()
	maps.Copy(service, (&lab{}).methods())
	return Config{
		Host: "127.0.0.1", Port: "0", Workers: 2, Grace: time.Minute,
		Limits: Limits{FrameTimeout: 100 * time.Millisecond}, Service: service,
	}
}

// serve runs Serve, which must end with the test.
func serve(t testing.TB, config Config) (ended chan error) {
	t.Helper()
	if os.Getenv(partVar) == "" {
		t.Setenv(partVar, "worker")
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, a process would end a second late
	ended = make(chan error, 1)
	go func() { ended <- Serve(config) }()
	return ended
}

// signalUs sends a signal to this process, in which Serve must be running.
func signalUs(t testing.TB, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, unix.Kill(os.Getpid(), sig))
}

// A guestBook is a Registration that tells the test what it is told.
type guestBook struct {
	serving chan bool
	closing chan context.Context
	answer  chan bool // what Close returns
}

func (b *guestBook) SetServing(serving bool) { b.serving <- serving }

func (b *guestBook) Close(ctx context.Context) bool {
	b.closing <- ctx
	return <-b.answer
}

func TestServeRegistersWhileItServes(t *testing.T) {
	harness.CaptureLog(t)
	book := &guestBook{make(chan bool, 100), make(chan context.Context, 1), make(chan bool)}
	type start struct {
		addr *net.TCPAddr
		pids []int
	}
	registered, started := make(chan *net.TCPAddr, 1), make(chan start, 1)

	config := serveConfig()
	config.Register = func(addr *net.TCPAddr) (Registration, error) {
		registered <- addr
		return book, nil
	}
	config.OnStart = func(addr *net.TCPAddr, pids []int) { started <- start{addr, pids} }

	ended := serve(t, config)

	addr := receive(t, registered, "Register")
	assert.NotZero(t, addr.Port)
	assert.True(t, receive(t, book.serving, "SetServing"))
	begun := receive(t, started, "OnStart")
	assert.Equal(t, addr, begun.addr)
	assert.Len(t, begun.pids, 2)

	c := harness.Dial(t, addr.String())
	c.SendRequest("pi", 2_000_000)
	c.WantReply("pi_r", string(NewReply("", PiSum(2_000_000)).Result))
	c.SendRequest("break", 3) // the third step of a task
	c.WantReply("error", `"internal error"`)

	half := harness.Dial(t, addr.String())
	half.Send(harness.Frame(harness.Request("ping", 1))[:9])
	half.WantError() // a limit
	half.Close()

	signalUs(t, syscall.SIGTERM)
	ctx := receive(t, book.closing, "Close")
	_, bounded := ctx.Deadline()
	assert.True(t, bounded)

	d := harness.Dial(t, addr.String())
	d.SendRequest("ping", "still here")
	d.WantPong(`"still here"`)
	book.answer <- true

	answered := time.Now()
	c.WantEOF()
	assert.GreaterOrEqual(t, time.Since(answered), noticeTime, "clients need time to notice")
	d.WantEOF()
	c.Close()
	d.Close()

	assert.NoError(t, receive(t, ended, "Serve"))
	assert.Empty(t, book.serving)
	for _, pid := range begun.pids {
		assert.ErrorIs(t, unix.Kill(pid, 0), unix.ESRCH)
	}
	_, err := net.DialTimeout("tcp", addr.String(), soon)
	assert.ErrorIs(t, err, unix.ECONNREFUSED)
}

func TestServeWithoutRegistration(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
		log := harness.CaptureLog(t)
		ended := serve(t, serveConfig())
		harness.Eventually(t, soon, "a word in the log", func() (bool, string) {
			return strings.Contains(log(), "serving=true"), log()
		})
		signalUs(t, sig)
		assert.NoError(t, receive(t, ended, "Serve"))
	}
}

func TestServeThatCannotRegister(t *testing.T) {
	config := serveConfig()
	config.Register = func(*net.TCPAddr) (Registration, error) { return nil, assert.AnError }
	config.OnStart = func(*net.TCPAddr, []int) { t.Error("workers were started") }
	err := receive(t, serve(t, config), "Serve")
	assert.ErrorIs(t, err, assert.AnError)
	assert.ErrorContains(t, err, "register")
}

// A worker that took itself for a master would have workers, which would do
// the same.
func TestServeTwiceInAWorker(t *testing.T) {
	harness.CaptureLog(t)
	dir := t.TempDir()
	t.Setenv(againVar, dir)
	started := make(chan bool, 1)
	config := serveConfig()
	config.OnStart = func(*net.TCPAddr, []int) { started <- true }
	ended := serve(t, config)
	receive(t, started, "OnStart")
	signalUs(t, syscall.SIGTERM)
	assert.NoError(t, receive(t, ended, "Serve"))

	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	assert.Len(t, files, config.Workers)
	for _, file := range files {
		said, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(said), "a second Serve in a worker")
	}
}

func TestServeOnATakenPort(t *testing.T) {
	listener, addr, err := Listen("127.0.0.1", "0")
	require.NoError(t, err)
	defer unix.Close(listener)
	config := serveConfig()
	config.Port = fmt.Sprint(addr.Port)
	assert.ErrorIs(t, receive(t, serve(t, config), "Serve"), unix.EADDRINUSE)
}

// The zero Config has workers, too.
func TestServeWithoutANumberOfWorkers(t *testing.T) {
	harness.CaptureLog(t)
	started := make(chan []int, 1)
	config := serveConfig()
	config.Workers = 0
	config.OnStart = func(_ *net.TCPAddr, pids []int) { started <- pids }
	ended := serve(t, config)
	assert.Len(t, receive(t, started, "OnStart"), DefaultWorkers())
	signalUs(t, syscall.SIGTERM)
	assert.NoError(t, receive(t, ended, "Serve"))
}

func TestServeRefusesANegativeNumber(t *testing.T) {
	config := serveConfig()
	config.Workers = -1
	assert.ErrorContains(t, receive(t, serve(t, config), "Serve"), "Workers")

	config = serveConfig()
	config.HangTimeout = -time.Second
	assert.ErrorContains(t, receive(t, serve(t, config), "Serve"), "HangTimeout")
}

// Nothing is left of a registration when no worker can be brought up.
func TestServeThatGivesUpEndsItsRegistration(t *testing.T) {
	harness.CaptureLog(t)
	book := &guestBook{make(chan bool, 100), make(chan context.Context, 1), make(chan bool, 1)}
	book.answer <- false
	config := serveConfig()
	config.Register = func(*net.TCPAddr) (Registration, error) { return book, nil }

	t.Setenv(partVar, "die")
	ended := serve(t, config)
	assert.ErrorIs(t, receive(t, ended, "Serve"), ErrNeverReady)
	ctx := receive(t, book.closing, "Close")
	_, bounded := ctx.Deadline()
	assert.True(t, bounded)
	assert.Empty(t, book.serving)
}
