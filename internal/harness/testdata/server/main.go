// A small server for the harness's own tests: it answers every request with a
// pong of its params. Flags make it misbehave.

package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	children := flag.Int("children", 0, "start so many processes that only sleep")
	ignore := flag.Bool("ignore", false, "ignore SIGTERM")
	mute := flag.Bool("mute", false, "accept connections and say nothing")
	spin := flag.Bool("spin", false, "keep a CPU busy")
	crash := flag.Bool("crash", false, "let a child panic")
	slow := flag.Duration("slow", 0, "wait for so long before each reply")
	quit := flag.Bool("quit", false, "end at once")
	flag.Parse()

	if *quit {
		fmt.Fprintln(os.Stderr, "I don't feel like it")
		os.Exit(7)
	}
	if *ignore {
		signal.Ignore(syscall.SIGTERM)
	}
	if *crash {
		fmt.Fprintln(os.Stderr, "panic: a worker's last words")
	}

	for range *children {
		if err := exec.Command("sleep", "1000").Start(); err != nil { // never reaped: a zombie when it ends
			panic(err)
		}
	}
	if *spin {
		go func() {
			for {
			}
		}()
	}

	ln, err := net.Listen("tcp", net.JoinHostPort(flag.Arg(0), flag.Arg(1)))
	if err != nil {
		panic(err)
	}
	fmt.Println("listening on", ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		if !*mute {
			go answer(conn, *slow)
		}
	}
}

func answer(conn net.Conn, slow time.Duration) {
	defer conn.Close()
	for {
		var header [4]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}

		body := make([]byte, binary.LittleEndian.Uint32(header[:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}

		var request struct {
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(body, &request) != nil {
			return
		}

		time.Sleep(slow)
		reply := fmt.Appendf(nil, `{"out":"pong","result":%s}`, request.Params)
		frame := append(binary.LittleEndian.AppendUint32(nil, uint32(len(reply))), reply...)
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}
