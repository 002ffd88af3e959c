// The test's rig: make play's program, and a browser that shows its page.

package browser

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"example.com/rpcworkbook/internal/carry"
	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/proc"
)

var shots = flag.String("shots", "", "write screenshots, to look at, into this `DIR`")

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long something on the page may take, on a busy machine.
const patience = 30 * time.Second

// built is the directory of make play's programs.
var built = sync.OnceValues(func() (dir string, err error) {
	root, err := carry.FindRoot()
	if err != nil {
		return "", err
	}
	root = filepath.Clean(strings.TrimSuffix(root, "/tools"))
	temp, err := proc.TempDir()
	if err != nil {
		return "", err
	}

	dir = filepath.Join(temp, "play") + "/"
	output, err := exec.Command("go", "build", "-C", root, "-buildvcs=false", "-o", dir,
		"./final/cmd/server", "./internal/play/cmd/play", "./internal/play/cmd/caller").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return dir, nil
})

// startPlay runs make play's program until the end of the test, and returns the
// page's address.
func startPlay(t *testing.T, args ...string) (address string) {
	t.Helper()
	dir, err := built()
	require.NoError(t, err)
	cmd := exec.Command(filepath.Join(dir, "play"), args...)
	cmd.Stderr = os.Stderr
	group, output, err := proc.StartReading(cmd)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, group.Stop(20*time.Second))
		output.Close()
	})

	lines := bufio.NewScanner(output)
	for lines.Scan() {
		address = regexp.MustCompile(`http://\S+`).FindString(lines.Text())
		if address != "" {
			return address
		}
	}
	require.Fail(t, "no address was printed")
	return ""
}

// A tab is a page that is shown.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	troubles []string // what the console said that it shouldn't
}

// open opens the page in a browser of its own, which ends with the test.
func open(t *testing.T, address, theme string) *tab {
	t.Helper()
	options := []chromedp.ExecAllocatorOption{
		chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1600, 1400),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WSURLReadTimeout(patience),
	}
	allocator, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, endTab := chromedp.NewContext(allocator)
	t.Cleanup(endTab)

	p := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, p.hear))
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	require.NoError(t, err)
	p.do(chromedp.Navigate(address))
	return p
}

// hear notes what goes wrong on the page.
func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.troubles = append(p.troubles, fmt.Sprintf("%+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			p.troubles = append(p.troubles, fmt.Sprintf("%+v", e.Args))
		}
	case *log.EventEntryAdded:
		p.troubles = append(p.troubles, e.Entry.Text+" "+e.Entry.URL)
	}
}

// do does something in the browser.
func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	require.NoError(p.t, chromedp.Do(p.ctx, actions...))
}

// evaluate returns what an expression in JavaScript is.
func evaluate[T any](p *tab, expression string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	require.NoError(p.t, err, "%s", expression)
	return value
}

// await waits until an expression in JavaScript is true, and fails the test,
// saying what the page says, if it doesn't become so.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	harness.Eventually(p.t, patience, what, func() (bool, string) {
		if evaluate[bool](p, "Boolean("+expression+")") {
			return true, ""
		}
		return false, p.text("main")
	})
}

// text is what an element says.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return evaluate[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// press gives an element the focus, and presses a key.
func (p *tab) press(selector, key string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), key))
}

// quiet fails the test if the console has said something.
func (p *tab) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.troubles)
}

// shoot takes a picture of the whole page, to be looked at.
func (p *tab) shoot(name string) {
	p.t.Helper()
	if *shots == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(filepath.Join(*shots, name+".png"), picture, 0o644))
}
