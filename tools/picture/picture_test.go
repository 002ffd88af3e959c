// Tests of the recording and of the pictures that are in the repository.

package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/runpicture"
	"example.com/rpcworkbook/tools/broken"
	"example.com/rpcworkbook/tools/shade"
)

const transcript = `Two servers register.

1. The servers join
  0.3s  A starts at 127.0.0.1:31299
  1.5s  A ##########             98   B #                      9   failed 0

  time  what happened
  0.3s  A starts <here> & there
  failed       0
`

func TestReadTranscript(t *testing.T) {
	r, err := ReadTranscript(strings.NewReader(transcript), "make demo")
	require.NoError(t, err)
	var at []time.Duration
	for _, line := range r.Lines {
		at = append(at, line.At)
	}
	const a, b = 300 * time.Millisecond, 1500 * time.Millisecond
	assert.Equal(t, []time.Duration{0, 0, 0, a, b, b, b, b, b}, at)
	assert.Equal(t, "1. The servers join", r.Lines[2].Text)

	_, err = ReadTranscript(strings.NewReader("make: *** no rule\n"), "make demo")
	assert.ErrorContains(t, err, "no line begins with a time")
}

// elements returns the attributes of what is drawn, by its text. It fails if it
// isn't XML.
func elements(t *testing.T, svg []byte) (texts map[string]map[string]string) {
	t.Helper()
	texts = map[string]map[string]string{}
	var attrs map[string]string

	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		require.NoError(t, err)

		switch token := token.(type) {
		case xml.StartElement:
			attrs = map[string]string{}
			for _, attr := range token.Attr {
				attrs[attr.Name.Local] = attr.Value
			}
		case xml.CharData:
			texts[string(token)] = attrs
		}
	}
}

func TestRecordingIsATerminal(t *testing.T) {
	r, err := ReadTranscript(strings.NewReader(transcript), "make demo")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, r.WriteSVG(&out))
	texts := elements(t, out.Bytes())
	assert.Contains(t, out.String(), ` viewBox="0 0 656 482" width="656" height="482" `)
	assert.Equal(t, "heading", texts["1. The servers join"]["class"])
	assert.Equal(t, "clock", texts["1.5s"]["class"])
	assert.Equal(t, "prompt", texts["$ make demo"]["class"])
	assert.Equal(t, "62.4", texts["A starts <here> & there"]["x"], "column 8")
	assert.Equal(t, "179.4", texts["A starts <here> & there"]["textLength"], "23 characters")
	assert.Equal(t, 2, strings.Count(out.String(), `height="12"`), "two bars")
	assert.Contains(t, out.String(), `width="78.0" height="12" fill="#3f8ae0"`)
	assert.Contains(t, out.String(), `width="7.8" height="12" fill="#c06fd6"`)

	// The lines move up when they come, and what nobody moves shows the last.
	assert.Contains(t, out.String(), "animation: roll 10.5s step-end infinite")
	assert.Equal(t, `0.000% { transform: translateY(360px) }
2.857% { transform: translateY(342px) }
14.286% { transform: translateY(252px) }
}
`, regexp.MustCompile(`(?s)0\.000%.*?\n}\n`).FindString(out.String()))
	assert.Contains(t, out.String(), `<g class="roll" transform="translate(0 252)">`)
}

func directory(t *testing.T) string {
	t.Helper()
	root, err := carry.FindRoot()
	require.NoError(t, err)
	return filepath.Join(root, "pictures")
}

// What the README shows is what the demo printed, and what the service
// computes.
func TestPicturesAreUpToDate(t *testing.T) {
	pictures, err := Draw(directory(t))
	require.NoError(t, err)
	require.Len(t, pictures, 3)
	for name, svg := range pictures {
		there, err := os.ReadFile(filepath.Join(directory(t), name))
		require.NoError(t, err)
		elements(t, svg)
		assert.True(t, bytes.Equal(there, svg), "%s is not what `make pictures` draws", name)
	}
}

// Those are drawn by hand.
func TestSystemIsXML(t *testing.T) {
	svg, err := os.ReadFile(filepath.Join(directory(t), "system.svg"))
	require.NoError(t, err)
	texts := elements(t, svg)
	assert.Contains(t, texts, "ZooKeeper")
}

// The recording is of a run in which all went well, and fits into its window.
func TestRecordedRun(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(directory(t), Transcript))
	require.NoError(t, err)
	for _, want := range []string{
		`(?m)^  calls        [1-9]\d{2,}; `, `(?m)^  failed       0$`, `(?m)^  left behind  no process$`,
	} {
		assert.Regexp(t, want, string(text))
	}
	for line := range strings.Lines(string(text)) {
		assert.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), columns, line)
		wide := strings.ContainsFunc(line, func(r rune) bool { return r > '~' })
		assert.False(t, wide, "a character that may be wider: %s", line)
	}
}

// The timeline says what the demo's summary says.
func TestTimeline(t *testing.T) {
	file, err := os.Open(filepath.Join(directory(t), Transcript))
	require.NoError(t, err)
	defer file.Close()
	r, err := ReadTranscript(file, "make demo")
	require.NoError(t, err)
	line, err := r.Timeline()
	require.NoError(t, err)
	assert.Len(t, line.moments, 6)
	assert.Zero(t, line.failed)

	// Those of the last moments are in no sample.
	sum := 0
	for _, s := range line.samples {
		assert.Less(t, s.from, s.to)
		sum += s.calls[0] + s.calls[1]
	}
	assert.InDelta(t, line.calls, sum, 0.05*float64(line.calls))

	var out bytes.Buffer
	require.NoError(t, line.WriteSVG(&out))
	texts := elements(t, out.Bytes())
	for _, want := range []string{"server A", "server B", "stop: SIGTERM", "the master: SIGKILL", "a worker: SIGKILL"} {
		assert.Contains(t, texts, want)
	}

	_, err = Recording{Lines: r.Lines[:20]}.Timeline()
	assert.ErrorContains(t, err, "not of a whole run")
}

// A chapter's picture shows what its text speaks of, and how it ended.
func TestShots(t *testing.T) {
	at := func(kind runpicture.Kind, text string) runpicture.Event {
		return runpicture.Event{Kind: kind, Text: text}
	}
	run := runpicture.Run{Title: "1.1 a", Events: []runpicture.Event{
		at(runpicture.Act, "before"), at(runpicture.Act, "begin here"), at(runpicture.Said, "noise"),
		at(runpicture.Seen, "two"), at(runpicture.Seen, "three"), at(runpicture.Seen, "four"),
		at(runpicture.Parted, "end"),
	}}
	shot := Shot{From: "begin", Rows: 2, Keep: only(runpicture.Act, runpicture.Seen)}
	svg := shot.Draw(run)
	texts := elements(t, svg)
	for _, want := range []string{"begin here", "two", "… (and so on: 2 more events)", "here it failed: end"} {
		assert.Contains(t, texts, want)
	}
	for _, not := range []string{"before", "noise", "three"} {
		assert.NotContains(t, texts, not)
	}
	_, err := shade.Dark(svg)
	require.NoError(t, err)

	for _, shot := range Shots {
		known := slices.ContainsFunc(broken.Programs(), func(p broken.Program) bool { return p.Name == shot.Program })
		assert.True(t, known, shot.Program)
	}
}

// The slope of the error is −1 until the terms are too small to be added.
func TestPiConverges(t *testing.T) {
	points := convergence().Series[1].Points
	require.Len(t, points, 9)
	for i, at := range points[1:7] {
		assert.InDelta(t, -1, math.Log10(points[i+2].Y)-math.Log10(at.Y), 0.04, "from n = %.0f", at.X)
	}
}
