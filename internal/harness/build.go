// Building the programs under test, once per test process.

package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var builds struct {
	sync.Mutex
	done map[string]build // by directory
}

type build struct {
	bin string
	err error
}

// Build builds the program in pkgDir, a directory relative to the test's
// package, and returns the path of the executable. The second call for a
// directory returns what the first one built. The program is built with the
// race detector when the test is. It fails the test if the program doesn't
// compile.
func Build(t testing.TB, pkgDir string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	dir, err := filepath.Abs(pkgDir)
	if err != nil {
		t.Fatalf("build %s: %v", pkgDir, err)
	}
	b, ok := builds.done[dir]
	if !ok {
		b.bin, b.err = goBuild(dir)
		if builds.done == nil {
			builds.done = map[string]build{}
		}
		builds.done[dir] = b
	}
	if b.err != nil {
		t.Fatalf("build %s: %v", pkgDir, b.err)
	}
	return b.bin
}

func goBuild(dir string) (bin string, err error) {
	temp, err := theWatchdog.directory()
	if err != nil {
		return "", err
	}
	bin = filepath.Join(temp, fmt.Sprintf("bin%d", len(builds.done)), filepath.Base(dir))
	args := []string{"build", "-C", dir, "-buildvcs=false", "-o", bin}
	if raceEnabled {
		args = append(args, "-race")
	}
	if output, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return bin, nil
}
