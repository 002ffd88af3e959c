// Package play is make play: a real ZooKeeper, two servers and a client, and a
// page in the browser on which one sees them at work and does damage to them.
//
// A Play runs the programs, on the stage of package stage: recipe.go says which
// they are, server.go and zoo.go watch them, client.go is who calls, journal.go
// and state.go hold what is shown. actions.go has the buttons, scenarios.go
// stories made of them. web.go serves all that to the page, whose files are in
// the directory page.
package play

import (
	"context"
	"os"
	"sync"
	"time"

	"example.com/rpcworkbook/internal/proc"
	"example.com/rpcworkbook/internal/stage"
	"example.com/rpcworkbook/internal/zkdev"
)

const (
	lookPause  = 500 * time.Millisecond // between two pictures
	hurryPause = 200 * time.Millisecond // the same after somebody has done something
	idlePause  = time.Second            // the same while nobody looks on
	burstPause = 2 * time.Millisecond   // between two looks at the processes right after a signal
	burstFor   = 300 * time.Millisecond
	calmPause  = 20 * time.Millisecond // later
	calmFor    = 3 * time.Second
)

var ownPID = os.Getpid()

// A Play is all that runs behind the page. Its methods are safe for concurrent
// use.
type Play struct {
	config  Config
	recipe  recipe
	stage   *stage.Stage
	journal *journal
	tally   *tally
	zk      *zkdev.Server // nil without one
	zoo     *zoo          // nil without one
	servers []*server
	client  *client
	running context.Context // ends with Close
	stop    context.CancelFunc
	done    sync.WaitGroup // for all that runs until stop

	mu       sync.Mutex
	signals  map[int]signalled // by pid: what was sent last
	sentAt   time.Time         // the last of them
	wake     chan struct{}     // has one when the observer is to look at once
	lookedAt time.Time         // when the observer's latest look began

	scenario string   // that goes on; "" for none
	outcome  *Outcome // of the latest

	acting sync.Mutex // held by whoever does something
}

// A signalled process was sent a signal by a button.
type signalled struct {
	name string // "SIGKILL"
	at   time.Time
}

// Start starts the programs and returns when they run. When it fails, nothing
// is left of them. ctx bounds the start only.
func Start(ctx context.Context, c Config) (p *Play, err error) {
	recipe, err := find(ctx, c)
	if err != nil {
		return nil, err
	}
	p = &Play{config: c, recipe: recipe, journal: newJournal(), signals: map[int]signalled{},
		wake: make(chan struct{}, 1)}
	p.running, p.stop = context.WithCancel(context.Background())
	p.tally = newTally(p.journal)
	p.stage, err = stage.New()
	if err != nil {
		return nil, err
	}

	err = p.begin(ctx)
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// begin starts everything.
func (p *Play) begin(ctx context.Context) (err error) {
	if p.recipe.zookeeper {
		p.zk, err = zkdev.Start(ctx)
		if err != nil {
			return err
		}
		p.zoo = newZoo(p.zk, p.owner, p.journal)
		p.journal.say(kindZoo, "ZooKeeper serves at %s, process %d", p.zk.Addr(), p.zk.PID())
	}

	for _, name := range []string{"A", "B"} {
		v, err := p.newServer(name)
		if err != nil {
			return err
		}
		p.servers = append(p.servers, v)
	}
	p.client, err = p.newClient()
	if err != nil {
		return err
	}

	if p.zoo != nil {
		p.done.Go(func() { p.zoo.watch(p.running) })
	}
	p.done.Go(func() { p.client.run(p.running) })
	p.done.Go(func() { p.observe(p.running) })

	for _, v := range p.servers {
		if err := v.start(); err != nil {
			return err
		}
	}
	p.look()
	if p.client.Program != nil {
		return p.client.start()
	}
	return nil
}

// Close ends all that runs, and returns what had to be killed for that.
func (p *Play) Close() (left []string) {
	p.stop()
	p.done.Wait()
	left = p.stage.Clear()

	for _, v := range p.servers {
		v.release()
		v.link.close()
	}
	if p.client != nil {
		p.client.link.close()
	}

	if p.zk != nil {
		p.zk.Resume()
		if err := p.zk.Stop(); err != nil {
			left = append(left, err.Error())
		}
	}
	return left
}

// owner names the party that a session with ZooKeeper is of.
func (p *Play) owner(session int64) (name string, known bool) {
	for _, v := range p.servers {
		if v.link.owns(session) {
			return "server " + v.name, true
		}
	}
	if p.client != nil && p.client.link.owns(session) {
		return "the client", true
	}
	return "", false
}

// observe looks at everything again and again until ctx ends: at the processes
// very often after a signal.
func (p *Play) observe(ctx context.Context) {
	var pictured time.Time
	for ctx.Err() == nil {
		began := time.Now()
		table, err := proc.Table()
		if err == nil {
			for _, v := range p.servers {
				v.observe(table)
			}
			p.client.observe(table)
		}

		p.mu.Lock()
		p.lookedAt = began
		age := time.Since(p.sentAt)
		p.mu.Unlock()
		full := lookPause
		switch {
		case age < calmFor:
			full = hurryPause
		case !p.journal.watched():
			full = idlePause
		}

		if time.Since(pictured) >= full {
			p.journal.show(p.picture())
			pictured = time.Now()
		}

		pause := full
		switch {
		case age < burstFor:
			pause = burstPause
		case age < calmFor:
			pause = calmPause
		}
		select {
		case <-time.After(pause):
		case <-p.wake:
		case <-ctx.Done():
		}
	}
}

// look has the observer look at once, and often for a while.
func (p *Play) look() {
	p.mu.Lock()
	p.sentAt = time.Now()
	p.mu.Unlock()
	if p.zoo != nil {
		p.zoo.lookOften()
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lookNow has the observer look at the processes, and returns when it has, or
// soon if it doesn't.
func (p *Play) lookNow() {
	called := time.Now()
	p.look()
	_ = stage.Await(p.running, time.Second, func() (bool, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.lookedAt.After(called), nil
	})
}

// sent returns the signal that was sent to a process last.
func (p *Play) sent(pid int) (s signalled, was bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, was = p.signals[pid]
	return s, was
}

// picture is the state now.
func (p *Play) picture() State {
	all := sockets()
	s := State{Client: p.client.picture(all), Points: p.tally.curve()}
	answered, failed, _ := p.tally.rates()
	for _, v := range p.servers {
		picture := v.picture(all)
		picture.Answered, picture.Failed = answered[v.addr], failed[v.addr]
		s.Servers = append(s.Servers, picture)
	}
	if p.zoo != nil {
		s.ZooKeeper = p.zoo.picture()
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	s.Running, s.Outcome = p.scenario, p.outcome
	return s
}
