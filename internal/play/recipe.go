// Recipes: which programs are on the page, and how each is started.

package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/rpcworkbook/internal/proc"
)

// Workers is how many workers each server has.
const Workers = 2

// Root is the znode under which servers register.
const Root = "/demo"

// A Config says what to show.
type Config struct {
	Chapter int    // 3 to 6: as much as that chapter has; 0: the whole system
	Program string // a directory, a program, or a command with {placeholders}; "": see Find
	Book    string // the workbook's directory, where commands run
}

// A recipe is how the programs are started.
type recipe struct {
	zookeeper bool                                  // there is one
	server    func(host, port, zk string) *exec.Cmd // a new command each time
	client    func(zk string) *exec.Cmd             // nil: the page makes the calls
	talks     bool                                  // the client prints and reads the lines of package load
}

// find finds the programs, and builds those that are directories. The errors
// are for who typed make play.
func find(ctx context.Context, c Config) (r recipe, err error) {
	r.zookeeper = c.Chapter == 0 || c.Chapter >= 5
	if strings.Contains(c.Program, "{") {
		return r.command(c)
	}

	bin := ""
	switch {
	case c.Program != "":
		bin, err = built(ctx, c.Book, c.Program)
	case c.Chapter == 0:
		return r.whole()
	default:
		bin, err = built(ctx, c.Book, "_mine")
	}
	if err != nil {
		return r, err
	}

	r.server = func(host, port, zk string) *exec.Cmd {
		args := []string{"-workers", fmt.Sprint(Workers)}
		if r.zookeeper {
			args = append([]string{"server"}, append(args, "-zk", zk, "-root", Root)...)
		}
		return exec.Command(bin, append(args, host, port)...)
	}
	if c.Chapter == 0 || c.Chapter >= 6 {
		r.client = func(zk string) *exec.Cmd {
			return exec.Command(bin, "client", "-zk", zk, "-root", Root,
				"-n", "1000000000", "-interval", "100ms", "-wait", "24h")
		}
	}
	return r, nil
}

// whole is the recipe of the workbook's own programs, which lie beside this
// one.
func (r recipe) whole() (recipe, error) {
	self, err := os.Executable()
	if err != nil {
		return r, fmt.Errorf("find the server's program: %w", err)
	}
	server, caller := filepath.Join(filepath.Dir(self), "server"), filepath.Join(filepath.Dir(self), "caller")
	for _, program := range []string{server, caller} {
		if _, err := os.Stat(program); err != nil {
			return r, fmt.Errorf("no program %s: type make play, which builds it", program)
		}
	}

	r.talks = true
	r.server = func(host, port, zk string) *exec.Cmd {
		return exec.Command(server, "-workers", fmt.Sprint(Workers), "-zk", zk, "-root", Root, host, port)
	}
	r.client = func(zk string) *exec.Cmd { return exec.Command(caller, "-zk", zk, "-root", Root) }
	return r, nil
}

// command is the recipe of a server in any language, as the specifications take
// it. Without a place for ZooKeeper's address there is none.
func (r recipe) command(c Config) (recipe, error) {
	for _, name := range []string{"{host}", "{port}"} {
		if !strings.Contains(c.Program, name) {
			return r, fmt.Errorf("the command must contain %s: %s", name, c.Program)
		}
	}
	if strings.Contains(c.Program, "{zk}") {
		r.zookeeper = true
	} else if c.Chapter >= 5 {
		return r, fmt.Errorf("the command must contain {zk} in chapter %d: %s", c.Chapter, c.Program)
	} else {
		r.zookeeper = false
	}

	fill := func(host, port, zk string) string {
		return strings.NewReplacer("{host}", host, "{port}", port, "{zk}", zk, "{root}", Root,
			"{workers}", fmt.Sprint(Workers), "{grace}", "5", "{session}", "6", "{advertise}", host).Replace(c.Program)
	}
	if rest := fill("", "", ""); strings.Contains(rest, "{") {
		return r, fmt.Errorf("unknown placeholder in %s; known are "+
			"{host} {port} {workers} {grace} {zk} {root} {session} {advertise}", c.Program)
	}

	r.server = func(host, port, zk string) *exec.Cmd {
		// The shell knows how to split words. It becomes the program, so that
		// signals reach that.
		cmd := exec.Command("/bin/sh", "-c", "exec "+fill(host, port, zk))
		cmd.Dir = c.Book
		return cmd
	}
	return r, nil
}

// built returns the program that name is, or that is built from the directory
// name, relative to the working directory or to the workbook's.
func built(ctx context.Context, book, name string) (bin string, err error) {
	info, err := os.Stat(name)
	if err != nil && !filepath.IsAbs(name) {
		name = filepath.Join(book, name)
		info, err = os.Stat(name)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("there is no %s yet: make begin STEP=N begins a program", filepath.Base(name))
	case err != nil:
		return "", fmt.Errorf("find the program: %w", err)
	case info.Mode().IsRegular():
		return filepath.Abs(name)
	}

	dir, err := proc.TempDir()
	if err != nil {
		return "", err
	}
	bin = filepath.Join(dir, "program")
	build := exec.CommandContext(ctx, "go", "build", "-C", name, "-buildvcs=false", "-o", bin, ".")
	output, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program in %s: %w\n%s", name, err, output)
	}
	return bin, nil
}
