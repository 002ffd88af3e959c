// The smallest Discovery: servers that are known from the beginning.

package rpc

import (
	"context"
	"slices"
)

// Static is a Discovery that finds these servers, "host:port" each, and no
// others. It is what tests want, and clients of servers that never move.
type Static []string

// Watch implements Discovery.
func (s Static) Watch(ctx context.Context, publish func(Snapshot)) {
	publish(Snapshot{Servers: slices.Compact(slices.Sorted(slices.Values(s)))})
	<-ctx.Done()
}
