// Tests of events as text and as a picture: what is in them, and how much at
// most.

package runpicture

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func process(group, pid int) Lane { return Lane{Place: AtProcess, Number: pid, Group: group} }

func conn(number int) Lane { return Lane{Place: AtConn, Number: number} }

// story is a small run: a worker is killed, stays a zombie, and a call fails.
func story() []Event {
	master, worker := process(10, 10), process(10, 11)
	frame := []byte("\x18\x00\x00\x00{\"in\":\"ping\",\"params\":1}")
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	return []Event{
		{At: at(1), Text: "started <it>"},
		{At: at(2), Kind: Born, To: []Lane{master, worker}, Text: "pids 10 11 began"},
		{At: at(3), Kind: Dialed, Text: "dialed"},
		{At: at(4), Kind: Opened, Lane: conn(1), Text: "connected"},
		{At: at(5), Kind: Frame, Lane: conn(1), To: []Lane{master}, Text: "sent 28 bytes", Data: frame},
		{At: at(6), Kind: Reply, Lane: master, To: []Lane{conn(1)}, Text: "received pong 1", Data: frame},
		{At: at(7), Kind: Held, Lane: conn(1), To: []Lane{worker}},
		{At: at(8), Kind: Signal, To: []Lane{worker}, Text: "SIGKILL to pid 11"},
		{At: at(9), Kind: Zombie, To: []Lane{worker}, Text: "pid 11 ended"},
		{At: at(3009), Kind: Parted, Text: "expected no zombie; got 1"},
	}
}

func TestText(t *testing.T) {
	assert.Equal(t, `   0.001s  started <it>
   0.002s    pids 10 11 began
   0.003s  dialed
   0.004s    connection 1: connected
   0.005s  connection 1: sent 28 bytes
   0.006s    connection 1: received pong 1
   0.007s    connection 1 is served by pid 11
   0.008s  SIGKILL to pid 11
   0.009s    pid 11 ended
   3.009s    here it failed: expected no zombie; got 1`, Text(story()))
}

// elements counts the page's elements by their first class, and fails if it
// isn't well-formed.
func elements(t *testing.T, page []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	decoder := xml.NewDecoder(strings.NewReader(string(page)))
	decoder.Strict = false
	decoder.AutoClose = xml.HTMLAutoClose

	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		require.NoError(t, err)
		start, _ := token.(xml.StartElement)
		for _, attr := range start.Attr {
			if attr.Name.Local == "class" {
				count[strings.Fields(attr.Value + " -")[0]]++
			}
		}
	}
}

func TestPage(t *testing.T) {
	run := Run{Title: "4.2 a & b", Failed: true, Report: "expected  no zombie", Events: story()}
	page, err := run.Page()
	require.NoError(t, err)

	text := string(page)
	for _, want := range []string{
		"<title>4.2 a &amp; b</title>", "started &lt;it&gt;", "SIGKILL to pid 11", "3.0 s later", `id="parted"`,
		`connection 1: {&#34;in&#34;:&#34;ping&#34;,&#34;params&#34;:1}`, // beside the lanes
		"00000000  18 00 00 00 7b 22 69 6e",                              // when pointed at
		`tabindex="0"`, "prefers-color-scheme: dark",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "<script")

	count := elements(t, page)
	assert.Equal(t, 9, count["row"], "an event each, without what was tried")
	assert.Equal(t, 1, count["undead"])
	assert.Equal(t, 2+1, count["signal"]+count["zombie"]-1, "one each, and one each in the legend")
}

// On a connection frames go to and come from the process that serves it, as
// soon as that is known, and before.
func TestFramesGoToWhoServes(t *testing.T) {
	events := condense(story())
	l := layOut(events, pageRoom)
	rows, height := rowsOf(events)
	drawn := draw(l, rows, height)
	from, to := l.x(conn(1)), l.x(process(10, 11))
	assert.Contains(t, drawn, fmt.Sprintf(`<path class="frame" d="M%d %dH%dm`, from, rows[3].y, to))
	assert.Contains(t, drawn, fmt.Sprintf(`<path class="reply" d="M%d %dH%dm`, to, rows[4].y, from))
}

func TestConnectionsThatComeTogetherAreOneRow(t *testing.T) {
	var events []Event
	for i := range 300 {
		events = append(events, Event{Kind: Dialed}, Event{Kind: Opened, Lane: conn(i + 1), Text: "connected"})
	}
	rows := condense(events)
	require.Len(t, rows, 1)
	assert.Equal(t, "300 connections made: 1 to 300", rows[0].line())
	assert.Len(t, layOut(rows, pageRoom).columns, 1+maxColumns[AtConn])
}

// A worker that comes when another has gone has its column.
func TestColumnsAreUsedAgain(t *testing.T) {
	var events []Event
	for pid := 11; pid < 100; pid++ {
		worker := []Lane{process(10, pid)}
		events = append(events, Event{Kind: Born, To: worker}, Event{Kind: Gone, To: worker})
	}
	assert.Len(t, layOut(events, pageRoom).columns, 2)
}

// However much happens, the picture has its beginning, its end and what happens
// rarely, and some hundred kilobytes.
func TestPictureIsBounded(t *testing.T) {
	var log Log
	body := fmt.Sprintf(`{"in":"ping","params":"%s"}`, strings.Repeat("<", MaxData))
	data := []byte("\xff\xff\x00\x00" + body)[:MaxData]
	for i := range 100_000 {
		lane := conn(i + 1)
		at := time.Duration(i) * 100 * time.Microsecond
		log.Add(Event{At: at, Kind: Frame, Lane: lane, Text: "sent " + strings.Repeat("<", 150), Data: data})
		if i == 50_000 {
			log.Add(Event{At: at, Kind: Signal, To: []Lane{process(1, 2)}, Text: "SIGKILL to pid 2"})
		}
	}

	events := log.Events()
	page, err := Run{Title: "many", Events: events}.Page()
	require.NoError(t, err)
	assert.Less(t, len(page), 600<<10)
	assert.Contains(t, string(page), "SIGKILL to pid 2")
	assert.Contains(t, string(page), "99800 frames and lines are left out")
	assert.Less(t, len(Text(events)), 60<<10)
}
