// Tests of the program's commands from outside: what they print, what they
// send, and with which exit code they end.

package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// run runs this step's program to its end.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, exitCode int) {
	t.Helper()
	return harness.Run(t, harness.Build(t, "."), stdin, args...)
}

// serveForTest starts the serve command and returns its host and port as call
// wants them.
func serveForTest(t *testing.T, flags ...string) (server *harness.Server, host, port string) {
	t.Helper()
	server = harness.StartServer(t, harness.Build(t, "."), func(host, port string) []string {
		return append(append([]string{"serve"}, flags...), host, port)
	}, harness.Options{})
	host, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	return server, host, port
}

func frames(bodies ...string) string {
	var stream []byte
	for _, body := range bodies {
		stream = AppendFrame(stream, []byte(body))
	}
	return string(stream)
}

func TestEncodeTurnsLinesIntoFrames(t *testing.T) {
	for _, c := range []struct {
		name, lines, frames, stderr string
	}{
		{name: "nothing"},
		{name: "two lines", lines: "{\"in\":\"ping\",\"params\":1}\n[ 1 ]\n",
			frames: frames(`{"in":"ping","params":1}`, `[ 1 ]`)},
		{name: "no line end", lines: `"π"`, frames: "\x04\x00\x00\x00\"π\""},
		{name: "Windows' line ends", lines: "1\r\n2\r\n", frames: frames("1", "2")},
		{name: "not JSON", lines: "1\nping\n3\n", frames: frames("1"),
			stderr: "step1-framing: line 2 is not JSON: ping\n"},
		{name: "a blank line", lines: "1\n\n", frames: frames("1"), stderr: "step1-framing: line 2 is not JSON: \n"},
		{name: "the longest", lines: `"` + strings.Repeat("a", MaxRequest-2) + `"`,
			frames: frames(`"` + strings.Repeat("a", MaxRequest-2) + `"`)},
	} {
		stdout, stderr, code := run(t, c.lines, "encode")
		assert.True(t, c.frames == stdout, "%s: got %.100q", c.name, stdout)
		assert.Equal(t, c.stderr, stderr, c.name)
		assert.Equal(t, c.stderr != "", code == 1, "%s: exit code %d", c.name, code)
	}
}

func TestEncodeRefusesEndlessLines(t *testing.T) {
	stdout, stderr, code := run(t, strings.Repeat(" ", 2*MaxReply), "encode")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "too long")
}

func TestDecodeTurnsFramesIntoLines(t *testing.T) {
	many := strings.Repeat("[1]\n", 10_000)
	stream, _, _ := run(t, many, "encode")
	for _, c := range []struct {
		name, frames, lines, stderr string
	}{
		{name: "nothing"},
		{name: "two frames", frames: frames(`{"in":"ping","params":1}`, `"<π>"`),
			lines: "{\"in\":\"ping\",\"params\":1}\n\"<π>\"\n"},
		{name: "JSON over several lines", frames: frames("{\n  \"a\": [1,\n 2]\n}"), lines: "{\"a\":[1,2]}\n"},
		{name: "more than one read", frames: stream, lines: many},
		{name: "the longest reply", frames: frames(`"` + strings.Repeat("a", MaxReply-2) + `"`),
			lines: `"` + strings.Repeat("a", MaxReply-2) + "\"\n"},
		{name: "half a header", frames: frames("1") + "\x01\x00", lines: "1\n",
			stderr: "the input ends inside a frame\n"},
		{name: "half a body", frames: frames("1") + "\x05\x00\x00\x00[1,", lines: "1\n",
			stderr: "the input ends inside a frame\n"},
		{name: "too long", frames: frames("1") + "\xff\xff\xff\xff", lines: "1\n",
			stderr: "frame of 4294967295 bytes is over the limit of 1052672\n"},
		{name: "not JSON", frames: frames("1", "ping"), lines: "1\n",
			stderr: "a frame is not JSON: invalid character 'p' looking for beginning of value\n"},
		{name: "an empty body", frames: frames(""), stderr: "a frame is not JSON: unexpected end of JSON input\n"},
	} {
		stdout, stderr, code := run(t, c.frames, "decode")
		assert.True(t, c.lines == stdout, "%s: got %.100q", c.name, stdout)
		if c.stderr != "" {
			c.stderr = "step1-framing: " + c.stderr
		}
		assert.Equal(t, c.stderr, stderr, c.name)
		assert.Equal(t, c.stderr != "", code == 1, "%s: exit code %d", c.name, code)
	}
}

func TestCallPrintsTheAnswer(t *testing.T) {
	_, host, port := serveForTest(t)
	for _, c := range []struct {
		method, params, want string
		code                 int
	}{
		{"ping", `"ireader 93"`, `pong "ireader 93"`, 0},
		{"ping", `{"a": [1.0, "<&>"]}`, `pong {"a": [1.0, "<&>"]}`, 0},
		{"pi", `93`, `pi_r 3.1382045831970156`, 0},
		{"pi", `-1`, `error "pi: params must be a whole number from 0 to 100000000, not -1"`, 1},
		{"dance", `null`, `error "unknown method \"dance\""`, 1},
	} {
		stdout, stderr, code := run(t, "", "call", host, port, c.method, c.params)
		assert.Equal(t, c.want+"\n", stdout)
		assert.Empty(t, stderr)
		assert.Equal(t, c.code, code, c.want)
	}
}

func TestCallTraceShowsTheBytesBothWays(t *testing.T) {
	_, host, port := serveForTest(t)
	stdout, stderr, code := run(t, "", "call", "-trace", host, port, "pi", "93")
	assert.Equal(t, 0, code)
	assert.Equal(t, "pi_r 3.1382045831970156\n", stdout)
	assert.Equal(t, `sent 27 bytes
00000000  17 00 00 00 7b 22 69 6e  22 3a 22 70 69 22 2c 22  |....{"in":"pi","|
00000010  70 61 72 61 6d 73 22 3a  39 33 7d                 |params":93}|
received 46 bytes
00000000  2a 00 00 00 7b 22 6f 75  74 22 3a 22 70 69 5f 72  |*...{"out":"pi_r|
00000010  22 2c 22 72 65 73 75 6c  74 22 3a 33 2e 31 33 38  |","result":3.138|
00000020  32 30 34 35 38 33 31 39  37 30 31 35 36 7d        |2045831970156}|
`, stderr)
}

// fakeServer answers the first request on one connection with reply, in the
// pieces that write makes of it, and then closes. It returns where it listens
// and where the request's bytes can be had from.
func fakeServer(t *testing.T, reply string, piece int) (host, port string, request <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	got := make(chan string, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))

		var stream []byte
		buf := make([]byte, 4096)
		for decoder := NewDecoder(MaxRequest); ; {
			n, err := conn.Read(buf)
			stream = append(stream, buf[:n]...)
			decoder.Feed(buf[:n])
			if _, ok := decoder.Next(); ok {
				got <- string(stream)
				for _, part := range pieces([]byte(reply), piece) {
					_, _ = conn.Write(part)
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-served
	})
	host, port, err = net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return host, port, got
}

func TestCallReadsWhateverAServerSends(t *testing.T) {
	long := `"` + strings.Repeat("a", MaxReply-len(`{"out":"pong","result":""}`)) + `"`
	for _, c := range []struct {
		name, reply    string
		piece          int
		stdout, stderr string
	}{
		{"byte by byte", frames(`{"result": 1, "out":"pong"}`), 1, "pong 1\n", ""},
		{"the longest reply", frames(`{"out":"pong","result":` + long + `}`), 100_000, "pong " + long + "\n", ""},
		{"two replies", frames(`{"out":"a","result":1}`, `{"out":"b","result":2}`), 1000, "a 1\n", ""},
		{"no reply", "", 1, "", "no reply: EOF\n"},
		{"half a reply", frames(`{"out":"pong","result":1}`)[:10], 10, "", "no reply: EOF\n"},
		{"too long", "\x00\x00\x00\x80", 4, "", "frame of 2147483648 bytes is over the limit of 1052672\n"},
		{"not JSON", frames("HTTP/1.1 400 Bad Request"), 99, "",
			"bad reply: not JSON: invalid character 'H' looking for beginning of value\n"},
		{"a request", frames(`{"in":"ping","params":1}`), 99, "", "bad reply: \"out\" or \"result\" is missing\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host, port, request := fakeServer(t, c.reply, c.piece)
			stdout, stderr, code := run(t, "", "call", host, port, "ping", `{"a": 1}`)
			assert.True(t, c.stdout == stdout, "got %.100q", stdout)
			if c.stderr == "" {
				assert.Empty(t, stderr)
				assert.Equal(t, 0, code)
			} else {
				assert.Equal(t, "step1-framing: "+c.stderr, stderr)
				assert.Equal(t, 1, code)
			}
			assert.Equal(t, frames(`{"in":"ping","params":{"a": 1}}`), <-request)
		})
	}
}

func TestCallWithoutAServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	stdout, stderr, code := run(t, "", "call", host, port, "ping", "1")
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "connection refused")
}

func TestServePrintsWhereItListens(t *testing.T) {
	p := harness.Start(t, harness.Build(t, "."), nil, "serve", "127.0.0.1", "0")
	line := regexp.MustCompile(`\Alistening on (127\.0\.0\.1:[1-9][0-9]*)\n\z`)
	var found []string
	harness.Eventually(t, 20*time.Second, "a line \"listening on 127.0.0.1:PORT\"", func() (bool, string) {
		found = line.FindStringSubmatch(p.Stdout())
		return found != nil, fmt.Sprintf("%q", p.Stdout())
	})
	conn := harness.Dial(t, found[1])
	assert.Equal(t, "pong 1", conn.Call("ping", 1).String())
}

func TestServeLogsCallsWhenAsked(t *testing.T) {
	for flag, want := range map[string]string{
		"-v":       `INFO call pid=%d method=ping params="\"hello\""`,
		"-v=false": "",
	} {
		server, host, port := serveForTest(t, flag)
		_, _, code := run(t, "", "call", host, port, "ping", `"hello"`)
		require.Equal(t, 0, code)
		// A call is logged before it is answered: nothing to wait for.
		if want == "" {
			assert.NotContains(t, server.Stderr(), "call")
		} else {
			assert.Contains(t, server.Stderr(), fmt.Sprintf(want, server.PID))
		}
	}
}

func TestServeOnATakenPort(t *testing.T) {
	_, host, port := serveForTest(t)
	stdout, stderr, code := run(t, "", "serve", host, port)
	assert.Equal(t, 1, code)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "step1-framing: listen tcp "+host+":"+port)
	assert.Contains(t, stderr, "address already in use")
}

func TestUsageErrorsSayWhatIsWrong(t *testing.T) {
	const see, usage = "see step1-framing ", "usage: step1-framing "
	for _, c := range []struct {
		args string
		want []string
	}{
		{"", []string{usage, "serve", "call", "encode", "decode"}},
		{"dance", []string{usage, "serve", "call", "encode", "decode"}},
		{"serve", []string{"need 2 arguments (HOST PORT), got 0", see + "serve -h"}},
		{"serve 127.0.0.1", []string{"need 2 arguments (HOST PORT), got 1"}},
		{"serve 127.0.0.1 0 0", []string{"need 2 arguments (HOST PORT), got 3"}},
		{"serve 127.0.0.1 0 -v", []string{"flag -v must come before HOST"}},
		{"serve 127.0.0.1 -v 0", []string{"flag -v must come before HOST"}},
		{"serve 127.0.0.1 0 --v=secret", []string{"flag -v must come before HOST"}},
		{"serve 127.0.0.1 http", []string{`PORT must be a number from 0 to 65535, not "http"`}},
		{"serve 127.0.0.1 65536", []string{"PORT", `"65536"`}},
		{"serve 127.0.0.1 -1", []string{"PORT", `"-1"`}},
		{"serve [::1] 0", []string{"HOST", `"[::1]"`}},
		{"serve -x 127.0.0.1 0", []string{"-x", usage + "serve", "  -v"}},
		{"call 127.0.0.1 1 ping", []string{"need 4 arguments (HOST PORT METHOD PARAMS), got 3", see + "call -h"}},
		{"call 127.0.0.1 1 ping 1 -trace", []string{"flag -trace must come before HOST"}},
		{"call 127.0.0.1 1 ping hello", []string{"PARAMS must be JSON, not hello", `'"hello"'`}},
		{"encode {}", []string{"need 0 arguments (), got 1", see + "encode -h"}},
		{"decode file", []string{"need 0 arguments (), got 1", see + "decode -h"}},
	} {
		stdout, stderr, code := run(t, "", strings.Fields(c.args)...)
		assert.Equal(t, 2, code, c.args)
		assert.Empty(t, stdout, c.args)
		for _, part := range c.want {
			assert.Contains(t, stderr, part, c.args)
		}
	}
}

func TestHelp(t *testing.T) {
	for command, part := range map[string]string{
		"serve": "-v", "call": "-trace", "encode": "encode", "decode": "decode",
	} {
		_, stderr, code := run(t, "", command, "-h")
		assert.Equal(t, 0, code, command)
		assert.Contains(t, stderr, "usage: step1-framing "+command)
		assert.Contains(t, stderr, part)
	}
}

// Who reads the log may go away: no reason to end.
func TestServeWhoseLogReaderIsGone(t *testing.T) {
	reader, log, err := os.Pipe()
	require.NoError(t, err)
	s := harness.StartServer(t, harness.Build(t, "."), func(host, port string) []string {
		return []string{"serve", "-v", host, port}
	}, harness.Options{Output: log})
	log.Close()
	reader.Close()
	for range 3 {
		assert.Equal(t, "pong 1", s.Call(t, "ping", 1).String())
	}
}
