// What the tests of this package, which are outside of it, need to see of it.

package zkdev

import "context"

const StopLimit = stopLimit

var ErrExited = errExited

func (s *Server) Dir() string { return s.dir }

// StartUnchecked is StartOn without a look at the port.
func StartUnchecked(ctx context.Context, port int) (*Server, error) {
	return start(ctx, here, port, 0, "", func() {})
}
