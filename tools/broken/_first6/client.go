// A first version of chapter 6's program, with what its first milestones need
// and nothing for bad days: the chapter says which milestones it leaves red.
package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
)

var ErrNoServer = errors.New("no live server")

type Client struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	list    []*remote
	updated chan struct{}
}

func NewClient(d Discovery) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{cancel: cancel, done: make(chan struct{}), updated: make(chan struct{})}
	go func() {
		defer close(c.done)
		d.Watch(ctx, c.update)
	}()
	return c
}

func (c *Client) Close() {
	c.cancel()
	<-c.done
}

func (c *Client) update(s Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.list = nil
	for _, addr := range s.Servers {
		c.list = append(c.list, &remote{addr: addr})
	}
	close(c.updated)
	c.updated = make(chan struct{})
}

func (c *Client) Wait(ctx context.Context, servers int) error {
	for {
		c.mu.Lock()
		updated, n := c.updated, len(c.list)
		c.mu.Unlock()
		if n >= servers {
			return nil
		}
		select {
		case <-updated:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) Call(ctx context.Context, method string, params any) (reply Reply, server string, err error) {
	raw, err := encode(params)
	if err != nil {
		return Reply{}, "", err
	}
	c.mu.Lock()
	if len(c.list) == 0 {
		c.mu.Unlock()
		return Reply{}, "", ErrNoServer
	}
	r := c.list[rand.N(len(c.list))]
	c.mu.Unlock()

	outcomes := make(chan outcome, 2)
	r.start(AppendFrame(nil, Request{Method: method, Params: raw}.Append(nil)), outcomes)
	select {
	case o := <-outcomes:
		return o.reply, r.addr, o.err
	case <-ctx.Done():
		return Reply{}, r.addr, ctx.Err()
	}
}
