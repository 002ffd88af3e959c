// What a program and ZooKeeper say to each other through a gate, for the trace:
// which requests, which answers, which events of watches, and which session.

package zktest

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/runpicture"
	"example.com/rpcworkbook/internal/zkgate"
)

// The requests of ZooKeeper's protocol that are named, by number.
var requests = map[int32]string{
	1: "create", 2: "delete", 3: "exists", 4: "get", 5: "set", 8: "list", 9: "sync", 12: "list", 14: "several at once",
	15: "create", 101: "set the watches again", 105: "set the watches again", -11: "close the session",
}

// The events that watches tell of, and the errors that answers have.
var (
	events = map[int32]string{1: "made", 2: "deleted", 3: "changed", 4: "has other children"}
	errs   = map[int32]string{
		-101: "no such znode", -110: "it is there already", -111: "it has children", -112: "the session has expired",
	}
)

// What a transaction's number says of events and pings.
const xidEvent, xidPing = -1, -2

// A talk is one connection through a gate.
type talk struct {
	note func(way int, text string) // is told what was said

	mutex  sync.Mutex
	asked  map[int32]string // requests without an answer, by transaction
	begun  [2]bool          // whether the first message of a direction has been
	unread [2][]byte        // the beginning of a message
}

// The directions of a talk.
const fromProgram, fromZooKeeper = 0, 1

// listen returns who listens to both directions of a new connection.
func (g *Gate) listen() (toServer, toClient io.Writer) {
	t := &talk{note: g.note, asked: map[int32]string{}}
	return ear{t, fromProgram}, io.MultiWriter(g.Ear(), ear{t, fromZooKeeper})
}

// An ear hears one direction.
type ear struct {
	talk *talk
	way  int
}

// Write takes what was said, in pieces of any length.
func (e ear) Write(chunk []byte) (int, error) {
	const longest = 1 << 20 // and a four-letter command looks endless
	t := e.talk
	t.mutex.Lock()
	defer t.mutex.Unlock()
	unread := append(t.unread[e.way], chunk...)

	for len(unread) >= 4 {
		length := binary.BigEndian.Uint32(unread)
		if length > longest {
			unread = nil
			break
		}
		if uint32(len(unread)-4) < length {
			break
		}
		t.message(e.way, unread[4:4+length])
		unread = unread[4+length:]
	}

	t.unread[e.way] = append([]byte(nil), unread...)
	return len(chunk), nil
}

// message notes a message. The mutex is held.
func (t *talk) message(way int, body []byte) {
	first := !t.begun[way]
	t.begun[way] = true

	switch {
	case first && way == fromZooKeeper:
		if id, ok := zkgate.Opened(body); ok {
			t.note(way, fmt.Sprintf("session %#x", id))
		} else {
			t.note(way, "that session has expired")
		}
	case first && len(body) >= 24:
		if id := binary.BigEndian.Uint64(body[16:]); id != 0 {
			t.note(way, fmt.Sprintf("go on with session %#x", id))
		} else {
			t.note(way, "a session")
		}
	case first || len(body) < 8:
	case way == fromProgram:
		t.request(body)
	case len(body) >= 16:
		t.answer(body)
	}
}

// request notes a request: a transaction's number, what is asked, and its path.
func (t *talk) request(body []byte) {
	xid, kind := number(body), number(body[4:])
	name := requests[kind]
	if name == "" {
		return // a ping, say
	}

	text := strings.TrimSpace(name + " " + path(body[8:]))
	t.asked[xid] = text
	t.note(fromProgram, text)
}

// answer notes an answer, or the event of a watch: a transaction's number, that
// of ZooKeeper's last one, an error, and what was asked for.
func (t *talk) answer(body []byte) {
	xid, err := number(body), number(body[12:])
	asked, known := t.asked[xid]
	delete(t.asked, xid)

	switch {
	case xid == xidEvent && len(body) >= 24:
		t.note(fromZooKeeper, fmt.Sprintf("watch: %s %s", path(body[24:]), events[number(body[16:])]))
	case xid == xidPing || !known:
	case err != 0 && errs[err] != "":
		t.note(fromZooKeeper, fmt.Sprintf("%s: %s", asked, errs[err]))
	case err != 0:
		t.note(fromZooKeeper, fmt.Sprintf("%s: error %d", asked, err))
	case strings.HasPrefix(asked, "create"):
		t.note(fromZooKeeper, fmt.Sprintf("%s: made %s", asked, path(body[16:])))
	default:
		t.note(fromZooKeeper, asked+": done")
	}
}

// note notes what was said, where it has reached the gate.
func (g *Gate) note(way int, text string) {
	program, known := harness.UserOf(g.t, g.Addr())
	harness.Note(g.t, func() runpicture.Event {
		to := []runpicture.Lane{g.lane}
		switch {
		case way == fromZooKeeper:
			text = "ZooKeeper: " + text
			return runpicture.Event{Kind: runpicture.Reply, Lane: harness.ZooKeeper, To: to, Text: text}
		case known:
			return runpicture.Event{Kind: runpicture.Frame, Lane: program, To: to, Text: "ZooKeeper is asked: " + text}
		}
		return runpicture.Event{Kind: runpicture.Frame, Lane: g.lane, To: []runpicture.Lane{harness.ZooKeeper},
			Text: "ZooKeeper is asked: " + text}
	})
}

func number(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

// path reads a text with its length in front; "" if there is none.
func path(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	length := number(b)
	if length < 0 || int(length) > len(b)-4 {
		return ""
	}
	return strings.ToValidUTF8(string(b[4:4+length]), "·")
}
