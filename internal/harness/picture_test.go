// Tests of what is recorded for the picture of a run, and when it is drawn.

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/runpicture"
)

// drawIn has pictures drawn in a directory of the workbook for one test.
func drawIn(t *testing.T) (dir string) {
	t.Helper()
	aim(t, "")
	root, err := carry.FindRoot()
	require.NoError(t, err)
	dir, err = os.MkdirTemp(root, "_pictures-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	targets.pictures = dir
	return dir
}

// recorded returns the events of a milestone's picture.
func recorded(t *testing.T, dir string) (run runpicture.Run) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "4.2.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &run))
	return run
}

func TestPictureOfAFailure(t *testing.T) {
	dir := drawIn(t)
	targets.again = "make try STEP=4 ONLY="
	log := mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.2_a_worker_is_replaced"}
		s := fake(t, "-children", "2")
		workers := s.WaitWorkers(t, 5*time.Second, 2)
		s.Call(t, "ping", 1)
		s.SignalEach(syscall.SIGKILL, workers[0])
		Eventually(t, 5*time.Second, "a zombie", func() (bool, string) { return len(s.Zombies()) == 1, "none" })
		Check(t, false, "another worker", "a zombie")
	})
	assert.Regexp(t, `\n  again     make try STEP=4 ONLY=4.2\n  picture   _pictures-\d+/4\.2\.html\n`, log)
	page, err := os.ReadFile(filepath.Join(dir, "4.2.html"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "4.2 a worker is replaced")

	run := recorded(t, dir)
	assert.True(t, run.Failed)
	text := runpicture.Text(run.Events)
	assert.Regexp(t, `(?s)started .* began.*connection \d+: sent \d+ bytes.*connection \d+: received pong 1.*`+
		`SIGKILL to pid \d+\n.*a zombie\n.*here it failed: expected another worker; got a zombie$`, text)
}

// What draws pictures elsewhere gets the run in the output, in lines of a
// bounded length.
func TestPictureInTheOutput(t *testing.T) {
	drawIn(t)
	targets.pictures = toOutput
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	require.NoError(t, err)
	defer output.Close()
	stdout := os.Stdout
	os.Stdout = output
	log := mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.2_a_worker_is_replaced"}
		Did(t, "%s", strings.Repeat("<much>", 5000))
		Check(t, false, "another worker", "none")
	})
	os.Stdout = stdout
	assert.NotContains(t, log, "picture")

	text, err := os.ReadFile(output.Name())
	require.NoError(t, err)
	var together string
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	assert.Greater(t, len(lines), 3)
	for _, line := range lines {
		part, ok := strings.CutPrefix(line, runpicture.OutputLine+"4.2 ")
		require.True(t, ok)
		assert.Less(t, len(line), 10_000)
		together += part
	}
	var run runpicture.Run
	require.NoError(t, json.Unmarshal([]byte(together), &run))
	assert.Equal(t, "4.2 a worker is replaced", run.Title)
	assert.Regexp(t, "(?s)<much>.*here it failed: expected another worker; got none$", runpicture.Text(run.Events))
}

// A milestone that passes is drawn only when somebody asks for all.
func TestPicturesOfAll(t *testing.T) {
	dir := drawIn(t)
	pass := func() {
		failed, _ := record(t, func(t testing.TB) {
			Did(as{t, "TestSpec4/4.2_all_is_well"}, "nothing")
		})
		require.False(t, failed)
	}
	pass()
	assert.NoFileExists(t, filepath.Join(dir, "4.2.html"))
	targets.allPictures = true
	pass()
	assert.False(t, recorded(t, dir).Failed)
}

// A milestone may fail in words of its own, without our verbs.
func TestPictureWithoutAReport(t *testing.T) {
	dir := drawIn(t)
	mustFail(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.2_curses"}
		Did(t, "nothing")
		t.Error("curse")
	})
	assert.True(t, recorded(t, dir).Failed)
}

// What a client prints of a server's answer goes from that to the client.
func TestAnswersOfAClient(t *testing.T) {
	dir := drawIn(t)
	targets.allPictures = true
	record(t, func(t testing.TB) {
		t = as{t, "TestSpec4/4.2_calls"}
		s := fake(t)
		client := shell(t, "echo "+s.Addr+" pong 1; echo done")
		client.Wait(5 * time.Second)
		Eventually(t, 5*time.Second, "both lines", func() (bool, string) { return client.stdout.String() != "", "" })
	})

	var kinds []runpicture.Kind
	for _, e := range recorded(t, dir).Events {
		if e.Kind == runpicture.Answer || e.Kind == runpicture.Said {
			kinds = append(kinds, e.Kind)
		}
	}
	assert.Contains(t, kinds, runpicture.Answer)
	assert.Contains(t, kinds, runpicture.Said)
}
