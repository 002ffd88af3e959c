// The test binary as a master, in a process of its own: for what can't be done
// to the test's process.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A masterProcess is a process that plays a master's part.
type masterProcess struct {
	t      testing.TB
	stdin  io.Writer
	stdout *bufio.Scanner
	stderr bytes.Buffer
}

// startMaster starts one, which is ended with the test.
func startMaster(t testing.TB, program, part string) *masterProcess {
	t.Helper()
	m := &masterProcess{t: t}
	cmd := exec.Command(program, "an argument")
	cmd.Env = append(os.Environ(), partVar+"="+part, reportVar+"="+t.TempDir()+"/report", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = &m.stderr

	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	tooLate := time.AfterFunc(patience, func() { stdout.Close() }) // so that wantLine doesn't wait for ever
	t.Cleanup(func() {
		tooLate.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})

	m.stdin, m.stdout = stdin, bufio.NewScanner(stdout)
	return m
}

// tell has it do what it is to do when told.
func (m *masterProcess) tell() {
	m.t.Helper()
	_, err := m.stdin.Write([]byte("now\n"))
	require.NoError(m.t, err)
}

// wantLine returns the next line that it prints, which must begin so.
func (m *masterProcess) wantLine(begin string) string {
	m.t.Helper()
	require.True(m.t, m.stdout.Scan(), "no line; stderr: %s", &m.stderr)
	require.True(m.t, strings.HasPrefix(m.stdout.Text(), begin), m.stdout.Text())
	return m.stdout.Text()
}

// spawnWhenTold is a master that starts one worker, and waits for it.
func spawnWhenTold() {
	listener, _, err := Listen("127.0.0.1", "0")
	must(err)
	fmt.Println("up")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	must(os.Setenv(partVar, "serve"))
	w, err := Spawn(listener)
	must(err)
	must(w.WaitReady(patience))
	fmt.Println("worker ready")
}

// collectWhenTold is this chapter's master, in a process with much garbage.
func collectWhenTold() {
	must(os.Setenv(partVar, "serve"))
	go func() {
		for told := bufio.NewScanner(os.Stdin); told.Scan(); {
			for range 2 { // what is only reachable from something that is collected goes in the second
				collected := make(chan bool)
				runtime.AddCleanup(new([64]byte), func(c chan bool) { close(c) }, collected)
				runtime.GC()
				<-collected
			}
			fmt.Println("collected")
		}
	}()
	must(master("127.0.0.1", "0", 1))
}
