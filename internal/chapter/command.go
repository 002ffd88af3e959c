// Running the go command, so that nothing of it is left when it is to stop.

package chapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// An interrupted go command gets this long to end by itself.
const patience = 10 * time.Second

// goCommand runs the go command in the workbook's root and hands what it prints
// to read, which must read all of it. It ends the command, and what the command
// has started, when ctx ends: first as Ctrl-C does, so that the tests can clean
// up. It returns what the command had to say on its standard error.
func (b *Book) goCommand(
	ctx context.Context, read func(io.Reader) error, args ...string,
) (complaint string, err error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root

	// A group of its own: Ctrl-C in a terminal reaches us alone, and we pass it
	// on to all of them, the go command's children too, whoever sent it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	interrupted := false
	cmd.Cancel = func() error {
		interrupted = true
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}
	cmd.WaitDelay = patience

	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, ours := io.Pipe()
	cmd.Stdout = ours
	done := make(chan error, 1)
	go func() {
		err := read(output)
		output.CloseWithError(err)
		done <- err
	}()

	err = cmd.Run()
	ours.Close()
	readErr := <-done
	if interrupted {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // who didn't hear
	}

	if readErr != nil {
		err = fmt.Errorf("read what go %s prints: %w", args[0], readErr)
	}
	return strings.TrimSpace(stderr.String()), err
}

// compile returns what the compiler has against the reader's program, "" if
// nothing. The paths in it are relative to the root.
func (b *Book) compile(ctx context.Context, race bool) (complaint string, err error) {
	if complaint, err := b.wantMain(); complaint != "" || err != nil {
		return complaint, err
	}

	args := []string{"build", "-o", "/dev/null"}
	if race {
		args = append(args, "-race")
	}

	discard := func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	complaint, err = b.goCommand(ctx, discard, append(args, "./"+Mine)...)
	if err == nil {
		return "", nil
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || ctx.Err() != nil || complaint == "" {
		return "", fmt.Errorf("build your program: %w", err)
	}

	var lines []string
	for line := range strings.Lines(complaint) {
		if !strings.HasPrefix(line, "# ") { // the package's path
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ""), nil
}

// wantMain complains of a program that the compiler takes for a library. There
// must be a source.
func (b *Book) wantMain() (complaint string, err error) {
	names, err := sources(b.mine)
	if err != nil {
		return "", err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, filepath.Join(b.mine, names[0]), nil, parser.PackageClauseOnly)
	if err != nil || file.Name.Name == "main" {
		return "", nil // the rest, other names in other files too, is the compiler's
	}
	at := files.Position(file.Name.Pos())
	return fmt.Sprintf("%s/%s:%d:%d: this is package %s; a program is package main",
		Mine, names[0], at.Line, at.Column, file.Name.Name), nil
}

// unbegun says what a program lacks in which nothing starts, as right after
// make begin; "" if it has a func main. The linker would say it in words of its
// own. What doesn't parse, or is no program, is left to compile.
func (b *Book) unbegun() (lack string, err error) {
	names, err := sources(b.mine)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		path := filepath.Join(b.mine, name)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil || file.Name.Name != "main" || declared(path)["main"] {
			return "", nil
		}
	}

	if slices.Contains(names, "main.go") {
		return fmt.Sprintf("There is no func main in %s/main.go yet.", Mine), nil
	}
	return fmt.Sprintf("There is no main.go in %s yet: you write it.", Mine), nil
}
