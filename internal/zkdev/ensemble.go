// Ensemble: three ZooKeepers that elect a leader and go on without one of them,
// for tests of what happens meanwhile. Each is a Server, with all that can be
// done to one.

package zkdev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"example.com/rpcworkbook/internal/freeport"
)

const members = 3 // the least that go on when one is lost

// Ensemble is what StartEnsemble returns. Its methods are safe for concurrent
// use.
type Ensemble struct {
	Members []*Server
}

// direct is the way from one member to another with nothing in between.
func direct(addr string) string { return addr }

// StartEnsemble runs three ZooKeepers and returns when all of them serve, one
// to two seconds later. ctx bounds the start only; so do 30 seconds.
func StartEnsemble(ctx context.Context) (*Ensemble, error) { return StartLinkedEnsemble(ctx, direct) }

// StartLinkedEnsemble is StartEnsemble with a way to put something between the
// members: each of them reaches the address at which another one leads as link
// says. Where ports were taken it tries again, with other addresses: what
// counts are the last six of them.
func StartLinkedEnsemble(ctx context.Context, link func(addr string) string) (*Ensemble, error) {
	var err error
	for range portsToTry {
		var e *Ensemble
		e, err = startEnsemble(ctx, link)
		if !errors.Is(err, errExited) {
			return e, err
		}
	}
	return nil, fmt.Errorf("start an ensemble of ZooKeepers on %d sets of ports in turn: %w", portsToTry, err)
}

// A seat is what a member of an ensemble needs before it starts: a port for
// clients, one for its followers while it leads, and one for elections.
type seat struct {
	place                   Place
	client, quorum, ballots int
	release                 func() // gives the ports up
}

// seatHere reserves three ports of this machine.
func seatHere() (seat, error) {
	var ports []int
	var releases []func()
	for range 3 {
		port, release, err := freeport.Reserve()
		if err != nil {
			releaseAll(releases)
			return seat{}, err
		}
		ports, releases = append(ports, port), append(releases, release)
	}
	return seat{here, ports[0], ports[1], ports[2], func() { releaseAll(releases) }}, nil
}

func startEnsemble(ctx context.Context, link func(addr string) string) (*Ensemble, error) {
	var seats []seat
	for range members {
		one, err := seatHere()
		if err != nil {
			for _, taken := range seats {
				taken.release()
			}
			return nil, err
		}
		seats = append(seats, one)
	}
	return seatEnsemble(ctx, seats, "", link)
}

// StartEnsembleAt is StartEnsemble at three places, each with a network of its
// own, where the members take the ports that everybody takes. Settings are
// lines of the configuration, as in StartT.
func StartEnsembleAt(ctx context.Context, places [members]Place, settings ...string) (*Ensemble, error) {
	var seats []seat
	for _, place := range places {
		seats = append(seats, seat{place, 2181, 2888, 3888, func() {}})
	}
	return seatEnsemble(ctx, seats, strings.Join(settings, "\n"), direct)
}

// seatEnsemble owns the seats' ports from here on.
func seatEnsemble(
	ctx context.Context, seats []seat, settings string, link func(addr string) string,
) (*Ensemble, error) {
	const common = "initLimit=20\nsyncLimit=10\n" // ticks; a paused member is lost after the second
	peers := make([]string, len(seats))
	for i := range seats {
		for other, m := range seats {
			leads := net.JoinHostPort(m.place.Host, strconv.Itoa(m.quorum))
			if other != i { // at its own it listens
				leads = link(leads)
			}
			peers[i] += fmt.Sprintf("server.%d=%s:%d\n", other+1, leads, m.ballots)
		}
	}

	// Side by side: none serves before most of them are there. When one can't
	// start, the others need not wait.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &Ensemble{Members: make([]*Server, len(seats))}
	errs := make([]error, len(seats))
	var starts sync.WaitGroup
	for i, m := range seats {
		starts.Go(func() {
			lines := common + peers[i] + settings
			e.Members[i], errs[i] = start(ctx, m.place, m.client, i+1, lines, m.release)
			if errs[i] != nil {
				cancel()
			}
		})
	}
	starts.Wait()

	if err := errors.Join(errs...); err != nil {
		for _, s := range e.Members {
			if s != nil {
				err = errors.Join(err, s.Stop())
			}
		}
		return nil, err
	}
	return e, nil
}

func releaseAll(releases []func()) {
	for _, release := range releases {
		release()
	}
}

// Addrs are the members' addresses, joined by commas, as clients want them.
func (e *Ensemble) Addrs() string {
	var addrs []string
	for _, s := range e.Members {
		addrs = append(addrs, s.Addr())
	}
	return strings.Join(addrs, ",")
}

// Others returns the members without this one.
func (e *Ensemble) Others(one *Server) (others []*Server) {
	for _, s := range e.Members {
		if s != one {
			others = append(others, s)
		}
	}
	return others
}

// mainClass is what to run. The one for ensembles can run a lone server too, by
// way of the other.
func (s *Server) mainClass() string {
	if s.member > 0 {
		return "quorum.QuorumPeerMain"
	}
	return "ZooKeeperServerMain"
}

// writeMember tells a member of an ensemble which one it is, each time: it may
// have been wiped.
func (s *Server) writeMember() error {
	if s.member == 0 {
		return nil
	}
	if err := os.MkdirAll(s.path("data"), 0o700); err != nil {
		return fmt.Errorf("make ZooKeeper's data directory: %w", err)
	}
	if err := os.WriteFile(s.path("data/myid"), []byte(strconv.Itoa(s.member)), 0o600); err != nil {
		return fmt.Errorf("number a ZooKeeper: %w", err)
	}
	return nil
}
