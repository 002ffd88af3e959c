// Rounds: what the client command does, wherever its list of servers comes
// from. Answers go to standard output, all else to standard error.

package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ErrNoList says that the list of servers has not been read, so that nobody
// knows whether there is a server.
var ErrNoList = errors.New("can't read the list of servers")

// listPatience is the least time that the first list has to come in.
const listPatience = 5 * time.Second

// RoundsFlags are the flags -n, -interval, -wait, -timeout, -method and
// -params.
type RoundsFlags struct {
	rounds Rounds
	params string
	flags  *flag.FlagSet
}

// NewRoundsFlags adds the flags to a set.
func NewRoundsFlags(flags *flag.FlagSet) *RoundsFlags {
	f := &RoundsFlags{flags: flags}
	r := &f.rounds
	flags.IntVar(&r.N, "n", 100, "number of rounds, of one ping and one pi each, or of one call of -method")
	flags.DurationVar(&r.Interval, "interval", 500*time.Millisecond, "pause between rounds")
	flags.DurationVar(&r.Wait, "wait", 0, "how long to wait for a server when there is none")
	flags.DurationVar(&r.Timeout, "timeout", 5*time.Second, "time for one call, including its move to another server")
	flags.StringVar(&r.Method, "method", "",
		"a `method` to call once in each round, instead of ping and pi; "+
			"if it is any other, a call that a server may already have run is never repeated")
	flags.StringVar(&f.params, "params", "null", "the params of -method, as `JSON`")
	return f
}

// Rounds returns what the flags say, once they have been parsed. It ends the
// program with exit code 2 and a message when one of them is wrong.
func (f *RoundsFlags) Rounds() Rounds {
	r := f.rounds
	r.Params = json.RawMessage(f.params)
	if !json.Valid(r.Params) {
		UsageError(f.flags, `-params must be JSON, not %s (a string needs quotes of its own: '"hello"')`, f.params)
	}
	if r.N < 1 || r.Interval < 0 || r.Wait < 0 || r.Timeout <= 0 {
		UsageError(f.flags, "-n must be at least 1, -timeout more than 0, and neither -interval nor -wait negative")
	}
	return r
}

// Rounds are calls of ping and pi, or of another method, again and again.
type Rounds struct {
	N        int           // rounds, at least 1; each is one ping and one pi, or one call of Method
	Interval time.Duration // between two rounds
	Wait     time.Duration // for a server when there is none
	Timeout  time.Duration // for one call

	Method string          // to be called instead of ping and pi; "": these
	Params json.RawMessage // of Method
}

// Run makes the calls and prints a line per answer and, if there were any
// calls or ctx has ended, a summary. It returns nil when all calls are made,
// failed ones too, or ctx has ended. The error wraps ErrNoServer when there is
// no server, and ErrNoList when nobody knows whether there is one; it is
// another error when an answer can't be printed.
func (r Rounds) Run(ctx context.Context, client *Client) error {
	s := score{Rounds: r, client: client, began: time.Now(), answered: make(map[string]int)}
	err := s.awaitServer(ctx)
	if err == nil {
		err = s.play(ctx)
	}

	if s.calls() > 0 || ctx.Err() != nil {
		s.summary()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// A score counts the calls of one run.
type score struct {
	Rounds
	client   *Client
	began    time.Time
	failed   int            // calls that failed
	answered map[string]int // calls that were answered, by server
}

// play makes the calls. It returns an error when there is no server any more,
// or ctx ends.
func (s *score) play(ctx context.Context) error {
	for i := range s.N {
		if i > 0 {
			select {
			case <-time.After(s.Interval):
			case <-ctx.Done():
				return ctx.Err()
			}
		}

		if err := s.round(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// round makes the calls of one round.
func (s *score) round(ctx context.Context, i int) error {
	if s.Method != "" {
		return s.call(ctx, s.Method, s.Params)
	}

	err := s.call(ctx, "ping", "ireader "+strconv.Itoa(i))
	if err != nil {
		return err
	}
	return s.call(ctx, "pi", i)
}

// call makes one call and prints the answer. A failed call counts and is no
// error; that there is no server is.
func (s *score) call(ctx context.Context, method string, params any) error {
	callCtx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	reply, server, err := s.client.Call(callCtx, method, params)
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // the call counts as nothing
	}

	if err != nil {
		s.failed++
		text, _ := json.Marshal(params) // a string, a number or valid JSON never fails
		fmt.Fprintf(os.Stderr, "%s %s failed: %v\n", method, text, err)
		if errors.Is(err, ErrNoServer) {
			return s.awaitServer(ctx)
		}
		return nil
	}

	s.answered[server]++
	if _, err := fmt.Println(server, reply.Kind, show(reply.Result)); err != nil {
		return fmt.Errorf("print an answer: %w", err)
	}
	return nil
}

// awaitServer waits until the list of servers is known and, for as long as
// Wait says, until there is a server in it.
func (s *score) awaitServer(ctx context.Context) error {
	known, cancel := context.WithTimeout(ctx, max(s.Wait, listPatience))
	defer cancel()
	if s.client.Wait(known, 0) != nil {
		return ErrNoList
	}

	listed, cancel := context.WithTimeout(ctx, s.Wait)
	defer cancel()
	if s.client.Wait(listed, 1) != nil {
		return ErrNoServer
	}
	return nil
}

// calls returns how many calls there have been.
func (s *score) calls() int {
	n := s.failed
	for _, answered := range s.answered {
		n += answered
	}
	return n
}

// summary prints how many calls there were, and which server answered how many.
func (s *score) summary() {
	fmt.Printf("calls %d, failed %d, in %.1fs\n", s.calls(), s.failed, time.Since(s.began).Seconds())
	for _, server := range slices.Sorted(maps.Keys(s.answered)) {
		fmt.Printf("  %s  %d\n", server, s.answered[server])
	}
}

// show returns a result as the tutorial prints it: strings without quotes,
// numbers to twelve digits.
func show(result json.RawMessage) string {
	var value any
	if err := json.Unmarshal(result, &value); err != nil {
		return plain(string(result))
	}
	if number, ok := value.(float64); ok {
		return fmt.Sprintf("%.12g", number)
	}
	return plain(fmt.Sprint(value))
}

// plain returns text as it is shown in a line: quoted if it would begin another
// line, or tell a terminal what to do.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
