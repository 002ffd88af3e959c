// Rivals of the reader's: whatever program speaks our frames takes part in the
// comparison by its command line.

//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	rpc "example.com/rpcworkbook/final"
	"example.com/rpcworkbook/internal/proc"
)

// A Command is a server that takes part.
type Command struct {
	Name string // in the tables
	Line string // for the shell; {host} and {port} say where it is to listen
}

// ParseCommands reads "name=command {host} {port}", or several of that with
// semicolons between them. Nothing is none.
func ParseCommands(text string) (all []Command, err error) {
	taken := []string{ours, bareEpoll, gnetLoops, raw, goroutine, gob, jsonRPC}
	for entry := range strings.SplitSeq(text, ";") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}

		name, line, _ := strings.Cut(entry, "=")
		switch {
		case name == "" || line == "" || !strings.Contains(line, "{port}"):
			return nil, fmt.Errorf(`%q is not of the form "name=command {host} {port}"`, entry)
		case slices.Contains(taken, name):
			return nil, fmt.Errorf("there is a server %q already", name)
		}
		taken = append(taken, name)
		all = append(all, Command{name, line})
	}
	return all, nil
}

// contender makes it one.
func (c Command) contender() contender {
	return contender{name: c.Name, server: c.Name, line: c.Line, reply: pong, drive: load}
}

// startLine starts a server by its command line, at a free port, and waits
// until it has answered a ping. Its log has what it prints, too.
func startLine(ctx context.Context, line string, log *os.File) (*server, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("sh", "-c", "exec "+strings.NewReplacer("{host}", host, "{port}", port).Replace(line))
	cmd.Stdout, cmd.Stderr = log, log
	group, err := proc.Start(cmd)
	if err != nil {
		return nil, err
	}

	s := newServer(ctx, group, log)
	s.addr = addr
	err = s.answers(ctx)
	if err == nil {
		time.Sleep(settle) // it may have more processes to start
		s.pids, err = group.Living()
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%w%s", err, s.lastWords())
	}
	return s, nil
}

// freePort returns an address at which nobody listens.
func freePort() (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// answers waits until the server has answered a ping as it should. It fails
// when the server ends before, when ctx does, and when that takes too long.
func (s *server) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	for {
		err := s.ping()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-s.group.Done():
			return errors.Join(errors.New("the server has ended"), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ping makes one call.
func (s *server) ping() error {
	conn, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		return err
	}
	defer conn.Close()

	_ = conn.SetDeadline(time.Now().Add(patience))
	want := rpc.AppendFrame(nil, []byte(pong))
	return exchange(conn, rpc.AppendFrame(nil, []byte(request)), make([]byte, len(want)), want)
}
