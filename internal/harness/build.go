// Building the programs under test, once per test process.

package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"example.com/rpcworkbook/internal/proc"
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
	bin, err := buildOnce(pkgDir)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// buildOnce is Build without a test. The error is what the compiler said.
func buildOnce(pkgDir string) (bin string, err error) {
	if pkgDir == "." && targets.built != "" {
		return targets.built, nil
	}

	builds.Lock()
	defer builds.Unlock()
	dir, err := filepath.Abs(pkgDir)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkgDir, err)
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
		return "", fmt.Errorf("build %s: %w", pkgDir, b.err)
	}
	return b.bin, nil
}

func goBuild(dir string) (bin string, err error) {
	temp, err := proc.TempDir()
	if err != nil {
		return "", err
	}

	bin = filepath.Join(temp, fmt.Sprintf("bin%d", len(builds.done)), filepath.Base(dir))
	args := []string{"build", "-C", dir, "-buildvcs=false", "-o", bin}
	if RaceEnabled {
		args = append(args, "-race")
	}

	if output, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, output)
	}
	return bin, nil
}
