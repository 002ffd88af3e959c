// What Linux has to offer.

package grade

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/rpcworkbook/internal/proc"
)

// find finds out what can be had, by trying.
func (p *pen) find() {
	err := p.tryCgroups()
	if err != nil {
		p.miss("cgroup", err, "memory is bounded for each process alone, and processor time isn't")
	}
	p.cgroups = err == nil

	p.cells = true
	p.ownUser = os.Getuid() != 0
	err = p.tryCell()
	if err != nil && !p.ownUser {
		p.ownUser = true
		err = p.tryCell()
	}
	p.cells = err == nil
	p.separated = p.cells && !p.ownUser
	switch {
	case !p.cells:
		p.miss("namespaces", err, withoutCells)
	case !p.separated:
		p.miss("second user", errors.New("this is not root"),
			"a program can kill the process that asks it, which costs it the milestone, or forge what that says")
	}
}

// tryCell has a cell do nothing.
func (p *pen) tryCell() error {
	temp, err := proc.TempDir()
	if err != nil {
		return err
	}
	copied := filepath.Join(temp, "trial", "submission")
	err = os.MkdirAll(copied, 0o755)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(copied))

	a := &asking{pen: p, test: &test{bin: "/bin/true"}, copied: copied}
	group, output, err := p.start(a, nil)
	if err != nil {
		return err
	}
	defer output.Close()
	<-group.Done()
	err = p.end(group, a)
	if err != nil {
		return err
	}
	if code := group.State().ExitCode(); code != 0 {
		said, _ := io.ReadAll(output) // nothing, if that is so
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}

// namespaces says which namespaces a cell's first process gets.
func (p *pen) namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	if p.ownUser {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// newCell returns the cell of an asking.
func (p *pen) newCell(a *asking) (*cell, error) {
	c := &cell{
		Root: filepath.Join(filepath.Dir(a.copied), "root"), Submission: a.copied, Test: a.test.bin,
		User: p.user(a.slot), Alone: !p.separated, Hidden: p.hidden,
	}
	err := os.MkdirAll(c.Root, 0o755)
	if err != nil {
		return nil, fmt.Errorf("make a cell: %w", err)
	}
	return c, nil
}

// obey does what this process was told to do.
func (o *order) obey() error {
	err := joinCgroups(o.Cgroups)
	if err != nil {
		return err
	}
	if o.Cell == nil {
		return o.become()
	}
	return o.inCell()
}
