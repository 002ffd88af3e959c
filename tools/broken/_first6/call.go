// The command call.

package main

import (
	"flag"
	"fmt"
	"net"
	"time"
)

func RunCall(flags *flag.FlagSet, args []string) error {
	n := flags.Int("n", 1, "number of calls")
	_ = flags.Duration("timeout", 5*time.Second, "time for all of them together")
	pos := ParseArgs(flags, args, "HOST", "PORT", "METHOD", "PARAMS")

	server := &remote{addr: net.JoinHostPort(pos[0], pos[1])}
	frame := AppendFrame(nil, Request{Method: pos[2], Params: []byte(pos[3])}.Append(nil))
	var all []chan outcome
	for range *n {
		outcomes := make(chan outcome, 2)
		server.start(frame, outcomes)
		all = append(all, outcomes)
	}
	for _, outcomes := range all {
		o := <-outcomes
		fmt.Println(o.reply.Kind, string(o.reply.Result))
	}
	return nil
}
