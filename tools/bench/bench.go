//go:build linux

// Package bench compares the server and the client with what people would use
// instead. `make bench` runs it.
//
// This file is the running order: which contenders meet at which load, in
// interleaved rounds, so that whatever else the machine does meets them all.
// result.go is what one measurement gives, report.go and plots.go show it,
// targets.go is what is promised.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"
)

// Config says what to measure.
type Config struct {
	Server string        // the program of our server
	Rounds int           // how often everything is measured
	Window time.Duration // how long each time
	Only   []string      // the names of the parts to measure; none: all
	Rivals []Command     // servers that take part beside ours and the usual ones
	Log    io.Writer     // one line for each round of a part
}

// A contender is a server with what drives it.
type contender struct {
	name string // in the tables

	server  string
	line    string // the command that starts it; empty: it is ours, or one of rivals.go
	workers int    // of our server
	servers int    // how many of it; 0 means 1

	drive func(Job) (Result, error)
	reply string // the body of each reply, for drivers that speak frames
	most  int    // calls outstanding, for what can't do more; 0: no limit
}

// contenders meet at the shapes of load.
var contenders = []contender{
	{name: ours, server: ours, workers: 2, reply: pong, drive: load},
	{name: raw, server: raw, reply: request, drive: load},
	{name: bareEpoll, server: bareEpoll, reply: request, drive: load},
	{name: gnetLoops, server: gnetLoops, reply: pong, drive: load},
	{name: goroutine, server: goroutine, reply: pong, drive: load},
	{name: gob, server: gob, drive: func(j Job) (Result, error) { j.Driver = gob; return stdlib(j) }},
	{name: jsonRPC, server: jsonRPC, drive: func(j Job) (Result, error) { j.Driver = jsonRPC; return stdlib(j) }},
}

// clients meet at numbers of goroutines that share one. The server is our own
// with one worker, as one connection has one; net/rpc has its own server.
var clients = []contender{
	{name: ourClient, server: ours, workers: 1, drive: client},
	{name: bareClient, server: ours, workers: 1, reply: pong, drive: bare, most: 1},
	{name: gob, server: gob, drive: shared},
}

// choices are ways to choose one of ten servers for each call. Servers of one
// worker: as one client has one connection to each, the others would idle.
var choices = []contender{
	{name: ourClient, server: ours, workers: 1, servers: 10, drive: client},
	{name: randomClient, server: ours, workers: 1, servers: 10, drive: atRandom},
	{name: gob, server: gob, servers: 10, drive: shared},
	{name: loadClient, server: ours, workers: 1, servers: 10, reply: pong, drive: spread},
}

// extraRounds is how many rounds suffice for shapes that have no target.
const extraRounds = 3

// Run measures it all. When ctx ends it stops and returns ctx's error; what it
// has started is stopped in any case.
func Run(ctx context.Context, config Config) (*Report, error) {
	report := &Report{Rounds: Rounds{}, Idle: map[string][]IdlePoint{}}
	contenders := contenders
	for _, rival := range config.Rivals {
		report.Rivals = append(report.Rivals, rival.Name)
		contenders = append(contenders, rival.contender())
	}

	for i := range config.Rounds {
		for _, meeting := range []struct {
			shapes []Shape
			all    []contender
			rounds int
		}{
			{targetShapes, contenders, config.Rounds},
			{plotShapes, contenders, extraRounds},
			{clientShapes, clients, config.Rounds},
			{choiceShapes, choices, config.Rounds},
		} {
			for _, shape := range meeting.shapes {
				if i >= meeting.rounds {
					break
				}
				if err := config.round(ctx, report, i, shape, meeting.all); err != nil {
					return report, err
				}
			}
		}
	}

	if config.wants("memory") {
		if err := config.memory(ctx, report); err != nil {
			return report, err
		}
	}
	if config.wants("pi") {
		if err := config.pi(ctx, report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// wants reports whether a part is to be measured.
func (config Config) wants(part string) bool {
	return len(config.Only) == 0 || slices.Contains(config.Only, part)
}

// round measures each of the contenders once at one shape, in an order that
// differs from round to round: none always comes after the same other.
func (config Config) round(ctx context.Context, report *Report, i int, shape Shape, all []contender) error {
	if !config.wants(shape.Name) {
		return nil
	}

	order := slices.Clone(all)
	random := rand.New(rand.NewPCG(uint64(i), uint64(shape.Conns*shape.Depth)))
	random.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })

	round := Round{}
	fmt.Fprintf(config.Log, "round %d, %v:", i+1, shape)
	defer fmt.Fprintln(config.Log)

	for _, c := range order {
		if c.most > 0 && shape.Conns*shape.Depth > c.most {
			continue
		}

		result, err := config.undisturbed(ctx, report, c, shape)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s at %v: %w", c.name, shape, err)
		}
		round[c.name] = result
		fmt.Fprintf(config.Log, " %s %.0f/s", c.name, result.Rate())
	}

	report.Rounds[shape.Name] = append(report.Rounds[shape.Name], round)
	return nil
}

const (
	// MaxOthers is which share of the machine's processor time other processes
	// may take while a sample is taken, or else it is taken again.
	MaxOthers = 0.06

	maxTries = 4 // then the least disturbed sample counts
)

// undisturbed measures until the rest of the machine keeps still. It returns
// the least disturbed of some samples if that doesn't happen, and the report
// counts those.
func (config Config) undisturbed(ctx context.Context, report *Report, c contender, shape Shape) (Result, error) {
	best, err := config.measure(ctx, c, shape)
	for tries := 1; tries < maxTries && err == nil && best.Others > MaxOthers; tries++ {
		var again Result
		again, err = config.measure(ctx, c, shape)
		if again.Others < best.Others {
			best = again
		}
	}

	report.Samples++
	if best.Others > MaxOthers {
		report.Disturbed++
	}
	return best, err
}

// measure starts a server, loads it and stops it.
func (config Config) measure(ctx context.Context, c contender, shape Shape) (Result, error) {
	job := Job{Conns: shape.Conns, Depth: shape.Depth, Reply: c.reply, Warm: config.Window / 3, Window: config.Window}
	var servers []*server
	for range max(1, c.servers) {
		s, err := start(ctx, c, config.Server)
		if err != nil {
			return Result{}, err
		}
		defer s.stop()
		servers = append(servers, s)
		job.Addrs = append(job.Addrs, s.addr)
		job.PIDs = append(job.PIDs, s.pids...)
	}
	job.Addr = job.Addrs[0]

	debug.FreeOSMemory() // the driver begins without what the last one left
	result, err := c.drive(job)
	if err != nil {
		for _, s := range servers {
			err = fmt.Errorf("%w%s", err, s.lastWords())
		}
	}
	return result, err
}

// memory measures what idle connections cost.
func (config Config) memory(ctx context.Context, report *Report) error {
	points := idlePoints
	if err := allow(points[len(points)-1] + 100); err != nil {
		report.Notes = append(report.Notes, fmt.Sprintf("Idle connections were not measured: %v.", err))
		return nil
	}

	for _, name := range idleServers {
		fmt.Fprintln(config.Log, "idle connections:", name)
		s, err := start(ctx, contender{server: name, workers: 1}, config.Server)
		if err != nil {
			return err
		}
		result, err := idle(ctx, s, pong, points)
		s.stop()
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("%s with idle connections: %w", name, err))
		}
		report.Idle[name] = result
	}
	return nil
}

// pi measures what computing costs.
func (config Config) pi(ctx context.Context, report *Report) error {
	fmt.Fprintln(config.Log, "pi")
	s, err := start(ctx, contender{server: ours, workers: 1}, config.Server)
	if err != nil {
		return err
	}
	defer s.stop()

	c, err := compute(ctx, s, config.Rounds, 100_000_000, 3*config.Window)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	report.Computation = &c
	return nil
}

// Parts are the names that Config.Only may hold.
func Parts() (names []string) {
	for _, shape := range slices.Concat(targetShapes, plotShapes, clientShapes, choiceShapes) {
		names = append(names, shape.Name)
	}
	return append(names, "memory", "pi")
}
