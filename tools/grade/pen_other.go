// Elsewhere than on Linux there are no cells.

//go:build !linux

package grade

import (
	"errors"
	"syscall"
)

const cellTest, cellSubmission = "", ""

type cell struct{}

func (p *pen) find() {
	p.miss("namespaces", errors.New("this is not Linux"), withoutCells)
}

func (p *pen) tryCell() error { return errors.New("this is not Linux") }

func (p *pen) namespaces() *syscall.SysProcAttr { return nil }

func (p *pen) newCell(*asking) (*cell, error) { return nil, nil }

func (p *pen) makeCgroups(int) ([]string, error) { return nil, nil }

func removeCgroups([]string) error { return nil }

func (o *order) obey() error { return o.become() }
