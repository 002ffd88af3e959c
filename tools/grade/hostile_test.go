// Hostile submissions: whatever they do, they end in time, there is a report,
// and nobody else suffers.

package grade

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/chapter"
	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/runpicture"
)

// small are bounds within which even a bomb does no harm.
var small = bounds{Processes: 60, Files: 1024, Memory: 1 << 30, Disk: 64 << 20}

// serve is the rest of a script that turns it into the server, which is right.
const serve = `; exec "$@"`

// right is what the server achieves: the command has no place for a grace
// period.
const right = "3 of 4; skipped: 1.4"

// nothing is what a program achieves that doesn't start.
const nothing = "0 of 4; failed: 1.1; skipped: 1.2 1.3 1.4"

// A hostile submission is a shell script, in which "$@" starts the server.
type hostile struct {
	script string
	want   string // how the summary begins
	report string // what the first milestone says that did not pass, the last one aside
	bomb   bool   // never to be run where it isn't locked up
}

var hostiles = map[string]hostile{
	"floods": {script: `yes & yes >&2 &` + serve[1:], want: right},
	"fills-the-disk": {script: `cat /dev/zero >fill; cat /dev/zero >/tmp/fill` + serve,
		want: right, bomb: true},
	"deletes-itself": {script: `cp server /tmp/s; rm -rf ./* ./.[a-z]*; shift; exec /tmp/s "$@"`,
		want: "1 of 4; failed: 1.2", bomb: true},
	"ignores-signals": {script: `shift; exec ./server -ignore "$@"`,
		want: "2 of 4; failed: 1.3", report: "still there"},
	"kills-its-parent": {script: `kill -KILL $PPID; kill -KILL -1` + serve,
		want: right, bomb: true},
	"is-on-another-port": {script: `exec ./server 127.0.0.1 4711`,
		want: nothing, report: "connection refused"},
	"sleeps":                  {script: `sleep 1000` + serve, want: nothing},
	"needs-what-is-not-there": {script: `exec no-such-interpreter "$@"`, want: nothing, report: "not found"},
	"forks":                   {script: `while :; do sh run "$@" & done`, want: nothing, bomb: true},
	"forks-daemons": {script: `while :; do setsid env -i PATH=$PATH sh run "$@" & done`,
		want: "0 of 4; failed: 1.1", bomb: true},
	"is-a-daemon": {script: `for i in 1 2 3 4 5; do setsid env -i sleep 1000 & done` + serve,
		want: right, bomb: true},
}

func (h hostile) put(t *testing.T, c *Class, who string) {
	t.Helper()
	c.server(t, who, "")
	c.put(t, who+"/run", h.script+"\n")
	c.put(t, who+"/command", "sh run ./server {host} {port}\n")
}

func TestHostileSubmissions(t *testing.T) {
	c := newClass(t)
	c.pen = newPen(small)
	if !c.pen.cells {
		t.Skip(strings.Join(c.pen.missing, "\n"))
	}
	c.Jobs, c.Limit = 3, time.Minute
	for who, h := range hostiles {
		h.put(t, c, who)
		if h.bomb {
			c.server(t, who+"-neighbour", "") // asked at the same time
		}
	}

	by := c.grade(t)
	for who, h := range hostiles {
		r := by[who]
		assert.Less(t, r.Took, c.Limit+10*time.Second, who)
		if h.bomb {
			assert.Equal(t, right, by[who+"-neighbour"].summary(), "beside one that %s", who)
		}
		if h.bomb && !c.pen.separated {
			continue // it may have killed the process that asks, or taken its disk or its processes
		}
		assert.True(t, strings.HasPrefix(r.summary(), h.want), "%s: %s\n%+v", who, r.summary(), r.Verdicts)
		if h.report != "" {
			i := slices.IndexFunc(r.Verdicts, func(v Verdict) bool { return v.Status == Failed })
			require.GreaterOrEqual(t, i, 0, who)
			assert.Contains(t, r.Verdicts[i].Report, h.report, who)
		}
	}
}

// Where a program can kill the process that asks it, another one goes on.
func TestReportsSurvive(t *testing.T) {
	for name, p := range map[string]*pen{
		"without a cell":        {bounds: small},
		"without a second user": {bounds: small, cells: true, ownUser: true},
	} {
		t.Run(name, func(t *testing.T) {
			if p.cells {
				if err := p.tryCell(); err != nil {
					t.Skip(err)
				}
			}

			c := newClass(t)
			c.pen = p
			hostile{script: `test "$2" != 127.0.0.1 || kill -KILL $PPID; exec "$@"`}.put(t, c, "kills")
			c.server(t, "right", "")
			by := c.grade(t)
			assert.Equal(t, right, by["right"].summary())
			assert.Equal(t, "0 of 4; failed: 1.1 1.2 1.3; skipped: 1.4", by["kills"].summary())
			assert.Regexp(t, "✗ 1.1 it answers\n  expected  .*\n"+
				"  got       the process that asks ended in the middle of it: signal: killed\n"+
				"  usually   the program has killed its parent", by["kills"].Verdicts[0].Report)
		})
	}
}

// A program that gets at the output of the process that asks can forge what the
// picture shows, but not the page; as another user it can't even do that.
func TestForgedPictures(t *testing.T) {
	if !proc.HasProc() {
		t.Skip("there is no /proc to get at that output")
	}
	const said = runpicture.OutputLine + `1.3 {"Title": "forged <script>", "Failed": true}`

	for name, p := range map[string]*pen{"without a cell": {bounds: small}, "as another user": newPen(small)} {
		t.Run(name, func(t *testing.T) {
			if p.cells && !p.separated {
				t.Skip(strings.Join(p.missing, "\n"))
			}

			c := newClass(t)
			c.pen = p
			c.put(t, "forges/said", said+"\n")
			hostile{script: `cat said >/proc/$PPID/fd/1; shift; exec ./server -ignore "$@"`}.put(t, c, "forges")
			by := c.grade(t)
			assert.Equal(t, "2 of 4; failed: 1.3; skipped: 1.4", by["forges"].summary())

			page := read(t, c.Out, "forges", "picture-1.3.html")
			assert.NotContains(t, page, "<script>")
			if p.cells {
				assert.Contains(t, page, "SIGTERM ends it</h1>")
			} else {
				assert.Contains(t, page, "forged &lt;script&gt;</h1>")
			}
		})
	}
}

// The limit ends what doesn't give up by itself.
func TestTheLimitEndsASubmission(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "specification.test")
	const script = "#!/bin/sh\n" +
		`printf '\026=== RUN   TestSpec1/1.1_a\n\026--- PASS: TestSpec1/1.1_a (0.00s)\n'; ` +
		`printf '\026=== RUN   TestSpec1/1.2_b\n'; yes noise`
	require.NoError(t, os.WriteFile(bin, []byte(script), 0o755))
	of := specification{1, []chapter.Milestone{{Number: "1.1"}, {Number: "1.2", Sentence: "b"}, {Number: "1.3"}}}
	a := &asking{
		pen: &pen{bounds: small}, test: &test{bin: bin, asked: []specification{of}}, copied: t.TempDir(),
		limit: time.Second, tell: func(string) {},
	}

	ctx, stop := context.WithTimeout(context.Background(), a.limit)
	defer stop()
	verdicts, problem, err := a.all(ctx)
	require.NoError(t, err)
	assert.Empty(t, problem)
	assert.Equal(t, []Verdict{
		{Number: "1.1", Status: Passed},
		{Number: "1.2", Sentence: "b", Status: Failed, Report: "✗ 1.2 b\n" +
			"  expected  this milestone to come to its end\n" +
			"  got       it was still under way when the 1s for a submission were over"},
		{Number: "1.3", Status: Unreached},
	}, verdicts)
}

// What is not a submission's is nobody's to see or to change.
func TestACellHasNothingElse(t *testing.T) {
	c := newClass(t)
	c.pen = newPen(small, "/usr/share/doc")
	if !c.pen.cells {
		t.Skip(strings.Join(c.pen.missing, "\n"))
	}

	other := t.TempDir()
	checks := []string{
		"! touch /specification/specification.test", "! touch /usr/x /etc/x /x", "test ! -e " + other,
		"test ! -e /root -a ! -e /home", "test -z \"$(ls /usr/share/doc)\"", "! mount -t tmpfs x /tmp 2>/dev/null",
		"touch /tmp/x ./x",
		"test $(ls -d /proc/[0-9]* | wc -l) -lt 20", "test -z \"$RPC_GRADE_ORDER\"",
		"test $(grep -c : /proc/net/dev) = 1", "! umount /submission 2>/dev/null",
		"test -w /dev/null -a -r /dev/urandom",
	}
	script := ""
	for _, check := range checks {
		said := strings.ReplaceAll(check, `"`, "'")
		script += "( " + check + " ) 2>/dev/null || { echo \"not so: " + said + "\"; exit 1; }\n"
	}
	hostile{script: strings.TrimSuffix(script, "\n") + "\n" + serve[2:]}.put(t, c, "curious")
	r := c.grade(t)["curious"]
	assert.Equal(t, right, r.summary(), "%+v", r.Verdicts[0])
}
