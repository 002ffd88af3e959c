package main

import (
	"errors"
	"slices"
	"time"
)

var errFull = errors.New("full")

const limit = 4 * time.Second

// A Queue is tested, but for some things.
type Queue struct {
	items []int
	asked bool
}

func (q *Queue) Put(n, most int) error {
	q.asked = true
	if len(q.items) >= most || n < 0 {
		return errFull
	}
	q.items = append(q.items, n)
	return nil
}

// Sum is called by the program only.
func Sum(a, b int) int {
	switch {
	case a == b:
		return 2 * a
	}
	return a + b
}

// Zeros has a loop that must end, and memory that must.
func Zeros(n int) (b []byte) {
	for len(b) < n {
		b = append(b, make([]byte, 1<<20)...)
	}
	return b
}

func (q *Queue) Sorted() []int {
	slices.Sort(q.items)
	return q.items
}

func Patience() time.Duration { return limit }
