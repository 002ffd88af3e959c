// The other servers: registrations without a server behind them, all in one
// session.

//go:build linux

package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// A planter makes registrations under one root.
type planter struct {
	root string
	conn *zk.Conn
}

// newPlanter connects to ZooKeeper and creates the root. When ctx ends, so does
// the session, and whoever waits for an answer.
func newPlanter(ctx context.Context, addr, root string) (*planter, error) {
	ready := make(chan struct{}, 1)
	conn, _, err := zk.Connect([]string{addr}, clientSession, zk.WithLogger(log.New(io.Discard, "", 0)),
		zk.WithEventCallback(func(event zk.Event) {
			if event.State == zk.StateHasSession {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to ZooKeeper: %w", err)
	}

	context.AfterFunc(ctx, conn.Close)
	select {
	case <-ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(maxWait):
		conn.Close()
		return nil, errors.New("connect to ZooKeeper: no session in time")
	}

	if _, err := conn.Create(root, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		conn.Close()
		return nil, fmt.Errorf("create %s: %w", root, err)
	}
	return &planter{root: root, conn: conn}, nil
}

// close ends the session and its registrations.
func (p *planter) close() { p.conn.Close() }

// plant makes one registration and returns its path. Nobody can be called at
// that address: 192.0.2.0/24 is set aside for examples.
func (p *planter) plant(port int) (addr, path string, err error) {
	data := fmt.Sprintf(`{"host":"192.0.2.1","port":%d}`, port)
	path, err = p.conn.Create(p.root+"/rpc", []byte(data), zk.FlagEphemeral|zk.FlagSequence, zk.WorldACL(zk.PermAll))
	if err != nil {
		return "", "", fmt.Errorf("plant a registration: %w", err)
	}
	return fmt.Sprintf("192.0.2.1:%d", port), path, nil
}

// plantMany makes n registrations, with ports from 1, all at once.
func (p *planter) plantMany(n int) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { _, _, errs[i] = p.plant(i + 1) })
	}
	wait.Wait()
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// remove ends one registration.
func (p *planter) remove(path string) error {
	if err := p.conn.Delete(path, -1); err != nil {
		return fmt.Errorf("remove a registration: %w", err)
	}
	return nil
}
