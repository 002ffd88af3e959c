// Package zkdev runs a real ZooKeeper for tests, for the demo and for reading
// along: one server or an ensemble, each a child process with its own temporary
// data directory, on 127.0.0.1. It can be killed, restarted on its data, wiped,
// frozen and stopped, and it dies with the program that started it, however
// that dies. ZK_HOSTS is ignored: nobody else's ZooKeeper is touched.
package zkdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/freeport"
	"example.com/rpcworkbook/internal/proc"
)

const (
	startLimit   = 30 * time.Second // it takes half a second on an idle machine
	stopLimit    = 3 * time.Second
	probeTimeout = 200 * time.Millisecond
	portsToTry   = 5
)

// configuration allows session timeouts from 1 to 60 seconds. Port 0 would make
// ZooKeeper listen nowhere.
const configuration = `tickTime=500
minSessionTimeout=1000
maxSessionTimeout=60000
dataDir=./data
clientPort=%d
clientPortAddress=%s
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
`

// A Place is where a ZooKeeper runs.
type Place struct {
	Host string         // its address
	Do   func(f func()) // calls f there: what f starts and which connections it makes belong to that place's network
}

// here is this machine, where nobody else reaches it.
var here = Place{Host: "127.0.0.1", Do: func(f func()) { f() }}

// Server is a ZooKeeper that was started here. Its methods are safe for
// concurrent use; each waits for the one before.
type Server struct {
	found   Installation
	dir     string // holds the configuration, the data and the output
	place   Place
	port    int
	member  int    // its number in an ensemble, from 1; 0 if it is alone
	release func() // gives the port up

	mutex   sync.Mutex
	jvm     *proc.Group // the latest one, perhaps dead
	stopped bool        // for good
}

var errExited = errors.New("ZooKeeper exited")

// Start runs a ZooKeeper on a free port between 20000 and 32000 and returns
// when it serves, about half a second later. ctx bounds the start only; so do
// 30 seconds. If no ZooKeeper is installed, the error says how to install it.
// Settings are lines of its configuration, such as "minSessionTimeout=6000";
// they win against the usual ones.
func Start(ctx context.Context, settings ...string) (*Server, error) {
	var err error
	for range portsToTry {
		port, release, reserveErr := freeport.Reserve()
		if reserveErr != nil {
			return nil, reserveErr
		}

		var s *Server
		s, err = start(ctx, here, port, 0, strings.Join(settings, "\n"), release)
		if !errors.Is(err, errExited) {
			return s, err
		}
		// Most likely a program that knows nothing of reservations took the
		// port in the meantime.
	}
	return nil, fmt.Errorf("start ZooKeeper on %d ports in turn: %w", portsToTry, err)
}

// StartOn is Start on one port. It fails at once when something listens there.
func StartOn(ctx context.Context, port int) (*Server, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("start ZooKeeper: %w", err)
	}
	listener.Close()
	return start(ctx, here, port, 0, "", func() {})
}

// start owns release from here on.
func start(ctx context.Context, place Place, port, member int, settings string, release func()) (s *Server, err error) {
	defer func() {
		if err != nil {
			release()
		}
	}()

	found, err := Find()
	if err != nil {
		return nil, err
	}
	temp, err := proc.TempDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(temp, "zookeeper-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for ZooKeeper: %w", err)
	}

	s = &Server{found: found, dir: dir, place: place, port: port, member: member, release: release}
	content := fmt.Sprintf(configuration, port, place.Host) + settings + "\n"
	if err = os.WriteFile(s.path("zoo.cfg"), []byte(content), 0o600); err == nil {
		err = s.launch(ctx)
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// launch starts a JVM and waits until it serves; if it doesn't, none is left.
// The mutex is held, or s is nobody's yet.
func (s *Server) launch(ctx context.Context) error {
	if s.stopped {
		return errors.New("start ZooKeeper again: it was stopped for good")
	}
	if err := s.writeMember(); err != nil {
		return err
	}

	output, err := os.OpenFile(s.path("output"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("make a file for ZooKeeper's output: %w", err)
	}
	defer output.Close()

	var jvm *proc.Group
	s.place.Do(func() { jvm, err = startJVM(s.found, s.mainClass(), s.dir, "zoo.cfg", output) })
	if err != nil {
		return err
	}
	s.jvm = jvm

	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		// The answer to "ruok" comes too early. A connection that was made
		// before it serves may never be answered, so every probe makes its own
		// and gives it up soon.
		_, err := s.Mode()
		if err == nil {
			return nil
		}
		select {
		case <-jvm.Done():
			return fmt.Errorf("%w (%v) instead of serving on %s:\n%s",
				errExited, jvm.State(), s.Addr(), s.Output())
		case <-ctx.Done():
			err := errors.Join(ctx.Err(), jvm.Kill())
			return fmt.Errorf("wait for ZooKeeper to serve on %s: %w; it said:\n%s", s.Addr(), err, s.Output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Addr is "host:port", on 127.0.0.1 unless the server has a Place. It stays the
// same for the server's life.
func (s *Server) Addr() string { return net.JoinHostPort(s.place.Host, strconv.Itoa(s.port)) }

// PID is the process id of the JVM that was started last.
func (s *Server) PID() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.jvm.PID
}

// Done is closed when the JVM that was started last has ended. Each Restart and
// Wipe makes a new one.
func (s *Server) Done() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.jvm.Done()
}

// Output is the end of what ZooKeeper has printed, normally next to nothing: it
// is told to log errors only.
func (s *Server) Output() string { return lastWords(s.path("output")) }

// Kill ends ZooKeeper with SIGKILL, and returns when it is reaped and its port
// refuses connections. The data stays.
func (s *Server) Kill() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_ = s.jvm.Kill() // it can't resist for long
}

// Restart starts ZooKeeper again on its data and its port, after a Kill if it
// runs. Sessions and their ephemeral znodes live on, with a full session
// timeout from now. It returns when ZooKeeper serves.
func (s *Server) Restart() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.jvm.Kill(); err != nil {
		return fmt.Errorf("restart ZooKeeper: %w", err)
	}
	return s.launch(context.Background())
}

// Wipe is Restart with an empty data directory: no znode and no session is
// left.
func (s *Server) Wipe() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := s.jvm.Kill(); err != nil {
		return fmt.Errorf("wipe ZooKeeper's data: %w", err)
	}
	if err := os.RemoveAll(s.path("data")); err != nil {
		return fmt.Errorf("wipe ZooKeeper's data: %w", err)
	}
	return s.launch(context.Background())
}

// Pause freezes ZooKeeper with SIGSTOP and returns when it stands still:
// connections stay, and the kernel accepts new ones, but nothing is answered.
// Sessions whose timeout passes meanwhile are expired right after Resume,
// except, on a busy machine about one time in ten, those whose client already
// waits to reconnect. Gate.Expire is for certain.
func (s *Server) Pause() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.jvm.Pause()
}

// Resume ends a Pause.
func (s *Server) Resume() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.jvm.Resume()
}

// Stop ends ZooKeeper for good: with SIGTERM, and with SIGKILL if it has not
// ended after 3 seconds. It returns when the process is reaped, its directory
// removed and its port given up; the error is about what is left. Calling it
// again does nothing.
func (s *Server) Stop() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.stopped {
		return nil
	}
	err := s.jvm.Stop(stopLimit)
	s.stopped = true
	s.release()
	return errors.Join(err, s.remove())
}

// remove leaves nothing of a server whose JVM, if it ever had one, has ended.
func (s *Server) remove() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove ZooKeeper's directory: %w", err)
	}
	return nil
}

// FourLetter sends one of ZooKeeper's four-letter commands (srvr, mntr, cons,
// dump, wchs, wchp, …) and returns the answer. It gives up after 2 seconds,
// which it also takes when ZooKeeper is paused.
func (s *Server) FourLetter(command string) (string, error) {
	answer, err := s.fourLetter(command, 2*time.Second)
	if err != nil {
		return "", fmt.Errorf("ask ZooKeeper %s: %w", command, err)
	}
	return answer, nil
}

// Mode tells what ZooKeeper is: "leader", "follower" or "standalone". It gives
// up after 200 ms.
func (s *Server) Mode() (string, error) {
	answer, err := s.fourLetter("srvr", probeTimeout)
	if err != nil {
		return "", err
	}
	_, mode, ok := strings.Cut(answer, "Mode: ")
	if !ok {
		return "", fmt.Errorf("ZooKeeper doesn't serve yet: %q", answer)
	}
	mode, _, _ = strings.Cut(mode, "\n")
	return mode, nil
}

func (s *Server) fourLetter(command string, timeout time.Duration) (answer string, err error) {
	s.place.Do(func() { answer, err = FourLetter(s.Addr(), command, timeout) })
	return answer, err
}

// FourLetter sends a four-letter command to whatever ZooKeeper is at addr.
func FourLetter(addr, command string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp4", addr, timeout)
	if err != nil {
		return "", err
	}
	defer conn.Close()

	conn.SetDeadline(time.Now().Add(timeout))
	if _, err := conn.Write([]byte(command)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
