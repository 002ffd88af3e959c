// Tests of what the programs print and log, when it goes into a pipe whose
// reader has gone away or stands still, or where there is no room.

//go:build unix

package rpc

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/zktest"
)

// outputs are ways in which nobody reads an output. Each returns the file to
// write to, which is the caller's, and a function that ends the bad times.
var outputs = map[string]func(t *testing.T) (to *os.File, relieve func() (text string)){
	"closed": func(t *testing.T) (*os.File, func() string) {
		reader, writer, err := os.Pipe()
		require.NoError(t, err)
		reader.Close()
		return writer, nil
	},
	"stalled": func(t *testing.T) (*os.File, func() string) {
		reader, writer, err := os.Pipe()
		require.NoError(t, err)
		t.Cleanup(func() { reader.Close() })
		return writer, func() string {
			_ = reader.SetReadDeadline(time.Now().Add(soon))
			var text strings.Builder
			buf := make([]byte, 1<<16)
			for !strings.Contains(text.String(), "could not be written here") {
				n, err := reader.Read(buf)
				if err != nil {
					break
				}
				text.Write(buf[:n])
			}
			return text.String()
		}
	},
	"full": func(t *testing.T) (*os.File, func() string) {
		device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if os.IsNotExist(err) && runtime.GOOS != "linux" {
			t.Skip("no /dev/full")
		}
		require.NoError(t, err)
		return device, nil
	},
}

// Neither the loops of the workers nor the master wait for who reads the log,
// nor die of it: calls are answered, a worker is replaced, a stop is quick.
func TestServerWhoseOutputNobodyReads(t *testing.T) {
	for name, open := range outputs {
		t.Run(name, func(t *testing.T) {
			to, relieve := open(t)
			s := theServer.Serve(t, harness.Options{Workers: 2, Flags: []string{"-v"}, Output: to})
			to.Close() // only the server has it now
			workers := s.WaitServing(t, 2)

			call := func() {
				const calls = 3000 // some 60 bytes of log each, on one worker at least: a pipe holds 64 KiB
				c := s.Dial(t)
				go func() { _ = c.TrySend(slices.Repeat(harness.Frame(harness.Request("ping", 1)), calls)) }()
				for range calls {
					c.WantPong("1")
				}
				c.Close()
			}

			s.SignalEach(syscall.SIGKILL, workers[0])
			s.WaitWorkers(t, soon, 2, workers[0])
			s.WaitServing(t, 2)
			for range 5 {
				call()
			}

			if relieve != nil {
				text := make(chan string, 1)
				go func() { text <- relieve() }()
				for range 5 { // worth lines in front of which is said what is missing
					call()
				}
				assert.True(t, strings.Contains(<-text, "could not be written here"))
			}

			began := time.Now()
			s.Signal(syscall.SIGTERM)
			assert.Zero(t, s.Wait(soon))
			assert.Less(t, time.Since(began), soon/2)
		})
	}
}

// A client is a command like any other: it goes as fast as its reader, ends
// with it, and says so when there is no room. The second Ctrl-C ends one that
// nobody reads.
func TestClientWhoseOutputNobodyReads(t *testing.T) {
	zookeeper := zktest.Start(t)
	registry := zktest.NewRegistry(t, zookeeper, "/output")
	s := theServer.Serve(t, harness.Options{Workers: 1, ZK: zookeeper.Addr(), Root: registry.Root})
	registry.WaitOne(soon, s.Addr)
	for name, open := range outputs {
		t.Run(name, func(t *testing.T) {
			to, _ := open(t)
			var stderr bytes.Buffer
			client := exec.Command(harness.Build(t, "./cmd/client"), "-zk", zookeeper.Addr(), "-root", registry.Root,
				"-n", "100000", "-interval", "0", "-wait", "10s")
			client.Stdout, client.Stderr = to, &stderr
			require.NoError(t, client.Start())
			to.Close()

			ended := make(chan error, 1)
			go func() { ended <- client.Wait() }()
			t.Cleanup(func() { _ = client.Process.Kill() })

			if name == "stalled" {
				select {
				case <-ended:
					t.Error("it ended, and nobody told it to")
				case <-time.After(2 * time.Second):
				}
				for range 2 {
					require.NoError(t, client.Process.Signal(syscall.SIGINT))
					time.Sleep(100 * time.Millisecond) // or the two would be one
				}
			}

			receive(t, ended, "the end of the client")
			want := map[string]string{
				"closed": "signal: broken pipe", "stalled": "signal: interrupt", "full": "exit status 1",
			}
			assert.Equal(t, want[name], client.ProcessState.String(), stderr.String())
			if name == "full" {
				assert.Contains(t, stderr.String(), "no space left on device")
			}
		})
	}
}
