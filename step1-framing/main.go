// The first server and the simplest client: one blocking connection at a time.
// encode and decode turn JSON lines into frames and back, to look at the wire.

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func(flags *flag.FlagSet, args []string) error{
		"serve": serve, "call": call, "encode": encodeLines, "decode": decodeFrames,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: step1-framing serve|call|encode|decode …\n"+
			"  serve HOST PORT                     answer calls, one client at a time\n"+
			"  call HOST PORT METHOD PARAMS        make one call: call 127.0.0.1 8080 pi 93\n"+
			"  encode < lines > frames             one JSON line in, one frame out\n"+
			"  decode < frames > lines             one frame in, one JSON line out")
		os.Exit(2)
	}

	flags := flag.NewFlagSet("step1-framing "+os.Args[1], flag.ExitOnError)
	err := commands[os.Args[1]](flags, os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "step1-framing:", err)
		os.Exit(1)
	}
}

// serve answers one client after the other, the others waiting their turn:
// chapter 2 exists because of that.
func serve(flags *flag.FlagSet, args []string) error {
	verbose := flags.Bool("v", false, "log every call")
	pos := ParseArgs(flags, args, "HOST", "PORT")

	ln, err := net.Listen("tcp", net.JoinHostPort(pos[0], pos[1]))
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a reader of our log that goes away mustn't end us
	fmt.Println("listening on", ln.Addr())

	service := NewService()
	answer := func(body []byte) Reply {
		if *verbose {
			LogCall(body)
		}
		return service.Answer(body)
	}

	for {
		conn, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}

		err = serveConn(conn.(*net.TCPConn), answer)
		if err != nil {
			slog.Warn("connection lost", "peer", conn.RemoteAddr(), "err", err)
		}
		conn.Close()
	}
}

// serveConn answers the requests on conn until the client has no more.
func serveConn(conn *net.TCPConn, answer func(body []byte) Reply) error {
	decoder := NewDecoder(MaxRequest)
	buf := make([]byte, 16<<10)
	for {
		n, readErr := conn.Read(buf)
		decoder.Feed(buf[:n])

		var out []byte
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}
			out = AppendReply(out, answer(body))
		}
		if decoder.Err() != nil {
			out = AppendReply(out, ErrorReply(decoder.Err()))
		}

		_, err := conn.Write(out)
		switch {
		case err != nil:
			return err
		case decoder.Err() != nil:
			return linger(conn)
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// linger lets the peer read our last reply although it is still sending.
// Closing a socket with unread input resets the connection, and a reset
// destroys replies on their way; so end only our side and drain the other.
func linger(conn *net.TCPConn) error {
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	err := conn.CloseWrite()
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, conn, 64<<20)
	return nil
}

// call makes one call and prints the answer.
func call(flags *flag.FlagSet, args []string) error {
	trace := flags.Bool("trace", false, "show the bytes, both ways")
	pos := ParseArgs(flags, args, "HOST", "PORT", "METHOD", "PARAMS")
	if !json.Valid([]byte(pos[3])) {
		UsageError(flags, `PARAMS must be JSON, not %s (a string needs quotes of its own: '"hello"')`, pos[3])
	}
	show := func(what string, b []byte) {
		if *trace {
			fmt.Fprintf(os.Stderr, "%s %d bytes\n%s", what, len(b), hex.Dump(b))
		}
	}

	conn, err := net.DialTimeout("tcp", net.JoinHostPort(pos[0], pos[1]), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()

	frame := AppendFrame(nil, Request{Method: pos[2], Params: []byte(pos[3])}.Append(nil))
	show("sent", frame)
	_, err = conn.Write(frame)
	if err != nil {
		return err
	}

	decoder := NewDecoder(MaxReply)
	buf := make([]byte, 16<<10)
	for {
		n, readErr := conn.Read(buf)
		show("received", buf[:n])
		decoder.Feed(buf[:n])

		body, ok := decoder.Next()
		switch {
		case ok:
			return printReply(body)
		case decoder.Err() != nil:
			return decoder.Err()
		case readErr != nil:
			return fmt.Errorf("no reply: %w", readErr)
		}
	}
}

// printReply prints the answer to a call. After an error it ends the program.
func printReply(body []byte) error {
	reply, err := ParseReply(body)
	if err != nil {
		return err
	}

	fmt.Printf("%s %s\n", reply.Kind, reply.Result)
	if reply.Kind == "error" {
		os.Exit(1)
	}
	return nil
}

// encodeLines turns each line of standard input into a frame.
func encodeLines(flags *flag.FlagSet, args []string) error {
	ParseArgs(flags, args)

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, MaxReply)
	for line := 1; lines.Scan(); line++ {
		if !json.Valid(lines.Bytes()) {
			return fmt.Errorf("line %d is not JSON: %s", line, clip(lines.Text()))
		}

		_, err := os.Stdout.Write(AppendFrame(nil, lines.Bytes()))
		if err != nil {
			return err
		}
	}

	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line is too long: over %d bytes", MaxReply)
	}
	return lines.Err()
}

// decodeFrames turns each frame of standard input into a line.
func decodeFrames(flags *flag.FlagSet, args []string) error {
	ParseArgs(flags, args)

	decoder := NewDecoder(MaxReply)
	buf := make([]byte, 16<<10)
	for {
		n, readErr := os.Stdin.Read(buf)
		decoder.Feed(buf[:n])
		for {
			body, ok := decoder.Next()
			if !ok {
				break
			}

			var line bytes.Buffer // JSON may contain line breaks between its tokens
			err := json.Compact(&line, body)
			if err != nil {
				return fmt.Errorf("a frame is not JSON: %w", err)
			}
			fmt.Println(line.String())
		}

		switch {
		case decoder.Err() != nil:
			return decoder.Err()
		case errors.Is(readErr, io.EOF) && decoder.Buffered() > 0:
			return errors.New("the input ends inside a frame")
		case errors.Is(readErr, io.EOF):
			return nil
		case readErr != nil:
			return readErr
		}
	}
}
