// Ensembles of ZooKeepers that end with the test.

package zktest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/rpcworkbook/internal/harness"
	"example.com/rpcworkbook/internal/netproxy"
	"example.com/rpcworkbook/internal/zkdev"
)

// Ensemble is three ZooKeepers.
type Ensemble struct {
	*zkdev.Ensemble

	// Links carry what each member tells each other one that leads it, and is
	// told, if the ensemble was started with them. Delayed, they have a change
	// be known to one member later than to another.
	Links []*netproxy.Proxy
}

// StartEnsemble runs three ZooKeepers until the end of the test.
func StartEnsemble(t testing.TB) *Ensemble {
	t.Helper()
	e, err := zkdev.StartEnsemble(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stopAllAfter(t, &Ensemble{Ensemble: e})
}

// StartLinkedEnsemble is StartEnsemble with Links.
func StartLinkedEnsemble(t testing.TB) *Ensemble {
	t.Helper()
	var links []*netproxy.Proxy
	e, err := zkdev.StartLinkedEnsemble(t.Context(), func(addr string) string {
		link := netproxy.StartT(t, addr)
		link.Tell(func(what string) {
			harness.SawAt(t, harness.ZooKeeper, "link to the ZooKeeper on %s: %s", addr, what)
		})
		links = append(links, link)
		return link.Addr()
	})
	if err != nil {
		t.Fatal(err)
	}

	members := len(e.Members)
	links = links[len(links)-members*(members-1):] // without those of tries that failed
	return stopAllAfter(t, &Ensemble{e, links})
}

func stopAllAfter(t testing.TB, e *Ensemble) *Ensemble {
	for _, s := range e.Members {
		stopAfter(t, s)
	}
	return e
}

// Leader waits until one of the members leads, and returns it.
func (e *Ensemble) Leader(t testing.TB, within time.Duration) (leader *zkdev.Server) {
	t.Helper()
	harness.Eventually(t, within, "a leader among the ZooKeepers on "+e.Addrs(), func() (bool, string) {
		var modes []string
		for _, s := range e.Members {
			mode, err := s.Mode()
			if mode == "leader" {
				leader = s
			}
			modes = append(modes, fmt.Sprintf("%s %s (%v)", s.Addr(), mode, err))
		}
		return leader != nil, strings.Join(modes, ", ")
	})
	return leader
}
