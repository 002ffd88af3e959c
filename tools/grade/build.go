// Building a Go program that was handed in. Nothing of it runs then: there is
// no cgo, and no other toolchain than ours.

package grade

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// maxComplaint is how much is kept of what the compiler says, in bytes.
const maxComplaint = 8 << 10

// built is where the executable is put, in the submission's copy.
const built = ".built"

// build builds the Go program in dir, a directory of the submission's copy, and
// returns the path of the executable. A program that is in no module gets the
// workbook's. The error is what its author is to read.
func (c *Class) build(ctx context.Context, copied, dir string) (bin string, err error) {
	err = c.giveModule(copied, dir)
	if err != nil {
		return "", err
	}
	abs, err := filepath.Abs(filepath.Join(copied, dir))
	if err != nil {
		return "", err
	}
	bin = filepath.Join(copied, built, filepath.Base(abs))

	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin, ".")
	cmd.Dir = abs
	cmd.Env = append(os.Environ(), "PWD="+abs, "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the compilers, too
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", errors.New("it was still being built when its time was over")
	}
	if err != nil {
		return "", errors.New("it doesn't compile:\n" + complaint(string(output)))
	}

	// A library compiles as well.
	info, err := os.Stat(bin)
	if err != nil || info.Mode()&0o111 == 0 {
		return "", errors.New("it is a library: a program is package main")
	}
	return bin, nil
}

// giveModule writes the workbook's go.mod and go.sum into the copy if there is
// no go.mod for the program in dir.
func (c *Class) giveModule(copied, dir string) error {
	for _, in := range []string{dir, "."} {
		_, err := os.Stat(filepath.Join(copied, in, "go.mod"))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}

	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(c.Root, name))
		if err != nil {
			return err
		}
		err = os.WriteFile(filepath.Join(copied, name), text, 0o644)
		if err != nil {
			return err
		}
	}
	return nil
}

// complaint returns what the compiler has to say, without the package's name,
// and not too much of it.
func complaint(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "# ") {
			lines = append(lines, line)
		}
	}
	text := strings.TrimSpace(strings.Join(lines, ""))
	if len(text) > maxComplaint {
		text = strings.ToValidUTF8(text[:maxComplaint], "") + " …"
	}
	return text
}
