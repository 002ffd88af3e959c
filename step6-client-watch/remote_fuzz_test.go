// Fuzzing of the client's reply reader: a server may send anything, in any
// pieces, and every call still gets exactly one outcome.

package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzReplies: the calls that were sent get the replies that the stream of
// bytes holds, in their order, up to the first one that can't be. From there on
// they are lost, and so are those that were not sent yet. The seed of a random
// number generator cuts the stream into pieces; 0 leaves it whole.
func FuzzReplies(f *testing.F) {
	frame := func(body string) string { return string(AppendFrame(nil, []byte(body))) }
	one, two, bad := string(pong("1")), string(pong("2")), frame(`{"out":"error","result":"no luck"}`)
	for _, stream := range []string{
		"", one, one + two, one + bad + two, one + two + one + two, // as many as there are calls, fewer, and more
		one + two[:2], one + two[:9], one[:1], // cut short
		frame(""), one + frame("pong"), frame(`{"out":"pong"}`), frame(`{"out":1,"result":1}`), frame("null") + one,
		frame(`{"in":"ping","params":1}`),
		frame(`{"out":"x","result":null}`) + frame(` {"result":[ 1 ],"out":"y","more":0} `),
		frame("{\"out\":\"pong\",\"result\":\"\xff\"}"),
		"\x00\x00\x00\x1a" + one, one + "\x01\x10\x10\x00", one + "\xff\xff\xff\xff" + two,
		"HTTP/1.1 400 Bad Request\r\n\r\n",
		frame(`{"out":"pong","result":"`+strings.Repeat("x", 40_000)+`"}`) + one, // more than the reader's buffer
	} {
		for _, sent := range []uint8{0, 1, 3} {
			f.Add([]byte(stream), sent, sent/2, uint64(0))
			f.Add([]byte(stream), sent, sent/2, uint64(len(stream)))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte, sent, unsent uint8, seed uint64) {
		sent, unsent = sent%8, unsent%4
		r := &remote{}
		p := unstarted(t, r)
		r.pipe = p
		client, server := net.Pipe()
		p.conn = client
		outcomes := make([]chan outcome, sent+unsent)
		for i := range outcomes {
			outcomes[i] = make(chan outcome, 2) // room for one too many
			a := &attempt{remote: r, pipe: p, outcomes: outcomes[i]}
			if i < int(sent) {
				p.sent = append(p.sent, a)
			} else {
				p.queue = append(p.queue, a)
			}
		}
		p.waiting = len(outcomes)
		r.outstanding.Store(int32(len(outcomes)))
		ended := make(chan bool)
		go func() {
			defer close(ended)
			p.read(client)
		}()

		random := rand.New(rand.NewPCG(seed, 0))
		_ = server.SetDeadline(time.Now().Add(10 * time.Second))
		for unread := stream; len(unread) > 0; {
			n := 1 + random.IntN(min(len(unread), 1+random.IntN(len(stream))))
			if seed == 0 {
				n = len(unread)
			}
			if _, err := server.Write(unread[:n]); err != nil {
				require.ErrorContains(t, err, "closed pipe", "the client has had enough")
				break
			}
			unread = unread[n:]
		}

		server.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the reader hangs")
		}

		replies := rightReplies(string(stream), int(sent))
		lost := 0
		for i, done := range outcomes {
			require.Len(t, done, 1, "outcomes of call %d", i)
			o := <-done
			require.Equal(t, i < int(sent), o.written, "whether call %d was written", i)
			if i < len(replies) {
				require.NoError(t, o.err)
				require.Equal(t, replies[i], o.reply, "call %d", i)
			} else {
				lost++
				require.Error(t, o.err, "call %d", i)
				require.Zero(t, o.reply)
			}
		}

		require.Equal(t, lost > 0, r.avoidUntil.Load() > 0, "it is set aside if it has failed someone")
		require.Zero(t, r.outstanding.Load(), "calls not answered")
		require.Nil(t, r.pipe, "the next call gets a new connection")
		require.ErrorIs(t, p.ctx.Err(), context.Canceled, "the writer ends")
		_, err := client.Write([]byte("x"))
		require.Error(t, err, "the connection is closed")

		late := make(chan outcome, 2)
		p.send(&attempt{remote: r, pipe: p, frame: ping("late"), outcomes: late})
		require.Len(t, late, 1, "outcomes of a call that comes late")
		require.False(t, (<-late).written)
	})
}

// rightReplies returns the first replies in a stream of bytes, up to n and to
// the first that can't be one.
func rightReplies(stream string, n int) (replies []Reply) {
	for len(replies) < n && len(stream) >= 4 {
		length := int(binary.LittleEndian.Uint32([]byte(stream)))
		if length > MaxReply || len(stream) < 4+length {
			break
		}
		reply, err := ParseReply([]byte(stream[4 : 4+length]))
		if err != nil {
			break
		}
		replies, stream = append(replies, reply), stream[4+length:]
	}
	return replies
}
