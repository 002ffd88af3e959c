// What servers and clients share: what is in a server's znode. And the command
// that shows all that are registered, as they come and go.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
)

// An Endpoint is where a server can be called: the data of its znode.
type Endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// ParseEndpoint returns the address, "host:port", in a znode's data. The error
// says why nobody could dial what is there.
func ParseEndpoint(data []byte) (addr string, err error) {
	var e Endpoint
	if err := json.Unmarshal(data, &e); err != nil {
		return "", fmt.Errorf("not an endpoint: %w", err)
	}
	if !isHost(e.Host) || e.Port < 1 || e.Port > 65535 {
		return "", fmt.Errorf("not an endpoint: host %q, port %d", e.Host, e.Port)
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)), nil
}

// znodes is the command that prints what is registered, again and again as it
// changes, until a signal ends it.
func znodes(flags *flag.FlagSet, args []string) error {
	zookeeper := NewZKFlags(flags)
	ParseArgs(flags, args)
	session := zookeeper.Open()
	defer session.Close(context.Background())

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, cancel) // a second signal ends the program, even if nobody reads what it prints

	began := time.Now()
	printed := ""
	for {
		list, err := Do(session, func(c *zk.Conn) (nodeList, error) { return listNodes(c, *zookeeper.Root) })
		var retry <-chan time.Time
		if err != nil {
			list.text = "no list: " + reason(err, *zookeeper.Root) + "\n"
			retry = time.After(time.Second)
		}

		noSession := errors.Is(err, ErrNoSession)
		connecting := noSession && time.Since(began) < time.Second
		saidSo := noSession && strings.HasPrefix(printed, "no list: "+ErrNoSession.Error()) // the reason may change
		if list.text != printed && !connecting && !saidSo {
			fmt.Print(time.Now().Format(time.TimeOnly), "  ", list.text)
			printed = list.text
		}

		select {
		case <-list.changed:
		case <-session.Changed():
		case <-retry:
		case <-ctx.Done():
			return nil
		}
	}
}

// A nodeList is all that is registered, as it is printed.
type nodeList struct {
	text    string
	changed <-chan zk.Event // delivers when a znode has come or gone
}

// listNodes reads every znode below root, and sets a watch on the list.
func listNodes(c *zk.Conn, root string) (nodeList, error) {
	names, _, changed, err := c.ChildrenW(root)
	if err != nil {
		return nodeList{}, err
	}

	text := fmt.Sprintf("%d registered under %s\n", len(names), root)
	slices.Sort(names)
	for _, name := range names {
		data, stat, err := c.Get(root + "/" + name)
		if err != nil {
			continue // the znode has just gone
		}
		addr, err := ParseEndpoint(data)
		if err != nil {
			addr = err.Error()
		}
		text += fmt.Sprintf("  %s  %s  session 0x%x\n", name, addr, stat.EphemeralOwner)
	}
	return nodeList{text, changed}, nil
}

// reason says why there is no list.
func reason(err error, root string) string {
	if errors.Is(err, zk.ErrNoNode) {
		return "no server has ever registered under " + root
	}
	return err.Error()
}
