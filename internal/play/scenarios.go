// Scenarios: little stories, each a fault, a question about what it will do,
// and what it did. stories.go tells them.

package play

import (
	"context"
	"fmt"
	"time"
)

// A ScenarioInfo is what the page knows of a scenario beforehand.
type ScenarioInfo struct {
	Name     string   `json:"name"` // as it stands in an address
	Title    string   `json:"title"`
	Question string   `json:"question"`
	Choices  []string `json:"choices"`
}

// An Outcome is what came of a scenario.
type Outcome struct {
	Name     string `json:"name"`
	Guess    int    `json:"guess"`    // what was predicted; −1: nothing
	Happened int    `json:"happened"` // the choice that came true; −1: none did
	Text     string `json:"text"`     // what was seen
}

// A scenario is one of the stories.
type scenario struct {
	ScenarioInfo
	from      int  // the first chapter that can do it
	zookeeper bool // it needs one
	client    bool // it needs a client that finds its servers in ZooKeeper

	// run does it, waits, and leaves all as it was before. It returns the
	// choice that came true, −1 for none, and what was seen.
	run func(p *Play, ctx context.Context) (happened int, seen string, err error)
}

// can tells whether the scenario is for what is on the page.
func (s scenario) can(p *Play) bool {
	chapter := p.config.Chapter
	return (chapter == 0 || chapter >= s.from) && (!s.zookeeper || p.zk != nil) &&
		(!s.client || p.client.kind != kindPage)
}

// offered are the scenarios for what is on the page.
func (p *Play) offered() (infos []ScenarioInfo) {
	for _, s := range stories {
		if s.can(p) {
			infos = append(infos, s.ScenarioInfo)
		}
	}
	return infos
}

// play begins a scenario and returns; nothing else is done until it is over.
func (p *Play) play(name string, guess int) error {
	var found *scenario
	for i, s := range stories {
		if s.Name == name && s.can(p) {
			found = &stories[i]
		}
	}
	if found == nil {
		return fmt.Errorf("there is no scenario %q here", name)
	}
	if guess < -1 || guess >= len(found.Choices) {
		return fmt.Errorf("there is no choice %d", guess)
	}
	if !p.acting.TryLock() {
		return errBusy
	}

	p.tell(name, nil)
	p.journal.say(kindDone, "scenario %s: %s", name, found.Title)
	p.done.Go(func() {
		defer p.acting.Unlock()
		ctx, cancel := context.WithTimeout(p.running, time.Minute)
		defer cancel()
		happened, seen, err := found.run(p, ctx)
		if p.running.Err() != nil {
			return
		}
		if err != nil {
			happened, seen = -1, "It came to nothing: "+err.Error()
		}
		p.journal.say(kindAnswer, "%s: %s", name, seen)
		p.tell("", &Outcome{name, guess, happened, seen})
	})
	return nil
}

// tell notes which scenario goes on, and what came of the latest.
func (p *Play) tell(scenario string, o *Outcome) {
	p.mu.Lock()
	p.scenario, p.outcome = scenario, o
	p.mu.Unlock()
	p.look()
}
