// Stories with ZooKeeper in them.

package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// session is the servers' session timeout, which is their default.
const session = 6 * time.Second

// freezeMaster stops the master of A for longer than its session lasts.
func (p *Play) freezeMaster(ctx context.Context) (happened int, seen string, err error) {
	a := p.servers[0]
	if !a.Running() {
		return 0, "", fmt.Errorf("server A doesn't run")
	}
	pid := a.PID()
	if err := p.signal("SIGSTOP", pid); err != nil {
		return 0, "", err
	}

	happened, seen, err = p.withoutHeartbeat(ctx, a)
	err = errors.Join(err, p.signal("SIGCONT", pid))
	if err != nil {
		return 0, "", err
	}
	return happened, seen + p.isBack(ctx, a), nil
}

// cutServer cuts A's way to ZooKeeper for longer than its session lasts.
func (p *Play) cutServer(ctx context.Context) (happened int, seen string, err error) {
	a := p.servers[0]
	if err := p.damage("cut", a.name); err != nil {
		return 0, "", err
	}

	happened, seen, err = p.withoutHeartbeat(ctx, a)
	err = errors.Join(err, p.damage("heal", a.name))
	if err != nil {
		return 0, "", err
	}
	return happened, seen + p.isBack(ctx, a), nil
}

// withoutHeartbeat waits until ZooKeeper must have given a server up, and looks
// whether it has, and whether the server answers.
func (p *Play) withoutHeartbeat(ctx context.Context, v *server) (happened int, seen string, err error) {
	began := time.Now()
	gone := p.until(ctx, session+4*time.Second, func() bool { return len(p.zoo.registered(v.addr)) == 0 })
	if ctx.Err() != nil {
		return 0, "", ctx.Err()
	}
	took := time.Since(began)
	if err := wait(ctx, 2*time.Second); err != nil { // for the clients' lists to follow
		return 0, "", err
	}
	answered, _, _ := p.probe(ctx, v, 1)

	switch {
	case answered == 0:
		return 2, fmt.Sprintf("%s later server %s doesn't answer.", short(took), v.name), nil
	case gone:
		return 1, fmt.Sprintf("Its znode was gone after %s, and it answers all the time.", short(took)), nil
	}
	return 0, fmt.Sprintf("%s later server %s answers, and its znode is still there.", short(took), v.name), nil
}

// isBack waits until a server is registered, and says so.
func (p *Play) isBack(ctx context.Context, v *server) string {
	began := time.Now()
	if p.until(ctx, 15*time.Second, func() bool { return len(p.zoo.registered(v.addr)) == 1 }) {
		return fmt.Sprintf(" Afterwards it was registered again within %s.", short(time.Since(began)))
	}
	return " It has not been registered again since."
}

// endSession ends A's session.
func (p *Play) endSession(ctx context.Context) (happened int, seen string, err error) {
	return p.registerAnew(ctx, "end-session", func(before, after []string) int {
		switch {
		case len(after) == 0:
			return 2
		case slices.Equal(before, after):
			return 1
		case len(after) == 1:
			return 0
		}
		return -1
	})
}

// loseCreate has A create its znode anew, and loses the answer.
func (p *Play) loseCreate(ctx context.Context) (happened int, seen string, err error) {
	return p.registerAnew(ctx, "lose-create", func(_, after []string) int {
		switch len(after) {
		case 0:
			return 2
		case 1:
			return 0
		}
		return 1
	})
}

// registerAnew does something to A that makes it register again, and judges by
// the names of its znodes before and after.
func (p *Play) registerAnew(ctx context.Context, what string, judge func(before, after []string) int) (
	happened int, seen string, err error) {

	a := p.servers[0]
	before := p.zoo.registered(a.addr)
	if len(before) == 0 {
		return 0, "", fmt.Errorf("server A isn't registered")
	}
	if err := p.damage(what, a.name); err != nil {
		return 0, "", err
	}

	began := time.Now()
	p.until(ctx, 10*time.Second, func() bool {
		after := p.zoo.registered(a.addr)
		return len(after) > 0 && !slices.Equal(before, after)
	})
	took := time.Since(began)
	if err := wait(ctx, 2*time.Second); err != nil { // for one more, if there is to be one
		return 0, "", err
	}
	after := p.zoo.registered(a.addr)
	seen = fmt.Sprintf("A had %s before, and has %s now; that took %s.", names(before), names(after), short(took))
	return judge(before, after), seen, nil
}

// names names znodes.
func names(znodes []string) string {
	if len(znodes) == 0 {
		return "no znode"
	}
	last := len(znodes) - 1
	if last == 0 {
		return znodes[0]
	}
	return strings.Join(znodes[:last], ", ") + " and " + znodes[last]
}

// freezeZooKeeper freezes ZooKeeper under load.
func (p *Play) freezeZooKeeper(ctx context.Context) (happened int, seen string, err error) {
	if err := p.zooKeeper("freeze"); err != nil {
		return 0, "", err
	}
	count := p.countCalls()
	err = wait(ctx, 5*time.Second)
	calls := count.result(ctx)
	err = errors.Join(err, p.zooKeeper("go-on"))

	switch {
	case count.failed > 0:
		happened = 1
	case count.answered == 0:
		happened = 2
	}
	return happened, "ZooKeeper answered nothing for five seconds." + calls, err
}

// killZooKeeper kills ZooKeeper and starts it again on its data.
func (p *Play) killZooKeeper(ctx context.Context) (happened int, seen string, err error) {
	before := p.allNames()
	if err := p.zooKeeper("kill"); err != nil {
		return 0, "", err
	}
	count, began := p.countCalls(), time.Now()
	waitErr := wait(ctx, 2*time.Second)
	if err := p.zooKeeper("restart"); err != nil {
		return 0, "", err
	}
	away := time.Since(began)
	if waitErr == nil {
		waitErr = wait(ctx, session/2)
	}
	if waitErr != nil {
		return 0, "", waitErr
	}

	after := p.allNames()
	switch {
	case len(after) == 0:
		happened = 2
	case !slices.Equal(before, after):
		happened = 1
	}
	return happened, fmt.Sprintf("ZooKeeper was away for %s. Before there was %s, and now there is %s.%s", short(away),
		names(before), names(after), count.result(ctx)), nil
}

// wipeZooKeeper takes ZooKeeper's data away.
func (p *Play) wipeZooKeeper(ctx context.Context) (happened int, seen string, err error) {
	before := p.allNames()
	if err := p.zooKeeper("wipe"); err != nil {
		return 0, "", err
	}
	began := time.Now()
	all := p.until(ctx, 20*time.Second, func() bool {
		for _, v := range p.servers {
			if len(p.zoo.registered(v.addr)) != 1 {
				return false
			}
		}
		return p.zoo.readSince(began)
	})
	if ctx.Err() != nil {
		return 0, "", ctx.Err()
	}

	after := p.allNames()
	switch {
	case !all:
		happened = 2
	case !strings.HasSuffix(after[0], "0000000000"):
		happened = 1
	}
	return happened, fmt.Sprintf("Before there was %s, and %s later there is %s.", names(before),
		short(time.Since(began)), names(after)), nil
}

// allNames returns the names of all znodes that name a server, in order.
func (p *Play) allNames() (all []string) {
	for _, v := range p.servers {
		all = append(all, p.zoo.registered(v.addr)...)
	}
	slices.Sort(all)
	return all
}
