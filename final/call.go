// The command call: many calls to one server over one connection, none of which
// waits for the replies to those before it.

package rpc

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

// RunCall is the command call. It sends calls to one server, over one
// connection, without waiting for replies in between, and prints a line for
// each reply, in the order of the calls. The error says how many calls failed.
func RunCall(flags *flag.FlagSet, args []string) error {
	n := flags.Int("n", 1, "number of calls: they are all sent, and then all their replies are awaited")
	timeout := flags.Duration("timeout", 5*time.Second, "time for all of them together")
	pos := ParseArgs(flags, args, "HOST", "PORT", "METHOD", "PARAMS")
	if *n < 1 || *timeout <= 0 {
		UsageError(flags, "-n must be at least 1, and -timeout more than 0")
	}
	if !json.Valid([]byte(pos[3])) {
		UsageError(flags, `PARAMS must be JSON, not %s (a string needs quotes of its own: '"hello"')`, pos[3])
	}

	server := &remote{addr: net.JoinHostPort(pos[0], pos[1])}
	frame := AppendFrame(nil, Request{Method: pos[2], Params: []byte(pos[3])}.Append(nil))
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()

	failed := callMany(ctx, server, frame, *n)
	if failed > 0 {
		return fmt.Errorf("%d of %d calls failed", failed, *n)
	}
	return nil
}

// callMany makes n calls of one server at once, and prints what becomes of
// them: replies to standard output, what went wrong to standard error. It
// returns how many calls failed; an error reply is a failure, too.
func callMany(ctx context.Context, server *remote, frame []byte, n int) (failed int) {
	attempts := make([]*attempt, n)
	outcomes := make([]chan outcome, n)
	for i := range n {
		outcomes[i] = make(chan outcome, 2)
		attempts[i] = server.start(frame, outcomes[i])
	}

	for i, a := range attempts {
		reply, err := a.await(ctx, outcomes[i])
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "call %d failed: %v\n", i, err)
			failed++
		case reply.Kind == "error":
			failed++
			fallthrough
		default:
			fmt.Println(reply.Kind, string(reply.Result))
		}
	}
	return failed
}

// await blocks until the attempt has its final outcome or ctx ends. Then it
// drops the attempt: its caller leaves.
func (a *attempt) await(ctx context.Context, outcomes <-chan outcome) (Reply, error) {
	for {
		select {
		case o := <-outcomes:
			if !o.warning { // there is nobody else to ask
				return o.reply, o.err
			}
		case <-ctx.Done():
			a.drop()
			return Reply{}, ctx.Err()
		}
	}
}
